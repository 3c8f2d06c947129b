"""What the page and its API do with a session, without Gradio: predict, measure depth, show points, write files."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.resources import files as package_files
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.app.viewpoint import Viewpoint, centre_box, choose_viewpoint
from hrdepth.app.visitors import Session, clip_frames, kind_of, read_upload
from hrdepth.config import Outputs, UploadLimits
from hrdepth.errors import InputError
from hrdepth.inference.outputs import cloud_intrinsics, describe_cloud, lift, limit_width, video_frame
from hrdepth.inference.predictor import Prediction, Predictor
from hrdepth.inference.writer import Writer
from hrdepth.io.images import write_image
from hrdepth.io.pointcloud import assumed_intrinsics, write_glb
from hrdepth.io.video_writer import VideoWriter
from hrdepth.io.visualize import StableRange, colorize_disparity

__all__ = [
    "EXAMPLES",
    "answer",
    "clip_video",
    "cloud_for_page",
    "depth_at",
    "load_upload",
    "scale_caveat",
    "warm_up",
    "write_downloads",
]

EXAMPLES = sorted(Path(str(package_files("hrdepth.app"))).glob("examples/*.jpg"))
"""The rendered streets that come with the page."""

SHOWN_WIDTH = 1600
"""Pixels; wider images are scaled down to be shown, not in the files."""
CLIP_WIDTH = 1920
"""Of the image and its disparity side by side, pixels."""
PAGE_POINTS = 300_000
FAR_MEDIANS = 4.0
"""The page's cloud ends at this many median depths: sky and skyline would make the rest tiny."""


def warm_up(predictor: Predictor, folder: Path) -> None:
    """Run every step once, so that the first visitor waits no longer than the next.

    Args:
        predictor: the network.
        folder: to work in; removed afterwards.

    Raises:
        InputError: the network does not work.
    """
    session = Session(folder)
    folder.mkdir()
    try:
        load_upload(session, Path(shutil.copy(EXAMPLES[0], folder)), UploadLimits())
        answer(session, predictor)
        with suppress(InputError):  # an untrained network's depth may leave no point, and some networks give no depth
            write_downloads(session)
            cloud_for_page(session)
    finally:
        shutil.rmtree(folder)


def load_upload(session: Session, path: Path, limits: UploadLimits) -> None:
    """Check an upload and make it the session's image; the uploaded file is removed.

    Raises:
        InputError: it is no image or clip, damaged, or too large.
    """
    try:
        kind = kind_of(path, limits)
        if kind == "image":
            image, clip = np.array(read_upload(path, limits)), None
        else:
            image = next(iter(clip_frames(path, limits))).image
            clip = path.replace(session.folder / f"clip{path.suffix[:8]}")
    finally:
        path.unlink(missing_ok=True)
    session.name = re.sub(r"[^\w-]+", "_", path.stem)[:60].strip("_") or kind
    session.store(image)
    if session.clip is not None and session.clip != clip:  # of another suffix: the new one has not replaced it
        session.clip.unlink(missing_ok=True)
    session.clip = clip


def answer(session: Session, predictor: Predictor, focal: float | None = None) -> tuple[str, str]:
    """Predict for the session's image.

    Args:
        session: holds the image.
        predictor: the network.
        focal: fx in pixels of the image, where it is known.

    Returns:
        Paths of two images of the same size to lay over each other: the image and its coloured disparity.

    Raises:
        InputError: there is no image, or what `Predictor` raises.
    """
    if session.image is None:
        raise InputError("there is no image yet; send one first")
    session.begin()
    prediction = predictor(session.image, _intrinsics(session.image.shape[:2], focal))
    session.answer(prediction)
    colours = colorize_disparity(prediction.disparity)
    shown = limit_width(session.image, SHOWN_WIDTH), limit_width(colours, SHOWN_WIDTH)
    paths = session.fresh(".jpg"), session.fresh("_shown.jpg")
    for path, image in zip(paths, shown, strict=True):
        write_image(path, image)
    return str(paths[0]), str(paths[1])


