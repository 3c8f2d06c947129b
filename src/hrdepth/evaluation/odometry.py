"""`hrdepth odometry`: the trajectory that a pose network predicts for a video, compared with the true one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from math import sqrt
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from rich.console import Console
from rich.progress import track
from torch import Tensor, nn

from hrdepth.compute import choose_device
from hrdepth.config import OdometryConfig
from hrdepth.data.sample import image_tensor
from hrdepth.errors import InputError
from hrdepth.evaluation.trajectory import (
    Poses,
    align,
    chain,
    check_motion,
    read_poses,
    segment_errors,
    snippet_error,
    trajectory_error,
    write_kitti,
    write_tum,
)
from hrdepth.geometry import pose_matrix
from hrdepth.io.files import output_folder, write_json
from hrdepth.io.media import Frame, MediaInfo, frames, probe
from hrdepth.io.plotting import colour, new_figure, save, style
from hrdepth.io.provenance import provenance
from hrdepth.weights.checkpoint import read_checkpoint
from hrdepth.weights.find import locate_weights

__all__ = ["FrameTimes", "bridge", "compare_trajectories", "odometry", "predict_motions", "warn"]

log = logging.getLogger(__name__)

FRAMES_PER_SECOND = 10.0  # KITTI's


def odometry(config: OdometryConfig) -> dict[str, Any]:
    """Write trajectory, errors and plot of `config.input` into `config.out`, and print the errors.

    Returns:
        The content of metrics.json.

    Raises:
        InputError: the weights have no pose network, the input has fewer than two frames, or the true poses do not
            fit or stand still.
    """
    checkpoint = read_checkpoint(locate_weights(config.weights))
    if checkpoint.pose_network is None:
        raise InputError(f"the weights file {config.weights} holds no pose network, which a trajectory needs")
    true = read_poses(config.poses) if config.poses is not None else None
    if true is not None:
        check_motion(true)
    media = probe(config.input)
    folder = output_folder(config.out, overwrite=config.overwrite)
    times = FrameTimes()
    motions = predict_motions(
        checkpoint.pose_network.to(choose_device(config.device)), media, config.size or checkpoint.size, times.add
    )
    predicted = chain(bridge(motions, times.missing))
    unit = checkpoint.scale.metres_per_unit
    if unit is not None:
        predicted[:, :3, 3] *= unit
    true = None if true is None else times.of_frames(true)
    if true is not None and len(true) != len(predicted):
        raise InputError(f"{config.poses} has {len(true)} poses, {config.input} has {len(predicted)} frames")
    write_kitti(folder / "trajectory_kitti.txt", predicted)
    write_tum(folder / "trajectory_tum.txt", predicted, times.seconds(config.frames_per_second, media.fps))
    result: dict[str, Any] = {
        "input": Path(config.input).name,
        "frames": len(predicted),
        "unit": "metres" if unit is not None else "up to scale",
        "trained_on": config.trained_on,
        "missing": {str(index): count for index, count in enumerate(times.missing) if count},
    }
    if true is not None:
        result |= compare_trajectories(true, predicted, metric=unit is not None)
    _plot(folder, predicted, true)
    result["provenance"] = provenance(weights=Path(config.weights).name)
    write_json(folder / "metrics.json", result)
    _report(result, folder)
    return result


class FrameTimes:
    """When the frames of an input were taken, and how many are missing before each, see `io.media.Gaps`."""

    def __init__(self) -> None:
        self.stated: list[float | None] = []
        self.missing: list[int] = []

    def add(self, frame: Frame) -> None:
        """Note the next frame."""
        self.stated.append(frame.seconds)
        self.missing.append(frame.missing)

    def seconds(self, rate: float | None, stated_rate: float | None) -> NDArray[np.float64]:
        """Return the times (N) from 0: by the given rate, as the video says, or by a constant rate."""
        known = np.array([np.nan if time is None else time for time in self.stated])
        if rate is None and np.isfinite(known).all() and (np.diff(known) > 0).all():
            return np.asarray(known - known[0])
        return self._places() / (rate or stated_rate or FRAMES_PER_SECOND)

    def of_frames(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the values of the frames that were read; unchanged if there is not one for each and each missing.

        If more are missing than is known, as at the end, there are more values, so that no frame gets another's.
        """
        places = self._places() + self.missing[0]
        return values[places] if len(values) == places[-1] + 1 else values

    def _places(self) -> NDArray[np.int64]:
        return np.cumsum([1 + count for count in self.missing]) - 1 - self.missing[0]


