"""`hrdepth calibrate-scale`: known lengths in, weights that know their metres out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors import safe_open
from safetensors.torch import save_file

from hrdepth.checkpoints import read_checkpoint, scale_sentence
from hrdepth.config import CalibrateScaleConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.odometry import predict_motions
from hrdepth.evaluation.trajectory import read_poses
from hrdepth.files import atomic_path, existing_file
from hrdepth.media import frames, probe
from hrdepth.predictor import Prediction, Predictor, choose_device
from hrdepth.provenance import provenance
from hrdepth.scale.measurements import Measurement, camera_height, earth_ways, known_depths, moved_ways

__all__ = ["calibrate_scale"]

Floats = NDArray[np.float64]


def calibrate_scale(config: CalibrateScaleConfig) -> list[Measurement]:
    """Measure the metres of a unit in every way that `config` knows, print them, and write the weights with the best.

    Returns:
        The measurements, the one that scatters least first; that one is written.

    Raises:
        InputError: a file is missing or does not fit the pictures, or nothing can be measured.
    """
    out = Path(config.out)
    if out.exists() and not config.overwrite:
        raise InputError(f"{out} exists; choose another name, or pass --overwrite true")
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
    """Measure by what is known of depth in single pictures."""
    if config.camera_height is None and config.distances is None:
        return
    predictor = Predictor.from_file(config.weights, device=config.device)
    if predictor.canonical_focal is not None and config.intrinsics is None:
        raise InputError("these weights need the camera for depth: give --intrinsics fx,fy,cx,cy")
    matrix = _matrix(config)
    wanted = _read_distances(config.distances)
    seen: dict[tuple[str, int, int], float] = {}

    def predictions() -> Iterator[Prediction]:
        count = probe(config.input).count
        for frame in track(frames(config.input), "depth", total=count, console=Console(stderr=True)):
            if config.camera_height is None and frame.name not in {name for name, _, _ in wanted}:
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
            raise InputError(f"{config.distances}: {config.input} has no picture {missing[0]}")
        yield known_depths([seen[key] for key in wanted], list(wanted.values()))


def _by_motion(config: CalibrateScaleConfig) -> Iterator[Measurement]:
    """Measure by what is known of the camera's motion between frames."""
    ways: dict[str, Callable[[], Floats]] = {}
    if config.poses is not None:
        poses = read_poses(config.poses)
        ways["poses"] = lambda: np.linalg.norm(np.diff(poses[:, :3, 3], axis=0), axis=1)
    if config.speed is not None or config.speeds is not None:
        rate = _frames_per_second(config)
        if config.speeds is not None:
            speeds = _read_numbers(config.speeds, 1, "a speed in metres a second")[:, 0]
            ways["speed"] = lambda: (speeds[1:] + speeds[:-1]) / 2 / rate
    if config.gps is not None:
        places = _read_numbers(config.gps, 2, "latitude and longitude in degrees")
        ways["gps"] = lambda: earth_ways(places)
    if not ways and config.speed is None:
        return
    checkpoint = read_checkpoint(config.weights)
    if checkpoint.pose_network is None:
        raise InputError(f"the weights file {config.weights} holds no pose network, which known motion needs")
    network = checkpoint.pose_network.to(choose_device(config.device))
    motions = predict_motions(network, config.input, checkpoint.size, probe(config.input).count)
    predicted = np.linalg.norm(motions[:, :3, 3], axis=1)
    if config.speed is not None and config.speeds is None:
        constant = np.full(len(predicted), config.speed / rate)
        ways["speed"] = lambda: constant
    for kind, true in ways.items():
        yield moved_ways(kind, predicted, true())


def _write(config: CalibrateScaleConfig, out: Path, measurements: list[Measurement]) -> None:
    """Copy the weights with another metres_per_unit; the tensors stay as they are, bit by bit."""
    best = measurements[0]
    with safe_open(config.weights, framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    focal = json.loads(metadata.get("canonical_focal", "null"))
    history = json.loads(metadata.get("provenance", "{}"))
    measured = [asdict(measurement) for measurement in measurements]
    history["scale"] = {"taken": best.kind, "measured": measured, **provenance(input=Path(config.input).name)}
    header = {
        "metres_per_unit": best.metres_per_unit,
        "metres_per_unit_spread": best.spread,
        "scale": f"{scale_sentence(best.metres_per_unit, focal)}, +/- {best.spread:.1%}",
        "provenance": history,
    }
    with atomic_path(out) as temporary:
        save_file(tensors, temporary, metadata | {key: json.dumps(value) for key, value in header.items()})


def _frames_per_second(config: CalibrateScaleConfig) -> float:
    rate = config.frames_per_second or probe(config.input).fps
    if rate is None:
        raise InputError("a speed needs --frames-per-second, as a folder of pictures does not tell it")
    return rate


def _matrix(config: CalibrateScaleConfig) -> Floats | None:
    if config.intrinsics is None:
        return None
    fx, fy, cx, cy = config.intrinsics
    return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


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
            raise InputError(f"{path}, line {number}: '{line.strip()}' should be: picture x y metres") from error
    if not found or min(found.values()) <= 0:
        raise InputError(f"{path} must give at least one distance, and all above 0 metres")
    return found


def _read_numbers(path: str, columns: int, what: str) -> Floats:
    file = existing_file(path, "the file of the frames")
    try:
        rows = np.loadtxt(file, dtype=np.float64, ndmin=2)
    except (ValueError, UnicodeDecodeError) as error:
        raise InputError(f"{file} must give {what} a line ({error})") from error
    if rows.shape[1] != columns or not np.isfinite(rows).all():
        raise InputError(f"{file} must give {what} a line, {columns} finite number(s)")
    return rows
