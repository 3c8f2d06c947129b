"""Tests of evaluation/odometry.py and evaluation/trajectory.py.

Trajectories and their errors.
"""

from __future__ import annotations

import itertools
import json

import numpy as np
import pytest
import torch
from clips import damage, timed
from PIL import Image
from torch import nn

from hrdepth.cli import main
from hrdepth.errors import InputError
from hrdepth.evaluation.odometry import FrameTimes, bridge, compare_trajectories, predict_motions, warn
from hrdepth.evaluation.trajectory import (
    align,
    chain,
    read_poses,
    segment_errors,
    snippet_error,
    trajectory_error,
    write_kitti,
    write_tum,
)
from hrdepth.geometry import pose_matrix
from hrdepth.io.media import Frame, frames
from hrdepth.networks import build_network, build_pose_network
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK, POSE_NETWORK


def turn(angle, axis=1):
    rotation = torch.zeros(1, 3)
    rotation[0, axis] = angle
    return pose_matrix(rotation, torch.zeros(1, 3))[0].double().numpy()


def drive(count=60, step=1.0, bend=0.02):
    """A bending drive in metres: each frame `step` ahead."""
    motion = turn(bend)
    motion[2, 3] = -step
    return chain(np.stack([motion] * (count - 1)))


def moved(poses, scale=2.5):
    """The same drive in another world and unit."""
    world = turn(0.7, 0) @ turn(0.3, 2)
    world[:3, 3] = 5, -3, 2
    other = world @ poses
    other[:, :3, 3] *= scale
    return other


def test_chaining_relative_motions_gives_the_trajectory():
    poses = drive(5)
    motions = np.stack([np.linalg.inv(b) @ a for a, b in itertools.pairwise(poses)])
    assert np.allclose(chain(motions), poses)


def test_alignment_removes_world_frame_and_scale():
    true = drive()
    aligned, scale = align(true, moved(true))
    assert scale == pytest.approx(1 / 2.5)
    assert np.allclose(aligned, true, atol=1e-5)
    assert trajectory_error(true, aligned) == pytest.approx(0, abs=1e-5)


def test_alignment_without_scale_preserves_the_scale():
    true = drive()
    aligned, scale = align(true, moved(true), scale=False)
    assert scale == 1
    assert trajectory_error(true, aligned) > 1


def test_snippet_errors_ignore_world_frame_and_scale_but_not_direction():
    true = drive()
    assert snippet_error(true, moved(true))[0] == pytest.approx(0, abs=1e-5)
    sideways = drive(bend=-0.02)
    assert snippet_error(true, sideways)[0] > 0.01


def test_a_snippet_error_agrees_with_a_calculation_by_hand():
    true, predicted = (np.tile(np.eye(4), (5, 1, 1)) for _ in range(2))
    true[:, 2, 3] = range(5)
    predicted[:, 2, 3] = [0, 2, 4, 6, 8]
    predicted[4, 0, 3] = 1
    # Least squares: (2 + 8 + 18 + 32) / (4 + 16 + 36 + 64 + 1)
    scale = 60 / 121
    errors = [(k - 2 * k * scale) ** 2 for k in range(5)]
    errors[4] += scale**2
    assert snippet_error(true, predicted) == (pytest.approx(np.sqrt(np.mean(errors))), 0)


def test_snippet_errors_are_given_as_published_too():
    true = drive()
    found = compare_trajectories(true, drive(bend=-0.02), metric=False)
    steps = [(np.linalg.inv(true[i]) @ true[i : i + 5], np.linalg.inv(p[i]) @ p[i : i + 5])
             for p in (drive(bend=-0.02),) for i in range(len(true) - 4)]  # fmt: skip
    errors = []
    for a, b in ((a[:, :3, 3], b[:, :3, 3]) for a, b in steps):
        scale = np.sum(a * b) / np.sum(b**2)
        errors.append(np.sqrt(np.sum((scale * b - a) ** 2)) / 5)
    assert found["snippet_error_as_published"]["mean"] == pytest.approx(np.mean(errors))
    assert found["snippet_error_metres"]["mean"] == pytest.approx(np.mean(errors) * np.sqrt(5))


