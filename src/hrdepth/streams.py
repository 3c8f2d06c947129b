"""A picture, a folder or a video through a Predictor, written to disk one picture at a time."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from hrdepth.errors import InputError
from hrdepth.files import atomic_path, output_folder, write_json
from hrdepth.media import MediaInfo, VideoWriter, frames, probe, write_depth_png, write_image
from hrdepth.predictor import Prediction, Predictor
from hrdepth.provenance import provenance
from hrdepth.visualize import StableRange, colorize_disparity, panel

__all__ = ["predict_to_folder", "write_npz"]

VIDEO_WIDTH = 4096
"""Wider videos are scaled down to this: many players cannot decode more."""


@dataclass
class _Run:
    """What is wanted, where, and what has been written so far."""

    out: Path
    npz: bool
    depth_png: bool
    panel: bool
    written: list[Path] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    done: int = 0

    def add(self, name: str) -> Path:
        self.written.append(self.out / name)
        return self.written[-1]


def predict_to_folder(
    predictor: Predictor,
    source: str | Path,
    out: str | Path,
    *,
    npz: bool | None = None,
    depth_png: bool = False,
    panel: bool = True,
    overwrite: bool = False,
    progress: bool = True,
    intrinsics: ArrayLike | None = None,
    weights: str | None = None,
) -> list[Path]:
    """Predict depth for a picture, a folder or a video and write what came of it.

    A picture NAME gives NAME_disparity.png (magma, near is bright), NAME_panel.png (picture and disparity
    side by side), NAME.npz (see `write_npz`) and NAME_depth.png (16 bits, depth x 256, in metres where they
    are known and in network units otherwise). A video NAME gives NAME_panel.mp4, or NAME_disparity.mp4
    without panels, with colours that do not flicker, and the other files per frame under NAME_000000 and so
    on. predict.json says what was done and what the numbers mean.

    A picture of a folder that cannot be read is reported on stderr and in predict.json and left out; so is
    the rest of a video that is damaged further on. Ctrl-C leaves what is finished, a video playable.

    Args:
        predictor: the network.
        source: a picture, a folder of pictures, or a video.
        out: the folder for the results, made if missing.
        npz: write the .npz files; by default for pictures and folders, not for videos.
        depth_png: write the 16-bit PNGs.
        panel: write panels.
        overwrite: write into a folder that holds something.
        progress: show a progress bar on stderr.
        intrinsics: (3,3) in pixels of the pictures, kept in the .npz files; see `Prediction`.
        weights: the name of the weights, for predict.json.

    Returns:
        The paths of the files written, predict.json last.

    Raises:
        InputError: `source` is no picture, folder of pictures or video, not one picture of it can be read,
            or `out` cannot be written, holds something already, or is `source` itself.
    """
    source, out = Path(source), Path(out)
    info = probe(source)
    if info.kind == "folder" and out.resolve() == source.resolve():
        raise InputError(f"the results cannot go into the folder of the pictures, {source}; choose another with --out")
    npz = info.kind != "video" if npz is None else npz
    run = _Run(output_folder(out, overwrite=overwrite), npz=npz, depth_png=depth_png, panel=panel)
    complete = False
    try:
        _predict_all(predictor, source, info, run, intrinsics, progress)
        complete = True
    finally:
        if run.done:
            manifest = _manifest(predictor, source, info, run, weights, intrinsics)
            write_json(run.add("predict.json"), {**manifest, "complete": complete and not run.skipped})
    if not run.done:
        raise InputError(f"not one picture of {source} can be read: {run.skipped[0]}")
    return run.written


def write_npz(path: str | Path, prediction: Prediction) -> None:
    """Write a prediction as .npz, atomically; `numpy.load` reads it without pickle.

    Arrays: disparity and depth (H,W) float32, min_depth and max_depth in network units, scale (what a unit
    of depth is, a text), metres_per_unit, intrinsics (3,3) and canonical_focal only where they are known.

    Raises:
        InputError: the folder cannot be written.
    """
    arrays: dict[str, Any] = {
        "disparity": prediction.disparity,
        "depth": prediction.depth,
        "min_depth": np.float64(prediction.min_depth),
        "max_depth": np.float64(prediction.max_depth),
        "scale": np.array(prediction.scale),
        "metres_per_unit": prediction.metres_per_unit,
        "intrinsics": prediction.intrinsics,
        "canonical_focal": prediction.canonical_focal,
    }
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **{name: value for name, value in arrays.items() if value is not None})


def _predict_all(
    predictor: Predictor,
    source: Path,
    info: MediaInfo,
    run: _Run,
    intrinsics: ArrayLike | None,
    progress: bool,
) -> None:
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ExitStack() as stack:
        console = Console(stderr=True)
        shown = progress and console.is_terminal
        bar = stack.enter_context(Progress(*columns, console=console, disable=not shown))
        task = bar.add_task(source.name, total=info.count)

        def skip(error: InputError) -> None:
            run.skipped.append(str(error))
            bar.console.print(f"left out: {error}", markup=False, highlight=False, soft_wrap=True)
            bar.advance(task)

        video, colours = None, StableRange()
        if info.kind == "video":
            name = run.add(f"{source.stem}_{'panel' if run.panel else 'disparity'}.mp4")
            video = stack.enter_context(VideoWriter(name, info.fps))
        pictures = frames(source, on_error=skip if info.kind == "folder" else None)
        while True:
            try:
                frame = next(pictures)
            except StopIteration:
                break
            except InputError as error:
                if not run.done or video is None:
                    raise
                skip(error)
                break
            prediction = predictor(frame.image, intrinsics)
            _write_arrays(prediction, frame.name, run)
            if video is not None:
                video.write(_video_frame(prediction, colours, run.panel))
            else:
                _write_pictures(prediction, frame.name, run)
            run.done += 1
            bar.advance(task)


def _write_pictures(prediction: Prediction, name: str, run: _Run) -> None:
    write_image(run.add(f"{name}_disparity.png"), colorize_disparity(prediction.disparity))
    if run.panel:
        write_image(run.add(f"{name}_panel.png"), panel(prediction.image, prediction.disparity))


def _write_arrays(prediction: Prediction, name: str, run: _Run) -> None:
    if run.npz:
        write_npz(run.add(f"{name}.npz"), prediction)
    if run.depth_png:
        metric = prediction.metres_per_unit is not None
        write_depth_png(run.add(f"{name}_depth.png"), prediction.depth_metres if metric else prediction.depth)


def _video_frame(prediction: Prediction, colours: StableRange, with_picture: bool) -> NDArray[np.uint8]:
    low, high = colours.update(prediction.disparity)
    if with_picture:
        image = panel(prediction.image, prediction.disparity, vmin=low, vmax=high, labels=None)
    else:
        image = colorize_disparity(prediction.disparity, low, high)
    height, width = image.shape[:2]
    if width <= VIDEO_WIDTH:
        return image
    smaller = (VIDEO_WIDTH, round(height * VIDEO_WIDTH / width))
    return np.array(Image.fromarray(image).resize(smaller, Image.Resampling.BILINEAR))


def _manifest(
    predictor: Predictor,
    source: Path,
    info: MediaInfo,
    run: _Run,
    weights: str | None,
    intrinsics: ArrayLike | None,
) -> dict[str, Any]:
    metric = predictor.metres_per_unit is not None
    camera = "" if predictor.canonical_focal is None or intrinsics is None else ", x fx / (canonical_focal x width)"
    return provenance(
        input={"name": source.name or source.resolve().name, "kind": info.kind, "fps": info.fps},
        network={
            "weights": None if weights is None else Path(weights).name,
            "size": list(predictor.size),
            "min_depth": predictor.min_depth,
            "max_depth": predictor.max_depth,
            "metres_per_unit": predictor.metres_per_unit,
            "canonical_focal": predictor.canonical_focal,
            "flip": predictor.flip,
        },
        intrinsics=None if intrinsics is None else np.asarray(intrinsics).tolist(),
        units={
            "disparity": "the network's sigmoid output in (0,1)",
            "depth": f"network units, 1 / (1/max_depth + (1/min_depth - 1/max_depth) x disparity){camera}",
            "metres": f"depth x {predictor.metres_per_unit:g}" if metric else None,
            "depth_png": f"16 bits, value / 256 = {'metres' if metric else 'network units'}, 0 = none, "
            "65535 = 255.996 or more",
        },
        pictures=run.done,
        skipped=[reason.replace(str(source), source.name) for reason in run.skipped],
        files=[path.name for path in run.written if path.exists()],
    )
