"""An image, a folder or a video through a Predictor, written to disk while the next images are predicted."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, closing, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hrdepth.camera import LearnedCamera
from hrdepth.config import Outputs
from hrdepth.errors import InputError
from hrdepth.inference.manifest import (
    MANIFEST,
    KnownCamera,
    check_resume,
    content_digests,
    forget_changed,
    made_files,
    remove_results,
    settings,
)
from hrdepth.inference.outputs import check_outputs, image_files, resolve_outputs
from hrdepth.inference.pipeline import WriteBehind, read_ahead
from hrdepth.inference.predictor import Prediction, Predictor
from hrdepth.inference.writer import Writer
from hrdepth.io.files import output_folder, write_json
from hrdepth.io.image_files import result_name
from hrdepth.io.locks import locked_folder
from hrdepth.io.media import Frame, MediaInfo, frames, probe, shown_intrinsics
from hrdepth.io.progress import progress_bar
from hrdepth.io.provenance import provenance

__all__ = ["predict_to_folder"]

log = logging.getLogger(__name__)


@dataclass
class _Run:
    """The state of a run.

    Attributes:
        info: of what is predicted.
        writer: writes the results.
        described: its settings, for the manifest.
        resumes: whether it continues an earlier one.
        kept: images written by the earlier one.
        skipped: why some could not be read.
        begun: whether something was predicted.
    """

    info: MediaInfo
    writer: Writer
    described: dict[str, Any]
    resumes: bool
    kept: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    begun: bool = False

    @property
    def source(self) -> Path:
        """What is predicted."""
        return self.info.path

    def begin(self) -> None:
        """Replace the results of an earlier run, now that the network has predicted something, by a new manifest.

        None of them may be taken for a result of this run, should it be killed and resumed.
        """
        if self.begun:
            return
        self.begun = True
        if not self.resumes:
            remove_results(self.writer.out, self.info)
        self.writer.begin()
        write_json(self.writer.out / MANIFEST, provenance(**self.described, complete=False))

    def is_wanted(self, name: str) -> bool:
        """Return whether an image of a folder has yet to be predicted; note those that have been."""
        files = image_files(name, self.writer.outputs)
        if all((self.writer.out / file).is_file() for file in files):
            self.kept.append(name)
            self.writer.written += [self.writer.out / file for file in files]
            return False
        return True


def predict_to_folder(
    predictor: Predictor,
    source: str | Path | MediaInfo,
    out: str | Path,
    outputs: Outputs | None = None,
    *,
    overwrite: bool = False,
    resume: bool = False,
    progress: bool = True,
    intrinsics: ArrayLike | None = None,
    camera: LearnedCamera | None = None,
    batch: int = 1,
) -> list[Path]:
    """Predict depth for an image, a folder or a video and write the results.

    An image NAME gives NAME_disparity.png (magma, near is bright), NAME_panel.png (image and disparity
    side by side), NAME.npz (see `write_npz`) and NAME_depth.png (16 bits, depth x 256, in metres where they
    are known and in network units otherwise), NAME.ply and NAME.glb (points). A video NAME gives NAME_panel.mp4, or
    NAME_disparity.mp4 without panels, with colours that do not flicker, NAME_depth.mkv, and the other files per frame
    under NAME_000000 and so on. predict.json describes the run and the units.

    The next images are read and the last results written while the network computes; a few wait on either side, so
    memory does not grow with their number. An image of a folder that cannot be read is reported on stderr and in
    predict.json and skipped; so is the rest of a video that is damaged, or changes its size, further on. Ctrl-C leaves
    what is finished: a playable video or some of the images, and `resume` completes them, also after the process was
    killed; a video then continues from the last multiple of `PART_FRAMES` frames. Of a live source only the newest
    frame is predicted, and Ctrl-C is the regular end.

    Args:
        predictor: the network.
        source: an image, a folder of images, a video or a live source; as a path, or as `probe` describes it.
        out: the folder for the results, made if missing.
        outputs: what to write.
        overwrite: write into a folder that holds something; the results that predict.json names there are deleted once
            something is predicted, and no other files.
        resume: continue what a stopped run left in `out`: images whose files are there, and that have not changed, are
            not predicted again; a video is continued as if it had not been interrupted.
        progress: show a progress bar on stderr.
        intrinsics: (3,3) in pixels of the images, all of one size; stored in the .npz files, see `Prediction`.
        camera: whose intrinsics were learned, instead of `intrinsics`; brought to each image's size.
        batch: images that the network sees at once.

    Returns:
        The paths of the files that are there, predict.json last.

    Raises:
        InputError: `source` is no image, folder of images or video, not one image of it can be read,
            `out` cannot be written, holds something already, or is `source` itself, the outputs do not fit the input
            or the network, `out` cannot be resumed, or `intrinsics` are given and the images differ in size.
    """
    info = source if isinstance(source, MediaInfo) else probe(source, live=True)
    source, out = info.path, Path(out)
    if info.kind == "folder" and out.resolve() == source.resolve():
        raise InputError(f"the results cannot go into the folder of the images, {source}; choose another with --out")
    outputs = resolve_outputs(outputs or Outputs(), info.kind)
    check_outputs(outputs, predictor.scale)
    known: KnownCamera = camera
    if camera is None and intrinsics is not None:
        known = shown_intrinsics(info, np.asarray(intrinsics, dtype=np.float64))
    described = settings(predictor, source, info, outputs, known)
    digests = content_digests(info)
    resume = resume and out.is_dir() and any(out.iterdir())
    video = result_name(source.stem) if info.kind == "video" else None
    output_folder(out, overwrite=overwrite or resume)
    busy = f"another process writes into {out}; wait for its end, or choose another folder"
    with locked_folder(out, busy) if resume or video else nullcontext():
        run = _Run(info, Writer(out, outputs, video, info.fps, resume), described, resumes=resume)
        if resume:
            before = check_resume(info, outputs, out, described)
            forget_changed(before, digests, info, outputs, out)
            if video and before.get("complete") and (made := made_files(before, out)):
                log.info("%s is complete", out)
                run.writer.remove_parts()
                return made
        run.described["images"] = digests
        _predict_and_describe(predictor, run, known, progress=progress, batch=batch)
    return run.writer.written


def _predict_and_describe(predictor: Predictor, run: _Run, known: KnownCamera, *, progress: bool, batch: int) -> None:
    """Predict all, with a manifest from the first prediction to the end."""
    complete = False
    try:
        _predict_all(predictor, run, known, progress=progress, batch=batch)
        complete = True
    finally:
        if run.writer.done or run.kept:
            _finish(run, complete=complete and not run.skipped)
            if complete:
                run.writer.remove_parts()
        elif run.begun:
            (run.writer.out / MANIFEST).unlink(missing_ok=True)
    if not (run.writer.done or run.kept):
        raise InputError(f"not one image of {run.source} can be read: {run.skipped[0]}")


def _finish(run: _Run, *, complete: bool) -> None:
    writer = run.writer
    content = provenance(
        **run.described,
        pictures=writer.done + len(run.kept),
        kept=len(run.kept),
        flicker=writer.flicker(),
        skipped=[reason.replace(str(run.source), run.source.name) for reason in run.skipped],
        files=[path.name for path in writer.written if path.exists()],
        complete=complete,
    )
    write_json(writer.out / MANIFEST, content)
    writer.written.append(writer.out / MANIFEST)


def _predict_all(predictor: Predictor, run: _Run, known: KnownCamera, *, progress: bool, batch: int) -> None:
    info = run.info
    with ExitStack() as stack:
        bar = stack.enter_context(progress_bar(shown=progress))
        task = bar.add_task(run.source.name, total=info.count)

        def skip(error: InputError) -> None:
            run.skipped.append(str(error))
            bar.console.print(f"skipped: {error}", markup=False, highlight=False, soft_wrap=True)
            bar.advance(task)

        def is_wanted(name: str) -> bool:
            wanted = run.is_wanted(name)
            bar.advance(task, 0 if wanted else 1)
            return wanted

        def write(named: tuple[str, Prediction, float | None]) -> None:
            run.writer(*named)
            bar.advance(task)

        stack.enter_context(run.writer)
        behind = stack.enter_context(WriteBehind(write))
        images = frames(
            info,
            on_error=None if info.kind == "image" else skip,
            is_wanted=is_wanted if info.kind == "folder" and run.resumes else None,
            first=run.writer.done,
        )
        bar.advance(task, run.writer.done)
        begun = run.writer.done > 0
        # Frames of a live source are dropped, not queued.
        live = info.live is not None
        ahead = closing(images) if live else read_ahead(images)  # type: ignore[type-var]
        waiting = _until_damaged(stack.enter_context(ahead), info, skip, begun=begun)
        try:
            while some := list(islice(waiting, 1 if live else batch)):
                cameras = [_intrinsics(known, frame) for frame in some]
                predictions = predictor.predict_batch([frame.image for frame in some], cameras)
                run.begin()
                for frame, prediction in zip(some, predictions, strict=True):
                    behind.put((frame.name, prediction, frame.seconds))
                begun = True
        except KeyboardInterrupt:
            if not live or not begun:
                raise


def _until_damaged(images: Iterator[Frame], info: MediaInfo, skip: Any, *, begun: bool) -> Iterator[Frame]:
    """Yield frames; after its first frame a video ends where it is damaged, changes size, or a live source breaks off.

    Args:
        images: the frames.
        info: of what they are.
        skip: called with the error that ends a video.
        begun: whether a resumed video's first frames were predicted before.
    """
    size = next(frames(info)).image.shape if begun else None
    try:
        for frame in images:
            size = size or frame.image.shape
            if info.kind == "video" and frame.image.shape != size:
                was, now = (f"{width}x{height}" for height, width, _ in (size, frame.image.shape))
                raise InputError(
                    f"the video {info.path} changes its size from {was} to {now} at frame {frame.index}; what follows "
                    "is left out"
                )
            begun = True
            yield frame
    except InputError as error:
        if not begun or info.kind != "video":
            raise
        skip(error)


def _intrinsics(known: KnownCamera, frame: Frame) -> ArrayLike | None:
    height, width = frame.image.shape[:2]
    if isinstance(known, LearnedCamera):
        return known.intrinsics((height, width))
    if known is not None:
        cx, cy = np.asarray(known)[:2, 2]
        if frame.index == 0 and not (0 < cx < width and 0 < cy < height):
            log.warning(
                "the principal point (%g, %g) lies outside %s, %dx%d; are the intrinsics in pixels of another size?",
                cx, cy, frame.name, width, height,
            )  # fmt: skip
    return known
