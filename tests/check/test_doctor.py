"""Tests of check/doctor.py and check/camera_faults.py.

Each fault is planted and found; clean data raise none.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

pytest.importorskip("cv2", reason="the doctor needs OpenCV")

import fake_datasets
from hrdepth.check.doctor import examine
from hrdepth.cli import main
from hrdepth.config import DoctorConfig
from hrdepth.errors import InputError

SIZE = (96, 160)


def wall(length=600):
    fine = np.random.default_rng(0).integers(20, 235, (SIZE[0] // 4, length // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(fine).resize((length, SIZE[0]), Image.Resampling.BICUBIC))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A rectified stereo pair that moves sideways along a wall."""
    root, image = tmp_path_factory.mktemp("recorded"), wall()
    for number in range(16):
        for side, shift in (("left", 0), ("right", 5)):
            part = image[:, 3 * number + shift : 3 * number + shift + SIZE[1]]
            fake_datasets.save(Image.fromarray(part), root / "a" / side / f"{number:06d}.png")
    camera = {"width": 160, "height": 96, "fx": 120.0, "fy": 120.0, "cx": 80.0, "cy": 48.0, "baseline": 0.3}
    (root / "a" / "camera.yaml").write_text(yaml.safe_dump(camera))
    (root / "train.txt").write_text("".join(f"a {number} l\n" for number in range(1, 8)))
    (root / "val.txt").write_text("".join(f"a {number} l\n" for number in range(10, 15)))
    return root


@pytest.fixture
def all_pairs(recorded, tmp_path):
    return Path(shutil.copytree(recorded, tmp_path / "data"))


@pytest.fixture
def data(all_pairs):
    """The same with right images of a few frames alone, since measuring pairs takes the longest."""
    for path in (all_pairs / "a" / "right").iterdir():
        if int(path.stem) not in (5, 6, 12):  # those whose left image faults change
            path.unlink()
    return all_pairs


def kinds(data):
    return [finding.kind for finding in examine(DoctorConfig(str(data))).findings]


def camera(data, **changes):
    file = data / "a" / "camera.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | changes))


def left(data, number):
    return data / "a" / "left" / f"{number:06d}.png"


def change(path, function):
    Image.fromarray(function(np.asarray(Image.open(path)).astype(float)).clip(0, 255).astype(np.uint8)).save(path)


def test_clean_data_have_no_findings(all_pairs, capsys):
    assert main(["doctor", str(all_pairs)]) == 0
    assert "fit for training" in capsys.readouterr().out
    page = (all_pairs / "doctor.html").read_text()
    assert page.count("data:image/jpeg;base64,") >= 4
    assert "<svg" in page
    assert not re.search(r"(src|href)\s*=\s*['\"]?(https?:|/|file:)", page)


def test_a_file_of_another_name_is_replaced_only_when_asked(data, tmp_path_factory):
    page = tmp_path_factory.mktemp("page") / "notes.html"
    page.write_text("mine")
    with pytest.raises(InputError, match="notes.html exists already"):
        examine(DoctorConfig(str(data), str(page)))
    assert page.read_text() == "mine"
    (data / "a" / "left").rename(data / "a" / "empty")  # so that there is little to examine
    examine(DoctorConfig(str(data), str(page), overwrite=True))
    assert "Examination of" in page.read_text()
    for own in (None, str(data / "doctor.html"), str(data / "a" / ".." / "doctor.html")):
        assert examine(DoctorConfig(str(data), own)).page.is_file()


def swap_left_and_right(data):
    """As if the folders had been exchanged, with the right images of the same few frames."""
    for number in range(16):
        if (right := data / "a" / "right" / left(data, number).name).is_file():
            shutil.copy(left(data, number), right)
        Image.fromarray(wall()[:, 3 * number + 5 : 3 * number + 5 + SIZE[1]]).save(left(data, number))


def copy_left_to_right(data):
    for path in (data / "a" / "right").iterdir():
        shutil.copy(data / "a" / "left" / path.name, path)


def shift_right_images_down(data):
    for path in (data / "a" / "right").iterdir():
        change(path, lambda pixels: np.roll(pixels, 2, axis=0))


def cut(data):
    other = np.random.default_rng(5).integers(20, 235, (24, 150, 3), dtype=np.uint8)
    image = np.asarray(Image.fromarray(other).resize((600, 96), Image.Resampling.BICUBIC))
    for number in range(8, 16):
        Image.fromarray(image[:, 3 * number : 3 * number + 160]).save(left(data, number))
    for path in (data / "a" / "right").iterdir():
        path.unlink()


def still(data):
    for number in range(4, 12):
        noise = np.random.default_rng(number).normal(0, 4, (*SIZE, 3))
        Image.fromarray((wall()[:, 12:172] + noise).clip(0, 255).astype(np.uint8)).save(left(data, number))
    for number in range(12, 16):
        start = 12 + 3 * (number - 11)
        Image.fromarray(wall()[:, start : start + 160]).save(left(data, number))
    for path in (data / "a" / "right").iterdir():
        path.unlink()


