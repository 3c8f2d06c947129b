"""Tests of evaluation/metric_scale.py and road.py.

What a unit of depth is in metres, from known lengths.
"""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from clips import timed
from PIL import Image
from safetensors import safe_open

import hrdepth.evaluation.metric_scale
from hrdepth.cli import main
from hrdepth.config import CalibrateScaleConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.metric_scale import (
    ScaleMeasurement,
    _read_distances,
    calibrate_scale,
    camera_height,
    gps_distances,
    known_depths,
    travelled_distances,
)
from hrdepth.evaluation.road import road_height
from hrdepth.io.media import Frame
from hrdepth.networks import build_network, build_pose_network
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from tiny_networks import NETWORK, POSE_NETWORK

K = np.array([[60.0, 0, 48], [0, 60.0, 20], [0, 0, 1]])


def street(height=1.5, pitch=0.0, size=(64, 96)):
    """Depth of a flat road that ends in a wall 30 units ahead."""
    y, _ = np.mgrid[: size[0], : size[1]]
    slope = (y - K[1, 2]) / K[1, 1]
    # The road: cos(pitch) y + sin(pitch) z = height, y = slope z.
    down = np.cos(pitch) * slope + np.sin(pitch)
    depth = np.full(size, 30.0)
    depth[down > 0] = np.minimum(30, height / down[down > 0])
    return depth


@pytest.mark.parametrize("pitch", [-0.05, 0, 0.1])
def test_camera_height_is_found_over_a_pitched_road(pitch):
    assert road_height(street(1.5, pitch), K) == pytest.approx(1.5, rel=1e-6)


def test_camera_height_is_found_with_a_car_ahead_and_noise():
    depth = street() * np.random.default_rng(1).normal(1, 0.01, (64, 96))
    depth[38:50, 40:56] = 4.0
    assert road_height(depth, K) == pytest.approx(1.5, rel=0.02)


def test_an_image_of_a_wall_has_no_road():
    assert road_height(np.full((64, 96), 5.0), K) is None


def test_camera_height_leaves_out_images_without_a_road():
    found = camera_height([street(0.3), np.full((64, 96), 5.0), street(0.3)], K, 1.65)
    assert found.metres_per_unit == pytest.approx(5.5)
    assert (found.count, found.left_out) == (2, 1)
    with pytest.raises(InputError, match="flat road"):
        camera_height([np.full((64, 96), 5.0)], K, 1.65)


def test_travelled_distances_ignore_stops():
    found = travelled_distances("poses", [0.2, 0.2, 0.3, 0.001], [1.0, 1.0, 1.5, 0.005])
    assert found == ScaleMeasurement("poses", pytest.approx(5), pytest.approx(0), 3, 1)
    with pytest.raises(InputError, match=r"0\.1 m apart"):
        travelled_distances("poses", [0.2], [0.0])
    with pytest.raises(InputError, match="gives 3 frames, the images are 2"):
        travelled_distances("gps", [0.2], [1.0, 1.0])


def test_spread_is_that_of_a_normal_distribution():
    ratios = np.random.default_rng(0).normal(5, 0.5, 20000)
    found = known_depths(np.ones(20000), ratios)
    assert found.metres_per_unit == pytest.approx(5, rel=0.01)
    assert found.spread == pytest.approx(0.1, rel=0.05)


def test_gps_distances_are_great_circles():
    # A minute of latitude is a nautical mile; at 60 degrees north one of longitude is half of it.
    distances = gps_distances(np.array([[60, 8], [60 + 1 / 60, 8], [60 + 1 / 60, 8 + 1 / 60]]))
    assert distances == pytest.approx([1853, 926], rel=2e-3)


@pytest.mark.parametrize(
    ("known", "message"),
    [
        ({}, "at least one"),
        ({"camera_height": 1.65}, "intrinsics"),
        ({"speed": -1.0}, "positive"),
    ],
)
def test_the_config_refuses_invalid_settings(known, message):
    with pytest.raises(InputError, match=message):
        CalibrateScaleConfig("w", "o", "i", **known)


