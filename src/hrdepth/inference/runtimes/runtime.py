"""What every runtime does: contract 4, the size check, and the description of the weights."""

from __future__ import annotations

import importlib.util
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.config import RuntimeConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes.source import Source
from hrdepth.io.images import check_size

__all__ = ["PRECISIONS", "Runtime"]

PRECISIONS = ("float32", "bfloat16", "int8")

Float32 = NDArray[np.float32]


class Runtime:
    """A depth network in one runtime: `image (B,3,H,W) in [0,1] -> disparity (B,1,H,W)`, both NumPy float32.

    A subclass loads in `__init__`, by options whose device is chosen, and computes in `infer`. An exported int8 file
    runs in no other precision (`InputError`).

    Attributes:
        name: its key in `RUNTIMES`.
        precisions: those that it supports.
        suffixes: of the files that it reads; "" stands for a network in memory, as from a weights file.
        packages: that it needs, and
        extra: of hrdepth, which installs them; "" for those that come with hrdepth.
        description: what the weights are: size, scale, provenance.
        scale: what its disparity means.
        path: the file that it was loaded from, or None; and
        sha256: of that file; and
        cameras: whose intrinsics were learned with the weights.
        precision: the one that it runs in.
        stride: what height and width must be multiples of.
        fixed_size: (height, width) of the only size that an exported file takes, one image at a time, or None.
        device: where it computes.
    """

    name = ""
    precisions: tuple[str, ...] = ("float32",)
    suffixes: tuple[str, ...] = ("",)
    packages: tuple[str, ...] = ()
    extra = ""

    def __init__(self, source: Source, options: RuntimeConfig) -> None:
        if source.description.precision == "int8" and options.precision not in (None, "int8"):
            raise InputError(
                f"{source.path} is an int8 file, which cannot run in {options.precision}; leave --precision out, or "
                "export the weights again without --int8"
            )
        self._made_of = source if source.path is None else replace(source, network=None, program=None), options
        self.description = source.description
        self.device = "cpu"
        self.precision = options.precision or source.description.precision
        self.stride = source.description.stride
        self.scale = source.description.scale
        self.path, self.sha256, self.cameras = source.path, source.sha256, source.cameras
        self.fixed_size = source.description.size if source.description.fixed else None

    @classmethod
    def unavailable(cls) -> str | None:
        """Return why it cannot be used here and what to do, or None."""
        missing = [name for name in cls.packages if importlib.util.find_spec(name) is None]
        if not missing:
            return None
        install = f"'hrdepth[{cls.extra}]'" if cls.extra else missing[0]
        return f"{missing[0]} is not installed; pip install {install}"

    def __call__(self, image: Float32) -> Float32:
        """Predict the finest disparity.

        Args:
            image: (B,3,H,W) in [0,1], float32.

        Returns:
            Disparity (B,1,H,W) in (0,1), float32.

        Raises:
            InputError: the size does not fit.
        """
        self._check_size((int(image.shape[-2]), int(image.shape[-1])))
        description = self.description
        if description.mean is not None and description.std is not None:  # the file expects normalised images
            mean, std = (
                np.array(values, dtype=np.float32)[:, None, None] for values in (description.mean, description.std)
            )
            image = (image - mean) / std
        image = np.ascontiguousarray(image, dtype=np.float32)
        if self.fixed_size is None or len(image) < 2:
            return description.disparity(self.infer(image))
        return description.disparity(np.concatenate([self.infer(one[None]) for one in image]))  # its batch is fixed too

    def __reduce__(self) -> Any:
        """Pickle what it was made of: libraries' sessions cannot be pickled, and a new process loads its own."""
        return type(self), self._made_of

    def infer(self, image: Float32) -> Float32:
        """Run the graph: from its input, contiguous, to its output, (B,1,H,W) float32."""
        raise NotImplementedError

    def _check_size(self, size: tuple[int, int]) -> None:
        if self.fixed_size is not None and size != self.fixed_size:
            wanted = "{}x{}".format(*self.fixed_size)
            raise InputError(
                f"the exported file accepts only images of {wanted} (height x width), not {size[0]}x{size[1]}; "
                "export it for this size or with --dynamic"
            )
        check_size(size, self.stride)
