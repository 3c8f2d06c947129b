"""Tests of synthetic/drive.py.

The synthetic drive: sub-pixel conventions, the same frames for the same seed, layout, resuming.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image

from hrdepth import synthetic
from hrdepth.errors import InputError
from hrdepth.synthetic import BASELINE, CAMERA_HEIGHT, Scene, Street, build_street, plan_trajectory, render_frame
from hrdepth.synthetic import drive as drive_module

Array = NDArray[np.float64]
SIZE = (96, 320)
K = synthetic.default_intrinsics(SIZE)
RIGHT = np.array([[1, 0, 0, BASELINE], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]])


@pytest.fixture(scope="module")
def street() -> Street:
    return build_street(plan_trajectory(20).course)


class Frames:
    """A trajectory and a scene; frames are rendered when asked for."""

    def __init__(self, street: Street) -> None:
        self.poses = plan_trajectory(20).poses
        self.scene = Scene(street)

    def render(self, pose: Array, samples: int = 12, **options: Any) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        return render_frame(self.scene, pose, K, SIZE, samples_per_pixel=samples, **options)


@pytest.fixture(scope="module")
def frames(street: Street) -> Frames:
    pytest.importorskip("mitsuba", reason="rendering needs mitsuba")
    return Frames(street)


def turn_per_frame(poses: Array) -> Array:
    heading = np.arctan2(poses[:, 0, 2], poses[:, 2, 2])
    return np.abs(np.degrees(np.diff(np.unwrap(heading))))


@pytest.mark.parametrize(("count", "seed"), [(15, 0), (30, 0), (100, 0), (200, 1), (300, 2)])
def test_a_third_of_the_frames_is_in_curves_and_others_are_straight(count: int, seed: int) -> None:
    poses = plan_trajectory(count, seed).poses
    turns = turn_per_frame(poses)
    assert (turns >= 2).mean() >= 1 / 3
    assert (turns < 0.2).mean() >= 0.15
    moves = np.linalg.norm(np.diff(poses[:, [0, 2], 3], axis=0), axis=1)
    assert moves.min() > 0.5
    assert moves.max() < 1.0
    np.testing.assert_allclose(
        poses[:, :3, :3] @ poses[:, :3, :3].transpose(0, 2, 1), np.eye(3)[None].repeat(count, 0), atol=1e-12
    )


def test_a_longer_drive_begins_like_the_shorter_one() -> None:
    np.testing.assert_array_equal(plan_trajectory(20, 3).poses, plan_trajectory(50, 3).poses[:20])
    assert not np.allclose(plan_trajectory(20, 3).poses, plan_trajectory(20, 4).poses)


def test_nothing_stands_on_the_lane(street: Street) -> None:
    trajectory = plan_trajectory(20)
    for name, mesh in street.meshes.items():
        corners = mesh.vertices.reshape(-1, 3)
        low = corners[(corners[:, 1] < -0.14) & (corners[:, 1] > -3.0)]
        offsets = trajectory.course.offsets(np.unique(low[:, [0, 2]], axis=0))
        assert not ((offsets > -3.5) & (offsets < 1.6)).any(), name


def test_road_depth_is_the_closed_form(frames: Frames) -> None:
    pose = frames.poses[9]
    _, depth = frames.render(pose, samples=1)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    rays = np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones(SIZE)], -1)
    down = (rays @ pose[:3, :3].T)[..., 1]
    with np.errstate(divide="ignore"):
        road = -pose[1, 3] / down
    on_road = np.abs(depth / road - 1) < 1e-4
    assert -pose[1, 3] == pytest.approx(CAMERA_HEIGHT, abs=0.02)
    assert on_road[-6:, 130:190].mean() > 0.95  # the lane ahead
    assert on_road.sum() > 1500
    # Half a pixel off in the principal point would leave none of it.
    wrong = -pose[1, 3] / ((rays + np.array([0, 0.5 / K[1, 1], 0])) @ pose[:3, :3].T)[..., 1]
    assert (np.abs(depth / wrong - 1) < 1e-4).sum() < 20


def test_an_asymmetric_principal_point_is_kept(frames: Frames) -> None:
    moved = K + np.array([[0, 0, 12.0], [0, 0, -5.0], [0, 0, 0]])
    _, depth = render_frame(frames.scene, frames.poses[3], moved, SIZE, samples_per_pixel=1)
    _, centred = frames.render(frames.poses[3], samples=1)
    assert (np.abs(depth[:-5, 12:] - centred[5:, :-12]) < 1e-3).mean() > 0.99


def warp(source: NDArray[np.uint8], depth: Array, target_to_source: Array) -> tuple[Array, NDArray[np.bool_]]:
    """Sample `source` where the target's pixels are seen; also say which are inside and have depth."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]].astype(float)
    points = depth * np.stack([(columns - K[0, 2]) / K[0, 0], (rows - K[1, 2]) / K[1, 1], np.ones(SIZE)])
    moved = np.einsum("ij,jhw->ihw", target_to_source[:3, :3], points) + target_to_source[:3, 3, None, None]
    z = np.maximum(moved[2], 1e-6)
    u, v = K[0, 0] * moved[0] / z + K[0, 2], K[1, 1] * moved[1] / z + K[1, 2]
    inside = (depth > 0) & (moved[2] > 0.1) & (u >= 0) & (u <= SIZE[1] - 1) & (v >= 0) & (v <= SIZE[0] - 1)
    grid = torch.tensor(np.stack([2 * u / (SIZE[1] - 1) - 1, 2 * v / (SIZE[0] - 1) - 1], -1))[None]
    image = torch.tensor(source, dtype=torch.float64).permute(2, 0, 1)[None]
    sampled = torch.nn.functional.grid_sample(image, grid, align_corners=True)[0].permute(1, 2, 0)
    return sampled.numpy(), inside


