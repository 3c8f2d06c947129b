"""Tests of prepare/video.py, prepare/recording.py, prepare/motion.py and prepare/selection.py.

`hrdepth prepare` on clips that nobody prepared.
"""

import contextlib
import io
import json
import os
import shutil
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("cv2", reason="preparing videos needs OpenCV")

from clips import SIZE, damage, frames, timed, video, with_hood_and_overlay

from hrdepth.check.camera_faults import examine_camera
from hrdepth.cli import main
from hrdepth.config import DatasetConfig, PrepareVideoConfig
from hrdepth.data import build_mix
from hrdepth.data.camera_file import read_camera
from hrdepth.errors import InputError
from hrdepth.io.files import file_sha256
from hrdepth.prepare.calibration_file import read_calibration
from hrdepth.prepare.video import prepare_videos
from without_extras import run


def prepare(path, out, **settings):
    return prepare_videos(PrepareVideoConfig(out=str(out), inputs=[str(path)], **({"fov": 90.0} | settings)))[0]


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """Thirty frames at the pace of a drive, a stop of ten, and another scene of twenty; a hood and an overlay."""
    places = [*range(0, 90, 3), *[87] * 10]
    images = [*frames(places), *frames(range(0, 60, 3), seed=1)]
    return video(tmp_path_factory.mktemp("clip") / "drive.mp4", with_hood_and_overlay(images))


@pytest.fixture(scope="module")
def prepared_once(clip, tmp_path_factory):
    """The clip prepared by the command, and what the command printed."""
    out, printed = tmp_path_factory.mktemp("prepared"), io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert main(["prepare", str(clip), "--out", str(out), "--fov", "90"]) == 0
    return out, printed.getvalue()


@pytest.fixture
def prepared(prepared_once, tmp_path):
    """A copy of one's own."""
    return shutil.copytree(prepared_once[0], tmp_path / "data")


def test_one_command_makes_a_set_that_trains(prepared_once):
    out, stdout = prepared_once
    assert f"hrdepth train --data {out}" in stdout
    manifest = json.loads((out / "drive" / "manifest.json").read_text())
    assert manifest["complete"]
    assert manifest["provenance"]["versions"]["hrdepth"]
    assert manifest["chosen"]["left_out_frames"] == {"still": 10, "cut": 1}
    names = sorted(int(file.stem) for file in (out / "drive" / "left").iterdir())
    # A number is left out where the scene changes.
    assert names == [*range(30), *range(31, 51)]
    training, validation = ((out / name).read_text().splitlines() for name in ("train.txt", "val.txt"))
    numbers = [[int(line.split()[1]) for line in lines] for lines in (training, validation)]
    assert {28, 29, 30, 31} & set(numbers[0]) == {28}
    assert min(numbers[1]) - max(numbers[0]) > 10
    part = DatasetConfig("folder", str(out), str(out / "train.txt"))
    sample = build_mix([part], [-1, 1], SIZE)[0]
    assert sample["intrinsics"][0, 0] == pytest.approx(64)
    assert sample["mask"].shape == (1, *SIZE)


def test_the_command_takes_one_of_several_cameras_of_a_calibration(tmp_path):
    path = video(tmp_path / "clip.mp4", frames(range(0, 45, 3)))
    calibration = tmp_path / "calib.txt"
    calibration.write_text("P0: 90 0 64 0 0 90 48 0 0 0 1 0\nP2: 100 0 64 0 0 100 48 0 0 0 1 0\n")
    command = ["prepare", "video", str(path), "--out", str(tmp_path / "data"), "--intrinsics", str(calibration)]
    assert main([*command, "--camera", "0", "--mask", "false"]) == 0
    camera = yaml.safe_load((tmp_path / "data" / "clip" / "camera.yaml").read_text())
    assert (camera["fx"], camera["fy"]) == (90, 90)


