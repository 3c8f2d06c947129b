"""`hrdepth calibrate-scale`: known lengths in, weights with their scale in metres out."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.progress import track
from rich.table import Table
from safetensors import safe_open

from hrdepth.camera import DepthScale, pinhole
from hrdepth.compute import choose_device
from hrdepth.config import CalibrateScaleConfig
from hrdepth.config.safe_yaml import read_text
from hrdepth.errors import InputError
from hrdepth.evaluation.odometry import FrameTimes, predict_motions, warn
from hrdepth.evaluation.road import road_height
from hrdepth.evaluation.trajectory import read_poses, read_rows
from hrdepth.inference.predictor import Prediction, Predictor
from hrdepth.inference.runtimes import SUFFIXES
from hrdepth.io.files import existing_file, output_file, parse_json
from hrdepth.io.media import MediaInfo, frames, named_images, probe, shown_intrinsics
from hrdepth.io.provenance import provenance
from hrdepth.weights.checkpoint import read_checkpoint
from hrdepth.weights.find import locate_weights
from hrdepth.weights.tensor_files import write_stored

__all__ = ["ScaleMeasurement", "calibrate_scale", "camera_height", "known_depths", "travelled_distances"]

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
EARTH_RADIUS = 6371008.8  # metres, mean
FEW = 5  # ratios; the spread of fewer is by chance
LEAST = 0.1  # metres between frames that are measured by


def calibrate_scale(config: CalibrateScaleConfig) -> list[ScaleMeasurement]:
    """Measure the metres of a unit by all known lengths of `config`, print them, and write the weights with the best.

    Returns:
        The measurements, that with the smallest spread first, those of fewer than `FEW` ratios last; the first one is
        written.

    Raises:
        InputError: a file is missing or does not fit the images, the weights are an exported file, or nothing can be
            measured.
    """
    out = output_file(config.out, overwrite=config.overwrite)
    if (weights := locate_weights(config.weights)).suffix in SUFFIXES:
        raise InputError(
            f"{weights} is an exported file, which cannot store the scale; give the .safetensors it is from"
        )
    media = probe(config.input)
    measurements = sorted(
        [*_by_depth(config, media), *_by_motion(config, media)],
        key=lambda measurement: (measurement.count < FEW, measurement.spread),
    )
    if measurements[0].count < FEW:
        log.warning(
            "the scale is that of %d known lengths alone (%s), whose spread says little; give %d or more",
            measurements[0].count, measurements[0].kind, FEW,
        )  # fmt: skip
    _write(config, out, measurements)
    console = Console()
    table = Table("known", "metres a unit", "spread", "measured", "left out")
    for found in measurements:
        counts = map(str, (found.count, found.left_out))
        table.add_row(found.kind, f"{found.metres_per_unit:.4g}", f"{found.spread:.1%}", *counts)
    console.print(table)
    if len(measurements) > 1:
        factors = [found.metres_per_unit for found in measurements]
        console.print(f"the measurements differ by {max(factors) / min(factors) - 1:.1%}")
    console.print(str(out), markup=False)
    return measurements


def _by_depth(config: CalibrateScaleConfig, media: MediaInfo) -> Iterator[ScaleMeasurement]:
    """Measure by known depth in single images."""
    if config.camera_height is None and config.distances is None:
        return
    predictor = Predictor.from_file(config.weights, device=config.device)
    predictor.scale.check_depth()
    if predictor.canonical_focal is not None and config.intrinsics is None:
        raise InputError("these weights need the camera for depth: give --intrinsics fx,fy,cx,cy, in pixels")
    matrix = None if config.intrinsics is None else shown_intrinsics(media, pinhole(*config.intrinsics))
    wanted = {} if config.distances is None else _read_distances(config.distances)
    if named := named_images(media):  # of a video the names are known when its frames are read
        for name, _, _ in wanted:
            if name not in named:
                raise InputError(
                    f"{config.distances}: {config.input} has no image {name}; images are named {_some(named)}"
                )
    seen: dict[tuple[str, int, int], float] = {}

    def predictions() -> Iterator[Prediction]:
        for frame in track(frames(media, warn), "depth", total=media.count, console=Console(stderr=True)):
            if config.camera_height is None and all(frame.name != name for name, _, _ in wanted):
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
        assert matrix is not None  # checked by the config
        yield camera_height((prediction.depth for prediction in predictions()), matrix, config.camera_height)
    else:
        for _ in predictions():
            pass
    if wanted:
        missing = [name for name, x, y in wanted if (name, x, y) not in seen]
        if missing:
            raise InputError(f"{config.distances}: {config.input} has no image {missing[0]}")
        yield known_depths([seen[key] for key in wanted], list(wanted.values()))


def _some(names: Iterable[str]) -> str:
    """Return the first names, for a message."""
    first = list(islice(names, 4))
    return f"{', '.join(first[:3])}{', ...' if len(first) > 3 else ''}"


def _by_motion(config: CalibrateScaleConfig, media: MediaInfo) -> Iterator[ScaleMeasurement]:
    """Measure by the known motion of the camera between frames."""
    positions: dict[str, Floats] = {}
    speeds: Floats | None = None
    if config.poses is not None:
        positions["poses"] = read_poses(config.poses)[:, :3, 3]
    if config.speeds is not None:
        speeds = read_rows(config.speeds, 1, "a speed in metres a second")[:, 0]
    if config.gps is not None:
        positions["gps"] = read_rows(config.gps, 2, "latitude and longitude in degrees")
        if (np.abs(positions["gps"]) > (90, 360)).any():
            raise InputError(f"{config.gps} must give latitudes from -90 to 90 degrees and longitudes, in this order")
    with_speed = speeds is not None or config.speed is not None
    rate = _frames_per_second(config, media) if with_speed else None
    if not (positions or with_speed):
        return
    checkpoint = read_checkpoint(locate_weights(config.weights))
    checkpoint.scale.check_depth()
    if checkpoint.pose_network is None:
        raise InputError(f"the weights file {config.weights} holds no pose network, which known motion needs")
    network, times = checkpoint.pose_network.to(choose_device(config.device)), FrameTimes()
    motions = predict_motions(network, media, checkpoint.size, times.add)
    # Nothing is known of a motion across frames that are missing.
    predicted = np.where(times.missing[1:], 0.0, np.linalg.norm(motions[:, :3, 3], axis=1))
    for kind, rows in positions.items():
        rows = times.of_frames(rows)
        true = gps_distances(rows) if kind == "gps" else np.linalg.norm(np.diff(rows, axis=0), axis=1)
        yield travelled_distances(kind, predicted, true)
    if with_speed:
        speeds = np.full(len(motions) + 1, config.speed) if speeds is None else times.of_frames(speeds)
        mean, seconds = (speeds[1:] + speeds[:-1]) / 2, np.diff(times.seconds(config.frames_per_second, rate))
        yield travelled_distances("speed", predicted, mean * seconds if len(mean) == len(seconds) else mean)


def _write(config: CalibrateScaleConfig, out: Path, measurements: list[ScaleMeasurement]) -> None:
    """Copy the weights with another metres_per_unit; the tensors do not change."""
    best = measurements[0]
    with safe_open(locate_weights(config.weights), framework="pt") as file:
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
        metadata = dict(file.metadata())
    focal = parse_json(metadata.get("canonical_focal", "null"))
    scale = DepthScale(metres_per_unit=best.metres_per_unit, canonical_focal=focal)
    history = parse_json(metadata.get("provenance", "{}"))
    measured = list(map(asdict, measurements))
    history["scale"] = {"taken": best.kind, "measured": measured, **provenance(input=Path(config.input).name)}
    precision = f"+/- {best.spread:.1%}" if best.count >= FEW else f"from {best.count} known lengths alone"
    header = {
        "metres_per_unit": best.metres_per_unit,
        "metres_per_unit_spread": best.spread,
        "scale": f"{scale.sentence}, {precision}",
        "provenance": history,
    }
    write_stored(out, tensors, metadata | {key: json.dumps(value) for key, value in header.items()})


def _frames_per_second(config: CalibrateScaleConfig, media: MediaInfo) -> float:
    rate = config.frames_per_second or media.fps
    if rate is None:
        raise InputError("a speed needs --frames-per-second, which a folder of images does not have")
    return rate


def _read_distances(path: str) -> dict[tuple[str, int, int], float]:
    found: dict[tuple[str, int, int], float] = {}
    for number, line in enumerate(read_text(existing_file(path, "the file of distances")).splitlines(), 1):
        if not line.strip():
            continue
        try:
            name, x, y, distance = line.strip().rsplit(maxsplit=3)
            pixel, metres = (name, round(float(x)), round(float(y))), float(distance)
        except (ValueError, OverflowError) as error:
            raise InputError(f"{path}, line {number}: '{line.strip()[:100]}' should be: image x y metres") from error
        if not 0 < metres < math.inf:
            raise InputError(f"{path}, line {number}: the distance {distance} must be above 0 metres, and finite")
        if found.setdefault(pixel, metres) != metres:
            raise InputError(f"{path}, line {number}: another distance of this pixel is given above; remove one")
    if not found:
        raise InputError(f"{path} must give at least one distance")
    return found


@dataclass(frozen=True)
class ScaleMeasurement:
    """Metres of a unit, measured by one kind of known length.

    Attributes:
        kind: `camera_height`, `poses`, `speed`, `gps` or `distances`.
        metres_per_unit: the median of the ratios.
        spread: half the width of the middle 68 % of the ratios, as a share of the median: a robust standard deviation.
        count: number of ratios.
        left_out: number of frames or pairs without one.
    """

    kind: str
    metres_per_unit: float
    spread: float
    count: int
    left_out: int

    @classmethod
    def of(cls, kind: str, ratios: Iterable[float], tried: int, reason: str) -> ScaleMeasurement:
        """Summarise the ratios; raise InputError with `reason` if there are none."""
        values = np.array([ratio for ratio in ratios if np.isfinite(ratio) and ratio > 0])
        if not len(values):
            raise InputError(f"{kind} does not determine the scale: {reason}")
        low, middle, high = np.percentile(values, [16, 50, 84])
        return cls(kind, float(middle), float((high - low) / 2 / middle), len(values), tried - len(values))


def camera_height(depths: Iterable[NDArray[np.floating]], intrinsics: Floats, metres: float) -> ScaleMeasurement:
    """Measure by the camera's height above the road in each image.

    Args:
        depths: (H,W) each, in units.
        intrinsics: (3,3) in pixels of them.
        metres: the true height.

    Raises:
        InputError: no image shows a road.
    """
    heights = [road_height(depth, intrinsics) for depth in depths]
    found = [metres / height for height in heights if height]
    return ScaleMeasurement.of("camera_height", found, len(heights), "no image shows a flat road in its lower middle")


def travelled_distances(kind: str, predicted: ArrayLike, true: ArrayLike) -> ScaleMeasurement:
    """Measure by the distances travelled between consecutive frames.

    Args:
        kind: source of the true distances.
        predicted: (N-1), units.
        true: (N-1), metres; those below `LEAST` are ignored, as they are imprecise.

    Raises:
        InputError: their numbers differ, or no distance is long enough.
    """
    distances, metres = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    if distances.shape != metres.shape:
        raise InputError(
            f"{kind} gives {len(metres) + 1} frames, the images are {len(distances) + 1}; give one for each"
        )
    long = (metres >= LEAST) & (distances > 0)
    return ScaleMeasurement.of(
        kind, metres[long] / distances[long], len(distances), f"no two frames are {LEAST:g} m apart"
    )


def known_depths(predicted: ArrayLike, true: ArrayLike) -> ScaleMeasurement:
    """Measure by predicted depths (N), units, of pixels with known depths (N), metres."""
    depths, metres = np.asarray(predicted, dtype=np.float64), np.asarray(true, dtype=np.float64)
    return ScaleMeasurement.of("distances", metres / depths, len(depths), "no distance is given")


def gps_distances(positions: Floats) -> Floats:
    """Return great-circle distances (N-1), metres, between positions (N,2), latitude and longitude in degrees."""
    latitude, longitude = np.radians(positions).T
    half = np.sin(np.diff(latitude) / 2) ** 2
    half += np.cos(latitude[1:]) * np.cos(latitude[:-1]) * np.sin(np.diff(longitude) / 2) ** 2
    return np.asarray(2 * EARTH_RADIUS * np.arcsin(np.sqrt(half)))