def test_segment_errors_of_a_straight_drive_are_the_scale_error():
    true = drive(130, bend=0)
    long = true.copy()
    long[:, :3, 3] *= 1.1
    found = segment_errors(true, long)
    # A segment ends at the first frame beyond 100 m, here 101 m after its start: 10.1 m too long.
    assert found["translation_percent"] == pytest.approx(10.1)
    assert found["rotation_degrees_per_100m"] == pytest.approx(0, abs=1e-5)
    assert found["segments"] == 3
    assert list(found["by_length"]) == ["100"]


def test_segment_errors_measure_rotation():
    found = segment_errors(drive(130, bend=0), drive(130, bend=0.001))
    assert found["rotation_degrees_per_100m"] == pytest.approx(np.degrees(0.101), rel=1e-3)


def test_short_drives_have_no_segments():
    assert segment_errors(drive(20), drive(20))["translation_percent"] is None


def test_compare_returns_both_scales():
    true = drive(130)
    result = compare_trajectories(true, moved(true), metric=True)
    assert result["fitted_scale"] == pytest.approx(0.4)
    assert result["segments_scaled"]["translation_percent"] == pytest.approx(0, abs=1e-4)
    assert result["segments"]["translation_percent"] > 100
    assert "segments" not in compare_trajectories(true, moved(true), metric=False)


def test_aligned_error_agrees_with_evo():
    evo_metrics = pytest.importorskip("evo.core.metrics", reason="evo, the other implementation, is not installed")
    from evo.core.trajectory import PosePath3D

    random = np.random.default_rng(0)
    true, predicted = drive(), moved(drive())
    predicted[:, :3, 3] += random.normal(0, 0.5, (60, 3))
    aligned, scale = align(true, predicted)
    reference, estimate = PosePath3D(poses_se3=list(true)), PosePath3D(poses_se3=list(predicted))
    _, _, evo_scale = estimate.align(reference, correct_scale=True)
    error = evo_metrics.APE(evo_metrics.PoseRelation.translation_part)
    error.process_data((reference, estimate))
    assert scale == pytest.approx(evo_scale)
    assert trajectory_error(true, aligned) == pytest.approx(error.get_statistic(evo_metrics.StatisticsType.rmse))


def test_pose_files_are_read_and_damaged_ones_named(tmp_path):
    poses = moved(drive(7))
    write_kitti(tmp_path / "k.txt", poses)
    assert np.allclose(read_poses(tmp_path / "k.txt"), poses)
    write_tum(tmp_path / "t.txt", poses, np.arange(7) / 10)
    rows = np.loadtxt(tmp_path / "t.txt")
    assert rows.shape == (7, 8)
    assert np.allclose(rows[:, 1:4], poses[:, :3, 3])
    x, y, z, w = rows[3, 4:]
    rotation = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    assert np.allclose(rotation, poses[3, :3, :3], atol=1e-6)


@pytest.mark.parametrize("text", ["1 2 3\n", "a b\n", "1 " * 11 + "nan\n"])
def test_wrong_pose_files_are_refused(tmp_path, text):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(InputError, match="12"):
        read_poses(tmp_path / "p.txt")


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("text", "sentence"), [("\n", "is empty"), ("1e308 " * 12, "between -1e9 and 1e9")])
def test_empty_files_and_numbers_that_overflow_are_refused(tmp_path, text, sentence):
    (tmp_path / "p.txt").write_text(text)
    with pytest.raises(InputError, match=sentence):
        read_poses(tmp_path / "p.txt")


def test_trajectories_of_different_lengths_are_refused():
    with pytest.raises(InputError, match="60 poses.*59"):
        align(drive(60), drive(59))


def test_a_still_trajectory_cannot_be_aligned():
    with pytest.raises(InputError, match="does not move"):
        align(drive(5), np.tile(np.eye(4), (5, 1, 1)))


