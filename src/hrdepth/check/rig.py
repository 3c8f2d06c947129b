"""What is wrong with a recording's camera and its second eye."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hrdepth.camera import Camera
from hrdepth.check.findings import Finding
from hrdepth.io.images import read_image
from hrdepth.prepare.motion import opencv

__all__ = ["EyeShift", "examine_camera", "examine_eyes", "measure_eyes"]

OFF_CENTRE = 0.2  # share of the side by which a principal point lies beside the middle of an uncropped image
SQUARE = 1.15  # ratio of fx and fy, in pixels of one size
FOV = (15.0, 150.0)  # degrees, horizontally
STEREO_WIDTH = 512  # at which disparities are measured
ROWS = 1.0  # pixels of an image 640 wide by which rectified eyes may differ in height
LONGEST, SHORTEST = 5.0, 0.01  # metres between the eyes


def examine_camera(name: str, camera: Camera, size: tuple[int, int]) -> Iterator[Finding]:
    """Yield what does not fit between a camera and its images of `size` (height, width).

    Units and a principal point outside are found where the camera is read.
    """
    k, (height, width) = camera.intrinsics, camera.size
    fx, fy, cx, cy = (float(k[index]) for index in ((0, 0), (1, 1), (0, 2), (1, 2)))
    aside, high = abs(cx - width / 2) / width, abs(cy - height / 2) / height
    swapped = abs(cx - height / 2) / height + abs(cy - width / 2) / width
    if (width > height) != (size[1] > size[0]) and width != height:
        yield Finding("camera", name, f"{camera.source} is {width}x{height} (width x height), the images are "
                      f"{size[1]}x{size[0]}: width and height are swapped")  # fmt: skip
    elif max(aside, high) > OFF_CENTRE and swapped < 0.5 * (aside + high):
        yield Finding(
            "camera", name,
            f"the principal point ({cx:g}, {cy:g}) fits an image of {height}x{width}: cx and cy, and perhaps fx and "
            f"fy, are swapped in {camera.source}",
        )  # fmt: skip
    elif max(aside, high) > OFF_CENTRE:
        yield Finding(
            "camera", name,
            f"the principal point ({cx:g}, {cy:g}) lies far beside the middle of {width}x{height}; is {camera.source} "
            "that of another size or of the uncropped image?",
        )  # fmt: skip
    # Images may be stored in another shape than K holds for; then K follows each side by itself.
    ratio = (fx * size[1] / width) / (fy * size[0] / height)
    if max(ratio, 1 / ratio) > SQUARE:
        yield Finding("camera", name, f"fx {fx:g} and fy {fy:g} differ by more than lenses do: pixels are square; "
                      f"are they of another size, or swapped, in {camera.source}?")  # fmt: skip
    fov = math.degrees(2 * math.atan(width / 2 / fx))
    if not FOV[0] < fov < FOV[1]:
        yield Finding("camera", name, f"fx {fx:g} makes a field of view of {fov:.0f} degrees; is {camera.source} in "
                      f"pixels of {width}x{height}?")  # fmt: skip
    if camera.baseline_metres is not None and not SHORTEST <= camera.baseline_metres <= LONGEST:
        yield Finding("baseline", name, f"the baseline {camera.baseline_metres:g} in {camera.source} is in metres; is "
                      "this another unit?")  # fmt: skip


@dataclass(frozen=True)
class EyeShift:
    """How the right eye's image lies to the left's, in pixels of an image 640 wide.

    Attributes:
        across: median horizontal shift; negative, since the right eye sees things further left.
        rows: median vertical shift, and how far shifts spread: 0 for rectified eyes.
        followed: share of the image that both eyes see.
    """

    across: float
    rows: float
    spread: float
    followed: float


def measure_eyes(left: Path, right: Path) -> EyeShift:
    """Measure how one pair lies to each other, by optical flow there and back again."""
    cv2 = opencv()
    greys = [cv2.cvtColor(np.asarray(read_image(path)), cv2.COLOR_RGB2GRAY) for path in (left, right)]
    height, width = greys[0].shape
    size = STEREO_WIDTH, max(32, round(height * STEREO_WIDTH / width))
    first, second = (cv2.resize(grey, size, interpolation=cv2.INTER_AREA) for grey in greys)
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    there, back = search.calc(first, second, None), search.calc(second, first, None)
    rows, columns = np.mgrid[: size[1], : size[0]].astype(np.float32)
    x, y = columns + there[..., 0], rows + there[..., 1]
    returned = there + cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (x > 0) & (x < size[0] - 1) & (y > 0) & (y < size[1] - 1)
    # Heights can be told where the image changes from row to row.
    change = np.abs(cv2.Sobel(first, cv2.CV_32F, 0, 1, scale=1 / 8)) > 4
    followed = inside & (np.hypot(returned[..., 0], returned[..., 1]) < 1)
    good: NDArray[np.bool_] = followed & change
    if good.sum() < 50:
        return EyeShift(0.0, 0.0, 0.0, 0.0)
    unit = 640 / STEREO_WIDTH
    vertical = there[..., 1][good] * unit
    return EyeShift(
        float(np.median(there[..., 0][good]) * unit),
        float(np.median(vertical)),
        float(np.median(np.abs(vertical))),
        float(followed.mean()),
    )


def examine_eyes(name: str, pairs: list[tuple[Path, Path]]) -> Iterator[Finding]:
    """Yield what is wrong between both eyes of a recording, by some of its pairs."""
    shifts = [measure_eyes(*pair) for pair in pairs]
    seen = [shift for shift in shifts if shift.followed > 0.2]
    example = list(pairs[0])
    if len(seen) < len(shifts) / 2:
        yield Finding(
            "stereo", name, "the eyes show different scenes; are the images of one time, and of one rig?", example
        )
        return
    across, rows, spread = (float(np.median([getattr(s, key) for s in seen])) for key in ("across", "rows", "spread"))
    if abs(across) < 0.2 and spread < 0.2:
        yield Finding("stereo", name, "both eyes hold the same images; was one folder copied?", example)
        return
    if spread > ROWS:
        yield Finding(
            "stereo", name,
            f"the eyes are not rectified: points differ in height by {spread:.1f} pixels of an image 640 wide (median "
            f"{rows:+.1f}), rectified ones by less than {ROWS:g}; rectify the images with the rig's calibration",
            example,
        )  # fmt: skip
    if across > 0.2:
        yield Finding(
            "baseline", name,
            f"things lie {across:.1f} pixels further right in the right eye; they lie further left there: left and "
            "right are swapped",
            example,
        )  # fmt: skip
