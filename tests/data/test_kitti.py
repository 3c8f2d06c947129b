"""Tests of data/kitti.py.

The readers on real KITTI frames (../shared/kitti-mini), and on parts of made-up ones.
"""

import pytest

import fake_datasets
from hrdepth.config import DatasetConfig
from hrdepth.data import build_mix
from hrdepth.data.kitti import KittiOdometry
from hrdepth.data.reader import SplitLine
from hrdepth.errors import InputError

PARTS = {
    "raw_train": ("kitti_raw", 327, 38),
    "raw_stereo_train": ("kitti_raw", 38, 38),
    "odometry_train": ("kitti_odometry", 881, 52),
    "odometry_val": ("kitti_odometry", 58, 3),
}


def config(shared, name, **options):
    mini, kind = shared / "kitti-mini", PARTS[name][0]
    root = mini / kind.removeprefix("kitti_")
    return DatasetConfig(kind, str(root), str(mini / "splits" / f"{name}.txt"), options=options)


@pytest.mark.parametrize("name", PARTS)
def test_every_target_has_its_neighbours_and_some_a_stereo_pair(name, shared):
    mix = build_mix([config(shared, name)], [-1, 1, "s"], (128, 416))
    reader = mix.datasets[0].reader
    assert len(mix) == PARTS[name][1]
    assert sum(reader.image(line, "s") is not None for line in reader.targets) == PARTS[name][2]


def test_intrinsics_and_baseline_are_those_of_the_real_cameras(shared):
    raw = build_mix([config(shared, "raw_stereo_train")], ["s"], (192, 640))[0]
    assert raw["intrinsics"][0, 0].item() == pytest.approx(721.5377 * 640 / 1242, rel=1e-5)
    assert raw["intrinsics"][1, 2].item() == pytest.approx(172.854 * 192 / 375, rel=1e-5)
    assert raw["stereo_pose"][0, 3].item() == pytest.approx(-0.5327, abs=1e-4)
    odometry = build_mix([config(shared, "odometry_train")], [-1], (128, 416))[0]
    assert odometry["intrinsics"][0, 0].item() == pytest.approx(370.7 * 416 / 640, rel=0.02)
    # Grey frames become three equal channels.
    assert (odometry["target"][0] == odometry["target"][1]).all()


def test_the_papers_intrinsics_can_be_chosen(shared):
    sample = build_mix([config(shared, "raw_stereo_train", intrinsics="paper", baseline=0.1)], ["s"], (192, 640))[0]
    assert [sample["intrinsics"][i, j].item() for i, j in ((0, 0), (1, 1), (0, 2), (1, 2))] == pytest.approx(
        [0.58 * 640, 1.92 * 192, 320, 96]
    )
    assert sample["stereo_pose"][0, 3].item() == pytest.approx(-0.1)


def test_kitti_raw_of_camera_2_alone_is_learned_from_video(tmp_path):
    root = fake_datasets.kitti_raw(tmp_path)
    file = root / "2011_09_26" / "calib_cam_to_cam.txt"
    file.write_text("".join(line for line in file.read_text().splitlines(True) if "_03" not in line))
    split = root / "train.txt"
    split.write_text("".join(line for line in split.read_text().splitlines(True) if line.endswith("l\n")))
    part = DatasetConfig("kitti_raw", str(root), str(split))
    assert build_mix([part], [-1, 1], (64, 96))[0]["intrinsics"][0, 0] == 55
    with pytest.raises(InputError, match="gives no baseline"):
        build_mix([part], [-1, 1, "s"], (64, 96))


def test_odometry_in_colour_without_right_images_takes_no_grey_ones(tmp_path):
    root = fake_datasets.kitti_odometry(tmp_path)
    sequence, line = root / "sequences" / "00", SplitLine("00", 1, "l")
    reader = KittiOdometry(str(root), str(root / "train.txt"))
    assert reader.image(line, "s") == sequence / "image_1" / "000001.png"
    for number in range(4):
        fake_datasets.save(fake_datasets.image(2 * number), sequence / "image_2" / f"{number:06d}.png")
    reader = KittiOdometry(str(root), str(root / "train.txt"))
    assert reader.image(line, 0) == sequence / "image_2" / "000001.png"
    assert reader.image(line, "s") is None
