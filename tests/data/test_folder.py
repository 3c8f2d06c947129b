"""Tests of data/folder.py and camera_file.py."""

import shutil

import pytest
import torch
import yaml
from PIL import Image
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.config import DatasetConfig, names
from hrdepth.data import build_mix, build_reader
from hrdepth.data.camera_file import read_camera
from hrdepth.data.folder import numbered_images
from hrdepth.data.mixing import metres_per_unit
from hrdepth.errors import InputError

CAMERA = {"width": 96, "height": 64, "fx": 55, "fy": 60, "cx": 47, "cy": 31}


@pytest.fixture
def root(tmp_path):
    return fake_datasets.drive(tmp_path)


def change(root, **entries):
    file = root / "drive" / "camera.yaml"
    content = {**yaml.safe_load(file.read_text()), **entries}
    file.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))


def build(root, frames=(-1, 1, "s"), split="train.txt"):
    return build_mix([DatasetConfig("folder", str(root), split and str(root / split))], frames, (64, 96))


def test_without_a_split_every_inner_frame_is_a_target(root):
    mix = build(root, split=None)
    assert [line.frame for line in mix.datasets[0].reader.targets] == [1, 2, 3, 4]


def test_images_may_lie_beside_the_camera_file(root):
    for path in list((root / "drive" / "left").iterdir()):
        path.rename(root / "drive" / f"frame_{path.name}")
    (root / "drive" / "left").rmdir()
    assert len(build(root, frames=(-1, 1))) == 4


def test_stereo_pairs_need_a_baseline(root):
    change(root, baseline=None)
    with pytest.raises(InputError, match=r"train\.txt:1: 'drive' has stereo pairs, .*camera\.yaml gives no baseline"):
        build(root)
    assert len(build(root, frames=(-1, 1))) == 4


def test_a_negative_baseline_is_refused(root):
    change(root, baseline=-0.5)
    with pytest.raises(InputError, match="must be positive"):
        build(root)


def test_stereo_alone_names_the_line_without_a_stereo_pair(root):
    (root / "drive" / "right" / "000003.png").unlink()
    with pytest.raises(InputError, match=r"train\.txt:3: .* no stereo pair"):
        build(root, frames=("s",))
    assert not build(root)[2]["source_valid"][2]


@pytest.mark.parametrize("content", ["fx: [", "width: 96", "- 3", "fx: wide"])
def test_a_wrong_camera_file_is_named(root, content):
    (root / "drive" / "camera.yaml").write_text(content)
    with pytest.raises(InputError, match=r"camera\.yaml must give the numbers"):
        build(root)


@pytest.mark.parametrize(("name", "value"), [("k1", -0.28), ("distortion", [0.1, 0, 0, 0]), ("model", "fisheye"),
                                             ("roi", {"x_offset": 4}), ("learn", "no")])  # fmt: skip
def test_an_entry_of_a_camera_that_is_not_understood_is_named(root, name, value):
    change(root, source="a phone", serial_number=17)
    build(root)
    change(root, **{name: value})
    with pytest.raises(InputError, match=rf"camera\.yaml: {name} "):
        build(root)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("Baseline: 0.54\n", "Baseline is not understood"),  # it would be none
        ("Width: 48\n", "Width is not understood"),
        ("baseline: true\n", "true is no number"),
        ("pixel_aspect: .nan\n", "pixel_aspect nan must be"),
    ],
)
def test_an_entry_of_a_camera_that_cannot_be_right_is_refused(root, text, sentence):
    file = root / "drive" / "camera.yaml"
    lines = [line for line in file.read_text().splitlines() if not line.startswith(text.split(":")[0])]
    file.write_text("\n".join([*lines, text]))
    with pytest.raises(InputError, match=rf"camera\.yaml.*{sentence}"):
        build(root)


