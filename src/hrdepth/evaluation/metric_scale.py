"""`hrdepth calibrate-scale`: known lengths in, weights with their scale in metres out."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors import safe_open
from safetensors.torch import save_file

from hrdepth.camera import DepthScale
from hrdepth.compute import choose_device
from hrdepth.config import CalibrateScaleConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.odometry import predict_motions
from hrdepth.evaluation.scale_measurements import Measurement, camera_height, earth_ways, known_depths, moved_ways
from hrdepth.evaluation.trajectory import read_poses, read_rows
from hrdepth.geometry import pinhole
from hrdepth.inference.predictor import Prediction, Predictor
from hrdepth.io.files import atomic_path, existing_file, output_file
from hrdepth.io.media import frames, probe
from hrdepth.io.provenance import provenance
from hrdepth.weights.checkpoint import read_checkpoint
from hrdepth.weights.find import locate_weights

__all__ = ["calibrate_scale"]

Floats = NDArray[np.float64]


def calibrate_scale(config: CalibrateScaleConfig) -> list[Measurement]:
    """Measure the metres of a unit in every way that `config` knows, print them, and write the weights with the best.

    Returns:
        The measurements, the one that scatters least first; that one is written.

    Raises:
        InputError: a file is missing or does not fit the images, or nothing can be measured.
    """
    out = output_file(config.out, overwrite=config.overwrite)
    measurements = sorted([*_by_depth(config), *_by_motion(config)], key=lambda measurement: measurement.spread)
    console = Console()
    table = Table("known", "metres a unit", "spread", "measured", "left out")
    for found in measurements:
        table.add_row(
            found.kind, f"{found.metres_per_unit:.4g}", f"{found.spread:.1%}", str(found.count), str(found.left_out)
        )
    console.print(table)
    if len(measurements) > 1:
        factors = [found.metres_per_unit for found in measurements]
        console.print(f"the ways differ by {max(factors) / min(factors) - 1:.1%}")
    _write(config, out, measurements)
    console.print(str(out))
    return measurements


def _by_depth(config: CalibrateScaleConfig) -> Iterator[Measurement]:
    """Measure by what is known of depth in single images."""
    if config.camera_height is None and config.distances is None:
        return
    predictor = Predictor.from_file(config.weights, device=config.device)
    if predictor.canonical_focal is not None and config.intrinsics is None:
        raise InputError("these weights need the camera for depth: give --intrinsics fx,fy,cx,cy, in pixels")
    matrix = None if config.intrinsics is None else pinhole(*config.intrinsics)
    wanted = _read_distances(config.distances)
    named = {name for name, _, _ in wanted}
    seen: dict[tuple[str, int, int], float] = {}

    def predictions() -> Iterator[Prediction]:
        count = probe(config.input).count
        for frame in track(frames(config.input), "depth", total=count, console=Console(stderr=True)):
            if config.camera_height is None and frame.name not in named:
                continue
            prediction = predictor(frame.image, matrix)
            height, width = prediction.depth.shape
            for name, x, y in wanted:
                if name == frame.name:
                    if not (0 <= x < width and 0 <= y < height):
                        raise InputError(f"{config.distances}: pixel {x} {y} lies outside {name}, {width}x{height}")
                    seen[name, x, y] = float(prediction.depth[y, x])
            yield prediction

    if config.camera_height is not None:
        assert matrix is not None  # the config sees to it
        yield camera_height((prediction.depth for prediction in predictions()), matrix, config.camera_height)
    else:
        for _ in predictions():
            pass
    if wanted:
        missing = [name for name, x, y in wanted if (name, x, y) not in seen]
        if missing:
            raise InputError(f"{config.distances}: {config.input} has no image {missing[0]}")
        yield known_depths([seen[key] for key in wanted], list(wanted.values()))


def _by_motion(config: CalibrateScaleConfig) -> Iterator[Measurement]:
    """Measure by what is known of the camera's motion between frames."""
    ways: dict[str, Floats | float] = {}  # a number: the same way between all frames
    if config.poses is not None:
        ways["poses"] = np.linalg.norm(np.diff(read_poses(config.poses)[:, :3, 3], axis=0), axis=1)
    if config.speeds is not None:
        speeds = read_rows(config.speeds, 1, "a speed in metres a second")[:, 0]
        ways["speed"] = (speeds[1:] + speeds[:-1]) / 2 / _frames_per_second(config)
    elif config.speed is not None:
        ways["speed"] = config.speed / _frames_per_second(config)
    if config.gps is not None:
        ways["gps"] = earth_ways(read_rows(config.gps, 2, "latitude and longitude in degrees"))
    if not ways:
        return
    checkpoint = read_checkpoint(locate_weights(config.weights))
    if checkpoint.pose_network is None:
        raise InputError(f"the weights file {config.weights} holds no pose network, which known motion needs")
    network = checkpoint.pose_network.to(choose_device(config.device))
    motions = predict_motions(network, config.input, checkpoint.size, probe(config.input).count)
    predicted = np.linalg.norm(motions[:, :3, 3], axis=1)
    for kind, true in ways.items():
        yield moved_ways(kind, predicted, np.full(len(predicted), true) if isinstance(true, float) else true)


def _write(config: CalibrateScaleConfig, out: Path, measurements: list[Measurement]) -> None:
    """Copy the weights with another metres_per_unit; the tensors stay as they are, bit by bit."""
    best = measurements[0]
    with safe_open(locate_weights(config.weights), framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    focal = json.loads(metadata.get("canonical_focal", "null"))
    scale = DepthScale(metres_per_unit=best.metres_per_unit, canonical_focal=focal)
    history = json.loads(metadata.get("provenance", "{}"))
    measured = [asdict(measurement) for measurement in measurements]
    history["scale"] = {"taken": best.kind, "measured": measured, **provenance(input=Path(config.input).name)}
    header = {
        "metres_per_unit": best.metres_per_unit,
        "metres_per_unit_spread": best.spread,
        "scale": f"{scale.sentence}, +/- {best.spread:.1%}",
        "provenance": history,
    }
    with atomic_path(out) as temporary:
        save_file(tensors, temporary, metadata | {key: json.dumps(value) for key, value in header.items()})


def _frames_per_second(config: CalibrateScaleConfig) -> float:
    rate = config.frames_per_second or probe(config.input).fps
    if rate is None:
        raise InputError("a speed needs --frames-per-second, which a folder of images does not have")
    return rate


def _read_distances(path: str | None) -> dict[tuple[str, int, int], float]:
    if path is None:
        return {}
    found = {}
    for number, line in enumerate(existing_file(path, "the file of distances").read_text().splitlines(), 1):
        if not line.strip():
            continue
        try:
            name, x, y, metres = line.split()
            found[name, round(float(x)), round(float(y))] = float(metres)
        except ValueError as error:
            raise InputError(f"{path}, line {number}: '{line.strip()}' should be: image x y metres") from error
    if not found or min(found.values()) <= 0:
        raise InputError(f"{path} must give at least one distance, and all above 0 metres")
    return found
