"""Tests of synthetic/variety.py, layouts.py, traffic.py and weather.py.

Varied drives: the draw, exact cameras and depth, the same frames for the same seed, plain drives unchanged.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.synthetic import Scene, Street, render_drive
from hrdepth.synthetic.drive import VARIETY
from hrdepth.synthetic.layouts import draw_layout
from hrdepth.synthetic.mesh import MeshBuilder, Placement
from hrdepth.synthetic.people import add_walker, draw_person
from hrdepth.synthetic.rendering import render_light
from hrdepth.synthetic.shapes import Sculptor
from hrdepth.synthetic.textures import PALETTE, palette_texture
from hrdepth.synthetic.traffic import Traffic
from hrdepth.synthetic.variety import VariedDrive, develop, draw_sensor, draw_view
from hrdepth.synthetic.vehicles import CARS, HEAVY, add_vehicle, draw_vehicle
from hrdepth.synthetic.weather import draw_conditions, haze_over

SMALL = {"frames": 3, "size": (48, 160), "stereo": False, "samples_per_pixel": 2, "progress": False}
SEED = 5


@pytest.fixture(scope="module")
def drive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("mitsuba", reason="rendering needs mitsuba")
    return render_drive(tmp_path_factory.mktemp("varied"), seed=SEED, variety=True, **SMALL)


def test_views_and_roads_spread_widely() -> None:
    views = [draw_view(np.random.default_rng([seed, 21])) for seed in range(300)]
    heights, focals = np.array([view.height for view in views]), np.array([view.focal for view in views])
    assert heights.min() >= 0.9
    assert heights.max() <= 2.6
    assert heights.std() > 0.25
    assert focals.min() >= 0.45
    assert focals.max() <= 1.4
    assert focals.std() > 0.2
    assert max(abs(view.pitch) for view in views) <= 6
    aside = np.mean([30 <= abs(view.yaw) <= 150 for view in views])
    assert 0.15 < aside < 0.35
    layouts = [draw_layout(np.random.default_rng([seed, 24])) for seed in range(100)]
    assert len({layout.kind for layout in layouts}) == 7
    assert len({layout.side for layout in layouts}) == 2
    for layout in layouts:
        assert layout.far_kerb < layout.middle < -1 < 1 < layout.near_kerb


def test_intrinsics_and_mount_follow_the_view() -> None:
    drive = VariedDrive(4, (192, 640), SEED)
    view, intrinsics = drive.view, drive.intrinsics
    assert intrinsics[0, 0] == intrinsics[1, 1] == pytest.approx(view.focal * 640, abs=1e-5)
    assert intrinsics[0, 2] == pytest.approx(319.5 + view.centre[0] * 640, abs=1e-5)
    np.testing.assert_allclose(-drive.poses[:, 1, 3], view.height)
    forward = drive.poses[0, :3, 2]
    aim = np.degrees(np.arctan2(forward[0], forward[2]) - drive.course.heading(float(drive.stops[0])))
    assert (aim - view.yaw + 180) % 360 - 180 == pytest.approx(0, abs=0.7)  # the car nods and leans
    assert np.degrees(np.arcsin(-forward[1])) == pytest.approx(view.pitch, abs=0.7)


def test_the_files_record_what_was_drawn(drive: Path) -> None:
    varied = VariedDrive(3, SMALL["size"], SEED)
    camera = yaml.safe_load((drive / "camera.yaml").read_text())
    assert camera["fx"] == camera["fy"] == varied.intrinsics[0, 0]
    assert (camera["cx"], camera["cy"]) == (varied.intrinsics[0, 2], varied.intrinsics[1, 2])
    poses = np.loadtxt(drive / "poses.txt").reshape(-1, 3, 4)
    np.testing.assert_allclose(poses, (np.linalg.inv(varied.poses[0]) @ varied.poses)[:, :3], atol=1e-8)
    assert json.loads((drive / "manifest.json").read_text())["render"]["variety"] == VARIETY


@pytest.mark.slow
def test_the_same_seed_gives_the_same_files(drive: Path, tmp_path: Path) -> None:
    names = ("left/000001.png", "depth/000001.npy")
    again = shutil.copytree(drive, tmp_path / "drive")
    for name in names:
        (again / name).unlink()
    assert render_drive(tmp_path, seed=SEED, variety=True, **SMALL) == again
    for name in names:
        assert (again / name).read_bytes() == (drive / name).read_bytes()
    other = VariedDrive(3, SMALL["size"], SEED + 1)
    assert other.view != VariedDrive(3, SMALL["size"], SEED).view


def test_depth_of_the_road_is_the_closed_form(drive: Path) -> None:
    camera = yaml.safe_load((drive / "camera.yaml").read_text())
    pose = VariedDrive(3, SMALL["size"], SEED).poses[1]
    depth = np.load(drive / "depth" / "000001.npy").astype(float)
    rows, columns = np.mgrid[: depth.shape[0], : depth.shape[1]].astype(float)
    rays = np.stack(
        [(columns - camera["cx"]) / camera["fx"], (rows - camera["cy"]) / camera["fy"], np.ones(depth.shape)], -1
    )
    down = (rays @ pose[:3, :3].T)[..., 1]
    with np.errstate(divide="ignore"):
        road = -pose[1, 3] / down
    assert (np.abs(depth / road - 1) < 1e-4).sum() > 300


def test_depth_poses_and_camera_agree_between_frames(drive: Path) -> None:
    camera = yaml.safe_load((drive / "camera.yaml").read_text())
    poses = np.concatenate(
        [np.loadtxt(drive / "poses.txt").reshape(-1, 3, 4), np.tile([[[0.0, 0, 0, 1]]], (3, 1, 1))], 1
    )
    one, two = (np.load(drive / "depth" / f"{frame:06d}.npy").astype(float) for frame in (0, 1))
    focal, cx, cy = camera["fx"], camera["cx"], camera["cy"]
    rows, columns = (part.ravel() for part in np.mgrid[2 : one.shape[0] : 3, 2 : one.shape[1] : 3])
    seen = one[rows, columns] > 0
    rows, columns = rows[seen], columns[seen]
    depth = one[rows, columns]
    points = np.stack([(columns - cx) / focal * depth, (rows - cy) / focal * depth, depth, np.ones_like(depth)])
    moved = np.linalg.inv(poses[1]) @ poses[0] @ points
    u, v = focal * moved[0] / moved[2] + cx, focal * moved[1] / moved[2] + cy
    inside = (moved[2] > 0.3) & (u >= 0) & (u < one.shape[1] - 1) & (v >= 0) & (v < one.shape[0] - 1)
    u, v, expected = u[inside], v[inside], moved[2][inside]
    low_u, low_v = u.astype(int), v.astype(int)
    corners = np.stack([two[low_v + i, low_u + j] for i in (0, 1) for j in (0, 1)])
    nearest, farthest = corners.min(0), corners.max(0)
    agree = (expected > 0.985 * nearest) & (expected < 1.015 * farthest)
    assert inside.sum() > 200
    assert agree.mean() > 0.85  # the rest is hidden in the other frame, or moves


def test_depth_of_a_box_is_the_distance_along_the_camera_s_axis() -> None:
    pytest.importorskip("mitsuba", reason="rendering needs mitsuba")
    builder = MeshBuilder()
    Sculptor(builder, Placement((0, 12.5), 0.0)).box((-1, 0, -0.5), (1, 3, 0.5), "grey")
    conditions = draw_conditions(np.random.default_rng(3))
    street = Street(builder.meshes(), {PALETTE: palette_texture(np.random.default_rng(0))})
    scene = Scene(street, lights=conditions.lights, sky_light=conditions.sky_light)
    pose = np.eye(4)
    pose[1, 3] = -1.5
    intrinsics = np.array([[60.0, 0, 40.3], [0, 60, 20], [0, 0, 1]])
    light, depth, _ = render_light(scene, pose, intrinsics, (48, 80), samples_per_pixel=2, seed=0, with_depth=True)
    left, right, top, bottom = 40.3 - 5, 40.3 + 5, 20 - 7.5, 20 + 7.5  # 60 / 12 m times the box's reach
    rows, columns = np.nonzero(depth)
    np.testing.assert_allclose(depth[rows, columns], 12.0, rtol=1e-5)
    assert (columns.min(), columns.max()) == (np.ceil(left), np.floor(right))
    assert (rows.min(), rows.max()) == (np.ceil(top), np.floor(bottom))
    assert light[20, 40, :3].min() > 0


def test_solids_face_outwards_and_stand_on_the_ground() -> None:
    rng = np.random.default_rng(4)
    for index in range(20):
        builder = MeshBuilder()
        if index < 5:
            add_walker(builder, Placement((0, 0), 0.0), draw_person(rng), float(rng.uniform(0, 6)))
        else:
            add_vehicle(builder, Placement((0, 0), 0.0), draw_vehicle(rng, (*CARS, *HEAVY)[index - 5 : index - 4]))
        corners = builder.meshes()[PALETTE].vertices
        low, high = -corners[..., 1].max(), -corners[..., 1].min()
        assert -0.05 < low < 0.06
        assert 0.9 < high < 4.6
        # A closed surface seen from outside: its signed volume is positive with normals outwards.
        assert np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() > 0


def test_traffic_is_the_same_whichever_frames_come_first() -> None:
    drive = VariedDrive(12, (48, 160), SEED)
    palette = palette_texture(np.random.default_rng(0))

    def build(*frames: int) -> list[np.ndarray]:
        traffic = Traffic(np.random.default_rng(1), drive.layout, drive.course, drive.stops)
        streets = [traffic.at(frame, palette) for frame in frames]
        return [street.meshes[PALETTE].vertices for street in streets if street is not None]

    (alone,) = build(9)
    before, after = build(3, 9)
    np.testing.assert_array_equal(alone, after)
    assert before.shape != after.shape or not np.allclose(before, after)


@pytest.mark.slow
def test_nothing_moves_into_the_camera() -> None:
    palette = palette_texture(np.random.default_rng(0))
    for seed in range(6):
        drive = VariedDrive(10, (48, 160), seed)
        traffic = Traffic(np.random.default_rng([seed, 27]), drive.layout, drive.course, drive.stops)
        for frame in (0, 9):
            moving = traffic.at(frame, palette)
            if moving is not None:
                points = moving.meshes[PALETTE].vertices.reshape(-1, 3)
                assert np.linalg.norm(points - drive.poses[frame, :3, 3], axis=1).min() > 0.35


def test_haze_leaves_the_sky_and_grows_with_depth() -> None:
    conditions = draw_conditions(np.random.default_rng(2))
    light = np.zeros((1, 3, 3))
    hazy = haze_over(conditions, light, np.array([[0.0, 10.0, 200.0]]))
    assert (hazy[0, 0] == 0).all()
    assert (hazy[0, 2] > hazy[0, 1]).all()


def test_a_sensor_s_noise_depends_on_its_generator_alone() -> None:
    light = np.random.default_rng(0).uniform(0, 1, (16, 24, 3))
    for seed in range(8):
        sensor = draw_sensor(np.random.default_rng(seed), 1.0)
        one, two = (develop(light, sensor, np.random.default_rng(7)) for _ in range(2))
        assert one.dtype == np.uint8
        assert one.shape == light.shape
        np.testing.assert_array_equal(one, two)


def test_variety_and_plain_never_share_a_folder(drive: Path) -> None:
    with pytest.raises(InputError):
        render_drive(drive.parent, seed=SEED, **SMALL)


def test_variety_refuses_a_car_ahead(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="either variety or car_ahead"):
        render_drive(tmp_path, variety=True, car_ahead=10.0, **SMALL)
    assert not list(tmp_path.iterdir())


def test_plain_drives_are_unchanged(tmp_path: Path) -> None:
    pytest.importorskip("mitsuba", reason="rendering needs mitsuba")
    folder = render_drive(tmp_path, frames=3, size=(32, 96), seed=9001, samples_per_pixel=4, progress=False)
    blocks = {}
    for side in ("left", "right"):
        image = np.asarray(Image.open(folder / side / "000001.png"), float)
        blocks[side] = image.reshape(4, 8, 8, 12, 3).mean((1, 3, 4))
    expected = {
        "left": [
            [179.576, 210.316, 197.83, 175.056, 155.288, 161.472, 178.007, 173.667],
            [103.389, 114.038, 116.819, 148.288, 111.052, 141.319, 145.958, 132.094],
            [78.045, 101.031, 115.66, 131.472, 127.212, 130.503, 98.663, 132.122],
            [83.052, 88.719, 125.75, 119.503, 136.451, 157.823, 165.438, 169.455],
        ],
        "right": [
            [187.76, 210.469, 197.698, 172.705, 150.951, 168.26, 172.174, 168.99],
            [110.062, 119.92, 115.326, 148.774, 110.715, 142.337, 142.201, 128.5],
            [84.188, 101.295, 115.635, 144.528, 125.306, 121.767, 112.062, 139.99],
            [81.507, 100.806, 125.965, 122.517, 146.611, 159.781, 166.184, 172.469],
        ],
    }
    for side, values in expected.items():
        np.testing.assert_allclose(blocks[side], values, atol=0.02)
    depth = np.load(folder / "depth" / "000001.npy")[::8, ::12]
    np.testing.assert_allclose(
        depth,
        [
            [0.0, 0.0, 0.0, 0.0, 32.26, 0.0, 13.228, 10.457],
            [12.149, 37.709, 0.0, 0.0, 24.054, 22.424, 13.234, 6.593],
            [6.632, 31.095, 51.555, 18.453, 12.61, 22.433, 13.24, 10.465],
            [6.625, 10.654, 10.636, 10.618, 10.6, 10.583, 9.734, 9.226],
        ],
        atol=0.001,
    )