def test_hood_and_overlay_are_masked_and_shown(clip, prepared, tmp_path):
    keep = np.asarray(Image.open(tmp_path / "data" / "drive" / "mask.png")) > 0
    assert not keep[-19:].any()
    assert keep[9:15, 8:38].mean() < 0.1
    assert keep[24:70].mean() > 0.97
    assert Image.open(tmp_path / "data" / "drive" / "mask.jpg").size == SIZE[::-1]
    again = prepare(clip, tmp_path / "bare", mask=False)
    assert again.manifest["mask"]["share"] == 0
    assert not (tmp_path / "bare" / "drive" / "mask.png").exists()


def test_a_video_is_prepared_without_pytorch(tmp_path):
    clip = video(tmp_path / "drive.mp4", frames(range(0, 36, 3)))
    command = ["prepare", "video", str(clip), "--out", str(tmp_path / "data"), "--fov", "90", "--stride", "1"]
    ((status, _, error),) = run(command)
    assert status == 0, error
    assert (tmp_path / "data" / "train.txt").is_file()


def test_a_clean_clip_gets_no_mask(tmp_path):
    path = video(tmp_path / "clean.mp4", frames(range(0, 90, 3)))
    assert prepare(path, tmp_path / "data").manifest["mask"]["share"] == 0


@pytest.mark.parametrize(("pace", "fps", "stride"), [(2, 10, 1), (1, 30, 2)])
def test_the_stride_follows_the_motion(tmp_path, pace, fps, stride):
    places = np.arange(30) * pace
    path = video(tmp_path / "v.mp4", frames(places), fps)
    assert prepare(path, tmp_path / "data", mask=False).manifest["chosen"]["stride"] == stride
    assert prepare(path, tmp_path / "own", mask=False, fps=fps / 2).manifest["chosen"]["stride"] == 2


def test_an_interrupted_preparation_is_resumed(clip, prepared_once, tmp_path, monkeypatch):
    whole = json.loads((prepared_once[0] / "drive" / "manifest.json").read_text())
    written = 0

    class StoppedError(Exception):
        pass

    import hrdepth.prepare.video as module

    real = module.save_image

    def stop_after_five(path, *image, **options):
        nonlocal written
        written += path.suffix == ".jpg"
        if written > 5:
            raise StoppedError
        return real(path, *image, **options)

    monkeypatch.setattr(module, "save_image", stop_after_five)
    with pytest.raises(StoppedError):
        prepare(clip, tmp_path / "data")
    left = tmp_path / "data" / "drive" / "left"
    times = {file.name: file.stat().st_mtime_ns for file in left.iterdir()}
    assert len(times) == 5
    monkeypatch.setattr(module, "save_image", real)
    resumed = prepare(clip, tmp_path / "data").manifest
    assert all((left / name).stat().st_mtime_ns == time for name, time in times.items())
    assert resumed["frames"] == whole["frames"]
    assert resumed["files"] == whole["files"]
    assert (
        prepare(clip, tmp_path / "data").manifest["provenance"]
        == json.loads((tmp_path / "data" / "drive" / "manifest.json").read_text())["provenance"]
    )


def test_verify_names_what_has_changed(prepared, tmp_path, capsys):
    assert main(["prepare", "--out", str(tmp_path / "data"), "--verify"]) == 0
    (tmp_path / "data" / "drive" / "left" / "000004.jpg").unlink()
    Image.new("RGB", SIZE[::-1]).save(tmp_path / "data" / "drive" / "left" / "000007.jpg")
    assert main(["prepare", "video", "--out", str(tmp_path / "data"), "--verify"]) == 2
    stderr = capsys.readouterr().err
    assert "000004.jpg is missing" in stderr
    assert "000007.jpg has changed" in stderr


