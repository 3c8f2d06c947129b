"""Write predictions in order, and continue a video where a killed process stopped."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from hrdepth.config import Outputs
from hrdepth.errors import MALFORMED, InputError
from hrdepth.inference.outputs import video_frame, wanted
from hrdepth.inference.predictor import Prediction
from hrdepth.inference.smoothing import Flicker, Smoother
from hrdepth.io.arrays import open_archive
from hrdepth.io.depth_video import DepthVideoWriter
from hrdepth.io.files import atomic_path, parse_json
from hrdepth.io.video_parts import VideoParts
from hrdepth.io.video_writer import VideoWriter
from hrdepth.io.visualize import StableRange

__all__ = ["Writer"]

log = logging.getLogger(__name__)

VIDEO_WIDTH = 4096
"""Wider videos are scaled down to this: many players cannot decode more."""
PART_FRAMES = 100
"""Frames of a video between two points from which it can be resumed."""


@dataclass
class Writer:
    """Writes predictions to a folder, in order; a context manager.

    A video is written in parts, in the folder NAME_unfinished, which are joined at the end. What the next frame depends
    on is saved with each part, so that a resumed video equals one that was not interrupted.

    Args:
        out: the folder.
        outputs: what is wanted.
        video: the stem of the files of a video, None for images.
        fps: of the video.
        resume: continue the video from the last part of an earlier process.

    Attributes:
        written: the files, in order.
        done: predictions written; of a resumed video also those of the earlier process.

    Raises:
        InputError: what an earlier process left is damaged.
    """

    out: Path
    outputs: Outputs
    video: str | None = None
    fps: float | None = None
    resume: bool = False
    written: list[Path] = field(default_factory=list)
    done: int = 0

    def __post_init__(self) -> None:
        self._colours = StableRange()
        smooth = self.outputs.smooth
        self._smoother = None if smooth is None else Smoother(smooth)  # type: ignore[arg-type]  # it checks
        self._flicker = {"network": Flicker(), "smoothed": Flicker()} if self.outputs.flicker else {}
        self._starts_over = True
        self._frames: VideoParts | None = None
        self._depths: VideoParts | None = None

    @property
    def _unfinished(self) -> Path:
        return self.out / f"{self.video}_unfinished"

    def __enter__(self) -> Writer:
        if self.video is None:
            return self
        state = self._restore() if self.resume else None
        self._starts_over = state is None
        state = state or {"frames": None, "depths": None}
        name = f"{self.video}_{'panel' if self.outputs.panel else 'disparity'}.mp4"
        self._frames = VideoParts(VideoWriter, self._add(name), self.fps, self._unfinished, state["frames"])
        if self.outputs.depth_video:
            path = self._add(f"{self.video}_depth.mkv")
            self._depths = VideoParts(DepthVideoWriter, path, self.fps, self._unfinished, state["depths"])
        self.written += self._frame_files(self.done)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.video is None:
            return
        try:
            if error is None or (isinstance(error, KeyboardInterrupt) and self.done):
                for video in self._videos:
                    video.end_part()
                    video.join()
            else:
                for video in self._videos:
                    video.give_up(error)
        finally:
            if not self._state_file.exists():
                self.remove_parts()

    def begin(self) -> None:
        """Make room for the parts of a video that is not continued; called before its first frame is written."""
        if self.video is not None and self._starts_over:
            self.remove_parts()
            self._unfinished.mkdir()

    def remove_parts(self) -> None:
        """Remove the parts of the video, once it is joined and nothing else is left to do."""
        if self.video is not None:
            self._state_file.unlink(missing_ok=True)  # first, as parts alone are no reason to resume
            shutil.rmtree(self._unfinished, ignore_errors=True)

    def __call__(self, name: str, prediction: Prediction, seconds: float | None = None) -> None:
        """Write the wanted files of the next prediction; `seconds` is when a video shows its frame."""
        prediction = self._smoothed(prediction)
        for output in wanted(self.outputs):
            if output.of_frames or self._frames is None:
                output.write(self._add(f"{name}{output.suffix}"), prediction)
        if self._frames is not None:
            self._frames.write(video_frame(prediction, self._colours, self.outputs.panel, VIDEO_WIDTH), seconds)
        if self._depths is not None:
            self._depths.write(prediction.best_depth, seconds)
        self.done += 1
        if self._frames is not None and self.done % PART_FRAMES == 0:
            for video in self._videos:
                video.end_part()
            self._save()

    def flicker(self) -> dict[str, float] | None:
        """Return the flicker figure: `network` as predicted, `smoothed` where disparity was."""
        return {name: round(found.value, 5) for name, found in self._flicker.items() if found.pairs} or None

    @property
    def _videos(self) -> list[VideoParts]:
        return [video for video in (self._frames, self._depths) if video is not None]

    @property
    def _state_file(self) -> Path:
        return self._unfinished / "state.npz"

    def _save(self) -> None:
        """Save what the next frame depends on; the parts so far are complete."""
        assert self._frames is not None
        state = {
            "done": self.done,
            "frames": self._frames.state(),
            "depths": self._depths and self._depths.state(),
            "colours": self._colours.range,
            "flicker": {name: (found.total, found.pairs) for name, found in self._flicker.items()},
        }
        arrays = {"state": np.array(json.dumps(state))}
        lasts = {name: found.last for name, found in self._flicker.items()}
        lasts["smoother"] = None if self._smoother is None else self._smoother.last
        for name, last in lasts.items():
            if last is not None:
                arrays[f"{name}_image"], arrays[f"{name}_disparity"] = last
        with atomic_path(self._state_file, durable=True) as temporary, temporary.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy's stub has an option among them

    def _restore(self) -> dict[str, Any] | None:
        """Set what the next frame depends on as the last part left it; None if there is no part.

        Raises:
            InputError: it is damaged.
        """
        path = self._state_file
        if not path.is_file():
            return None
        try:
            with open_archive(path) as arrays:
                state: dict[str, Any] = parse_json(str(arrays["state"]))
                lasts = {
                    name: (arrays[f"{name}_image"], arrays[f"{name}_disparity"])
                    for name in ("smoother", *self._flicker)
                    if f"{name}_image" in arrays
                }
            missing = next((file for file in self._frame_files(state["done"]) if not file.is_file()), None)
            if missing is not None:
                log.info("%s is missing; the video is predicted from its first frame on", missing)
                return None
            self.done = int(state["done"])
            self._colours.range = state["colours"] and tuple(state["colours"])
            if self._smoother is not None:
                self._smoother.last = lasts.get("smoother")
            for name, found in self._flicker.items():
                found.total, found.pairs = state["flicker"][name]
                found.last = lasts.get(name)
        except (*MALFORMED, OSError) as error:
            raise InputError(f"{path} is damaged ({error}); pass --overwrite true to start over") from error
        log.info("resuming at frame %d", self.done)
        return state

    def _frame_files(self, count: int) -> list[Path]:
        """Return the files of the first `count` frames of the video."""
        endings = [output.suffix for output in wanted(self.outputs) if output.of_frames]
        return [self.out / f"{self.video}_{index:06d}{ending}" for index in range(count) for ending in endings]

    def _smoothed(self, prediction: Prediction) -> Prediction:
        if self._flicker:
            self._flicker["network"].update(prediction.image, prediction.disparity)
        if self._smoother is None:
            return prediction
        prediction = replace(prediction, disparity=self._smoother(prediction.image, prediction.disparity))
        if self._flicker:
            self._flicker["smoothed"].update(prediction.image, prediction.disparity)
        return prediction

    def _add(self, name: str) -> Path:
        self.written.append(self.out / name)
        return self.written[-1]
