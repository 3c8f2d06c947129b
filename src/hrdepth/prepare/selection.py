"""Select frames of a recording for training by what moves between them."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.io.media import Frame
from hrdepth.prepare.motion import CREEP, STILL, TARGET_MOTION, Grey, Step, is_cut, measure_step, small

__all__ = ["Chosen", "Selection", "choose_stride", "runs", "select_frames", "split_numbers", "stride_for"]

MAX_STRIDE = 30  # beyond this the camera hardly moves
PROBES = 300  # pairs of frames whose motion decides the stride
LONGEST_WAIT = 20  # candidates skipped in a row, after which moving objects have left the scene

Image = NDArray[np.uint8]


def stride_for(motions: list[float], apart: int = 1) -> int:
    """Choose the stride at which the median motion of moving frames comes nearest to `TARGET_MOTION`.

    Args:
        motions: of pairs of frames.
        apart: frames from the first to the second of each pair.

    Raises:
        InputError: nothing moves.

    Example:
        >>> stride_for([0.004, 0.0041, 0.0039, 0.0])
        3
    """
    fast = float(np.percentile(motions, 90)) if motions else 0.0
    if fast < STILL:
        raise InputError("nothing moves in it: depth can only be learned from a camera that moves")
    # Still parts of the recording must not determine the stride.
    typical = float(np.median([amount for amount in motions if amount > 0.2 * fast]))
    return max(1, min(MAX_STRIDE, math.floor(apart * TARGET_MOTION / typical + 0.5)))


@dataclass(frozen=True)
class Chosen:
    """A selected frame: its number, which neighbours share without a gap, its number in the source, the last step."""

    number: int
    index: int
    image: Image
    step: Step | None


@dataclass
class Selection:
    """Frames of the source by what is special: skipped as `still`, the first after a `cut` or `missing` frames."""

    left_out: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def ranges(self) -> dict[str, list[str]]:
        """Return them as text, such as `{"still": ["120-180"]}`.

        Example:
            >>> Selection({"still": [3, 6, 9, 30]}).ranges()
            {'still': ['3-9', '30']}
        """
        found = {}
        for reason, numbers in self.left_out.items():
            # Candidates lie a stride apart, which is the smallest step.
            stride = min((after - before for before, after in pairwise(numbers)), default=1)
            found[reason] = [f"{a}-{b}" if b > a else f"{a}" for a, b in runs(numbers, stride)]
        return found


def choose_stride(frames: Iterable[Frame], apart: int, count: int | None) -> int:
    """Choose the stride by the motion between frames that lie `apart`.

    Args:
        frames: all of the source, in order.
        apart: frames from the first to the second of each pair.
        count: frames of the source, where it is known: pairs are then spread over all of it.

    Raises:
        InputError: nothing moves.
    """
    every = max(apart, (count or 10 * PROBES * apart) // PROBES)
    motions: list[float] = []
    first, start = None, 0
    for index, frame in enumerate(frames):
        first = None if frame.missing else first
        if first is not None and index == start + apart:
            step = measure_step(first, small(frame.image))
            motions += [] if is_cut(step) else [step.motion]
            first = None
        if first is None and index % every == 0:
            first, start = small(frame.image), index
    return stride_for(motions, apart)


def select_frames(
    frames: Iterable[Frame],
    stride: int,
    selection: Selection,
    prepare: Callable[[Image], Image] = lambda image: image,
    shrink: Callable[[Image], Image] = lambda image: image,
    interval: float | None = None,
) -> Iterator[Chosen]:
    """Yield the selected frames; note the others in `selection`.

    Every `stride`-th frame is a candidate, or one in each `interval`. One that has moved less than `CREEP` since the
    last selected frame is left out, so that a creeping camera gives fewer frames and a still one none. After a cut,
    where frames of the source are missing, and where the camera stood so long that moving objects have moved on, a
    number is left out, so that the frames before and after are no neighbours.

    Args:
        frames: all of the source, in order.
        stride: frames from candidate to candidate.
        selection: filled in.
        prepare: makes a frame of an image of the source, such as by undistorting it.
        shrink: brings a frame to the size at which its motion is measured.
        interval: seconds from candidate to candidate, for a variable frame rate; frames without a time are counted.
    """
    number, waited, hole = -1, 0, False
    last: Grey | None = None
    for index, source, after_hole in _candidates(frames, stride, interval):
        hole |= after_hole
        frame = prepare(source)
        grey = small(shrink(frame))
        step = None if last is None else measure_step(last, grey)
        if step is None:
            number += 1
        elif is_cut(step) or hole:
            selection.left_out["cut" if is_cut(step) else "missing"].append(index)
            number += 2
            step = None
        elif step.motion < CREEP:
            selection.left_out["still"].append(index)
            waited += 1
            continue
        else:
            number += 1 if waited < LONGEST_WAIT else 2
        last, waited, hole = grey, 0, False
        yield Chosen(number, index, frame, step)


def _candidates(frames: Iterable[Frame], stride: int, interval: float | None) -> Iterator[tuple[int, Image, bool]]:
    """Yield every `stride`-th image, or one in each `interval`, with its number and whether some before it are missing.

    A hole is half as long again as a step, or longer.
    """
    last, before, missing = -math.inf, math.inf, 0
    for index, frame in enumerate(frames):
        missing += frame.missing
        if interval is None or frame.seconds is None:
            if index % stride == 0:
                yield index, frame.image, 2 * missing >= stride
                missing = 0
            continue
        step, before = frame.seconds - before, frame.seconds
        # Half a frame too early is better than too late.
        if (waited := frame.seconds - last) >= interval - min(interval / stride, 1.02 * max(step, 0.0)) / 2:
            yield index, frame.image, missing > 0 and waited >= 1.5 * interval
            last, missing = frame.seconds, 0


def split_numbers(numbers: list[int], share: float, gap: int) -> tuple[list[int], list[int]]:
    """Divide a recording's frames by time into training, a gap, and validation; a target has both neighbours.

    Args:
        numbers: of the frames, ascending; neighbours follow without a gap.
        share: of the validation frames, at least three; 0 for none.
        gap: frames between that belong to neither.

    Returns:
        The targets to train and to validate on; the latter empty where the recording is too short to be divided.

    Example:
        >>> split_numbers(list(range(20)), 0.2, 3)
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [17, 18])
    """
    validation = max(3, round(share * len(numbers))) if share else 0
    first = len(numbers) - validation  # of the validation frames
    if not validation or first - gap < 3:
        return _inner(numbers), []
    # A gap counts images that neither side sees, neighbours included.
    return _inner(numbers[: first - gap]), _inner(numbers[first:])


def _inner(numbers: list[int]) -> list[int]:
    present = set(numbers)
    return [number for number in numbers if number - 1 in present and number + 1 in present]


def runs(numbers: Sequence[int], apart: int = 1) -> Iterator[tuple[int, int]]:
    """Yield first and last of each run of ascending numbers that lie at most `apart` from each other.

    Example:
        >>> list(runs([1, 2, 3, 7, 9], 2))
        [(1, 3), (7, 9)]
    """
    ends = [0, *(i for i in range(1, len(numbers)) if numbers[i] - numbers[i - 1] > apart), len(numbers)]
    return ((numbers[first], numbers[end - 1]) for first, end in pairwise(ends) if end)
