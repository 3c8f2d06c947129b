"""Tests of prepare/published/kitti.py, kitti_odometry.py, cityscapes.py and layout.py.

Published data on miniature trees of their layouts: what is missing, what is damaged, lists, true depth.
"""

import json
import shutil

import numpy as np
import pytest
from archives import NAME, kitti_raw, prepare

import fake_datasets
from hrdepth.config import GroundTruthConfig
from hrdepth.errors import InputError
from hrdepth.truth import build_ground_truth
from hrdepth.truth.sparse_maps import read_depth_maps

ODOMETRY = ("--train", "[00]", "--test", "[]")


@pytest.fixture
def kitti(tmp_path):
    return kitti_raw(tmp_path / "raw")


def test_a_complete_kitti_is_accepted(kitti, capsys):
    assert prepare("kitti", kitti, "--verify") == 0
    out = capsys.readouterr().out
    assert "1 of 1 drives, 9 of 9 files" in out
    assert "all 8 images can be decoded" in out
    assert "missing" not in out


def test_missing_archives_have_their_official_names(kitti, capsys):
    (kitti / NAME / "image_03" / "data" / "0000000003.png").unlink()
    (kitti / "2011_09_26" / "calib_velo_to_cam.txt").unlink()
    other = "2011_10_03/2011_10_03_drive_0027_sync"
    (kitti / "train.txt").write_text((kitti / "train.txt").read_text() + f"{other} 5 l\n")
    assert prepare("kitti", kitti) == 2
    printed = capsys.readouterr()
    assert "2011_09_26_calib.zip: 1 file missing, such as 2011_09_26/calib_velo_to_cam.txt" in printed.out
    assert "2011_10_03_calib.zip: 2 files" in printed.out
    assert f"drive_0001_sync.zip: 1 file missing, such as {NAME}/image_03/data/0000000003" in printed.out
    assert "2011_10_03_drive_0027_sync.zip: the whole drive, 3 files wanted" in printed.out
    assert "4 archives missing" in printed.err
    # What is there can be prepared.
    assert prepare("kitti", kitti, "--splits", "--out", str(kitti / "made")) == 0
    lines = (kitti / "made" / "splits" / f"{kitti.name}_train.txt").read_text().split("\n")
    assert lines == [f"{NAME} 1 l", f"{NAME} 1 r", f"{NAME} 2 l", ""]  # 2 r lacks its neighbour


def test_damaged_files_are_named(kitti, capsys):
    image = kitti / NAME / "image_02" / "data" / "0000000001.png"
    image.write_bytes(image.read_bytes()[:-200])
    scan = kitti / NAME / "velodyne_points" / "data" / "0000000002.bin"
    scan.write_bytes(scan.read_bytes()[:-3])
    assert prepare("kitti", kitti, "--verify") == 2
    error = capsys.readouterr().err
    assert "0000000001.png" in error
    assert "0000000002.bin is cut short" in error


def test_exported_depth_equals_the_scans_and_is_written_once(kitti, capsys):
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
    assert exported[0].image == of_scans[0].image
    assert "laser's forward" in read_depth_maps(file).about["ground_truth"]
    made = file.read_bytes()
    assert prepare("kitti", kitti, "--ground-truth") == 0  # goes on with what else is asked for
    assert file.read_bytes() == made
    assert prepare("kitti", kitti, "--ground-truth", "--lidar-depth", "camera") == 2
    assert "exists already" in capsys.readouterr().err
    (kitti / "test.txt").write_text(f"{NAME} 1 l\n")
    with pytest.raises(InputError, match="holds the depth of .* 2 l' where the split has .* 1 l'"):
        build_ground_truth(GroundTruthConfig("gt_depths", **settings))


def test_a_damaged_export_is_named(kitti):
    assert prepare("kitti", kitti, "--ground-truth") == 0
    with np.load(kitti / "gt_depths.npz") as archive:
        arrays = dict(archive)
    np.savez(kitti / "a.npz", **arrays | {"positions": arrays["positions"] + 10**7})
    np.savez(kitti / "b.npz", **arrays | {"counts": arrays["counts"] + 1})
    for name in ("a", "b"):
        with pytest.raises(InputError, match="damaged"):
            read_depth_maps(kitti / f"{name}.npz")