@pytest.fixture
def drive(tmp_path):
    """Weights with a pose network, six images, their poses."""
    torch.manual_seed(0)
    save_checkpoint(
        tmp_path / "net.safetensors",
        build_network(NETWORK),
        NETWORK,
        size=(64, 64),
        pose_network=build_pose_network(POSE_NETWORK),
        pose_network_config=POSE_NETWORK,
    )
    (tmp_path / "video").mkdir()
    random = np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(random.integers(0, 255, (40, 80, 3), dtype=np.uint8)).save(tmp_path / f"video/{index}.png")
    rows = np.tile(np.eye(4)[:3].reshape(12), (6, 1))
    rows[:, 11] = np.arange(6) * 0.8
    np.savetxt(tmp_path / "poses.txt", rows)
    return tmp_path


def command(drive, *more):
    weights, out = drive / "net.safetensors", drive / "scaled.safetensors"
    return main(["calibrate-scale", str(weights), "--input", str(drive / "video"), "--out", str(out), *map(str, more)])


def test_few_lengths_come_last_whatever_their_spread(drive, caplog):
    """One length has no spread; many that scatter determine the scale better."""
    (drive / "distances.txt").write_text("0 40 20 500\n")
    assert command(drive, "--poses", drive / "poses.txt", "--distances", drive / "distances.txt") == 0
    assert read_provenance(drive)["taken"] == "poses"
    assert not caplog.records
    (drive / "scaled.safetensors").unlink()
    assert command(drive, "--distances", drive / "distances.txt") == 0
    assert "1 known lengths alone (distances), whose spread says little" in caplog.text
    with safe_open(drive / "scaled.safetensors", "pt") as file:
        assert "from 1 known lengths alone" in file.metadata()["scale"]


def read_provenance(drive):
    with safe_open(drive / "scaled.safetensors", "pt") as file:
        return json.loads(file.metadata()["provenance"])["scale"]


@pytest.mark.parametrize(
    ("line", "message"),
    [("0.png 40 20 5", "has no image 0.png; images are named 0, 1, 2, ..."), ("0 40 20 nan", "above 0 metres"),
     ("0 40 20 inf", "above 0 metres"), ("", "at least one distance"),
     ("0 40 20.4 5\n0 40 20.2 6", "line 2: another distance of this pixel is given above")],
)  # fmt: skip
def test_distances_that_fit_no_image_are_refused_before_anything_is_predicted(drive, capsys, line, message):
    (drive / "distances.txt").write_text(line)
    assert command(drive, "--distances", drive / "distances.txt") == 2
    assert message in capsys.readouterr().err


def test_poses_and_speed_agree_and_are_written(drive, capsys):
    assert command(drive, "--poses", drive / "poses.txt", "--speed", 8, "--frames-per-second", 10) == 0
    assert "the measurements differ by 0.0%" in capsys.readouterr().out
    before, after = read_checkpoint(drive / "net.safetensors"), read_checkpoint(drive / "scaled.safetensors")
    assert before.scale.metres_per_unit is None
    assert after.scale.metres_per_unit > 0
    assert all(torch.equal(a, b) for a, b in zip(before.network.parameters(), after.network.parameters(), strict=True))
    with safe_open(drive / "scaled.safetensors", "pt") as file:
        header = {key: json.loads(value) for key, value in file.metadata().items() if key != "format"}
    assert header["metres_per_unit_spread"] >= 0
    assert header["scale"].startswith("metres = ")
    assert {way["kind"] for way in header["provenance"]["scale"]["measured"]} == {"poses", "speed"}
    assert command(drive, "--poses", drive / "poses.txt") == 2
    assert "exists" in capsys.readouterr().err


def test_evaluation_uses_the_measured_factor(drive):
    from hrdepth import Predictor

    (drive / "known.txt").write_text("2 40 20 12.5\n")
    assert command(drive, "--distances", drive / "known.txt") == 0
    predicted = Predictor.from_file(drive / "scaled.safetensors")(drive / "video/2.png").depth_metres
    assert predicted[20, 40] == pytest.approx(12.5, rel=1e-5)


