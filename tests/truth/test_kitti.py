"""Tests of truth/kitti.py.

Calibration, laser scans and their projection; the improved ground truth.
"""

import numpy as np
import pytest
from PIL import Image

from hrdepth.config import GroundTruthConfig
from hrdepth.data.kitti import read_kitti_calibration
from hrdepth.data.lidar import project_lidar, read_scan
from hrdepth.errors import InputError
from hrdepth.truth import build_ground_truth

# The laser looks along x, the camera along z: right is -y, down is -z. The camera sits 0.5 m ahead.
VELO = "R: 0 -1 0 0 0 -1 1 0 0\nT: 0 0 -0.5\n"
CAMERAS = """calib_time: 09-Jan-2012 13:57:47
R_rect_00: 1 0 0 0 1 0 0 0 1
S_rect_02: 8.0e+00 6.0e+00
P_rect_02: 4 0 4 0.4 0 4 3 0 0 0 1 0
S_rect_03: 8.0e+00 6.0e+00
P_rect_03: 4 0 4 -1.6 0 4 3 0 0 0 1 0
"""


@pytest.fixture
def day(tmp_path):
    (tmp_path / "calib_cam_to_cam.txt").write_text(CAMERAS)
    (tmp_path / "calib_velo_to_cam.txt").write_text(VELO)
    return tmp_path


def test_the_calibration_files_are_read(day):
    calibration = read_kitti_calibration(day)
    np.testing.assert_array_equal(calibration.intrinsics(2), [[4, 0, 4], [0, 4, 3], [0, 0, 1]])
    assert calibration.size(3) == (6, 8)
    assert calibration.baseline == pytest.approx(0.5)
    # A point 2.5 m ahead of the laser is 2 m ahead of camera 0.
    np.testing.assert_allclose(calibration.velo_to_image(2) @ [2.5, 0, 0, 1], [8.4, 6, 2])


def test_the_calibration_of_a_real_day_is_read(shared):
    calibration = read_kitti_calibration(shared / "kitti-mini" / "raw" / "2011_09_26")
    assert calibration.size(2) == (375, 1242)
    assert calibration.baseline == pytest.approx(0.532, abs=1e-3)
    assert calibration.intrinsics(2)[0, 0] == pytest.approx(721.5377)


def test_projected_scans_agree_with_a_calculation_by_hand(day):
    matrix = read_kitti_calibration(day).velo_to_image(2)
    points = np.array(
        [
            [2.5, 0, 0, 0],  # column 4.2, row 3, one-based
            [4.5, 0.05, 0, 0],  # column 4.05, row 3: the same pixel, farther
            [4.5, -1, 1, 0],  # column 5.1, row 2
            [0.3, 0, 0, 0],  # ahead of the laser, behind the camera
            [-3, 0, 0, 0],  # behind both
            [2.5, 100, 0, 0],  # outside
            [np.nan, 0, 0, 0],
        ]
    )
    expected = np.zeros((6, 8), np.float32)
    expected[2, 3], expected[1, 4] = 2.5, 4.5
    depth = project_lidar(points, matrix, (6, 8))
    np.testing.assert_allclose(depth, expected)
    assert depth.dtype == np.float32
    expected[2, 3], expected[1, 4] = 2.0, 4.0
    np.testing.assert_allclose(project_lidar(points, matrix, (6, 8), depth="camera"), expected)


def test_a_scan_without_points_ahead_gives_no_depth(day):
    matrix = read_kitti_calibration(day).velo_to_image(2)
    assert not project_lidar(np.array([[-1.0, 0, 0, 0]]), matrix, (6, 8)).any()


@pytest.mark.parametrize("frame", [0, 26, 52])
def test_projected_scans_agree_with_the_reference(shared, frame):
    day = shared / "kitti-mini" / "raw" / "2011_09_26"
    scans = day / "2011_09_26_drive_0052_sync" / "velodyne_points" / "data"
    calibration = read_kitti_calibration(day)
    size = calibration.size(2)
    depth = project_lidar(read_scan(scans / f"{frame:010d}.bin"), calibration.velo_to_image(2), size)
    with np.load(shared / "parity" / "lidar.npz") as reference:
        expected = np.zeros(reference[f"frame{frame}_shape"], np.float32)
        expected[tuple(reference[f"frame{frame}_yx"])] = reference[f"frame{frame}_depth"]
    assert expected.shape == size
    assert (expected > 0).sum() > 16000
    if frame == 26:  # the reference's fault, see its notes
        assert depth[177, 0] > 0
        expected[177, 0] = depth[177, 0]
    np.testing.assert_array_equal(depth > 0, expected > 0)
    np.testing.assert_allclose(depth, expected, atol=1e-3)


