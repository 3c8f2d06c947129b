import pytest
import yaml

import trees
from hrdepth.config import DatasetConfig
from hrdepth.data import build_mix
from hrdepth.errors import InputError


@pytest.fixture
def root(tmp_path):
    return trees.drive(tmp_path)


def change(root, **entries):
    file = root / "drive" / "camera.yaml"
    content = {**yaml.safe_load(file.read_text()), **entries}
    file.write_text(yaml.safe_dump({key: value for key, value in content.items() if value is not None}))


def build(root, frames=(-1, 1, "s"), split="train.txt"):
    return build_mix([DatasetConfig("folder", str(root), split and str(root / split))], frames, (64, 96))


def test_without_a_split_every_inner_frame_is_a_target(root):
    mix = build(root, split=None)
    assert [line.frame for line in mix.datasets[0].reader.targets] == [1, 2, 3, 4]


def test_frames_may_lie_beside_the_camera_file(root):
    for path in list((root / "drive" / "left").iterdir()):
        path.rename(root / "drive" / f"frame_{path.name}")
    (root / "drive" / "left").rmdir()
    assert len(build(root, frames=(-1, 1))) == 4


def test_a_second_eye_needs_a_baseline(root):
    change(root, baseline=None)
    with pytest.raises(InputError, match=r"train\.txt:1: 'drive' has a second eye, .*camera\.yaml gives no baseline"):
        build(root)
    assert len(build(root, frames=(-1, 1))) == 4


def test_a_negative_baseline(root):
    change(root, baseline=-0.5)
    with pytest.raises(InputError, match="must be positive"):
        build(root)


def test_stereo_alone_names_the_line_without_a_second_eye(root):
    (root / "drive" / "right" / "000003.png").unlink()
    with pytest.raises(InputError, match=r"train\.txt:3: .* no second eye"):
        build(root, frames=("s",))
    assert not build(root)[2]["source_valid"][2]


@pytest.mark.parametrize("content", ["fx: [", "width: 96", "- 3", "fx: wide"])
def test_a_wrong_camera_file(root, content):
    (root / "drive" / "camera.yaml").write_text(content)
    with pytest.raises(InputError, match=r"camera\.yaml must give the numbers"):
        build(root)
