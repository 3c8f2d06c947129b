"""Tests of io/pointcloud.py.

Points from depth: where they lie, that none floats across an edge, and that the files read back.
"""

import numpy as np
import pytest
import torch

from hrdepth.errors import InputError
from hrdepth.geometry import backproject
from hrdepth.io.pointcloud import assumed_intrinsics, point_cloud, reliable, write_glb, write_ply

SIZE = (48, 96)
K = assumed_intrinsics(SIZE)


def street(size=SIZE, soft=True):
    """Ground below, a box 5 m away before a wall 20 m away; the edges are smeared as resizing does it."""
    fx = assumed_intrinsics(size)[0, 0]
    rows = np.arange(size[0])[:, None] - (size[0] - 1) / 2
    ground = np.where(rows > 0, 1.65 * fx / np.maximum(rows, 1e-6), np.inf)
    nearness = 1 / np.minimum(ground, 20.0) * np.ones(size)
    left, right, top = size[1] // 3, size[1] // 2, size[0] // 3
    nearness[top : size[0] * 3 // 4, left:right] = 1 / 5
    if soft:
        small = torch.from_numpy(nearness)[None, None, 1::4, 1::4]
        nearness = torch.nn.functional.interpolate(small, size=size, mode="bilinear")[0, 0].numpy()
    return (1 / nearness).astype(np.float32)


def test_points_are_the_backprojection():
    rng = np.random.default_rng(0)
    depth = (4 + 0.01 * rng.random(SIZE)).astype(np.float32)
    image = rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    cloud = point_cloud(depth, image, K)
    expected = backproject(torch.from_numpy(depth)[None, None].double(), torch.from_numpy(K)[None])[0]
    assert len(cloud) == depth.size
    np.testing.assert_allclose(cloud.points, expected.flatten(1).T.numpy(), atol=1e-5)
    np.testing.assert_array_equal(cloud.colours, image.reshape(-1, 3))


@pytest.mark.parametrize("size", [(128, 256), (192, 384)])
def test_no_point_floats_between_box_and_wall(size):
    depth = street(size)
    between = (depth > 5.5) & (depth < 15)
    above_ground = np.arange(size[0])[:, None] < size[0] // 2
    floating = between & above_ground
    intrinsics = assumed_intrinsics(size)
    kept = reliable(depth, intrinsics[0, 0], intrinsics[1, 1])
    assert floating.sum() > 20
    assert not (kept & floating).any()
    assert reliable(depth, intrinsics[0, 0], intrinsics[1, 1], 0).all()


def test_points_of_ground_wall_and_box_remain():
    depth = street((192, 384), soft=False)
    kept = reliable(depth, *(2 * [assumed_intrinsics((192, 384))[0, 0]]))
    assert kept[-20:].all()
    assert kept.mean() > 0.95


def test_far_and_missing_depth_have_no_point():
    depth = np.full(SIZE, 3.0, np.float32)
    depth[0], depth[1], depth[2], depth[3:6] = np.nan, 0, np.inf, 50
    image = np.zeros((*SIZE, 3), np.uint8)
    assert len(point_cloud(depth, image, K, far=10, grazing_degrees=0)) == (SIZE[0] - 6) * SIZE[1]
    thinned = point_cloud(depth, image, K, grazing_degrees=0, most=600)
    assert 200 < len(thinned) <= 600


def test_empty_clouds_and_wrong_shapes_are_refused():
    image = np.zeros((*SIZE, 3), np.uint8)
    with pytest.raises(InputError, match="no point is left"):
        point_cloud(np.full(SIZE, np.nan), image, K)
    with pytest.raises(InputError, match="points need depth"):
        point_cloud(np.ones((3, 3)), image, K)


def test_files_read_back(tmp_path):
    trimesh = pytest.importorskip("trimesh", reason="needs trimesh (extra app)")
    rng = np.random.default_rng(1)
    cloud = point_cloud(np.full(SIZE, 2.0), rng.integers(0, 255, (*SIZE, 3), dtype=np.uint8), K)
    write_ply(tmp_path / "a.ply", cloud, {"unit": "metres"})
    write_glb(tmp_path / "a.glb", cloud, {"unit": "metres"})
    ply = trimesh.load(tmp_path / "a.ply")
    np.testing.assert_allclose(ply.vertices, cloud.points, atol=1e-6)
    np.testing.assert_array_equal(ply.colors[:, :3], cloud.colours)
    assert b"comment unit: metres\n" in (tmp_path / "a.ply").read_bytes()[:400]
    scene = trimesh.load(tmp_path / "a.glb")
    (points,) = scene.geometry.values()
    np.testing.assert_allclose(points.vertices, cloud.points * [1, -1, -1], atol=1e-6)
    assert b"KHR_materials_unlit" in (tmp_path / "a.glb").read_bytes()