def fast(data):
    for number in range(16):
        Image.fromarray(wall(4000)[:, 150 * number : 150 * number + 160]).save(left(data, number))
    for path in (data / "a" / "right").iterdir():
        path.unlink()


FAULTS = {
    "missing: a neighbour": ("missing", lambda d: left(d, 5).unlink(), "misses"),
    "missing: cut short": ("missing", lambda d: left(d, 5).write_bytes(left(d, 5).read_bytes()[:300]), "000005.png"),
    "missing: a gap": ("missing", lambda d: left(d, 9).unlink(), "no frames 9 between"),
    "duplicate: repeated": ("duplicate", lambda d: left(d, 5).write_bytes(left(d, 4).read_bytes()), "repeat"),
    "duplicate: copied": ("duplicate", lambda d: left(d, 12).write_bytes(left(d, 3).read_bytes()), "same image"),
    "still": ("still", still, "stands still for 7 of 15"),
    "cut": ("cut", cut, "another scene begins at frame 8"),
    "fast": ("fast", fast, "extract more frames"),
    "exposure": ("exposure", lambda d: change(left(d, 6), lambda p: 1.6 * p), "brightness jumps"),
    "camera: normalised": ("camera", lambda d: camera(d, fx=0.75, fy=1.25, cx=0.5, cy=0.5), "pixels"),
    "camera: millimetres": ("camera", lambda d: camera(d, fx=4.2, fy=4.2), "focal"),
    "camera: outside": ("camera", lambda d: camera(d, cx=320.0), "outside"),
    "camera: axes": ("camera", lambda d: camera(d, cx=48.0, cy=80.0), "swapped"),
    "camera: focals": ("camera", lambda d: camera(d, fx=120.0, fy=72.0), "square"),
    "camera: width and height": ("camera", lambda d: camera(d, width=96, height=160, cx=48.0, cy=80.0), "swapped"),
    "camera: another size": ("camera", lambda d: camera(d, fx=240.0, fy=240.0, cx=140.0, cy=85.0), "middle"),
    "camera: angle": ("camera", lambda d: camera(d, fx=1200.0, fy=1200.0), "field of view"),
    "stereo: rows": ("stereo", shift_right_images_down, "not rectified"),
    "stereo: copied": ("stereo", copy_left_to_right, "same images"),
    "baseline: left and right": ("baseline", swap_left_and_right, "swapped"),
    "baseline: sign": ("baseline", lambda d: camera(d, baseline=-0.3), "positive"),
    "baseline: millimetres": ("baseline", lambda d: camera(d, baseline=120.0), "millimetres"),
    "baseline: unit": ("baseline", lambda d: camera(d, baseline=12.0), "unit"),
    "mask": ("mask", lambda d: Image.new("L", (160, 96)).save(d / "a" / "mask.png"), "white"),
    "mask: shape": ("mask", lambda d: Image.new("L", (96, 96), 255).save(d / "a" / "mask.png"), "make it again"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_planted_fault_is_found(name, data):
    kind, plant, words = FAULTS[name]
    plant(data)
    findings = examine(DoctorConfig(str(data))).findings
    found = [finding for finding in findings if finding.kind == kind and words in finding.sentence]
    assert found, [str(finding) for finding in findings]
    # A frame from elsewhere is a cut as well; nothing else raises a second alarm.
    assert {finding.kind for finding in findings} == {kind} | ({"cut"} if name == "duplicate: copied" else set())


def test_the_exit_status_follows_the_findings(data, capsys):
    change(left(data, 6), lambda pixels: 1.6 * pixels)
    assert main(["doctor", str(data)]) == 2
    printed = capsys.readouterr()
    assert "exposure: a: brightness jumps between neighbours at 6, 7" in printed.out
    assert printed.err.strip() == "hrdepth: 1 problem to fix, listed above"
    assert main(["doctor", str(data), "--ignore", "[exposure]", "--page", str(data / "page.html")]) == 0
    assert "(ignored)" in (data / "page.html").read_text()


def test_linked_drives_are_examined(data, tmp_path_factory):
    links = tmp_path_factory.mktemp("links")
    (links / "a").symlink_to(data / "a")
    for name in ("train.txt", "val.txt"):
        (links / name).write_text((data / name).read_text())
    assert kinds(links) == []
    camera(data, fx=12.0, fy=12.0)
    assert kinds(links) == kinds(data) != []


def test_folders_without_a_data_set_are_refused(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        examine(DoctorConfig(str(tmp_path / "nowhere")))
    with pytest.raises(InputError, match="did you mean 'camera'"):
        examine(DoctorConfig(str(tmp_path), ignore=["camra"]))
