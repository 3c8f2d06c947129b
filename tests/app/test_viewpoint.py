"""Tests of app/viewpoint.py.

The page's cloud is seen whole, from behind the camera, and in the middle.
"""

import numpy as np
import pytest

from hrdepth.app.viewpoint import ASPECT, FIELD_OF_VIEW, centre_box, choose_viewpoint
from hrdepth.io.pointcloud import PointCloud, assumed_intrinsics, point_cloud

SIZE = (60, 200)
WALL = np.linspace(4, 40, SIZE[1]) * np.ones(SIZE)
FAR_LEFT = WALL[:, ::-1]
FLOOR = np.linspace(40, 4, SIZE[0])[:, None] * np.ones(SIZE)


def cloud(depth):
    return point_cloud(depth, np.full((*SIZE, 3), 200, np.uint8), assumed_intrinsics(SIZE), grazing_degrees=0)


def seen(points, view):
    """Project into the viewer: right and up from the middle, 1 at the upper border; and how far ahead."""
    longitude, latitude = np.radians([view.longitude, view.latitude])
    back = np.array([
        np.cos(longitude) * np.sin(latitude), np.cos(latitude), np.sin(longitude) * np.sin(latitude),
    ])  # fmt: skip
    right = np.cross([0, 1, 0], back)
    right /= np.linalg.norm(right)
    position = view.target + view.distance * back
    rays = points * [1, -1, -1] - position
    ahead = -rays @ back
    return np.stack([rays @ right, rays @ np.cross(back, right)]) / ahead / np.tan(FIELD_OF_VIEW / 2), ahead, position


@pytest.mark.parametrize("depth", [WALL, FAR_LEFT, FLOOR], ids=["near left", "near right", "floor"])
@pytest.mark.parametrize("unit", [0.01, 1.0])
def test_the_whole_cloud_is_in_view_and_centred(depth, unit):
    points = cloud(unit * depth).points
    (across, up), ahead, position = seen(points, choose_viewpoint(cloud(unit * depth)))
    assert np.mean((ahead > 0) & (abs(across) <= ASPECT) & (abs(up) <= 1)) > 0.97
    for values in (across, up):
        low, high = np.percentile(values, [1, 99])
        assert abs(low + high) < 0.5 * (high - low), "as much on one side as on the other"
    assert max(np.ptp(across) / ASPECT, np.ptp(up)) > 0.9, "as near as that allows"
    assert position[2] > 0, "behind the camera"
    assert position[1] > 0, "above it"


def test_two_points_make_the_target_the_middle_of_the_box():
    points = cloud(WALL)
    view = choose_viewpoint(points)
    more = centre_box(points, view.target, (18, 20, 26))
    assert len(more) == len(points) + 2
    np.testing.assert_array_equal(more.colours[-2:], [(18, 20, 26)] * 2)
    np.testing.assert_array_equal(more.points[:-2], points.points)
    box = (more.points.min(axis=0) + more.points.max(axis=0)) / 2
    np.testing.assert_allclose(box * [1, -1, -1], view.target, atol=1e-4)
    one = PointCloud(np.array([[0, 0, 5]], np.float32), np.zeros((1, 3), np.uint8))
    assert np.isfinite(choose_viewpoint(one).distance)
