"""From a picture to depth at its full size: resize, network, resize back, and what the numbers mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from PIL import Image
from torch import Tensor, nn

from hrdepth.errors import InputError
from hrdepth.geometry import focal_factor
from hrdepth.media import Picture, to_picture

__all__ = ["Prediction", "Predictor", "blend_flipped", "choose_device"]

Network = Callable[[Tensor], Mapping[int, Tensor]]
Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Prediction:
    """What a network says about one picture; arrays have the picture's size.

    Args:
        disparity: float32 (H,W), the network's sigmoid output in (0,1): 1 is `min_depth`, 0 is `max_depth`.
        image: uint8 (H,W,3), the picture, RGB.
        min_depth: the nearest depth that the network can say, in network units.
        max_depth: the farthest one.
        intrinsics: (3,3) in pixels of the picture, or None if unknown.
        metres_per_unit: metres = depth x metres_per_unit, or None where depth is known up to scale only.
        canonical_focal: fx, in picture widths, of the camera for which the network's depth holds as it is; `depth`
            is then that of the camera of `intrinsics`, or of the canonical one where they are unknown. None where
            the network's depth is taken as it is for any camera.
    """

    disparity: Float32
    image: NDArray[np.uint8]
    min_depth: float = 0.1
    max_depth: float = 100.0
    intrinsics: NDArray[np.float64] | None = None
    metres_per_unit: float | None = None
    canonical_focal: float | None = None

    @property
    def focal_factor(self) -> float:
        """This camera's depth = factor x the network's own; 1 without intrinsics or a canonical focal length."""
        if self.canonical_focal is None or self.intrinsics is None:
            return 1.0
        return focal_factor(float(self.intrinsics[0, 0]), self.disparity.shape[1], self.canonical_focal)

    @cached_property
    def scaled_disparity(self) -> Float32:
        """1/depth, float32 (H,W), in 1/network units: affine in `disparity`."""
        own = _scale_disparity(self.disparity, self.min_depth, self.max_depth)
        return np.asarray(own / np.float32(self.focal_factor), dtype=np.float32)

    @cached_property
    def depth(self) -> Float32:
        """Depth along the camera's axis, float32 (H,W), in network units: 1 / `scaled_disparity`."""
        return np.asarray(1 / self.scaled_disparity, dtype=np.float32)

    @property
    def depth_metres(self) -> Float32:
        """Depth in metres, float32 (H,W).

        Raises:
            InputError: nobody knows how many metres a unit of this network is.
        """
        if self.metres_per_unit is None:
            raise InputError("the depth is known up to scale only, not in metres: the weights carry no metres_per_unit")
        return np.asarray(self.depth * np.float32(self.metres_per_unit), dtype=np.float32)

    @property
    def scale(self) -> str:
        """What a unit of `depth` is, in words."""
        if self.canonical_focal is not None and self.intrinsics is None:
            camera = f"a camera with fx = {self.canonical_focal:g} x width; give intrinsics for another"
            return f"{self._unit}, for {camera}"
        return self._unit

    @property
    def _unit(self) -> str:
        if self.metres_per_unit is None:
            return "up to scale: ratios of depths mean something, metres are not known"
        if self.metres_per_unit == 1:
            return "metres"
        return f"metres = depth x {self.metres_per_unit:g}"