def test_numbers_of_a_camera_are_decimal(root):
    """YAML 1.1 reads 096 as text, but 0100 as 64."""
    change(root, width=100)
    file = root / "drive" / "camera.yaml"
    file.write_text(file.read_text().replace("width: 100", "width: 0100"))
    assert read_camera(file).size[1] == 100
    file.write_text(file.read_text().replace("width: 0100", "width: 100.5"))
    with pytest.raises(InputError, match=r"width 100\.5 .* must be whole numbers"):
        read_camera(file)


def test_an_entry_given_twice_and_another_encoding_are_refused(root):
    file = root / "drive" / "camera.yaml"
    text = file.read_text()
    file.write_text(text + "fx: 500\n")
    with pytest.raises(InputError, match=r"camera\.yaml .*'fx' is given twice"):
        build(root)
    file.write_bytes(text.encode() + "source: Stra\u00dfe\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"camera\.yaml is no text file in UTF-8"):
        build(root)
    file.write_text(text + "source: Stra\u00dfe\n", encoding="utf-8-sig")
    build(root)


def test_two_images_of_one_number_are_refused(root):
    """front_0001.png and rear_0001.png: one would replace the other."""
    left = root / "drive" / "left"
    for path in sorted(left.iterdir()):
        shutil.copy(path, left / f"rear_{path.name}")
        path.rename(left / f"front_{path.name}")
    with pytest.raises(InputError, match=r"left: front_000000\.png and rear_000000\.png have the same number"):
        build(root)


def test_hidden_and_temporary_files_are_no_frames(root, caplog):
    left = root / "drive" / "left"
    for name in ("~000002.png", "._000002.png", "000002.tmp.png", "#000002.png"):
        (left / name).write_bytes(b"lock")
    shutil.copy(left / "000001.png", left / "cover.png")
    before = build(root)[1]["target"]
    shutil.copy(left / "000001.png", left / "000002.jpeg")
    assert torch.equal(before, build(root)[1]["target"]), "a PNG comes before a .jpeg"
    assert numbered_images(left)[2] == left / "000002.png"
    assert "6 images are left out" in caplog.text


@pytest.mark.parametrize("suffix", [".PNG", ".webp", ".TIF"])
def test_frames_of_any_spelling_are_found(root, suffix):
    for path in sorted((root / "drive" / "left").iterdir()):
        Image.open(path).save(path.with_suffix(suffix), lossless=True)
        path.unlink()
    mix = build(root)
    assert len(mix) == 4
    assert mix.datasets[0].reader.has_depth()


def test_links_to_drives_are_followed(root, tmp_path):
    before = [line.name for line in build(root, split=None).datasets[0].reader.targets]
    links = tmp_path / "links"
    links.mkdir()
    (links / "first").symlink_to(root / "drive")
    (links / "loop").symlink_to(links)
    shutil.copytree(root / "drive", links / "second")
    targets = build(links, split=None).datasets[0].reader.targets
    assert [line.name for line in targets] == [name.replace("drive", link) for link in ("first", "second")
                                               for name in before]  # fmt: skip
    images = DatasetConfig("images", str(links))
    assert len(build_reader(images).targets) == 24
    rig = {"camera": CAMERA}
    assert len(build_reader(DatasetConfig("folder", str(links), options=rig)).targets) == 8


def test_a_rig_from_the_config_needs_no_file(root):
    camera = yaml.safe_load((root / "drive" / "camera.yaml").read_text())
    (root / "drive" / "camera.yaml").unlink()
    for side, name in (("left", "image_02"), ("right", "image_03")):
        (root / "drive" / side).rename(root / "drive" / name)
    options = {"camera": {**camera, "baseline": 0.12}, "folders": ["image_02", "image_03"]}
    for split in (str(root / "train.txt"), None):
        mix = build_mix([DatasetConfig("folder", str(root), split, options=options)], [-1, 1, "s"], (64, 96))
        assert [line.name for line in mix.datasets[0].reader.targets] == [f"drive {number} l" for number in range(1, 5)]
        sample = mix[0]
        assert sample["source_valid"].all()
        assert sample["stereo_pose"][0, 3] == pytest.approx(-0.12)
        assert sample["intrinsics"][0].tolist() == [55, 0, 47]
    assert metres_per_unit([mix.datasets[0].reader]) == 1.0


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"camera": {"width": 96}}, "the option camera of .* must give the numbers width, height"),
        ({"camera": "gopro"}, "the option camera of .* must give the numbers"),
        ({"camera": {**CAMERA, "baseline": 120}}, "baseline 120 is in metres; are these millimetres"),
        ({"camera": {**CAMERA, "fx": 0.58}}, "the option camera of .* cannot be pixels"),
        ({"folders": ["left"]}, r"folders \['left'\] of the data folder .*: give two, as in \[left, right\]"),
        ({"eyes": ["left"]}, "give two, as in"),
        ({"folders": "left"}, "the option folders 'left' of data set 'folder' must be a list"),
        ({"folders": 2}, "the option folders 2 of data set 'folder' must be a list"),
        ({"baseline": "wide"}, "the option baseline 'wide' of data set 'folder' must be a number or null"),
        ({"camera": CAMERA, "folders": ["a", "b"]}, "set the option folders"),
    ],
)
def test_an_impossible_rig_is_refused(root, options, sentence):
    if options.get("folders") == ["a", "b"]:
        for side in ("left", "right"):
            shutil.rmtree(root / "drive" / side)
    with pytest.raises(InputError, match=sentence):
        build_mix([DatasetConfig("folder", str(root), options=options)], [-1, 1], (64, 96))