def test_frames_that_an_earlier_version_left_cut_are_found_and_written_again(clip, prepared, tmp_path, capsys):
    """A full disk left them under their final names, and their checksums in the manifest."""
    drive = prepared / clip.stem
    manifest = json.loads((drive / "manifest.json").read_text())
    cut, changed = (drive / name for name in list(manifest["frames"])[2:4])
    before = cut.read_bytes(), changed.read_bytes()
    cut.write_bytes(before[0][:-200])
    changed.write_bytes(before[1] + b" ")
    manifest["frames"][f"left/{cut.name}"]["sha256"] = file_sha256(cut)
    (drive / "manifest.json").write_text(json.dumps(manifest))
    assert main(["prepare", "--out", str(prepared), "--verify"]) == 2
    message = capsys.readouterr().err
    assert f"{cut} is damaged" in message
    assert f"{changed} has changed" in message
    assert main(["prepare", str(clip), "--out", str(prepared), "--fov", "90"]) == 0
    assert (cut.read_bytes(), changed.read_bytes()) == before
    assert main(["prepare", "--out", str(prepared), "--verify"]) == 0


def test_other_settings_do_not_overwrite(clip, prepared, tmp_path):
    with pytest.raises(InputError, match=r"written with other settings .*overwrite"):
        prepare(clip, tmp_path / "data", fov=60.0)
    prepare(clip, tmp_path / "data", fov=60.0, mask=False, overwrite=True)
    (tmp_path / "mine" / "drive").mkdir(parents=True)
    (tmp_path / "mine" / "drive" / "thesis.txt").write_text("mine")
    with pytest.raises(InputError, match="did not make"):
        prepare(clip, tmp_path / "mine", overwrite=True)
    assert (tmp_path / "mine" / "drive" / "thesis.txt").exists()


def test_a_camera_and_a_mask_made_by_hand_stay(clip, prepared, caplog):
    drive = prepared / "drive"
    camera = (drive / "camera.yaml").read_text() + "\n# corrected\n"
    (drive / "camera.yaml").write_text(camera)
    Image.new("L", SIZE[::-1], 255).save(drive / "mask.png")
    mask = (drive / "mask.png").read_bytes()
    with caplog.at_level("INFO", logger="hrdepth"):
        prepare(clip, prepared)
    assert "drive: camera.yaml and mask.png stays as it was changed since" in caplog.text
    frame = next((drive / "left").iterdir())
    frame.unlink()
    with pytest.raises(InputError, match=r"would replace camera.yaml and mask.png, changed by hand; keep a copy"):
        prepare(clip, prepared)
    assert ((drive / "camera.yaml").read_text(), (drive / "mask.png").read_bytes()) == (camera, mask)
    prepare(clip, prepared, overwrite=True)
    assert frame.is_file()
    assert "corrected" not in (drive / "camera.yaml").read_text()


def test_a_mask_drawn_where_none_was_found_stays(clip, prepared):
    drive = prepared / "drive"
    manifest = json.loads((drive / "manifest.json").read_text())
    del manifest["files"]["mask.png"]
    (drive / "manifest.json").write_text(json.dumps(manifest))
    (drive / "left" / "000004.jpg").unlink()
    with pytest.raises(InputError, match="would replace mask.png, changed by hand"):
        prepare(clip, prepared)


@pytest.mark.parametrize(
    "settings", [{"fov": 400.0}, {"size": (100, 128)}, {"fov": None, "intrinsics": "exif"}, {"fov": 60.0, "fps": -1.0}]
)
def test_nothing_is_removed_before_new_settings_are_checked(clip, prepared, settings):
    before = sorted(prepared.rglob("*"))
    with pytest.raises(InputError):
        prepare(clip, prepared, overwrite=True, **settings)
    assert sorted(prepared.rglob("*")) == before


def test_files_of_others_and_links_are_not_overwritten(clip, prepared, tmp_path):
    drive = tmp_path / "data" / "drive"
    (drive / "depth").mkdir()
    with pytest.raises(InputError, match="drive contains depth, which hrdepth prepare did not make"):
        prepare(clip, tmp_path / "data", fov=60.0, overwrite=True)
    (drive / "depth").rmdir()
    drive.rename(tmp_path / "elsewhere")
    drive.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="drive is a link"):
        prepare(clip, tmp_path / "data", fov=60.0, overwrite=True)
    assert (tmp_path / "elsewhere" / "left").is_dir()


