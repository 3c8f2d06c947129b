"""Tests of prepare/published/jpeg.py.

JPEGs of published data: K beside smaller ones, nothing lost or replaced unasked, originals deleted last.
"""

import os

import numpy as np
import pytest
from archives import NAME, kitti_raw, prepare
from PIL import Image

import fake_datasets
from hrdepth.config import DatasetConfig
from hrdepth.data import build_mix
from hrdepth.data.kitti import read_projections
from hrdepth.io.images import read_image

FRAME = f"{NAME}/image_02/data/0000000001"
ODOMETRY = ("--train", "[00]", "--test", "[]")


@pytest.fixture
def kitti(tmp_path):
    return kitti_raw(tmp_path / "raw")


def test_jpegs_are_written_beside_the_originals_or_to_another_folder(kitti, tmp_path, capsys):
    assert prepare("kitti", kitti, "--jpeg", "--out", tmp_path / "jpeg") == 0
    assert "8 JPEGs written" in capsys.readouterr().out
    with Image.open(tmp_path / "jpeg" / f"{FRAME}.jpg") as image:
        assert image.size == (96, 64)
    assert (tmp_path / "jpeg" / "2011_09_26" / "calib_cam_to_cam.txt").is_file()
    assert not list(kitti.glob("**/*.jpg"))
    assert prepare("kitti", kitti, "--jpeg", "--width", "48", "--quality", "60") == 0
    with Image.open(kitti / f"{FRAME}.jpg") as image:
        assert image.size == (48, 32)
    assert len(list(kitti.glob("**/*.png"))) == 8


def test_an_interrupted_conversion_is_resumed(kitti, tmp_path, capsys):
    settings = ("--jpeg", "--width", "48", "--out", tmp_path / "jpeg")
    assert prepare("kitti", kitti, *settings) == 0
    made = tmp_path / "jpeg" / f"{FRAME}.jpg"
    times = {file: file.stat().st_mtime_ns for file in (tmp_path / "jpeg").rglob("*") if file.is_file()}
    made.unlink()
    (tmp_path / "jpeg" / "2011_09_26" / "calib_cam_to_cam.txt").unlink()
    capsys.readouterr()
    assert prepare("kitti", kitti, *settings) == 0
    assert "1 JPEGs written" in capsys.readouterr().out
    assert made.is_file()
    again = {file: file.stat().st_mtime_ns for file in times if file != made}
    assert again == {file: time for file, time in times.items() if file != made}
    assert prepare("kitti", kitti, *settings) == 0
    assert "0 JPEGs written" in capsys.readouterr().out


@pytest.mark.parametrize("more", [("--width", "64"), ("--quality", "80"), ("--width", "48", "--quality", "80")])
def test_other_settings_need_overwrite(more, kitti, tmp_path, capsys):
    out = ("--jpeg", "--out", tmp_path / "jpeg")
    made = tmp_path / "jpeg" / f"{FRAME}.jpg"
    assert prepare("kitti", kitti, *out, "--width", "48") == 0
    before = made.read_bytes()
    (tmp_path / "jpeg" / NAME / "image_03" / "data" / "0000000002.jpg").unlink()
    assert prepare("kitti", kitti, *out, *more) == 2
    error = capsys.readouterr().err
    assert "jpeg.json was written with other settings (" in error
    assert ("width 48, now" in error) == ("--width" not in more or "64" in more)
    assert ("quality 92, now 80" in error) == ("80" in more)
    assert "--overwrite true" in error
    assert made.read_bytes() == before
    assert len(list((tmp_path / "jpeg").glob("**/*.jpg"))) == 7
    assert prepare("kitti", kitti, *out, *more, "--overwrite", "true") == 0
    assert "8 JPEGs written" in capsys.readouterr().out
    assert made.read_bytes() != before
    assert prepare("kitti", kitti, *out, *more) == 0