def odometry(root, frames=24):
    return fake_datasets.kitti_odometry(root, frames)


def test_kitti_odometry_is_prepared(tmp_path, capsys):
    root = odometry(tmp_path)
    assert prepare("kitti-odometry", root, *ODOMETRY) == 2
    out = capsys.readouterr().out
    assert "1 of 1 sequences, 24 left images, 1 with right images" in out
    assert "data_odometry_color.zip or data_odometry_gray.zip: 1 sequence incomplete" in out
    assert "data_odometry_poses.zip: 1 file missing, such as poses/00.txt" in out
    assert prepare("kitti-odometry", root, *ODOMETRY, "--splits", "--verify") == 0
    train, val = ((root / "splits" / f"{name}.txt").read_text().splitlines() for name in ("train", "val"))
    assert train == [f"00 {number:06d} l" for number in range(1, 18)]
    assert val == ["00 000021 l", "00 000022 l"]
    assert not (root / "splits" / "test.txt").exists()
    (root / "poses").mkdir()
    (root / "poses" / "00.txt").write_text("1 2 3\n")
    assert prepare("kitti-odometry", root, *ODOMETRY, "--verify") == 2
    assert "00.txt:1: a pose must have twelve finite numbers" in capsys.readouterr().err


def test_cityscapes_is_prepared(tmp_path, capsys):
    root = fake_datasets.cityscapes(tmp_path / "cs")
    (root / "rightImg8bit_sequence/train/ulm/ulm_000000_000003_rightImg8bit.png").unlink()
    (root / "camera/val/lindau/lindau_000000_000002_camera.json").unlink()
    assert prepare("cityscapes", root, "--stereo") == 2
    out = capsys.readouterr().out
    assert "4 of 89250 left images of train" in out
    assert "leftImg8bit_sequence_trainvaltest.zip: 89246 left images of train" in out
    assert "rightImg8bit_sequence_trainvaltest.zip: 1 train image missing" in out
    assert "camera_trainvaltest.zip: 1 of 1 snippets of val without a camera, such as lindau/lindau_000000" in out
    assert "disparity" not in out
    made = tmp_path / "made"
    assert prepare("cityscapes", root, "--stereo", "--verify", "--jpeg", "--out", str(made), "--parts", "[train]") == 0
    assert "all 7 images can be decoded" in capsys.readouterr().out
    assert len(list(made.glob("**/*.jpg"))) == 7
    assert (made / "camera/train/ulm/ulm_000000_000002_camera.json").is_file()
    assert prepare("cityscapes", made, "--splits", "--parts", "[train]") == 0
    assert (made / "splits" / "train.txt").read_text().count("\n") == 2


def test_a_cache_of_what_a_config_needs(kitti, tmp_path, capsys):
    run = tmp_path / "run.yaml"
    data = f"[{{dataset: kitti_raw, root: {kitti}, split: {kitti}/train.txt}}]"
    run.write_text(f"output: run\nsize: [32, 64]\ntrain: {data}\nvalidation: {data}\n")
    assert prepare("kitti", kitti, "--cache", str(tmp_path / "cache"), "--config", str(run)) == 0
    assert "8 images in the cache" in capsys.readouterr().out
    assert prepare("kitti", kitti, "--cache", str(tmp_path / "cache")) == 2
    assert "needs both cache" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["kitti", "kitti-odometry", "cityscapes"])
def test_every_step_fails_in_an_empty_folder(name, tmp_path, capsys):
    root, lists = tmp_path / "empty", kitti_raw(tmp_path / "lists")
    root.mkdir()
    wanted = ("--lists", f"[{lists}/train.txt]", "--test", lists / "test.txt") if name == "kitti" else ()
    for step in ("--verify", "--jpeg"):
        assert prepare(name, root, *wanted, step) == 2
        assert "contains none of the wanted images" in capsys.readouterr().err
    assert prepare(name, root, *wanted, "--splits") == 2
    printed = capsys.readouterr()
    assert "no list" in printed.out
    assert "no list can be written" in printed.err