@pytest.mark.parametrize("pair", ["straight", "curve", "stereo"])
def test_depth_pose_and_intrinsics_agree_with_the_images(frames: Frames, pair: str) -> None:
    turns = turn_per_frame(frames.poses)
    first = int(np.argmax(turns < 0.2) if pair == "straight" else np.argmax(turns >= 2) + 2)
    target_pose = frames.poses[first]
    source_pose = target_pose @ RIGHT if pair == "stereo" else frames.poses[first + 1]
    target, depth = frames.render(target_pose, seed=1)
    source, _ = frames.render(source_pose, seed=2, with_depth=False)

    def error(target_to_source: Array) -> float:
        warped, inside = warp(source, depth.astype(float), target_to_source)
        difference = np.abs(warped - target).mean(-1)[inside]
        return float(np.minimum(difference, 60).mean())  # capped: some of it is hidden in the other image

    move = np.linalg.inv(source_pose) @ target_pose
    right, still, wrong = error(move), error(np.eye(4)), error(np.linalg.inv(move))
    assert right < 0.5 * still
    assert right < 0.4 * wrong


def test_the_right_image_is_shifted_by_focal_length_times_baseline_over_depth(frames: Frames) -> None:
    target, depth = frames.render(frames.poses[4], seed=1)
    source, _ = frames.render(frames.poses[4] @ RIGHT, seed=2, with_depth=False)
    columns = np.arange(SIZE[1])

    def error(off: float) -> float:
        total = []
        for row in range(SIZE[0]):
            seen = depth[row] > 3
            at = columns[seen] - K[0, 0] * BASELINE / depth[row, seen] + off
            inside = at >= 0
            for channel in range(3):
                shifted = np.interp(at[inside], columns, source[row, :, channel].astype(float))
                total.append(np.abs(shifted - target[row, seen, channel][inside]))
        return float(np.minimum(np.concatenate(total), 40).mean())

    offsets = np.arange(-0.6, 0.61, 0.2)
    scores = [error(off) for off in offsets]
    best = np.polyfit(offsets, scores, 2)
    assert abs(best[1] / (2 * best[0])) < 0.1


def test_the_same_seed_gives_the_same_frame(frames: Frames, street: Street) -> None:
    again = build_street(plan_trajectory(20).course)
    assert list(again.meshes) == list(street.meshes)
    for name, mesh in again.meshes.items():
        np.testing.assert_array_equal(mesh.vertices, street.meshes[name].vertices)
        np.testing.assert_array_equal(again.textures[name], street.textures[name])
    one, one_depth = frames.render(frames.poses[2], samples=4, seed=5)
    two, two_depth = frames.render(frames.poses[2], samples=4, seed=5)
    np.testing.assert_array_equal(one, two)
    np.testing.assert_array_equal(one_depth, two_depth)
    assert one.shape == (*SIZE, 3)
    assert one.dtype == np.uint8
    assert one_depth.dtype == np.float32
    assert (one_depth == 0).any()  # sky


