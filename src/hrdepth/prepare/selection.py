"""Which frames of a video are worth learning from: enough motion, one scene, numbers that tell neighbours."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from hrdepth.prepare.motion import CREEP, Grey, Step, is_cut, measure_step, small, stride_for

__all__ = ["Chosen", "Selection", "choose_stride", "select_frames", "split_numbers"]

Image = NDArray[np.uint8]

PROBES = 300  # pairs of frames whose motion decides the stride
LONGEST_WAIT = 20  # candidates left out in a row, after which what moves by itself has moved on


@dataclass(frozen=True)
class Chosen:
    """A frame to keep: its number, which neighbours share without a gap, its number in the source, the last step."""

    number: int
    index: int
    image: Image
    step: Step | None


@dataclass
class Selection:
    """What was left out, as numbers of the source, by reason: `still` or `cut`."""

    left_out: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))

    def ranges(self) -> dict[str, list[str]]:
        """Return them as text, such as `{"still": ["120-180"]}`.

        Example:
            >>> Selection({"still": [3, 6, 9, 30]}).ranges()
            {'still': ['3-9', '30']}
        """
        return {reason: list(_ranges(numbers)) for reason, numbers in self.left_out.items()}


def choose_stride(images: Iterable[Image], apart: int, count: int | None) -> int:
    """Choose how many frames to go on by the motion between frames that lie `apart`.

    Args:
        images: all frames of the source, in order.
        apart: frames from the first to the second of each pair.
        count: frames of the source, where it is known: pairs are then spread over all of it.

    Raises:
        InputError: nothing moves.
    """
    every = max(apart, (count or 10 * PROBES * apart) // PROBES)
    motions: list[float] = []
    first, start = None, 0
    for index, image in enumerate(images):
        if first is not None and index == start + apart:
            step, _ = measure_step(first, small(image))
            motions += [] if is_cut(step) else [step.motion]
            first = None
        if first is None and index % every == 0:
            first, start = small(image), index
    return stride_for(motions, apart)


def select_frames(
    images: Iterable[Image],
    stride: int,
    selection: Selection,
    prepare: Callable[[Image], Image] = lambda image: image,
    shrink: Callable[[Image], Image] = lambda image: image,
) -> Iterator[Chosen]:
    """Yield the frames to keep; `selection` learns of the others.

    Every `stride`-th frame is a candidate. One that has moved less than `CREEP` since the last kept frame waits, so
    that a creeping camera gives fewer frames and a still one none. After a cut, and where the camera stood so long that
    what moves by itself has moved on, a number is left out, so that the frames before and after are no neighbours.

    Args:
        images: all frames of the source, in order.
        stride: frames from candidate to candidate.
        selection: filled in.
        prepare: makes a frame of what the source shows, such as by undoing distortion.
        shrink: brings a frame to the size at which its motion is measured.
    """
    number, waited = -1, 0
    last: Grey | None = None
    for index, image in enumerate(images):
        if index % stride:
            continue
        frame = prepare(image)
        grey = small(shrink(frame))
        step = None if last is None else measure_step(last, grey)[0]
        if step is None:
            number += 1
        elif is_cut(step):
            selection.left_out["cut"].append(index)
            number += 2
            step = None
        elif step.motion < CREEP:
            selection.left_out["still"].append(index)
            waited += 1
            continue
        else:
            number += 1 if waited < LONGEST_WAIT else 2
        last, waited = grey, 0
        yield Chosen(number, index, frame, step)


def split_numbers(numbers: list[int], share: float, gap: int) -> tuple[list[int], list[int]]:
    """Divide a recording's frames by time: training first, then a gap, validation last; both neighbours are there.

    Args:
        numbers: of the frames, ascending; neighbours follow without a gap.
        share: of the frames that are held out, at least three; 0 holds out none.
        gap: frames between that belong to neither.

    Returns:
        The targets to train and to validate on; the latter empty where the recording is too short to be divided.

    Example:
        >>> split_numbers(list(range(20)), 0.2, 3)
        ([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], [17, 18])
    """
    held = max(3, round(share * len(numbers))) if share else 0
    first = len(numbers) - held  # of validation
    if not held or first - gap < 3:
        return _inner(numbers), []
    # A gap counts images that neither side sees, neighbours included.
    return _inner(numbers[: first - gap]), _inner(numbers[first:])


def _inner(numbers: list[int]) -> list[int]:
    present = set(numbers)
    return [number for number in numbers if number - 1 in present and number + 1 in present]


def _ranges(numbers: list[int]) -> Iterator[str]:
    """Yield runs; steps up to the smallest one of all belong together."""
    if not numbers:
        return
    steps = np.diff(numbers)
    usual = int(steps.min()) if len(steps) else 1
    start = last = numbers[0]
    for number in numbers[1:]:
        if number - last > usual:
            yield f"{start}-{last}" if last > start else f"{start}"
            start = number
        last = number
    yield f"{start}-{last}" if last > start else f"{start}"