def depth_at(session: Session, x: float, y: float) -> dict[str, float | int | str | None]:
    """Return the depth at a point of the image.

    Args:
        session: holds the prediction.
        x: from 0, the left border, to 1, the right one.
        y: from 0, the upper border, to 1, the lower one.

    Returns:
        column and row in pixels, depth, its unit ("m" or "units"), disparity, and the meaning of a unit in words. Depth
        is None, and its unit "", where the network gives none.

    Raises:
        InputError: there is no image yet, or the point is outside.
    """
    prediction = session.answered
    if not all(isinstance(one, int | float) for one in (x, y)):
        raise InputError("a point has two numbers, from 0 to 1")
    if not (0 <= x <= 1 and 0 <= y <= 1):
        raise InputError(f"the point ({x:g}, {y:g}) is outside the image; x and y run from 0 to 1")
    height, width = prediction.disparity.shape
    has_depth = prediction.depth_scale.has_depth
    column, row = min(int(x * width), width - 1), min(int(y * height), height - 1)
    at = replace(
        prediction, disparity=np.array(prediction.disparity[row : row + 1])
    )  # the focal length needs its width
    return {
        "column": column,
        "row": row,
        "depth": round(float(at.best_depth[0, column]), 4) if has_depth else None,
        "unit": "" if not has_depth else "units" if prediction.metres_per_unit is None else "m",
        "disparity": round(float(at.disparity[0, column]), 6),
        "scale": prediction.scale,
    }


def scale_caveat(prediction: Prediction) -> str:
    """Return in a few words how far the depth can be trusted as metres, or ""."""
    if not prediction.depth_scale.has_depth:
        return prediction.depth_scale.sentence
    if prediction.metres_per_unit is None:
        return "up to scale: metres are not known"
    if prediction.canonical_focal is not None and prediction.intrinsics is None:
        return f"for a focal length of {cloud_intrinsics(prediction)[0, 0]:.0f} pixels; set another on the left"
    return ""


def cloud_for_page(session: Session, background: tuple[int, int, int] | None = None) -> tuple[str, Viewpoint]:
    """Write the cloud that the page shows, thinned and without the far end, as GLB.

    Args:
        session: holds the prediction.
        background: the viewer's colour, to add invisible points that centre its rotation on the middle of the view;
            None adds none.

    Returns:
        Its path, and where to see it from.

    Raises:
        InputError: the network gives no depth.
    """
    path, prediction = session.fresh(".glb"), session.answered
    cloud = lift(prediction, FAR_MEDIANS, PAGE_POINTS)
    view = choose_viewpoint(cloud)
    if background is not None:
        cloud = centre_box(cloud, view.target, background)
    write_glb(path, cloud, describe_cloud(prediction))
    return str(path), view


def write_downloads(session: Session) -> list[str]:
    """Write coloured disparity, 16-bit depth, arrays and points, as `hrdepth predict` does; return their paths.

    Without depth, only disparity and arrays.
    """
    depth = session.answered.depth_scale.has_depth
    ends = ("_disparity.png", "_depth.png", ".npz", ".ply") if depth else ("_disparity.png", ".npz")
    paths = [session.fresh(end) for end in ends]
    outputs = Outputs(npz=True, depth_png=depth, ply=depth, panel=False)
    with Writer(paths[0].parent, outputs) as write:
        write(session.name, session.answered)
    return [str(path) for path in paths]


def clip_video(
    session: Session, predictor: Predictor, limits: UploadLimits, focal: float | None, progress: Callable[[int], None]
) -> str:
    """Predict for every frame of the session's clip, which is there; return the path of an MP4.

    Raises:
        InputError: the clip is damaged, or longer than its header states.
    """
    assert session.clip is not None
    path, colours = session.fresh("_panel.mp4"), StableRange()
    frames = clip_frames(session.clip, limits)
    first = next(frames)
    with VideoWriter(path, first.fps) as video:
        for index, frame in enumerate(chain([first], frames)):
            prediction = predictor(frame.image, _intrinsics(frame.image.shape[:2], focal))
            video.write(video_frame(prediction, colours, with_image=True, widest=CLIP_WIDTH), frame.seconds)
            progress(index + 1)
    return str(path)


def _intrinsics(size: tuple[int, ...], focal: float | None) -> NDArray[np.float64] | None:
    if not focal:
        return None
    if not (isinstance(focal, int | float) and 0 < focal < 1e6):
        raise InputError(
            f"the focal length {focal!r:.40} must be a number of pixels of the image, above 0 and below 1e6"
        )
    return assumed_intrinsics((size[0], size[1]), focal / size[1])