@pytest.mark.parametrize("motion", [0.0, 1e-5])
def test_nothing_is_compared_with_a_true_trajectory_that_stands_still(motion):
    still = np.tile(np.eye(4), (60, 1, 1))
    still[:, 0, 3] = np.linspace(0, motion, 60)
    for error in (align, snippet_error, lambda true, predicted: compare_trajectories(true, predicted, metric=False)):
        with pytest.raises(InputError, match="the true trajectory does not move"):
            error(still, drive(60))


@pytest.mark.parametrize(
    ("times", "rate", "expected"),
    [
        ([2.0, 2.1, 6.3], None, [0.0, 0.1, 4.3]),  # a variable rate
        ([2.0, 2.1, 6.3], 5.0, [0.0, 0.2, 0.4]),
        ([0.0, None, 4.3], None, [0.0, 0.04, 0.08]),
        ([0.0, 0.0, 4.3], None, [0.0, 0.04, 0.08]),
    ],
)
def test_a_trajectorys_times_are_those_of_the_video(times, rate, expected):
    found = FrameTimes()
    for index, time in enumerate(times):
        found.add(Frame(str(index), np.zeros((1, 1, 3), np.uint8), index, time))
    assert found.seconds(rate, 25.0) == pytest.approx(np.array(expected))


@pytest.mark.parametrize("factor", [0.0, -1.0])
def test_poses_without_a_rotation_are_refused(tmp_path, factor):
    poses = drive(5)
    poses[2, :3, :3] *= factor
    write_kitti(tmp_path / "poses.txt", poses)
    with pytest.raises(InputError, match=r"poses\.txt: pose 3 of 5 holds no rotation"):
        read_poses(tmp_path / "poses.txt")


def test_a_shear_is_no_rotation_and_a_byte_order_mark_no_number(tmp_path):
    poses, file = drive(5), tmp_path / "poses.txt"
    write_kitti(file, poses)
    file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    assert read_poses(file) == pytest.approx(poses, abs=1e-8)
    poses[3, 0, 1] += 0.5  # of determinant 1
    write_kitti(file, poses)
    with pytest.raises(InputError, match=r"poses\.txt: pose 4 of 5 holds no rotation"):
        read_poses(file)


class Ahead(nn.Module):
    """Return how much brighter the second image is, as motion ahead."""

    def __init__(self):
        super().__init__()
        self.one = nn.Parameter(torch.ones(1))

    def forward(self, pair):
        translation = torch.zeros(1, 2, 1, 3)
        translation[..., 2] = (pair[:, :3].mean() - pair[:, 3:].mean()) * self.one
        return torch.zeros(1, 2, 1, 3), translation


def images(folder, count=6):
    folder.mkdir()
    for index in range(count):
        Image.new("RGB", (48, 32), (index * 51,) * 3).save(folder / f"{index}.png")
    return folder


def test_motions_follow_the_order_of_time(tmp_path):
    motions = predict_motions(Ahead(), images(tmp_path / "video"), (32, 64))
    assert chain(motions)[:, 2, 3] == pytest.approx(np.arange(6) * 0.2, abs=1e-6)


def test_missing_frames_are_no_neighbours(tmp_path):
    """Across a gap the motion before goes on, true poses are those of the frames that are there, times are right."""
    folder, times = images(tmp_path / "video", 30), FrameTimes()
    for number in (17, 18):
        (folder / f"{number}.png").unlink()
    for index in range(30):  # a motion of 0.01 from frame to frame
        if (file := folder / f"{index}.png").exists():
            Image.fromarray(np.full((32, 64, 3), 100 + index, np.uint8)).save(file)
    motions = predict_motions(Ahead(), folder, (32, 64), seen=times.add)
    assert times.missing == [0] * 17 + [2] + [0] * 10
    assert chain(bridge(motions * np.ones((4, 4)), times.missing))[-1, 2, 3] == pytest.approx(29 / 255, abs=1e-5)
    assert times.seconds(10.0, None)[[16, 17, -1]] == pytest.approx([1.6, 1.9, 2.9])
    assert times.of_frames(np.arange(30.0)).tolist() == [*range(17), *range(19, 30)]
    assert len(times.of_frames(np.arange(28.0))) == 28