def test_gps_and_speeds_are_read_for_each_frame(drive):
    np.savetxt(drive / "gps.txt", np.stack([48 + np.arange(6) * 1e-5, np.full(6, 8.0)], axis=1))
    np.savetxt(drive / "speeds.txt", np.full(6, 11.12))
    out = ["--gps", drive / "gps.txt", "--speeds", drive / "speeds.txt", "--frames-per-second", 10]
    assert command(drive, *out) == 0
    with safe_open(drive / "scaled.safetensors", "pt") as file:
        measured = json.loads(file.metadata()["provenance"])["scale"]["measured"]
    factors = {way["kind"]: way["metres_per_unit"] for way in measured}
    assert factors["gps"] == pytest.approx(factors["speed"], rel=1e-3)


def test_a_speed_counts_the_seconds_between_frames(drive, monkeypatch):
    """Of a variable frame rate, and without the motion across frames that are missing."""

    def predict(network, source, size, seen):
        for index, (seconds, missing) in enumerate([(0.0, 0), (0.1, 0), (0.5, 0), (2.5, 3), (2.6, 0)]):
            seen(Frame(str(index), np.zeros((2, 2, 3), np.uint8), index, seconds, missing=missing))
        motions = np.tile(np.eye(4), (4, 1, 1))
        motions[:, 2, 3] = -1.0, -4.0, -7.0, -1.0
        return motions

    monkeypatch.setattr(hrdepth.evaluation.metric_scale, "predict_motions", predict)
    (drive / "speeds.txt").write_text("20\n" * 8)
    for number, given in enumerate((["--speed", 20], ["--speeds", drive / "speeds.txt"])):
        video = timed(drive / "drive.mkv", [np.zeros((64, 64, 3), np.uint8)] * 5)
        weights, out = drive / "net.safetensors", drive / f"scaled{number}.safetensors"
        assert main(["calibrate-scale", str(weights), "--input", str(video), "--out", str(out), *map(str, given)]) == 0
        with safe_open(out, "pt") as file:
            measured = json.loads(file.metadata()["provenance"])["scale"]["measured"]
        assert [
            (found["metres_per_unit"], found["spread"], found["count"], found["left_out"]) for found in measured
        ] == [(pytest.approx(2.0), pytest.approx(0, abs=1e-6), 3, 1)]


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("distances", "2 40 20\n", "image x y metres"),
        ("distances", "9 40 20 5\n", "no image 9"),
        ("distances", "2 400 20 5\n", "outside"),
        ("distances", "2 40 20 -5\n", "above 0"),
        ("gps", "48 8\n48 8\n", "2 frames, the images are 6"),
        ("gps", "139.7 35.6\n" * 6, "latitudes from -90 to 90"),
        ("gps", "48\n", "latitude"),
        ("speeds", "1\n2\n", "frames-per-second"),
        ("poses", "1 2\n", "12"),
    ],
)
def test_the_command_refuses_invalid_input(drive, capsys, name, text, sentence):
    (drive / "known.txt").write_text(text)
    assert command(drive, f"--{name}", drive / "known.txt") == 2
    assert sentence in capsys.readouterr().err
    assert not (drive / "scaled.safetensors").exists()


def test_an_exported_file_is_refused_before_anything_is_measured(tmp_path):
    (tmp_path / "net.onnx").write_bytes(b"")
    config = CalibrateScaleConfig(str(tmp_path / "net.onnx"), str(tmp_path / "out"), str(tmp_path / "none"), speed=9.0)
    with pytest.raises(InputError, match="net.onnx is an exported file, which cannot store the scale"):
        calibrate_scale(config)


def test_distances_in_another_encoding_get_one_sentence(tmp_path):
    (tmp_path / "distances.txt").write_bytes("straße 10 20 3.5\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"distances\.txt is no text file in UTF-8"):
        _read_distances(str(tmp_path / "distances.txt"))
    (tmp_path / "distances.txt").write_bytes("straße 10 20 3.5\n".encode("utf-8-sig"))
    assert _read_distances(str(tmp_path / "distances.txt")) == {("straße", 10, 20): 3.5}
