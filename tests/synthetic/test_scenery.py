"""Tests of synthetic/scenery.py with structures.py, roadside.py, buildings.py and vegetation.py, and of wet roads.

What stands along a road: sound triangles, nothing in the camera's way.
"""

from __future__ import annotations

import numpy as np
import pytest

from hrdepth.synthetic import scenery
from hrdepth.synthetic.layouts import draw_layout, plan_course
from hrdepth.synthetic.weather import Shot, draw_conditions, reflect_in_road

FRAMES = 3


def built(seed: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scenery, "_textures", lambda *_: {})  # drawing them takes most of the time
    rng = np.random.default_rng(seed)
    layout = draw_layout(rng)
    course, stops = plan_course(rng, layout, FRAMES)
    return course, stops, scenery.build_scenery(layout, course, stops, seed, 0.5).meshes


def check(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    course, stops, meshes = built(seed, monkeypatch)
    assert len(meshes) > 5
    corners = np.concatenate([mesh.vertices.reshape(-1, 3) for mesh in meshes.values()])
    assert np.isfinite(corners).all()
    assert all(np.isfinite(mesh.uv).all() and mesh.uv.shape == (len(mesh.vertices), 3, 2) for mesh in meshes.values())
    assert corners[:, 1].max() < 3  # y points down: nothing lies far below the road
    for stop in stops:
        x, z = course.place(float(stop), 0.0).ravel()[[0, -1]]
        near = np.hypot(corners[:, 0] - x, corners[:, 2] - z) < 0.9
        assert not (near & (corners[:, 1] < -0.25) & (corners[:, 1] > -2)).any()


def test_scenery_is_sound_and_leaves_the_way_free(monkeypatch):
    check(0, monkeypatch)


@pytest.mark.slow
def test_scenery_of_many_seeds_is_sound_and_leaves_the_way_free(monkeypatch):
    for seed in range(10, 22):
        check(seed, monkeypatch)


def test_weather_of_every_kind_is_drawn():
    found = [draw_conditions(np.random.default_rng(seed)) for seed in range(60)]
    assert {len(one.lights) > 1 for one in found} == {False, True}  # overcast: lights from all around
    assert {one.wet > 0 for one in found} == {False, True}
    assert all(0 <= one.wet <= 1 and one.visibility > 50 and one.brightness > 0 for one in found)
    assert all(np.isfinite(one.sky_light).all() and (np.asarray(one.sky_light) >= 0).all() for one in found)


def test_a_wet_road_mirrors_the_wall_behind_it_and_the_sky_elsewhere():
    height, width, focal = 60, 80, 60.0
    rows, columns = np.mgrid[:height, :width].astype(float)
    rays = np.stack([(columns - 39.5) / focal, (rows - 29.5) / focal, np.ones((height, width))], -1)
    pose = np.eye(4)
    pose[1, 3] = -1.5  # the camera is 1.5 m above the road y = 0
    with np.errstate(divide="ignore"):
        road = np.where(rays[..., 1] > 0, 1.5 / rays[..., 1], np.inf)
    wall = (np.abs(columns - 39.5) < 20) & (road > 12) & (rows > 10)  # red, 12 m away
    depth = np.where(wall, 12.0, np.where(np.isfinite(road) & (road < 100), road, 0.0))
    light = np.zeros((height, width, 3)) + 0.1
    light[wall] = [1.0, 0.0, 0.0]
    sky = np.zeros((height, width, 3))
    sky[..., 2] = 1.0
    intrinsics = np.array([[focal, 0, 39.5], [0, focal, 29.5], [0, 0, 1]])
    shot = Shot(light, depth, rays, pose, intrinsics)
    still = np.zeros((8, 8))
    wet = reflect_in_road(shot, sky, still, 1.0)
    before_wall, beside = wet[40, 40] - light[40, 40], wet[40, 5] - light[40, 5]
    assert before_wall[0] > 0.02
    assert before_wall[0] > before_wall[2]
    assert beside[2] > 0.02
    assert beside[2] > beside[0]
    assert (wet[wall] == light[wall]).all()
    np.testing.assert_array_equal(reflect_in_road(shot, sky, still, 0.0), light)
    nothing = Shot(light, np.zeros((height, width)), rays, pose, intrinsics)
    assert reflect_in_road(nothing, sky, still, 1.0) is light