def test_values_of_a_video_that_begins_with_damage_are_those_of_the_frames_read(tmp_path):
    images, times = [np.full((64, 96, 3), 8 * index, np.uint8) for index in range(24)], FrameTimes()
    for frame in frames(damage(timed(tmp_path / "a.mp4", images, gop=6), 0, 12), warn):
        times.add(frame)
    read = [round(10 * seconds) for seconds in times.stated]
    assert 6 == read[0] == times.missing[0]
    assert len(read) < 18
    assert times.of_frames(np.arange(24.0)).tolist() == read
    for count in (18, 23):  # as if none or fewer were missing before the first: refused
        assert len(times.of_frames(np.arange(float(count)))) == count
    assert times.seconds(10.0, None) == pytest.approx([number / 10 - 0.6 for number in read])


def test_values_of_a_folder_that_begins_with_damage_are_those_of_the_images_read(tmp_path):
    folder, times = images(tmp_path / "video", 20), FrameTimes()
    (folder / "0.png").write_bytes(b"no image")
    (folder / "15.png").unlink()
    for frame in frames(folder, warn):
        times.add(frame)
    assert times.of_frames(np.arange(20.0)).tolist() == [*range(1, 15), *range(16, 20)]
    assert len(times.of_frames(np.arange(19.0))) == 19  # one for each file, or each number but the first: refused


@pytest.fixture
def weights(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_checkpoint(
        path,
        build_network(NETWORK),
        NETWORK,
        size=(32, 64),
        pose_network=build_pose_network(POSE_NETWORK),
        pose_network_config=POSE_NETWORK,
        metres_per_unit=5.4,
    )
    return path


def test_the_command_writes_metrics_and_trajectories(tmp_path, weights, capsys):
    write_kitti(tmp_path / "true.txt", drive(6))
    video, out = images(tmp_path / "video"), tmp_path / "out"
    command = ["odometry", str(video), "--weights", str(weights), "--out", str(out)]
    assert main([*command, "--poses", str(tmp_path / "true.txt"), "--trained-on", "true"]) == 0
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["frames"] == 6
    assert metrics["unit"] == "metres"
    assert metrics["provenance"]["weights"] == "net.safetensors"
    assert metrics["aligned_error_metres"] >= 0
    assert "trained on these frames" in capsys.readouterr().out
    assert len(read_poses(out / "trajectory_kitti.txt")) == 6
    assert np.loadtxt(out / "trajectory_tum.txt")[1, 0] == pytest.approx(0.1)
    assert (out / "trajectory.svg").read_text().lstrip().startswith("<?xml")
    assert main(command) == 2
    assert "not empty" in capsys.readouterr().err


def test_the_command_refuses_invalid_input(tmp_path, weights, capsys):
    write_kitti(tmp_path / "true.txt", drive(9))
    video = images(tmp_path / "video")
    command = ["odometry", str(video), "--weights", str(weights), "--out"]
    assert main([*command, str(tmp_path / "a"), "--poses", str(tmp_path / "true.txt")]) == 2
    assert "9 poses" in capsys.readouterr().err
    single = images(tmp_path / "single", 1)
    assert main(["odometry", str(single), "--weights", str(weights), "--out", str(tmp_path / "b")]) == 2
    assert "fewer than two frames" in capsys.readouterr().err
    alone = tmp_path / "alone.safetensors"
    save_checkpoint(alone, build_network(NETWORK), NETWORK, size=(32, 64))
    assert main(["odometry", str(video), "--weights", str(alone), "--out", str(tmp_path / "c")]) == 2
    assert "no pose network" in capsys.readouterr().err
