"""Faults of a recording: duplicates, still stretches, cuts, too much motion, jumps of exposure, bad stereo pairs."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.check.finding import Finding
from hrdepth.io.images import read_image
from hrdepth.prepare.motion import STILL, Step, is_cut, measure_step, opencv, small, two_way_flow
from hrdepth.prepare.selection import runs

__all__ = ["Recording", "examine_sequence", "examine_stereo"]

# Mean absolute difference, as a share of the brightness range: one image stored twice gives 0, compressed twice
# 0.001; a still camera's noise makes 0.004 (docs/data.md).
SAME = 0.0008
STILL_RUN = 5  # steps in a row; fewer are a stop at a kerb
JUMP = math.log(1.25)  # brightness from frame to frame; a camera's own exposure stays below 1.13 on KITTI
FAST = 0.2  # share of the steps that cannot be followed, from which it is the frame rate and no cut
STEREO_WIDTH = 512  # at which shifts are measured
ROWS = 1.0  # pixels of an image 640 wide by which rectified images may differ in height

Steps = dict[int, Step]


@dataclass
class Recording:
    """A recording under examination.

    Attributes:
        name: of the drive.
        numbers: of its frames, ascending.
        images: by number.
        motions: by number, the motion from the frame before, as a share of the longer side.
        facts: for the page, by name.
        thumbnails: some of the images.
        mask: an image of what is left out.
    """

    name: str
    numbers: list[int]
    images: dict[int, Path]
    motions: dict[int, float] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)
    thumbnails: list[Path] = field(default_factory=list)
    mask: Path | None = None


def examine_sequence(recording: Recording) -> Iterator[Finding]:
    """Measure every step between neighbouring frames, note the motions in `recording`, and yield what is wrong."""
    steps: Steps = {}
    last: tuple[int, NDArray[np.uint8]] | None = None
    for number in recording.numbers:
        grey = small(np.asarray(read_image(recording.images[number])))
        if last is not None and last[0] == number - 1 and last[1].shape == grey.shape:
            steps[number] = measure_step(last[1], grey)
        last = number, grey
    recording.motions = {number: step.motion for number, step in steps.items()}
    if steps:
        recording.facts["motion"] = (
            f"{100 * float(np.median(list(recording.motions.values()))):.2f} % of the longer side a step"
        )
    same = [number for number, step in steps.items() if step.difference < SAME]
    cuts = [number for number, step in steps.items() if is_cut(step)]
    yield from _duplicates(recording, same)
    yield from _still(recording, steps, set(same))
    yield from _cuts(recording, steps, cuts)
    jumps = [n for n, step in steps.items() if abs(step.gain) > JUMP and n not in cuts]
    if jumps:
        strongest = max(jumps, key=lambda n: abs(steps[n].gain))
        factor = math.exp(abs(steps[strongest].gain))
        yield Finding(
            "exposure",
            f"brightness jumps between neighbours at {_list(jumps)}, by up to a factor of {factor:.2f} at frame "
            f"{strongest}; lock the exposure, or leave these frames out of the split",
            _pair(recording, strongest),
        )


def _duplicates(recording: Recording, same: list[int]) -> Iterator[Finding]:
    if same:
        share = len(same) / max(1, len(recording.numbers) - 1)
        regular = 0.3 < share < 0.8
        advice = "; the source has a lower frame rate than its file: prepare it with a larger stride" if regular else ""
        yield Finding(
            "duplicate",
            f"{len(same)} of {len(recording.numbers)} frames repeat the one before, first {_list(same)}"
            + (advice or "; remove them, and renumber the rest"),
            _pair(recording, same[0]),
        )
    copies = [numbers for numbers in _alike(recording) if not set(numbers) & {*same, *(number - 1 for number in same)}]
    if copies:
        yield Finding(
            "duplicate",
            f"frames {_list(copies[0])} hold the same image"
            + (f", and {len(copies) - 1} more groups do" if len(copies) > 1 else "")
            + "; was a part of the recording copied twice?",
            [recording.images[number] for number in copies[0][:2]],
        )


def _alike(recording: Recording) -> list[list[int]]:
    """Return groups of frames whose files are the same, byte by byte."""
    sizes: dict[int, list[int]] = defaultdict(list)
    for number, path in recording.images.items():
        sizes[path.stat().st_size].append(number)
    contents: dict[bytes, list[int]] = defaultdict(list)
    for numbers in sizes.values():
        for number in numbers if len(numbers) > 1 else ():
            contents[hashlib.sha256(recording.images[number].read_bytes()).digest()].append(number)
    return [sorted(numbers) for numbers in contents.values() if len(numbers) > 1]


def _still(recording: Recording, steps: Steps, same: set[int]) -> Iterator[Finding]:
    still = [number for number, step in steps.items() if step.motion < STILL and number not in same]
    stretches = [(first, last) for first, last in runs(still) if last - first + 1 >= STILL_RUN]
    if stretches:
        frames = sum(last - first + 1 for first, last in stretches)
        listed = ", ".join(f"{first - 1} to {last}" for first, last in stretches[:5])
        yield Finding(
            "still",
            f"the camera stands still for {frames} of {len(steps)} steps (frames {listed}"
            f"{', ...' if len(stretches) > 5 else ''}); set min_motion: 0.012 to train, or prepare the video",
            [recording.images[stretches[0][0] - 1], recording.images[stretches[0][1]]],
        )


def _cuts(recording: Recording, steps: Steps, cuts: list[int]) -> Iterator[Finding]:
    if cuts and len(cuts) > max(3, FAST * len(steps)):
        yield Finding(
            "fast",
            f"{len(cuts)} of {len(steps)} steps move so far that little can be followed; extract more frames a second",
            _pair(recording, cuts[len(cuts) // 2]),
        )
    elif cuts:
        yield Finding(
            "cut",
            f"another scene begins at frame{'s' if len(cuts) > 1 else ''} {_list(cuts)}; leave a number out there, "
            "so that the frames before and after are no neighbours",
            _pair(recording, cuts[0]),
        )


def _pair(recording: Recording, number: int) -> list[Path]:
    return [recording.images[number - 1], recording.images[number]]


def _list(numbers: list[int]) -> str:
    return ", ".join(map(str, numbers[:5])) + (f" and {len(numbers) - 5} more" if len(numbers) > 5 else "")


@dataclass(frozen=True)
class _Shift:
    """How the right image lies to the left one, in pixels of an image 640 wide.

    Attributes:
        across: median horizontal shift; negative, since things lie further left in the right image.
        rows: median vertical shift.
        spread: median size of the vertical shifts, 0 for rectified images.
        followed: share of the image that both show.
    """

    across: float
    rows: float
    spread: float
    followed: float


def _measure(left: Path, right: Path) -> _Shift:
    """Measure the shift of one pair by optical flow."""
    cv2 = opencv()
    greys = [cv2.cvtColor(np.asarray(read_image(path)), cv2.COLOR_RGB2GRAY) for path in (left, right)]
    height, width = greys[0].shape
    size = STEREO_WIDTH, max(32, round(height * STEREO_WIDTH / width))
    first, second = (cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in greys)
    flow, error = two_way_flow(first, second, fast=False)
    # Vertical shifts can be measured where the image changes from row to row.
    change = np.abs(cv2.Sobel(first, cv2.CV_32F, 0, 1, scale=1 / 8)) > 4
    followed = error < 1
    good = followed & change
    if good.sum() < 50:
        return _Shift(0.0, 0.0, 0.0, 0.0)
    unit = 640 / STEREO_WIDTH
    vertical = flow[..., 1][good] * unit
    return _Shift(
        float(np.median(flow[..., 0][good]) * unit),
        float(np.median(vertical)),
        float(np.median(np.abs(vertical))),
        float(followed.mean()),
    )


def examine_stereo(pairs: list[tuple[Path, Path]]) -> Iterator[Finding]:
    """Yield what is wrong with some (left, right) pairs of a recording."""
    shifts = [_measure(*pair) for pair in pairs]
    seen = [shift for shift in shifts if shift.followed > 0.2]
    example = list(pairs[0])
    if len(seen) < len(shifts) / 2:
        yield Finding(
            "stereo", "left and right show different scenes; are the images of one time, and of one rig?", example
        )
        return
    across, rows, spread = (float(np.median([getattr(s, key) for s in seen])) for key in ("across", "rows", "spread"))
    if abs(across) < 0.2 and spread < 0.2:
        yield Finding("stereo", "left and right hold the same images; was one folder copied?", example)
        return
    if spread > ROWS:
        yield Finding(
            "stereo",
            f"the pairs are not rectified: points differ in height by {spread:.1f} pixels of an image 640 wide (median "
            f"{rows:+.1f}), rectified ones by less than {ROWS:g}; rectify the images with the rig's calibration",
            example,
        )
    if across > 0.2:
        yield Finding(
            "baseline",
            f"things lie {across:.1f} pixels further right in the right image, and should lie further left: left and "
            "right are swapped",
            example,
        )