@pytest.mark.parametrize(
    ("file", "old", "new", "hint"),
    [
        ("calib_cam_to_cam.txt", "P_rect_02", "P_rect_09", "no entry P_rect_02"),
        ("calib_cam_to_cam.txt", "S_rect_03", "S_rect_09", "no entry S_rect_03"),
        ("calib_cam_to_cam.txt", "R_rect_00", "R_rect_09", "no entry R_rect_00"),
        ("calib_cam_to_cam.txt", "4 0 4 0.4", "4 0 4", "P_rect_02 must have 12"),
        ("calib_cam_to_cam.txt", "4 0 4 0.4", "4 0 4 x", "P_rect_02 holds"),
        ("calib_cam_to_cam.txt", "4 0 4 0.4", "4 0 4 nan", "finite"),
        ("calib_cam_to_cam.txt", "4 0 4 0.4", "-4 0 4 0.4", "positive"),
        ("calib_velo_to_cam.txt", "T: 0 0 -0.5", "T: 0 0", "T must have 3"),
        ("calib_velo_to_cam.txt", "R:", "Q:", "no entry R;"),
    ],
)
def test_a_short_or_wrong_calibration_is_refused(day, file, old, new, hint):
    path = day / file
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(InputError, match=hint) as error:
        read_kitti_calibration(day)
    assert str(path) in str(error.value)


def test_a_missing_calibration_is_named(day):
    (day / "calib_velo_to_cam.txt").unlink()
    calibration = read_kitti_calibration(day)
    with pytest.raises(InputError, match=r"calib_velo_to_cam\.txt does not exist"):
        calibration.velo_to_image(2)
    with pytest.raises(InputError, match="no camera 1"):
        calibration.intrinsics(1)
    (day / "calib_cam_to_cam.txt").unlink()
    with pytest.raises(InputError, match=r"calib_cam_to_cam\.txt does not exist"):
        read_kitti_calibration(day)


def test_scans_are_read_and_damaged_ones_named(tmp_path):
    path = tmp_path / "scan.bin"
    points = np.arange(12, dtype="<f4").reshape(3, 4)
    path.write_bytes(points.tobytes())
    np.testing.assert_array_equal(read_scan(path), points)
    path.write_bytes(points.tobytes()[:-3])
    with pytest.raises(InputError, match="cut short") as error:
        read_scan(path)
    assert str(path) in str(error.value)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="empty"):
        read_scan(path)
    with pytest.raises(InputError, match="does not exist"):
        read_scan(tmp_path / "none.bin")


DRIVE = "2011_09_26_drive_0002_sync"


# The first is one of the 652.
def annotated(root, frames=(5, 6)):
    for part, frame in zip(("train", "val"), frames, strict=True):
        folder = root / part / DRIVE / "proj_depth" / "groundtruth" / "image_02"
        folder.mkdir(parents=True)
        depth = np.full((6, 8), 256 * frame, dtype=np.uint16)
        Image.fromarray(depth).save(folder / f"{frame:010d}.png")
    split = root / "split.txt"
    split.write_text("".join(f"2011_09_26/{DRIVE} {frame:010d} l\n" for frame in frames))
    return GroundTruthConfig("kitti_improved", depths=str(root), split=str(split))


def test_the_improved_ground_truth_is_read(tmp_path):
    truths = build_ground_truth(annotated(tmp_path))
    assert [float(truth.depth[0, 0]) for truth in truths] == [5, 6]
    assert truths[0].image is None
    assert truths[0].name == f"2011_09_26/{DRIVE} 0000000005 l"


def test_missing_improved_ground_truth_is_named(tmp_path):
    config = annotated(tmp_path)
    (tmp_path / "split.txt").write_text(f"2011_09_26/{DRIVE} 0000000007 l\n")
    with pytest.raises(InputError, match=r"lacks the depth of 1 of 1 frames.*data_depth_annotated"):
        build_ground_truth(config)
    with pytest.raises(InputError, match="lacks the depth of 651 of 652"):
        build_ground_truth(GroundTruthConfig("kitti_improved", depths=str(tmp_path)))
    with pytest.raises(InputError, match="needs depths"):
        build_ground_truth(GroundTruthConfig("kitti_improved"))
    with pytest.raises(InputError, match="does not exist"):
        build_ground_truth(GroundTruthConfig("kitti_improved", depths=str(tmp_path / "no")))
