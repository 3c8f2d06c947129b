"""Tests of check/scan.py."""

from dataclasses import replace

import pytest
import yaml
from PIL import Image

import fake_datasets
from hrdepth.check.scan import check_data, scan_data
from hrdepth.cli import main
from hrdepth.config import DatasetConfig, ObjectiveConfig, TrainConfig
from hrdepth.data import open_data
from hrdepth.data.mixing import metres_per_unit
from hrdepth.errors import InputError


@pytest.fixture
def config(tmp_path):
    """Two drives: `a` to learn from, `b` for validation."""
    for name in "ab":
        fake_datasets.drive(tmp_path, name, frames=8)
        lines = "".join(f"{name} {number} l\n" for number in range(1, 7))
        (tmp_path / f"{name}.txt").write_text(lines)
    parts = [DatasetConfig("folder", str(tmp_path), str(tmp_path / f"{name}.txt")) for name in "ab"]
    return TrainConfig([parts[0]], [parts[1]], str(tmp_path / "run"), objective=ObjectiveConfig(frames=[-1, 1, "s"]))


def test_valid_data_give_a_summary(config):
    report = scan_data(replace(config, scan="full"))
    assert not report.errors + report.warnings
    assert len(report.summary) == 2
    assert report.summary[0].endswith("6 frames of 1 recordings, 1 cameras, images 96x64, stereo pairs for 100 %")
    check_data(config)


def test_everything_wrong_is_reported_at_once(config, tmp_path):
    left, right = (tmp_path / "a" / side for side in ("left", "right"))
    (left / "000003.png").unlink()  # 1, for three lines
    (left / "000006.png").write_bytes(b"no image")  # 2
    Image.new("RGB", (64, 64)).save(right / "000005.png")  # 3
    (tmp_path / "a.txt").write_text((tmp_path / "a.txt").read_text() + "a 5 l\n")  # 4
    camera = yaml.safe_load((tmp_path / "b" / "camera.yaml").read_text())
    (tmp_path / "b" / "camera.yaml").write_text(yaml.safe_dump(camera | {"fx": 0.58}))  # 5
    none = DatasetConfig("folder", str(tmp_path), str(tmp_path / "none.txt"))  # 6
    with pytest.raises(InputError) as error:
        check_data(replace(config, validation=[*config.validation, none]))
    lines = str(error.value).splitlines()
    assert len(lines) == 6
    for sentence in (
        "a.txt:2: frame 2 of 'a' misses its neighbour at +1; complete the recording or remove the line (and 2 more",
        f"a.txt:5: {left / '000006.png'} is not an image",
        f"a.txt:5: {right / '000005.png'} is 64x64 (width x height), most images of 'a' are 96x64",
        "a.txt:7: 'a 5 l' is listed at ",
        "camera.yaml: focal lengths fx = 0.58",
        "none.txt does not exist",
    ):
        assert sum(sentence in line for line in lines) == 1, sentence


def test_only_a_full_scan_decodes(config, tmp_path):
    file = tmp_path / "a" / "left" / "000003.png"
    file.write_bytes(file.read_bytes()[:400])
    assert not scan_data(config).errors
    (error,) = scan_data(replace(config, scan="full")).errors
    assert error.sentence.startswith(f"{tmp_path / 'a.txt'}:2: the image {file} cannot be read")


def test_a_camera_whose_aspect_ratio_differs_from_the_images_is_reported(config, tmp_path):
    for side in ("left", "right"):
        for file in (tmp_path / "a" / side).iterdir():
            Image.new("RGB", (96, 80)).save(file)
    (error,) = scan_data(config).errors
    assert "a.txt:1: the images of 'a' are 96x80 (width x height), the K of" in error.sentence
    assert error.kind == "camera"
    for side in ("left", "right"):
        for file in (tmp_path / "a" / side).iterdir():
            Image.new("RGB", (50, 33)).save(file)  # resized, a pixel of rounding
    assert not scan_data(config).errors


def test_at_most_twenty_findings_are_listed_with_the_total(config, tmp_path):
    (tmp_path / "a.txt").write_text("".join(f"a one{number} l\n" for number in range(25)))
    with pytest.raises(InputError) as error:
        check_data(config)
    lines = str(error.value).splitlines()
    assert (len(lines), lines[0].count("a.txt:1:"), lines[-1]) == (21, 1, "... and 5 more")


def test_frames_in_both_training_and_validation_are_a_warning(config, caplog):
    both = replace(config, validation=config.train)
    (warning,) = scan_data(both).warnings
    assert "000001.png is a frame of training too" in warning.sentence
    assert warning.sentence.endswith("(and 5 more frames)")
    check_data(both)
    assert "is a frame of training too" in caplog.text


def test_scan_off_checks_for_missing_files_only(config, tmp_path):
    image = tmp_path / "a" / "left" / "000003.png"
    image.write_bytes(b"no image")
    check_data(replace(config, scan="off"))
    with pytest.raises(InputError, match=r"000003\.png"):
        check_data(config)
    image.unlink()
    for scan in ("off", "quick"):
        with pytest.raises(InputError, match="misses its neighbour"):
            check_data(replace(config, scan=scan))


def test_the_command_lists_all_findings_and_their_number(config, tmp_path, capsys):
    file = tmp_path / "config.yaml"
    content = {
        name: [{"dataset": "folder", "root": str(tmp_path), "split": str(tmp_path / f"{drive}.txt")}]
        for name, drive in (("train", "a"), ("validation", "b"))
    }
    file.write_text(yaml.safe_dump({**content, "output": "run"}))
    assert main(["scan", "--config", str(file)]) == 0
    assert "train: folder at" in capsys.readouterr().out
    (tmp_path / "a.txt").write_text("".join(f"a {number} l\n" for number in range(30, 60)))
    assert main(["scan", "--config", str(file)]) == 2
    printed = capsys.readouterr()
    # 29 to 60 are missing; each is reported at the first line that needs it.
    assert sum("misses its" in line for line in printed.out.splitlines()) == 32
    assert printed.err.strip() == "hrdepth: 32 problems found, listed above"


def scale(*options, frames=(-1, 1, "s"), root):
    parts = [DatasetConfig("folder", str(root), options=option) for option in options]
    return metres_per_unit(part.neighbours.reader for part in open_data(parts, frames))


def test_metres_per_unit_follows_from_the_stereo_baselines(config, tmp_path):
    root = tmp_path
    assert scale({}, root=root) == 1.0
    assert scale({"baseline": 0.1}, root=root) == 5.0
    assert scale({"baseline": 0.1}, {"baseline": 0.101}, root=root) == pytest.approx(4.975, abs=0.001)
    with pytest.raises(InputError, match=r"the rigs disagree: a unit is 1 m by .*, 5 m by"):
        scale({}, {"baseline": 0.1}, root=root)
    camera = yaml.safe_load((root / "a" / "camera.yaml").read_text())
    (root / "a" / "camera.yaml").write_text(yaml.safe_dump({k: v for k, v in camera.items() if k != "baseline"}))
    with pytest.raises(InputError, match="does not give the baseline in metres"):
        scale({"baseline": 0.1}, root=root)


@pytest.mark.parametrize("name", ["kitti_raw", "kitti_odometry"])
def test_metres_per_unit_of_the_papers_rig_follows_from_kitti_calibration(name, tmp_path):
    fake_datasets.TREES[name].make(tmp_path)
    part = DatasetConfig(name, str(tmp_path), str(tmp_path / "train.txt"), options={"baseline": 0.1})
    assert metres_per_unit(part.neighbours.reader for part in open_data([part], ["s"])) == 5.0
