"""Published data on miniature trees of their layouts: what is missing, lists, JPEG, true depth."""

import numpy as np
import pytest
from PIL import Image

import trees
from hrdepth.cli import main
from hrdepth.config import GroundTruthConfig
from hrdepth.data.ground_truth import build_ground_truth
from hrdepth.data.sparse_maps import read_depth_maps
from hrdepth.errors import InputError

NAME = "2011_09_26/2011_09_26_drive_0001_sync"


@pytest.fixture
def kitti(tmp_path):
    """KITTI raw in PNG, frames 1 and 2 to learn from, the laser's scan of frame 2."""
    root = trees.kitti_raw(tmp_path / "raw")
    for file in root.glob("**/*.jpg"):
        Image.open(file).save(file.with_suffix(".png"))
        file.unlink()
    (root / "2011_09_26" / "calib_velo_to_cam.txt").write_text("R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 0\n")
    scans = root / NAME / "velodyne_points" / "data"
    scans.mkdir(parents=True)
    points = np.random.default_rng(0).uniform((4, -2, -1, 0), (40, 2, 1, 1), (300, 4))
    (scans / "0000000002.bin").write_bytes(points.astype("<f4").tobytes())
    (root / "test.txt").write_text(f"{NAME} 2 l\n")
    return root


def prepare(name, root, *more):
    if name == "kitti":
        more = ("--lists", f"[{root}/train.txt]", "--test", str(root / "test.txt"), *more)
    return main(["prepare", name, str(root), *more])


def test_complete_kitti(kitti, capsys):
    assert prepare("kitti", kitti, "--verify") == 0
    out = capsys.readouterr().out
    assert "1 of 1 drives, 9 of 9 files" in out
    assert "all 8 pictures can be decoded" in out
    assert "missing" not in out


def test_missing_archives_have_their_official_names(kitti, capsys):
    (kitti / NAME / "image_03" / "data" / "0000000003.png").unlink()
    (kitti / "2011_09_26" / "calib_velo_to_cam.txt").unlink()
    other = "2011_10_03/2011_10_03_drive_0027_sync"
    (kitti / "train.txt").write_text((kitti / "train.txt").read_text() + f"{other} 5 l\n")
    assert prepare("kitti", kitti) == 2
    said = capsys.readouterr()
    assert "2011_09_26_calib.zip: 1 file not there, such as 2011_09_26/calib_velo_to_cam.txt" in said.out
    assert "2011_10_03_calib.zip: 2 files" in said.out
    assert f"drive_0001_sync.zip: 1 file not there, such as {NAME}/image_03/data/0000000003" in said.out
    assert "2011_10_03_drive_0027_sync.zip: the whole drive, 3 files wanted" in said.out
    assert "4 archives missing" in said.err
    # What is there can be prepared.
    assert prepare("kitti", kitti, "--splits", "--out", str(kitti / "made")) == 0
    lines = (kitti / "made" / "splits" / f"{kitti.name}_train.txt").read_text().split("\n")
    assert lines == [f"{NAME} 1 l", f"{NAME} 1 r", f"{NAME} 2 l", ""]  # 2 r lacks its neighbour


def test_damage_is_named(kitti, capsys):
    picture = kitti / NAME / "image_02" / "data" / "0000000001.png"
    picture.write_bytes(picture.read_bytes()[:-200])
    scan = kitti / NAME / "velodyne_points" / "data" / "0000000002.bin"
    scan.write_bytes(scan.read_bytes()[:-3])
    assert prepare("kitti", kitti, "--verify") == 2
    error = capsys.readouterr().err
    assert "0000000001.png" in error
    assert "0000000002.bin is cut short" in error


def test_true_depth_is_exported_once_and_is_the_scans(kitti, capsys):
    assert prepare("kitti", kitti, "--ground-truth") == 0
    file = kitti / "gt_depths.npz"
    with np.load(file, allow_pickle=False) as archive:  # no pickle: every array is plain
        assert {archive[name].dtype.kind for name in archive.files} == {"U", "i", "f"}
    of_scans = build_ground_truth(GroundTruthConfig("kitti_lidar", str(kitti), str(kitti / "test.txt")))
    settings = {"root": str(kitti), "split": str(kitti / "test.txt"), "depths": str(file)}
    exported = build_ground_truth(GroundTruthConfig("gt_depths", **settings))
    assert len(exported) == 1
    assert (of_scans[0].depth > 0).sum() > 20
    np.testing.assert_array_equal(exported[0].depth, of_scans[0].depth)
    assert exported[0].picture == of_scans[0].picture
    assert "laser's forward" in read_depth_maps(file).about["ground_truth"]
    assert prepare("kitti", kitti, "--ground-truth") == 2
    assert "exists already" in capsys.readouterr().err
    (kitti / "test.txt").write_text(f"{NAME} 1 l\n")
    with pytest.raises(InputError, match="holds the depth of .* 2 l' where the split has .* 1 l'"):
        build_ground_truth(GroundTruthConfig("gt_depths", **settings))


def test_damaged_export(kitti):
    assert prepare("kitti", kitti, "--ground-truth") == 0
    with np.load(kitti / "gt_depths.npz") as archive:
        arrays = dict(archive)
    np.savez(kitti / "a.npz", **arrays | {"positions": arrays["positions"] + 10**7})
    np.savez(kitti / "b.npz", **arrays | {"counts": arrays["counts"] + 1})
    for name in ("a", "b"):
        with pytest.raises(InputError, match="damaged"):
            read_depth_maps(kitti / f"{name}.npz")