class Predictor:
    """Predict depth for one picture at a time.

    A `torch.nn.Module` is moved to the device and set to eval mode.

    Args:
        network: contract 1: image (B,3,H,W) in [0,1] -> {scale: disparity}; any callable, for instance
            another runtime's.
        size: (height, width) of the network's input, multiples of `network.stride` (32 if it has none).
        min_depth: of the network's range, in network units; by default the network's own, else 0.1.
        max_depth: likewise, else 100.
        metres_per_unit: metres = depth x metres_per_unit, or None if unknown.
        device: "cuda", "mps", "cpu"; by default the first of them that is there (for a callable that is no
            `nn.Module`: "cpu").
        flip: also predict for the mirrored picture and blend the two (`blend_flipped`): smoother borders,
            twice the time.
        canonical_focal: see `Prediction`.

    Raises:
        InputError: the size does not fit the network, the range is empty, or the device is not there.

    Example:
        >>> predict = Predictor(lambda image: {0: image[:, :1]}, size=(32, 64))
        >>> predict(np.zeros((50, 80, 3), dtype=np.uint8)).depth.shape
        (50, 80)
    """

    def __init__(
        self,
        network: nn.Module | Network,
        size: tuple[int, int],
        min_depth: float | None = None,
        max_depth: float | None = None,
        metres_per_unit: float | None = None,
        device: str | torch.device | None = None,
        *,
        flip: bool = False,
        canonical_focal: float | None = None,
    ) -> None:
        stride = int(getattr(network, "stride", 32))
        if any(length < stride or length % stride for length in size):
            raise InputError(
                f"the network's input size {size[0]}x{size[1]} (height x width) must be multiples of "
                f"{stride}, such as {'x'.join(str(max(1, round(s / stride)) * stride) for s in size)}"
            )
        self.size = (int(size[0]), int(size[1]))
        self.min_depth = float(getattr(network, "min_depth", 0.1) if min_depth is None else min_depth)
        self.max_depth = float(getattr(network, "max_depth", 100.0) if max_depth is None else max_depth)
        if not 0 < self.min_depth < self.max_depth:
            raise InputError(f"the depth range {self.min_depth:g} to {self.max_depth:g} is empty or not positive")
        self.metres_per_unit = metres_per_unit
        self.flip = flip
        self.canonical_focal = canonical_focal
        self.network: Network = network
        self.device = torch.device("cpu")
        if isinstance(network, nn.Module):
            self.device = choose_device(device)
            network.to(self.device).eval()
        elif device is not None:
            self.device = choose_device(device)

    @classmethod
    def from_file(
        cls,
        path: str | Path,
        *,
        size: tuple[int, int] | None = None,
        device: str | torch.device | None = None,
        flip: bool = False,
    ) -> Predictor:
        """Load a file of weights; `size` is by default that of training, the rest as for `Predictor`.

        Raises:
            InputError: the file is missing or damaged, or what `Predictor` raises.
        """
        from hrdepth.checkpoints import read_checkpoint

        checkpoint = read_checkpoint(path)
        return cls(
            checkpoint.network,
            size or checkpoint.size,
            metres_per_unit=checkpoint.metres_per_unit,
            device=device,
            flip=flip,
            canonical_focal=checkpoint.canonical_focal,
        )

    def __call__(self, image: Picture, intrinsics: ArrayLike | None = None) -> Prediction:
        """Predict for one picture.

        Args:
            image: a path (the EXIF orientation is applied); a Pillow picture or an array, taken as they
                stand: uint8 or uint16, or float in [0,1], (H,W,3), (H,W,4) or grey (H,W).
            intrinsics: (3,3) in pixels of this picture, kept with the prediction; see there.

        Raises:
            InputError: the picture cannot be read or is no picture, the intrinsics are no (3,3) matrix, or
                the network gives values that are no numbers.
        """
        picture = to_picture(image)
        matrix = None if intrinsics is None else _check_intrinsics(intrinsics)
        small = torch.from_numpy(self._predict(picture))[None, None]
        full = nn.functional.interpolate(
            small, size=(picture.height, picture.width), mode="bilinear", align_corners=False
        )
        return Prediction(
            disparity=np.asarray(full[0, 0].numpy(), dtype=np.float32),
            image=np.array(picture),
            min_depth=self.min_depth,
            max_depth=self.max_depth,
            intrinsics=matrix,
            metres_per_unit=self.metres_per_unit,
            canonical_focal=self.canonical_focal,
        )

    def scaled_disparity(self, image: Picture) -> Float32:
        """Return 1/depth at the network's size, float32 (h,w), in 1/network units, for the canonical camera."""
        return _scale_disparity(self._predict(to_picture(image)), self.min_depth, self.max_depth)

    def disparities_with_flip(self, image: Picture) -> tuple[Float32, Float32]:
        """Return the sigmoid output for the picture and, mirrored back, for its mirror image: two (h,w)."""
        both = self._run(to_picture(image), flip=True)
        return both[0], np.ascontiguousarray(both[1, :, ::-1])

    def _predict(self, picture: Image.Image) -> Float32:
        if not self.flip:
            return np.asarray(self._run(picture, flip=False)[0])
        return blend_flipped(*self.disparities_with_flip(picture))

    def _run(self, picture: Image.Image, *, flip: bool) -> Float32:
        height, width = self.size
        resized = np.array(picture.resize((width, height), Image.Resampling.LANCZOS))
        batch = torch.from_numpy(resized).to(self.device).permute(2, 0, 1)[None].float() / 255  # (1,3,h,w)
        if flip:
            batch = torch.cat([batch, batch.flip(3)])  # (2,3,h,w)
        with torch.inference_mode():
            disparity: Float32 = self.network(batch)[0][:, 0].float().cpu().numpy()
        if not np.isfinite(disparity).all():
            raise InputError("the network gives values that are no numbers: its weights are damaged or diverged")
        return disparity


def blend_flipped(left: NDArray[Any], right: NDArray[Any]) -> Float32:
    """Blend the disparity of a picture with that of its mirror image.

    Each has its weakness at one border, where the network sees too little: within 5 % of the left border the
    mirrored one counts alone, within 5 % of the right border the plain one, fading over another 5 % to
    their mean.

    Args:
        left: (...,H,W), disparity of the picture, of either kind (the blend is affine).
        right: (...,H,W), disparity of the mirrored picture, mirrored back.

    Returns:
        float32 (...,H,W).

    Source: Godard et al., Unsupervised Monocular Depth Estimation with Left-Right Consistency, section 3.3.

    Example:
        >>> blend_flipped(np.zeros((1, 5)), np.ones((1, 5))).tolist()
        [[1.0, 0.5, 0.5, 0.5, 0.0]]
    """
    x = np.linspace(0, 1, left.shape[-1])
    weight_right = 1 - np.clip(20 * (x - 0.05), 0, 1)
    weight_left = weight_right[::-1]
    mean = 0.5 * (left + right)
    blend = weight_left * left + weight_right * right + (1 - weight_left - weight_right) * mean
    return np.asarray(blend, dtype=np.float32)


def choose_device(device: str | torch.device | None = None) -> torch.device:
    """Return `device`, or the best that is there: CUDA, then Apple's MPS, then the CPU.

    Raises:
        InputError: there is no such device.
    """
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if device is None:
        return torch.device(next(name for name, available in there.items() if available))
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"unknown device '{device}'; use cuda, mps or cpu") from error
    if not there.get(chosen.type, True) or (chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count()):
        raise InputError(f"the device '{device}' is not available here; use cpu or leave it out")
    return chosen


def _scale_disparity(disparity: Float32, min_depth: float, max_depth: float) -> Float32:
    low, high = 1 / max_depth, 1 / min_depth
    return np.asarray(np.float32(low) + np.float32(high - low) * disparity, dtype=np.float32)


def _check_intrinsics(intrinsics: ArrayLike) -> NDArray[np.float64]:
    matrix = np.array(intrinsics, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise InputError(f"intrinsics must be a finite (3,3) matrix, not one of shape {matrix.shape}")
    if not matrix[0, 0] > 0:
        raise InputError(f"the focal length fx = {matrix[0, 0]:g} of the intrinsics must be positive, in pixels")
    return matrix
