"""Tests of data/kitti.py.

The readers on real KITTI frames (../shared/kitti-mini).
"""

import pytest

from hrdepth.config import DatasetConfig
from hrdepth.data import build_mix

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