def test_jpeg_beside_and_elsewhere(kitti, tmp_path, capsys):
    assert prepare("kitti", kitti, "--jpeg", "--out", str(tmp_path / "jpeg")) == 0
    assert "8 JPEGs written" in capsys.readouterr().out
    made = tmp_path / "jpeg" / NAME / "image_02" / "data" / "0000000001.jpg"
    with Image.open(made) as image:
        assert image.size == (96, 64)
    assert (tmp_path / "jpeg" / "2011_09_26" / "calib_cam_to_cam.txt").is_file()
    assert not list(kitti.glob("**/*.jpg"))
    assert prepare("kitti", kitti, "--jpeg", "--width", "48", "--quality", "60") == 0
    with Image.open(kitti / NAME / "image_02" / "data" / "0000000001.jpg") as image:
        assert image.size == (48, 32)
    assert len(list(kitti.glob("**/*.png"))) == 8
    capsys.readouterr()
    assert prepare("kitti", kitti, "--jpeg") == 0  # goes on where it was
    assert "0 JPEGs written" in capsys.readouterr().out


def test_originals_are_deleted_only_when_asked_and_copied(kitti, capsys):
    assert prepare("kitti", kitti, "--jpeg", "--delete-originals", "--out", "elsewhere") == 2
    assert "without out" in capsys.readouterr().err
    assert prepare("kitti", kitti, "--jpeg", "--delete-originals") == 0
    assert "8 PNGs deleted" in capsys.readouterr().out
    assert len(list(kitti.glob("**/*.jpg"))) == 8
    assert not list(kitti.glob("**/*.png"))
    assert prepare("kitti", kitti, "--verify") == 0


def test_a_jpeg_of_another_size_keeps_its_original(kitti, capsys):
    assert prepare("kitti", kitti, "--jpeg", "--width", "48") == 0
    assert prepare("kitti", kitti, "--jpeg", "--delete-originals") == 2
    assert "has another size" in capsys.readouterr().err
    assert len(list(kitti.glob("**/*.png"))) == 8


def odometry(root, frames=24):
    return trees.kitti_odometry(root, frames)


def test_kitti_odometry(tmp_path, capsys):
    root = odometry(tmp_path)
    settings = ("--train", "['00']", "--test", "[]")
    assert prepare("kitti-odometry", root, *settings) == 2
    out = capsys.readouterr().out
    assert "1 of 1 sequences, 24 left pictures, 1 with a right eye" in out
    assert "data_odometry_color.zip or data_odometry_gray.zip: 1 sequence not complete" in out
    assert "data_odometry_poses.zip: 1 file not there, such as poses/00.txt" in out
    assert prepare("kitti-odometry", root, *settings, "--splits", "--verify") == 0
    train, val = ((root / "splits" / f"{name}.txt").read_text().splitlines() for name in ("train", "val"))
    assert train == [f"00 {number:06d} l" for number in range(1, 18)]
    assert val == ["00 000021 l", "00 000022 l"]
    assert not (root / "splits" / "test.txt").exists()
    (root / "poses").mkdir()
    (root / "poses" / "00.txt").write_text("1 2 3\n")
    assert prepare("kitti-odometry", root, *settings, "--verify") == 2
    assert "00.txt:1: a pose must have twelve numbers" in capsys.readouterr().err


def test_cityscapes(tmp_path, capsys):
    root = trees.cityscapes(tmp_path / "cs")
    (root / "rightImg8bit_sequence/train/ulm/ulm_000000_000003_rightImg8bit.png").unlink()
    (root / "camera/val/lindau/lindau_000000_000002_camera.json").unlink()
    assert prepare("cityscapes", root, "--stereo") == 2
    out = capsys.readouterr().out
    assert "4 of 89250 left pictures of train" in out
    assert "leftImg8bit_sequence_trainvaltest.zip: 89246 left pictures of train" in out
    assert "rightImg8bit_sequence_trainvaltest.zip: 1 train picture not there" in out
    assert "camera_trainvaltest.zip: 1 camera of a val sequence not there, such as lindau/lindau_000000" in out
    assert "disparity" not in out
    made = tmp_path / "made"
    assert prepare("cityscapes", root, "--stereo", "--verify", "--jpeg", "--out", str(made), "--parts", "[train]") == 0
    assert "all 7 pictures can be decoded" in capsys.readouterr().out
    assert len(list(made.glob("**/*.jpg"))) == 7
    assert (made / "camera/train/ulm/ulm_000000_000002_camera.json").is_file()
    assert prepare("cityscapes", made, "--splits", "--parts", "[train]") == 0
    assert (made / "splits" / "train.txt").read_text().count("\n") == 2


def test_a_cache_of_what_a_config_needs(kitti, tmp_path, capsys):
    run = tmp_path / "run.yaml"
    data = f"[{{dataset: kitti_raw, root: {kitti}, split: {kitti}/train.txt}}]"
    run.write_text(f"output: run\nsize: [32, 64]\ntrain: {data}\nvalidation: {data}\n")
    assert prepare("kitti", kitti, "--cache", str(tmp_path / "cache"), "--config", str(run)) == 0
    assert "8 pictures in the cache" in capsys.readouterr().out
    assert prepare("kitti", kitti, "--cache", str(tmp_path / "cache")) == 2
    assert "needs both cache" in capsys.readouterr().err