def test_lists_of_one_name_are_refused(kitti, capsys):
    for folder in ("a", "b"):
        (kitti / folder / "x").mkdir(parents=True)
        shutil.copy(kitti / "train.txt", kitti / folder / "x" / "train.txt")
    one, other = (kitti / folder / "x" / "train.txt" for folder in ("a", "b"))
    for lists, test in ((f"[{one},{other}]", kitti / "test.txt"), (f"[{one}]", other)):
        assert prepare("kitti", kitti, "--lists", lists, "--test", test, "--splits") == 2
        assert f"lists {one} and {other} would both be written to x_train.txt" in capsys.readouterr().err
    assert not (kitti / "splits").exists()


def test_a_first_frame_in_a_list_is_reported_as_a_fault_of_the_list(kitti, capsys):
    with (kitti / "train.txt").open("a") as file:
        file.write(f"{NAME} 0 l\n")
    assert prepare("kitti", kitti) == 2
    printed = capsys.readouterr()
    assert f"1 frame of number 0, which have no frame before them, such as '{NAME} 0 l'" in printed.out
    assert "train.txt:5" in printed.out
    assert "-00000" not in printed.out
    assert "remove those lines" in printed.err
    assert prepare("kitti", kitti, "--splits") == 0  # without it
    assert (kitti / "splits" / "raw_train.txt").read_text().count("\n") == 4


def test_exported_depth_replaces_the_scans(kitti, tmp_path, capsys):
    made = tmp_path / "made"
    assert prepare("kitti", kitti, "--jpeg", "--ground-truth", "--out", made) == 0
    wanted = ("--lists", f"[{kitti}/train.txt]", "--test", kitti / "test.txt")
    assert prepare("kitti", made, *wanted) == 0
    assert "8 of 8 files" in capsys.readouterr().out
    assert prepare("kitti", made, *wanted, "--splits", "--verify") == 0
    assert (made / "splits" / "raw_test.txt").read_text() == f"{NAME} 2 l\n"
    (made / "gt_depths.npz").write_bytes((made / "gt_depths.npz").read_bytes()[:-40])
    assert prepare("kitti", made, *wanted) == 2
    assert "1 file missing, such as" in capsys.readouterr().out
    assert prepare("kitti", made, *wanted, "--verify") == 2
    assert "gt_depths.npz" in capsys.readouterr().err


@pytest.mark.parametrize("step", ["--ground-truth", "--splits", "--jpeg"])
def test_a_folder_that_cannot_be_created_is_named(step, kitti, tmp_path, capsys):
    (tmp_path / "file").touch()
    for out in ("/proc/x", tmp_path / "file"):
        assert prepare("kitti", kitti, step, "--out", out) == 2
        assert "cannot be created" in capsys.readouterr().err


def test_right_images_of_odometry_are_wanted_for_stereo(tmp_path, capsys):
    root = odometry(tmp_path)
    (root / "sequences/00/image_1/000003.png").unlink()
    assert prepare("kitti-odometry", root, *ODOMETRY) == 2
    assert "right image missing" not in capsys.readouterr().out
    assert prepare("kitti-odometry", root, *ODOMETRY, "--stereo=true") == 2
    sentence = "data_odometry_gray.zip: 1 right image missing, such as sequences/00/image_1/000003"
    assert sentence in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "text", "sentence"),
    [
        ("sequences/00/calib.txt", "", "has no projections"),
        ("sequences/00/calib.txt", "P2: 55 0 47 0 0 60 31 0 0 0 1 0\n", "has no line P0"),
        ("sequences/00/calib.txt", "P0: 55 0 nan 0 0 60 31 0 0 0 1 0\n", "P0 must be finite"),
        ("sequences/00/calib.txt", "P0: 0 0 47 0 0 60 31 0 0 0 1 0\n", "focal lengths positive"),
        ("poses/00.txt", "", "has 0 poses for 24 images"),
        ("poses/00.txt", "nan " * 12 + "\n", "00.txt:1: a pose must have twelve finite numbers"),
        ("poses/00.txt", "1 0 0 0 0 1 0 0 0 0 1 0\n" * 23, "has 23 poses for 24 images"),
    ],
)
def test_damaged_odometry_files_are_named(file, text, sentence, tmp_path, capsys):
    root = odometry(tmp_path)
    (root / "poses").mkdir()
    (root / "poses" / "00.txt").write_text("1 0 0 0 0 1 0 0 0 0 1 0\n" * 24)
    assert prepare("kitti-odometry", root, *ODOMETRY, "--verify") == 0
    (root / file).write_text(text)
    assert prepare("kitti-odometry", root, *ODOMETRY, "--verify") == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert str(root / file) in error