def test_overwriting_can_be_resumed(kitti, capsys):
    """What an interrupted run with other settings left is not taken for its own."""
    assert prepare("kitti", kitti, "--jpeg", "--quality", "5") == 0
    made = kitti / f"{FRAME}.jpg"
    poor = made.read_bytes()
    assert prepare("kitti", kitti, "--jpeg", "--overwrite", "true") == 0
    made.write_bytes(poor)
    earlier = (kitti / "jpeg.json").stat().st_mtime_ns - 10**9
    os.utime(made, ns=(earlier, earlier))
    png = made.with_suffix(".png")
    os.utime(png, ns=(earlier, earlier))
    capsys.readouterr()
    assert prepare("kitti", kitti, "--jpeg", "--delete-originals") == 2
    assert f"such as {made}" in capsys.readouterr().err
    assert prepare("kitti", kitti, "--jpeg", "--overwrite", "true") == 0
    assert "1 JPEGs written" in capsys.readouterr().out
    assert len(made.read_bytes()) > len(poor)


def test_an_image_that_is_replaced_by_an_older_one_is_not_done(kitti, tmp_path, capsys):
    """As a copy that keeps its time of change; the same of the calibration beside it."""
    settings = ("--jpeg", "--out", tmp_path / "jpeg")
    assert prepare("kitti", kitti, *settings) == 0
    png, calibration = kitti / f"{FRAME}.png", kitti / "2011_09_26" / "calib_cam_to_cam.txt"
    made = tmp_path / "jpeg" / f"{FRAME}.jpg"
    status, text = calibration.stat(), calibration.read_text()
    Image.new("RGB", (96, 64), "red").save(png)
    os.utime(png, ns=(0, 0))
    assert prepare("kitti", kitti, *settings) == 2
    assert f"not made by this step from the current images, such as {made}" in capsys.readouterr().err
    assert prepare("kitti", kitti, *settings, "--overwrite", "true") == 0
    assert "1 JPEGs written" in capsys.readouterr().out
    assert np.asarray(read_image(made)).mean((0, 1)) == pytest.approx([254, 0, 0], abs=1)
    calibration.write_text(text.replace("55", "56"))
    os.utime(calibration, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert prepare("kitti", kitti, *settings) == 2
    assert "exists and differs from what" in capsys.readouterr().err


@pytest.mark.parametrize("age", [-1000, 1000])
def test_a_jpeg_from_the_user_is_not_replaced(age, kitti, capsys):
    """Older than its PNG or newer: it is not known to be made of it."""
    own = kitti / f"{FRAME}.jpg"
    Image.new("RGB", (96, 64), "red").save(own)
    content, time = own.read_bytes(), own.with_suffix(".png").stat().st_mtime + age
    os.utime(own, (time, time))
    assert prepare("kitti", kitti, "--jpeg", "--delete-originals") == 2
    assert f"such as {own}" in capsys.readouterr().err
    assert own.read_bytes() == content
    assert len(list(kitti.glob("**/*.jpg"))) == 1  # nothing was begun
    assert not (kitti / "jpeg.json").exists()
    assert prepare("kitti", kitti, "--jpeg", "--overwrite", "true") == 0
    assert own.read_bytes() != content


def test_edited_copies_are_not_replaced(kitti, tmp_path, capsys):
    settings = ("--jpeg", "--out", tmp_path / "jpeg")
    assert prepare("kitti", kitti, *settings) == 0
    copy = tmp_path / "jpeg" / "2011_09_26" / "calib_cam_to_cam.txt"
    original = copy.read_text()
    for edited in (original + "# mine\n", original.replace("55", "56")):  # of another size, and of the same
        copy.write_text(edited)
        assert prepare("kitti", kitti, *settings) == 2
        assert f"{copy} exists and differs from what" in capsys.readouterr().err
        assert copy.read_text() == edited
    assert prepare("kitti", kitti, *settings, "--overwrite", "true") == 0
    assert copy.read_text() == original


def test_originals_are_deleted_only_when_asked_and_copied(kitti, capsys):
    assert prepare("kitti", kitti, "--jpeg", "--delete-originals", "--out", "elsewhere") == 2
    assert "needs jpeg and no out" in capsys.readouterr().err
    assert prepare("kitti", kitti, "--jpeg", "--delete-originals") == 0
    assert "8 PNGs deleted" in capsys.readouterr().out
    assert len(list(kitti.glob("**/*.jpg"))) == 8
    assert not list(kitti.glob("**/*.png"))
    assert prepare("kitti", kitti, "--verify") == 0
    assert prepare("kitti", kitti, "--jpeg", "--delete-originals") == 0  # nothing is left to do


def test_low_quality_jpegs_leave_their_originals(kitti, capsys):
    assert prepare("kitti", kitti, "--jpeg", "--quality", "5") == 0
    assert prepare("kitti", kitti, "--jpeg", "--quality", "95", "--delete-originals") == 2
    assert "quality 5, now 95" in capsys.readouterr().err
    assert len(list(kitti.glob("**/*.png"))) == 8
    assert prepare("kitti", kitti, "--jpeg", "--quality", "5", "--delete-originals") == 0  # as asked for
    assert not list(kitti.glob("**/*.png"))


@pytest.mark.parametrize("quality", ["30", "92"])
@pytest.mark.parametrize("kind", ["red", "neighbour", "poorer", "smaller", "cut short"])
def test_a_jpeg_of_another_image_leaves_all_originals(kind, quality, kitti, capsys):
    settings = ("--jpeg", "--quality", quality)
    assert prepare("kitti", kitti, *settings) == 0
    made = kitti / f"{FRAME}.jpg"
    image = read_image(made.with_suffix(".png"))
    if kind == "red":
        Image.new("RGB", image.size, "red").save(made)
    elif kind == "neighbour":
        made.write_bytes(made.with_name("0000000002.jpg").read_bytes())
    elif kind == "poorer":
        image.save(made, quality=5)
    elif kind == "smaller":
        image.resize((48, 32)).save(made, quality=int(quality))
    else:
        made.write_bytes(made.read_bytes()[:-300])
    assert prepare("kitti", kitti, *settings, "--delete-originals") == 2
    assert str(made) in capsys.readouterr().err
    assert len(list(kitti.glob("**/*.png"))) == 8


LAYOUTS = {
    "kitti": ("kitti_raw", kitti_raw, ()),
    "kitti-odometry": ("kitti_odometry", fake_datasets.kitti_odometry, ODOMETRY),
    "cityscapes": ("cityscapes", fake_datasets.cityscapes, ("--stereo",)),
}


@pytest.mark.parametrize("width", [40, 48])  # the height of the former is rounded
@pytest.mark.parametrize("name", LAYOUTS)
def test_smaller_images_give_a_network_the_same_intrinsics(name, width, tmp_path):
    kind, tree, more = LAYOUTS[name]
    root, out = tree(tmp_path / "big"), tmp_path / "small"
    assert prepare(name, root, *more, "--jpeg", "--width", width, "--out", out) == 0
    big, small = (
        build_mix([DatasetConfig(kind, str(folder), str(root / "train.txt"))], [-1, 1, "s"], (64, 96))[0]
        for folder in (root, out)
    )
    with Image.open(next(out.glob("**/*.jpg"))) as image:
        assert image.width == width
    for key in ("intrinsics", "stereo_pose"):
        np.testing.assert_allclose(small[key], big[key], rtol=1e-6)


def test_odometry_in_place_is_not_made_smaller(tmp_path, capsys):
    root = fake_datasets.kitti_odometry(tmp_path)
    for more in ((), ("--out", root)):
        assert prepare("kitti-odometry", root, *ODOMETRY, "--jpeg", "--width", "48", *more) == 2
        assert "would be wrong for smaller ones; give another folder with --out" in capsys.readouterr().err
    assert not list(root.glob("**/*.jpg"))
    assert prepare("kitti-odometry", root, *ODOMETRY, "--jpeg") == 0


def test_a_scaled_calibration_preserves_its_other_lines(tmp_path):
    root, out = fake_datasets.kitti_odometry(tmp_path / "big"), tmp_path / "small"
    calibration = root / "sequences" / "00" / "calib.txt"
    calibration.write_text(calibration.read_text() + "Tr: 1 0 0 0 0 1 0 0 0 0 1 0\n")
    settings = ("kitti-odometry", root, *ODOMETRY, "--jpeg", "--out", out)
    assert prepare(*settings, "--width", "48") == 0
    copy = out / "sequences" / "00" / "calib.txt"
    assert copy.read_text().splitlines()[-1] == "Tr: 1 0 0 0 0 1 0 0 0 0 1 0"
    expected = [[27.5, 0, 23.5, -13.75], [0, 30, 15.5, 0], [0, 0, 1, 0]]
    np.testing.assert_allclose(read_projections(copy)[1], expected)
    assert prepare(*settings, "--width", "48") == 0
    assert prepare(*settings, "--width", "200", "--overwrite", "true") == 0  # none is wider
    assert copy.read_bytes() == calibration.read_bytes()