def test_every_surface_has_texture(frames: Frames) -> None:
    image, depth = frames.render(frames.poses[6])
    grey = image.mean(-1)
    spread = [
        grey[y : y + 16, x : x + 16].std()
        for y in range(0, SIZE[0], 16)
        for x in range(0, SIZE[1], 16)
        if (depth[y : y + 16, x : x + 16] > 0).all()
    ]
    assert np.quantile(spread, 0.02) > 1.5


def test_oblong_pixels_are_refused(frames: Frames) -> None:
    oblong = K * np.array([[1], [1.1], [1]])
    with pytest.raises(InputError, match="square"):
        render_frame(frames.scene, frames.poses[0], oblong, SIZE)


class Flat:
    """Stands in for the renderer where only files matter; counts what it is asked for."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.calls, self.fail_at = 0, fail_at

    def __call__(self, scene: object, pose: Array, intrinsics: Array, size: tuple[int, int], **_: object) -> object:
        self.calls += 1
        if self.calls == self.fail_at:
            raise KeyboardInterrupt
        return np.full((*size, 3), self.calls, np.uint8), np.full(size, pose[2, 3], np.float32)


@pytest.fixture
def flat(monkeypatch: pytest.MonkeyPatch) -> Flat:
    renderer = Flat()
    monkeypatch.setattr(drive_module, "render_frame", lambda *args, **options: renderer(*args, **options))
    monkeypatch.setattr(drive_module, "Scene", lambda *_: None)
    monkeypatch.setattr(drive_module, "build_street", lambda *_: None)
    return renderer


def render_flat(root: Path, **options: object) -> Path:
    return synthetic.render_drive(
        root, **{"frames": 14, "size": (32, 96), "validation": 4, "progress": False} | options
    )


def test_the_folder_has_images_depth_poses_and_camera(tmp_path: Path, flat: Flat) -> None:
    folder = render_flat(tmp_path)
    assert folder == tmp_path / "drive"
    for part, suffix in (("left", "png"), ("right", "png"), ("depth", "npy")):
        assert sorted(file.name for file in (folder / part).iterdir()) == [f"{i:06d}.{suffix}" for i in range(14)]
    camera = yaml.safe_load((folder / "camera.yaml").read_text())
    assert camera == {
        "width": 96,
        "height": 32,
        "fx": 55.68,
        "fy": 55.68,
        "cx": 47.5,
        "cy": 15.5,
        "baseline": 0.54,
    }
    poses = np.loadtxt(folder / "poses.txt").reshape(-1, 3, 4)
    absolute = plan_trajectory(14).poses
    np.testing.assert_allclose(poses[0], np.eye(4)[:3], atol=1e-12)
    np.testing.assert_allclose(poses[5], (np.linalg.inv(absolute[0]) @ absolute[5])[:3], atol=1e-8)
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["seed"] == 0
    assert manifest["render"]["samples_per_pixel"] == 8
    assert np.load(folder / "depth" / "000003.npy").dtype == np.float32


def test_the_splits_are_separated_in_time_by_a_gap(tmp_path: Path, flat: Flat) -> None:
    render_flat(tmp_path)
    train = (tmp_path / "train.txt").read_text().splitlines()
    assert train == [f"drive {i} {side}" for side in "lr" for i in range(1, 6)]  # frames 0..6
    assert (tmp_path / "val.txt").read_text().splitlines() == ["drive 11 l", "drive 12 l"]  # frames 10..13
    render_flat(tmp_path, name="second", stereo=False, validation=0)
    lines = (tmp_path / "train.txt").read_text().splitlines()
    assert lines == train + [f"second {i} l" for i in range(1, 13)]
    assert not (tmp_path / "second" / "right").exists()
    assert "baseline" not in yaml.safe_load((tmp_path / "second" / "camera.yaml").read_text())


def test_no_validation_leaves_no_empty_file(tmp_path: Path, flat: Flat) -> None:
    render_flat(tmp_path, validation=0)
    assert not (tmp_path / "val.txt").exists()


def test_an_interrupted_drive_is_resumed(tmp_path: Path, flat: Flat) -> None:
    flat.fail_at = 10
    with pytest.raises(KeyboardInterrupt):
        render_flat(tmp_path)
    first = (tmp_path / "drive" / "left" / "000000.png").stat().st_mtime_ns
    flat.fail_at = None
    render_flat(tmp_path)
    assert flat.calls == 10 + 20  # four frames were complete, the fifth is done again
    assert (tmp_path / "drive" / "left" / "000000.png").stat().st_mtime_ns == first
    render_flat(tmp_path)
    assert flat.calls == 30
    assert not list((tmp_path / "drive").rglob(".*"))


def test_other_settings_need_overwrite(tmp_path: Path, flat: Flat) -> None:
    folder = render_flat(tmp_path)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="other settings"):
        render_flat(tmp_path, frames=12)
    render_flat(tmp_path, frames=12, stereo=False, overwrite=True)
    assert len(list((folder / "left").iterdir())) == 12
    assert not (folder / "right").exists()
    assert (folder / "notes.txt").read_text() == "mine"


def test_with_overwrite_a_drive_of_the_same_settings_is_resumed(tmp_path: Path, flat: Flat) -> None:
    folder = render_flat(tmp_path)
    (folder / "left" / "000003.png").unlink()
    first = (folder / "left" / "000000.png").stat().st_mtime_ns
    render_flat(tmp_path, overwrite=True)
    assert flat.calls == 28 + 2
    assert (folder / "left" / "000000.png").stat().st_mtime_ns == first


def test_only_a_rendered_drive_is_overwritten_and_only_where_it_can_be_rendered(
    tmp_path: Path, flat: Flat, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine = tmp_path / "drive" / "left" / "000000.png"
    mine.parent.mkdir(parents=True)
    mine.write_text("a photograph")
    for content in (None, '{"chosen": {}}', "{"):
        if content is not None:
            (tmp_path / "drive" / "manifest.json").write_text(content)
        with pytest.raises(InputError, match="contains files that hrdepth render did not make"):
            render_flat(tmp_path, overwrite=True)
    assert mine.read_text() == "a photograph"
    folder = render_flat(tmp_path, name="other")

    def missing() -> None:
        raise InputError("mitsuba is not installed")

    monkeypatch.setattr(drive_module, "load_mitsuba", missing)
    with pytest.raises(InputError, match="not installed"):
        render_flat(tmp_path, name="other", frames=12, overwrite=True)
    assert len(list((folder / "left").iterdir())) == 14


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"frames": 2}, "at least 3 frames"),
        ({"size": (8, 96)}, "too small"),
        ({"samples_per_pixel": 0}, "samples_per_pixel"),
        ({"seed": -1}, "seed"),
        ({"name": "a/b"}, "plain folder name"),
        ({"name": ".."}, "plain folder name"),
        ({"validation": 2}, "validation"),
        ({"validation": 9}, "validation"),
        ({"validation": -3}, "validation"),
    ],
)
def test_options_that_cannot_be_rendered_are_refused_with_a_message(
    tmp_path: Path, flat: Flat, options: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        render_flat(tmp_path, **options)
    assert not list(tmp_path.iterdir())


def test_a_file_at_the_drives_path_is_refused(tmp_path: Path, flat: Flat) -> None:
    (tmp_path / "drive").write_text("")
    with pytest.raises(InputError, match="is a file"):
        render_flat(tmp_path)


def test_missing_mitsuba_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "mitsuba", None)
    with pytest.raises(InputError, match=r"pip install 'hrdepth\[synthetic\]'"):
        synthetic.rendering.load_mitsuba()


def test_rendered_files_agree_with_the_renderer(
    tmp_path: Path, frames: Frames, street: Street, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(drive_module, "build_street", lambda *_: street)
    monkeypatch.setattr(drive_module, "Scene", lambda *_: frames.scene)
    folder = synthetic.render_drive(tmp_path, frames=3, size=(32, 96), samples_per_pixel=2, progress=False)
    with Image.open(folder / "left" / "000001.png") as image:
        assert image.size == (96, 32)
    left, right = (np.asarray(Image.open(folder / side / "000001.png"), float) for side in ("left", "right"))
    assert np.abs(left - right).mean() > 2
    assert np.load(folder / "depth" / "000001.npy").max() > 20
