"""A prediction for one image: disparity, depth, units, and how they are displayed."""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from rich.table import Table

from hrdepth.camera import DepthScale
from hrdepth.errors import InputError
from hrdepth.io.visualize import panel

__all__ = ["Prediction"]

SHOWN_WIDTH = 1600
"""Of the pair in a notebook, pixels; larger ones are scaled down, so that notebooks stay small."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network predicts for one image; arrays have the image's size.

    Args:
        disparity: float32 (H,W), the network's sigmoid output in (0,1): 1 is `min_depth`, 0 is `max_depth`.
        image: uint8 (H,W,3), the image, RGB.
        min_depth: the nearest depth that the network can predict, in network units.
        max_depth: the farthest one.
        intrinsics: (3,3) in pixels of the image, or None if unknown.
        metres_per_unit: metres = depth x metres_per_unit, or None where depth is known up to scale only.
        canonical_focal: fx, in image widths, of the camera for which the network's depth holds as it is; `depth`
            is then that of the camera of `intrinsics`, or of the canonical one where they are unknown. None where
            the network's depth is used as it is for any camera.
        shift: of 1/depth, see `hrdepth.camera.DepthScale`; None where it is unknown, and there is no depth.
        runtime: what computed it, such as "openvino, float32"; "" if unknown.
        seconds: from the image in memory to disparity at its size, or None if unknown.

    A notebook displays image and disparity; `rich.print` gives a table.
    """

    disparity: Float32
    image: NDArray[np.uint8]
    min_depth: float = 0.1
    max_depth: float = 100.0
    intrinsics: NDArray[np.float64] | None = None
    metres_per_unit: float | None = None
    canonical_focal: float | None = None
    shift: float | None = 0.0
    runtime: str = ""
    seconds: float | None = None

    @cached_property
    def depth_scale(self) -> DepthScale:
        """What the disparity means."""
        return DepthScale(self.min_depth, self.max_depth, self.metres_per_unit, self.canonical_focal, self.shift)

    @property
    def focal_factor(self) -> float:
        """This camera's depth = factor x the network's own; 1 without intrinsics or a canonical focal length."""
        return self.depth_scale.focal_factor(self.intrinsics, self.disparity.shape[1])

    @cached_property
    def scaled_disparity(self) -> Float32:
        """1/depth, float32 (H,W), in 1/network units: affine in `disparity`; see `DepthScale.scaled_disparity`."""
        return self.depth_scale.scaled_disparity(self.disparity, self.intrinsics)

    @cached_property
    def depth(self) -> Float32:
        """Depth along the camera's axis, float32 (H,W), in network units: 1 / `scaled_disparity`.

        Raises:
            InputError: its shift is unknown.
        """
        self.depth_scale.check_depth()
        return np.asarray(np.reciprocal(self.scaled_disparity), dtype=np.float32)

    @property
    def best_depth(self) -> Float32:
        """Depth in metres if they are known, else in network units, float32 (H,W)."""
        return self.depth if self.metres_per_unit is None else self.depth_metres

    @property
    def depth_metres(self) -> Float32:
        """Depth in metres, float32 (H,W).

        Raises:
            InputError: it is not known how many metres a unit of this network is, or there is no depth.
        """
        self.depth_scale.check_depth()
        if self.metres_per_unit is None:
            raise InputError("the depth is known up to scale only, not in metres: the weights carry no metres_per_unit")
        return np.asarray(self.depth * np.float32(self.metres_per_unit), dtype=np.float32)

    @property
    def scale(self) -> str:
        """What a unit of `depth` is, in words."""
        if self.canonical_focal is not None and self.intrinsics is None and self.depth_scale.has_depth:
            camera = f"a camera with fx = {self.canonical_focal:g} x width; give intrinsics for another"
            return f"{self.depth_scale.unit}, for {camera}"
        return self.depth_scale.unit

    def _repr_png_(self) -> bytes:
        """Return image and disparity side by side as PNG, for notebooks."""
        stream = io.BytesIO()
        image = Image.fromarray(panel(self.image, self.scaled_disparity))
        image.thumbnail((SHOWN_WIDTH, SHOWN_WIDTH), Image.Resampling.LANCZOS)
        image.save(stream, "PNG")
        return stream.getvalue()

    def __rich__(self) -> Table:
        """Return a table of size, units and ranges, for the terminal."""
        height, width = self.disparity.shape
        name, unit, values = "disparity", "", self.disparity
        if self.depth_scale.has_depth:
            name, unit, values = "depth", "" if self.metres_per_unit is None else " m", self.best_depth
        low, middle, high = np.percentile(values, (5, 50, 95))
        table = Table(title="Prediction", show_header=False, title_justify="left")
        table.add_row("size", f"{width} x {height}")
        table.add_row(name, f"{low:.3g} to {high:.3g}{unit}, median {middle:.3g}{unit}")
        table.add_row("of pixels", "5 % to 95 %")
        table.add_row("unit", self.scale)
        if self.runtime:
            table.add_row("runtime", self.runtime)
        if self.seconds is not None:
            table.add_row("time", f"{1000 * self.seconds:.0f} ms")
        return table