@pytest.mark.parametrize("name", ["../../outside.jpg", "/etc/hostname"])
def test_files_outside_are_not_verified(tmp_path, capsys, name):
    drive = tmp_path / "data" / "drive"
    drive.mkdir(parents=True)
    (tmp_path / "outside.jpg").write_text("x")
    manifest = {"complete": True, "chosen": {}, "frames": {name: {"sha256": "x"}}, "files": {}}
    (drive / "manifest.json").write_text(json.dumps(manifest))
    assert main(["prepare", "--out", str(tmp_path / "data"), "--verify"]) == 2
    assert "manifest.json is damaged" in capsys.readouterr().err


def test_several_cameras_share_a_set(prepared, tmp_path):
    folder = tmp_path / "frames"
    folder.mkdir()
    for number, image in enumerate(frames(range(0, 72, 3), seed=2, size=(128, 96))):
        Image.fromarray(image).save(folder / f"{number}.png")
    prepare(folder, tmp_path / "data", fov=None, intrinsics="learn", mask=False)
    for name in ("train.txt", "val.txt"):
        assert {line.split()[0] for line in (tmp_path / "data" / name).read_text().splitlines()} == {"drive", "frames"}
    camera = yaml.safe_load((tmp_path / "data" / "frames" / "camera.yaml").read_text())
    assert (camera["width"], camera["height"], camera["learn"]) == (96, 128, True)


def test_letterbox_bars_are_masked_and_k_follows(clip, tmp_path):
    prepare(clip, tmp_path / "data", size=(128, 128), fit="letterbox", mask=False)
    keep = np.asarray(Image.open(tmp_path / "data" / "drive" / "mask.png")) > 0
    assert keep[16:112].all()
    assert not keep[:16].any() and not keep[112:].any()  # noqa: PT018
    camera = yaml.safe_load((tmp_path / "data" / "drive" / "camera.yaml").read_text())
    assert (camera["fx"], camera["cy"]) == (64, pytest.approx(47.5 + 16))


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"size": (100, 128)}, "multiples of 32"),
        ({"fov": 400.0}, "field of view"),
        ({"fps": 5.0, "stride": 2}, "not both"),
        ({"fov": None, "intrinsics": "exif"}, "no focal length"),
        ({"fov": None, "intrinsics": "none.yaml"}, "none.yaml does not exist"),
        ({"validation": 0.9}, "share"),
    ],
)
def test_impossible_settings_are_refused(clip, tmp_path, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        prepare(clip, tmp_path / "data", **settings)


def test_unsuitable_inputs_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"still\.mp4: nothing moves"):
        prepare(video(tmp_path / "still.mp4", frames([7] * 30)), tmp_path / "data")
    Image.new("RGB", (128, 96)).save(tmp_path / "one.png")
    with pytest.raises(InputError, match="single image"):
        prepare(tmp_path / "one.png", tmp_path / "data")
    (tmp_path / "mixed").mkdir()
    for index, image in enumerate(frames(range(0, 60, 3))):
        Image.fromarray(image[: 64 if index == 12 else None]).save(tmp_path / "mixed" / f"{index}.png")
    with pytest.raises(InputError, match=r"mixed: 12 is \d+x64, the first one .*; all frames of a recording have one"):
        prepare(tmp_path / "mixed", tmp_path / "data", stride=1)
    with pytest.raises(InputError, match="no input is given"):
        prepare_videos(PrepareVideoConfig(out=str(tmp_path)))


def test_a_recording_is_not_called_as_a_list(tmp_path):
    made = prepare(video(tmp_path / "train.txt.mp4", frames(range(0, 90, 3))), tmp_path / "data")
    assert made.folder.name == "train_txt"