def test_one_split_may_mix_cameras_of_all_kinds(root):
    fake_datasets.drive(root, "wide", size=(64, 192))
    fake_datasets.drive(root, "alone", stereo=False, size=(128, 96))
    change(root, fx=70.0)
    entries = {"width": 192, "height": 64, "fx": 110.0, "fy": 80.0, "cx": 95.5, "cy": 30.0, "baseline": 0.25}
    (root / "wide" / "camera.yaml").write_text(yaml.safe_dump(entries))
    (root / "mixed.txt").write_text("drive 1 l\nwide 2 l\nalone 3 l\nwide 1 r\n")
    mix = build_mix([DatasetConfig("folder", str(root), str(root / "mixed.txt"))], [1, "s"], (64, 96))
    batch = default_collate([mix[index] for index in range(4)])
    assert batch["intrinsics"][:, 0, 0].tolist() == [70, 55, 55, 55]  # fx by the width's factor: 1, 1/2, 1, 1/2
    assert batch["intrinsics"][:, 1, 1].tolist() == [60, 80, 30, 80]  # fy by the height's: 1, 1, 1/2, 1
    assert batch["stereo_pose"][:, 0, 3].tolist() == [-0.5, -0.25, 0, 0.25]
    assert batch["source_valid"].tolist() == [[True, True], [True, True], [True, False], [True, True]]


def test_earlier_names_work_and_warn_of_the_new_one_once(root, caplog):
    (root / "drive" / "right").rename(root / "drive" / "second")
    split = str(root / "train.txt")
    parts = [
        DatasetConfig("folder", str(root), split, options={"eyes": ["left", "second"]}),
        DatasetConfig("folder", str(root), split, options={"folders": ["left", "second"]}),
    ]
    first, second = (build_mix([part], ["s"], (64, 96)) for part in parts)
    assert torch.equal(first[0]["sources"], second[0]["sources"])
    assert first[0]["source_valid"].all()
    names.note_name.cache_clear()
    caplog.clear()  # of the first use, if no earlier test had one
    with caplog.at_level("WARNING"):
        for _ in range(2):
            build_reader(DatasetConfig("folder", str(root), split, options={"eyes": ["left", "second"]}))
            build_reader(DatasetConfig("pictures", str(root)))
    assert [record.message for record in caplog.records] == [
        "eyes is now called folders",
        "pictures is now called images",
    ]