def test_every_snippet_needs_a_camera_and_in_val_a_disparity(tmp_path, capsys):
    """Three snippets in one sequence, as in Frankfurt: the second and the third adjoin."""
    root = tmp_path / "cs"
    camera = {"intrinsic": {"fx": 2262, "fy": 2265, "u0": 1096, "v0": 513}, "extrinsic": {"baseline": 0.2}}
    for first in (0, 100, 130):
        for number in range(first, first + 30):
            name = f"val/frankfurt/frankfurt_000000_{number:06d}"
            fake_datasets.save(
                fake_datasets.image(0, size=(16, 32)), root / f"leftImg8bit_sequence/{name}_leftImg8bit.png"
            )
        name = f"val/frankfurt/frankfurt_000000_{first + 19:06d}"
        fake_datasets.save(
            fake_datasets.image(0, size=(16, 32)).convert("I;16"), root / f"disparity/{name}_disparity.png"
        )
        (root / f"camera/{name}_camera.json").parent.mkdir(parents=True, exist_ok=True)
        (root / f"camera/{name}_camera.json").write_text(json.dumps(camera))
    parts = ("--parts", "[val]")
    assert prepare("cityscapes", root, *parts) == 2
    assert "camera" not in (stdout := capsys.readouterr().out)
    assert "disparity" not in stdout
    (root / "camera/val/frankfurt/frankfurt_000000_000149_camera.json").unlink()
    for number in (19, 149):
        (root / f"disparity/val/frankfurt/frankfurt_000000_{number:06d}_disparity.png").unlink()
    assert prepare("cityscapes", root, *parts) == 2
    stdout = capsys.readouterr().out
    assert "camera_trainvaltest.zip: 1 of 3 snippets of val without a camera" in stdout
    assert "such as frankfurt/frankfurt_000000 from frame 130 to 159" in stdout
    assert "disparity_trainvaltest.zip: 2 of 3 snippets of val without a disparity" in stdout


def test_incomplete_camera_files_are_refused(tmp_path, capsys):
    root = fake_datasets.cityscapes(tmp_path)
    file = root / "camera/val/lindau/lindau_000000_000002_camera.json"
    good = json.loads(file.read_text())
    assert prepare("cityscapes", root, "--verify") == 0
    for entry, key, value in (("intrinsic", "fx", float("nan")), ("extrinsic", "baseline", 0)):
        file.write_text(json.dumps(good | {entry: good[entry] | {key: value}}))
        assert prepare("cityscapes", root, "--verify") == 2
        assert f"{file}: all numbers must be finite" in capsys.readouterr().err


def test_a_part_that_cannot_be_listed_does_not_prevent_the_others(tmp_path, capsys):
    root = fake_datasets.cityscapes(tmp_path)
    shutil.rmtree(root / "camera" / "val")
    assert prepare("cityscapes", root, "--parts", "[val,train]", "--splits") == 0
    out = capsys.readouterr().out
    assert "no list val: " in out
    assert "2 frames: " in out
    assert (root / "splits" / "train.txt").is_file()
    assert not (root / "splits" / "val.txt").exists()