def test_pixels_that_are_not_square_are_in_k_and_no_fault(tmp_path):
    """Pixels twice as wide as high: as many degrees of a side are half as many pixels across."""
    path = tmp_path / "sar.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=10)
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        for image in frames(range(0, 60, 3)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    folder = prepare(path, tmp_path / "data", fov=70.0, mask=False).folder
    content = yaml.safe_load((folder / "camera.yaml").read_text())
    assert content["fx"] == pytest.approx(content["width"] / 2 / np.tan(np.radians(35)), rel=1e-4)
    assert content["fy"] == pytest.approx(2 * content["fx"], rel=0.02)
    assert content["pixel_aspect"] == pytest.approx(content["fy"] / content["fx"], rel=1e-4)
    camera = read_camera(folder / "camera.yaml")
    assert not list(examine_camera(camera, camera.size))
    assert list(examine_camera(replace(camera, pixel_aspect=1.0), camera.size))
    assert read_calibration(folder / "camera.yaml").intrinsics == pytest.approx(camera.intrinsics)


def test_a_preparation_killed_before_its_manifest_is_resumed(clip, tmp_path):
    begun = tmp_path / "data" / clip.stem
    (begun / "left").mkdir(parents=True)
    (begun / ".hrdepth-cut.json").write_text("{")
    prepare_videos(PrepareVideoConfig(inputs=[str(clip)], out=str(tmp_path / "data"), mask=False))
    assert json.loads((begun / "manifest.json").read_text())["complete"]
    assert not list(begun.rglob(".*"))


def test_frames_beside_a_hole_are_no_neighbours(tmp_path):
    """Behind damage, and where an image of a folder is damaged or missing, a number is left out."""
    images = frames(range(0, 108, 3))
    video = damage(timed(tmp_path / "a.mp4", images, gop=6), 16, 17)
    folder = tmp_path / "b"
    folder.mkdir()
    for index, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{index:04d}.png")
    (folder / "0016.png").write_bytes(b"\0\0\0 ftypavif, damaged")
    (folder / "0017.png").unlink()
    for path in (video, folder):
        manifest = prepare(path, tmp_path / "data", stride=1, mask=False).manifest
        assert len(manifest["frames"]) == 34
        numbers = [int(name[5:-4]) for name in manifest["frames"]]
        assert numbers == [*range(16), *range(17, 35)]
        assert manifest["chosen"]["left_out_frames"] == {"missing": 1}
    lines = (tmp_path / "data/train.txt").read_text().splitlines()
    assert not {"a 15 l", "a 17 l", "b 15 l", "b 17 l"} & set(lines)


def test_a_rate_is_kept_in_a_variable_frame_rate(tmp_path):
    """Twenty frames a second, then five; of both one is chosen every 0.2 seconds."""
    times = [*np.arange(0, 3, 0.05), *np.arange(3, 9, 0.2)]
    path = timed(tmp_path / "a.mkv", frames([20 * time for time in times]), times)
    manifest = prepare(path, tmp_path / "data", fps=5.0, mask=False).manifest
    chosen = [times[entry["index"]] for entry in manifest["frames"].values()]
    assert np.diff(chosen) == pytest.approx(0.2, abs=0.01)
    assert chosen[-1] > 8.5


def test_a_moved_source_is_known_and_a_changed_one_refused(prepared, clip, tmp_path):
    moved = Path(shutil.copyfile(clip, tmp_path / clip.name))
    os.utime(moved, (1, 1))
    settings = json.loads((prepared / "drive/manifest.json").read_text())
    assert "mtime_ns" not in settings["source"]
    assert prepare(moved, prepared).manifest == settings
    content = bytearray(moved.read_bytes())
    content[len(content) // 2] ^= 255
    moved.write_bytes(bytes(content))
    with pytest.raises(InputError, match=r"other settings \(source\.content\)"):
        prepare(moved, prepared)
    status = clip.stat()  # what an earlier version wrote
    settings["source"].pop("content")
    settings["source"] |= {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    (prepared / "drive/manifest.json").write_text(json.dumps(settings))
    assert prepare(clip, prepared).manifest == settings