def bridge(motions: Poses, missing: Sequence[int]) -> Poses:
    """Replace the motions (N-1,4,4) across missing frames, for which a pose network is not made.

    The motion before, or after where there is none, is repeated.

    Args:
        motions: between the frames that were read.
        missing: before each of the N frames.

    Raises:
        InputError: frames are missing between all.
    """
    known = [index for index, count in enumerate(missing[1:]) if not count]
    if not known:
        raise InputError("frames are missing between all that can be read, so that no motion is known")
    bridged = motions.copy()
    for index, count in enumerate(missing[1:]):
        if count:
            near = max((other for other in known if other < index), default=known[0])
            bridged[index] = np.linalg.matrix_power(motions[near], count + 1)
            log.warning(
                "%d frames are missing before frame %d; the motion before is assumed to continue there",
                count,
                index + 1,
            )
    return bridged


def predict_motions(
    network: nn.Module,
    source: str | Path | MediaInfo,
    size: tuple[int, int],
    seen: Callable[[Frame], None] | None = None,
) -> Poses:
    """Predict the motion between consecutive frames.

    Args:
        network: a pose network, see `networks.pose.PoseNet`.
        source: a source for `media.frames`.
        size: (height, width) of the network's input.
        seen: called with each frame.

    Returns:
        (N-1,4,4), the transform of points from each frame's camera to the next one's, in network units.

    Raises:
        InputError: there are fewer than two frames.
    """
    media = source if isinstance(source, MediaInfo) else probe(source)
    device = next(network.parameters()).device
    motions: list[Tensor] = []
    last: Tensor | None = None
    with torch.inference_mode():
        for frame in track(frames(media, warn), "poses", total=media.count, console=Console(stderr=True)):
            if seen is not None:
                seen(frame)
            current = image_tensor(Image.fromarray(frame.image), size)[None].to(device)  # (1,3,H,W)
            if last is not None:
                axis_angle, translation = network(torch.cat([last, current], dim=1))
                motions.append(pose_matrix(axis_angle[:, 0, 0], translation[:, 0, 0])[0].cpu())
            last = current
    if not motions:
        raise InputError(f"{media.path} has fewer than two frames; a trajectory needs a video or a folder of frames")
    return torch.stack(motions).double().numpy()


def warn(error: InputError) -> None:
    """Log what of an input cannot be read, and continue with the rest."""
    log.warning("%s", error)


def compare_trajectories(true: Poses, predicted: Poses, *, metric: bool) -> dict[str, Any]:
    """Return all errors of a trajectory (N,4,4) against the true one (N,4,4) in metres.

    Args:
        true: camera to world, metres.
        predicted: camera to world.
        metric: whether `predicted` is in metres, so that KITTI's segments are also measured without scaling; else only
            with one scale fitted for the whole drive.
    """
    aligned, scale = align(true, predicted)
    result: dict[str, Any] = {"aligned_error_metres": trajectory_error(true, aligned), "fitted_scale": scale}
    if len(true) >= 5:
        mean, deviation = snippet_error(true, predicted)
        result["snippet_error_metres"] = {"mean": mean, "standard_deviation": deviation, "frames": 5}
        result["snippet_error_as_published"] = {"mean": mean / sqrt(5), "standard_deviation": deviation / sqrt(5)}
    scaled = predicted.copy()
    scaled[:, :3, 3] *= scale
    result["segments_scaled"] = segment_errors(true, scaled)
    if metric:
        result["segments"] = segment_errors(true, predicted)
    return result


def _plot(folder: Path, predicted: Poses, true: Poses | None) -> None:
    """Draw the trajectory from above, aligned with the true one if that is known."""
    label, unit = "predicted", ""
    with style():
        figure = new_figure(6, 6)
        axes = figure.add_subplot(aspect="equal")
        if true is not None:
            axes.plot(true[:, 0, 3], true[:, 2, 3], color="#000000", label="true")
            predicted, label, unit = align(true, predicted)[0], "predicted, aligned", " (m)"
        axes.plot(predicted[:, 0, 3], predicted[:, 2, 3], color=colour(0), label=label)
        axes.set(xlabel=f"x{unit}", ylabel=f"z{unit}")
        axes.legend()
        axes.grid(alpha=0.3)
        save(figure, folder, "trajectory", ["svg"])


def _report(result: dict[str, Any], folder: Path) -> None:
    console = Console()
    if "aligned_error_metres" in result:
        console.print(
            f"aligned trajectory error {result['aligned_error_metres']:.3f} m, scale {result['fitted_scale']:.3f}"
        )
        if "snippet_error_metres" in result:
            snippet, published = result["snippet_error_metres"], result["snippet_error_as_published"]
            console.print(
                f"five frames: {snippet['mean']:.4f} m, standard deviation {snippet['standard_deviation']:.4f}; as in "
                f"published tables {published['mean']:.4f}"
            )
        for name, what in (("segments", "in its own metres"), ("segments_scaled", "one scale fitted")):
            segments = result.get(name)
            if segments and segments["segments"]:
                console.print(
                    f"KITTI segments, {what}: {segments['translation_percent']:.2f} %, "
                    f"{segments['rotation_degrees_per_100m']:.3f} degrees in 100 m, {segments['segments']} segments"
                )
        if result["trained_on"]:
            console.print("the network was trained on these frames")
    console.print(str(folder), markup=False)
