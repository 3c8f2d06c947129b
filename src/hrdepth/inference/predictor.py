"""From an image to depth at its full size: resize, network, resize back, and what the numbers mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from hrdepth.compute import choose_device
from hrdepth.errors import InputError
from hrdepth.inference.prediction import Prediction, scale_disparity
from hrdepth.inference.resampling import lanczos
from hrdepth.io.images import ImageLike, to_pixels
from hrdepth.weights.find import weights_file
from hrdepth.weights.share import Pretrained

__all__ = ["Prediction", "Predictor", "blend_flipped"]

Network = Callable[[Tensor], Mapping[int, Tensor]]
Float32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Predictor(Pretrained):
    """Predict depth for one image at a time.

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
        flip: also predict for the mirrored image and blend the two (`blend_flipped`): smoother borders,
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
        # What a runtime says of itself, for provenance.
        self.runtime = str(getattr(network, "name", "pytorch"))
        self.precision = str(getattr(network, "precision", "float32"))
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
        runtime: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        compile: bool = False,
        calibration: str | Path | None = None,
    ) -> Predictor:
        """Load a file of weights, or a file that `hrdepth export` wrote.

        Args:
            path: .safetensors, or exported: .onnx, .xml, .pt2; or what `from_pretrained` takes.
            size: of the network's input; by default that of training, or of an exported file.
            device: as for `Predictor`; other runtimes than PyTorch have their own.
            flip: as for `Predictor`.
            runtime: a key of `runtimes.RUNTIMES`; by default the fastest that is there.
            precision: `float32`, `bfloat16` or `int8`, as far as the runtime has it.
            threads: cores to compute with; None for all.
            compile: for PyTorch: compile the network.
            calibration: a folder of images, for int8 from weights.

        Raises:
            InputError: the file is missing or damaged, or what `load_runtime` or `Predictor` raise.
        """
        from hrdepth.inference.runtimes import load_runtime

        path = weights_file(path)
        chosen = None if device is None else str(choose_device(device))
        network = load_runtime(
            path,
            runtime,
            precision,
            threads=threads,
            compile=compile,
            device=chosen,
            calibration=calibration,
            size=size,
        )
        described = network.description
        predictor = cls(
            network,
            size or described.size,
            metres_per_unit=described.metres_per_unit,
            device=network.device,
            flip=flip,
            canonical_focal=described.canonical_focal,
        )
        predictor.source = path
        return predictor

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, **settings: Any) -> Predictor:
        """Load the network on board, or another by its name or place.

        Args:
            source: None for the network on board; the name of one on board; a file, or a folder that
                `save_pretrained` wrote; `hf://OWNER/REPO[@REVISION][/FILE]` on the Hugging Face Hub (extra `hub`).
            settings: of `from_file`: size, device, flip, runtime and more.

        Raises:
            InputError: nothing is there under that name, the Hub cannot be reached, or as `from_file`.
        """
        return cls.from_file(weights_file(source), **settings)

    def __call__(self, image: ImageLike, intrinsics: ArrayLike | None = None) -> Prediction:
        """Predict for one image.

        Args:
            image: a path (the EXIF orientation is applied); a Pillow image or an array, taken as they
                stand: uint8 or uint16, or float in [0,1], (H,W,3), (H,W,4) or grey (H,W).
            intrinsics: (3,3) in pixels of this image, kept with the prediction; see there.

        Raises:
            InputError: the image cannot be read or is no image, the intrinsics are no (3,3) matrix, or
                the network gives values that are no numbers.
        """
        pixels = to_pixels(image)
        matrix = None if intrinsics is None else _check_intrinsics(intrinsics)
        started = perf_counter()
        small = torch.from_numpy(self._predict(pixels))[None, None]
        full = nn.functional.interpolate(small, size=pixels.shape[:2], mode="bilinear", align_corners=False)
        return Prediction(
            disparity=np.asarray(full[0, 0].numpy(), dtype=np.float32),
            image=pixels,
            min_depth=self.min_depth,
            max_depth=self.max_depth,
            intrinsics=matrix,
            metres_per_unit=self.metres_per_unit,
            canonical_focal=self.canonical_focal,
            runtime=f"{self.runtime}, {self.precision}",
            seconds=perf_counter() - started,
        )

    def scaled_disparity(self, image: ImageLike) -> Float32:
        """Return 1/depth at the network's size, float32 (h,w), in 1/network units, for the canonical camera."""
        return scale_disparity(self._predict(to_pixels(image)), self.min_depth, self.max_depth)

    def disparities_with_flip(self, image: ImageLike) -> tuple[Float32, Float32]:
        """Return the sigmoid output for the image and, mirrored back, for its mirror image: two (h,w)."""
        both = self._run(to_pixels(image), flip=True)
        return both[0], np.ascontiguousarray(both[1, :, ::-1])

    def _predict(self, pixels: Pixels) -> Float32:
        if not self.flip:
            return np.asarray(self._run(pixels, flip=False)[0])
        both = self._run(pixels, flip=True)
        return blend_flipped(both[0], both[1, :, ::-1])

    def _run(self, pixels: Pixels, *, flip: bool) -> Float32:
        batch = lanczos(torch.from_numpy(pixels).to(self.device), self.size)[None] / 255  # (1,3,h,w)
        if flip:
            batch = torch.cat([batch, batch.flip(3)])  # (2,3,h,w)
        with torch.inference_mode():
            disparity: Float32 = self.network(batch)[0][:, 0].float().cpu().numpy()
        if not np.isfinite(disparity).all():
            raise InputError("the network gives values that are no numbers: its weights are damaged or diverged")
        return disparity


def blend_flipped(left: NDArray[Any], right: NDArray[Any]) -> Float32:
    """Blend the disparity of an image with that of its mirror image.

    Each has its weakness at one border, where the network sees too little: within 5 % of the left border the
    mirrored one counts alone, within 5 % of the right border the plain one, fading over another 5 % to
    their mean.

    Args:
        left: (...,H,W), disparity of the image, of either kind (the blend is affine).
        right: (...,H,W), disparity of the mirrored image, mirrored back.

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


def _check_intrinsics(intrinsics: ArrayLike) -> NDArray[np.float64]:
    matrix = np.array(intrinsics, dtype=np.float64)
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
        raise InputError(f"intrinsics must be a finite (3,3) matrix, not one of shape {matrix.shape}")
    if not matrix[0, 0] > 0:
        raise InputError(f"the focal length fx = {matrix[0, 0]:g} of the intrinsics must be positive, in pixels")
    return matrix
