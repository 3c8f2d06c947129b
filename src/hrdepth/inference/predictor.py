"""From an image to depth at its full size: resize, network, resize back, and what the numbers mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from math import log
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from hrdepth.camera import DepthScale, LearnedCamera, aspect_size, check_focal_lengths
from hrdepth.errors import InputError, require
from hrdepth.inference.prediction import Prediction
from hrdepth.inference.runtimes import Runtime, load_runtime
from hrdepth.inference.runtimes.pytorch import InMemory
from hrdepth.io.images import ImageLike, check_size, to_pixels
from hrdepth.weights.find import locate_weights

if TYPE_CHECKING:
    from hrdepth.weights.checkpoint import Checkpoint

__all__ = ["Prediction", "Predictor", "blend_flipped"]

# Difference of the logarithms of fx and fy up to which an image's pixels are square.
SQUARE = 0.05

Float32 = NDArray[np.float32]
Pixels = NDArray[np.uint8]


class Predictor:
    """Predict depth for one image at a time.

    PyTorch is needed for networks in PyTorch alone: a `torch.nn.Module` is moved to the device and set to eval mode.

    Args:
        network: what `load_runtime` returns (contract 4), or a callable of tensors: image (B,3,H,W) in [0,1] ->
            {scale: disparity} (contract 1).
        size: (height, width) of the network's input, multiples of `network.stride` (32 if it has none).
        min_depth: of the network's range, in network units; by default the network's own, else 0.1.
        max_depth: of the network's range; by default the network's own, else 100.
        metres_per_unit: metres = depth x metres_per_unit; by default the network's own; None if unknown.
        device: "auto", "cuda", "mps", "cpu"; "auto" (or None) is the best that is available (for a callable that is no
            `nn.Module`: "cpu"). A runtime has its own.
        flip: also predict for the mirrored image and blend the two (`blend_flipped`): smoother borders,
            twice the time.
        canonical_focal: see `Prediction`; by default the network's own.
        shift: of 1/depth, in 1/network units, for a network whose shift is unknown (`DepthScale`), which gives no depth
            without it.
        keep_aspect: predict at a size with the image's aspect, see `camera.aspect_size`; `size` is then that of
            training, and what `scaled_disparity` works at.

    Attributes:
        scale: what disparity means, see `hrdepth.camera.DepthScale`.
        source: the file of weights, or None.
        cameras: those whose intrinsics were learned with the weights.
        infer: the network, as contract 4.

    Raises:
        InputError: the size does not fit the network, the range is empty, a shift is given that is known, or the device
            is not available.

    Example:
        >>> predict = Predictor(lambda image: {0: image[:, :1]}, size=(32, 64))
        >>> predict(np.zeros((50, 80, 3), dtype=np.uint8)).depth.shape
        (50, 80)
    """

    def __init__(
        self,
        network: Callable[[Any], Any],
        size: tuple[int, int],
        min_depth: float | None = None,
        max_depth: float | None = None,
        metres_per_unit: float | None = None,
        device: Any = None,
        *,
        flip: bool = False,
        canonical_focal: float | None = None,
        keep_aspect: bool = False,
        shift: float | None = None,
    ) -> None:
        self._stride = int(getattr(network, "stride", 32))
        check_size(size, self._stride, least=1)
        self.size = (int(size[0]), int(size[1]))
        given: dict[str, Any] = {"min_depth": min_depth, "max_depth": max_depth}
        given |= {"metres_per_unit": metres_per_unit, "canonical_focal": canonical_focal}
        given = {name: value for name, value in given.items() if value is not None}
        self.scale = replace(DepthScale.of(network), **given)
        if shift is not None:
            if self.scale.has_depth:
                raise InputError(
                    f"the shift {shift:g} is for networks whose shift is unknown, and this one gives depth"
                )
            self.scale = replace(self.scale, shift=shift)
        self.flip = flip
        self.keep_aspect = keep_aspect
        self.network = network
        infer = network if isinstance(network, Runtime) else InMemory(network, device)
        self.infer: Callable[[Float32], Float32] = infer
        self.device = infer.device
        # For provenance, if the network is a runtime.
        self.runtime = str(getattr(network, "name", "pytorch"))
        self.precision = str(getattr(network, "precision", "float32"))
        self.source: Path | None = getattr(network, "path", None)
        self.source_sha256: str | None = getattr(network, "sha256", None)
        self.cameras: tuple[LearnedCamera, ...] = getattr(network, "cameras", ())

    @property
    def min_depth(self) -> float:
        """The depth at disparity 1, in network units."""
        return self.scale.min_depth

    @property
    def max_depth(self) -> float:
        """The depth at disparity 0, in network units."""
        return self.scale.max_depth

    @property
    def metres_per_unit(self) -> float | None:
        """Metres = depth x this; None if depth is known up to scale only."""
        return self.scale.metres_per_unit

    @property
    def canonical_focal(self) -> float | None:
        """See `Prediction`."""
        return self.scale.canonical_focal

    @classmethod
    def from_file(
        cls,
        path: str | Path | None,
        *,
        size: tuple[int, int] | None = None,
        device: Any = "auto",
        flip: bool = False,
        runtime: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        compile: bool = False,
        calibration: str | Path | None = None,
        trust: bool = False,
        cache: bool = True,
        shift: float | None = None,
    ) -> Predictor:
        """Load weights, or a file that `hrdepth export` wrote.

        Args:
            path: .safetensors, or exported: .onnx, .xml, .pt2; or what `from_pretrained` takes.
            size: of the network's input; by default one that keeps the image's aspect
                (`camera.aspect_size`), or that of an exported file.
            device: "auto", "cuda", "mps" or "cpu", for PyTorch; other runtimes have their own.
            flip: as for `Predictor`.
            runtime: a key of `runtimes.RUNTIMES`; by default the fastest that is available.
            precision: `float32`, `bfloat16` or `int8`, as far as the runtime supports it.
            threads: cores to compute with; None for all.
            compile: for PyTorch: compile the network.
            calibration: a folder of images, for int8 from weights.
            trust: also open a .pt2 file, which can run code.
            cache: for OpenVINO: keep what it compiles in the user's cache folder.
            shift: as for `Predictor`.

        Raises:
            InputError: the file is missing or damaged, or what `load_runtime` or `Predictor` raise.
        """
        network = load_runtime(
            locate_weights(path),
            runtime,
            precision,
            threads=threads,
            compile=compile,
            device=None if device is None else str(device),
            calibration=calibration,
            size=size,
            trust=trust,
            cache=cache,
        )
        keep_aspect = size is None and network.fixed_size is None
        return cls(network, size or network.description.size, flip=flip, keep_aspect=keep_aspect, shift=shift)

    @classmethod
    def from_pretrained(cls, source: str | Path | None = None, **settings: Any) -> Predictor:
        """Load the bundled network, or another by its name or address.

        Args:
            source: None for the bundled network; the name of bundled weights; a file, or a folder that
                `save_pretrained` wrote; `hf://OWNER/REPO[@REVISION][/FILE]` on the Hugging Face Hub (extra `hub`).
            settings: of `from_file`: size, device, flip, runtime and more.

        Raises:
            InputError: nothing is there under that name, the Hub cannot be reached, or as `from_file`.
        """
        return cls.from_file(source, **settings)

    def save_pretrained(self, folder: str | Path, **facts: Any) -> Path:
        """Write model.safetensors, a card (README.md) and config.json into a folder that `from_pretrained` takes.

        Args:
            folder: made where it does not exist.
            facts: name, licence, card, results, dtype, overwrite: see `hrdepth.weights.share.save_pretrained`.

        Raises:
            InputError: the predictor has no weights file, or the folder cannot be written.
        """
        return Path(_training_part("weights.share").save_pretrained(self._checkpoint(), folder, **facts))

    def push_to_hub(self, repo: str, **facts: Any) -> str:
        """Upload what `save_pretrained` writes to the Hugging Face Hub; return its address in a browser.

        Args:
            repo: OWNER/REPO, made where there is none.
            facts: of `save_pretrained`, and private, token, message: see `hrdepth.weights.share.push_to_hub`.

        Raises:
            InputError: the repository cannot be written or the Hub not be reached, or as `save_pretrained`.
        """
        return str(_training_part("weights.share").push_to_hub(self._checkpoint(), repo, **facts))

    def _checkpoint(self) -> Checkpoint:
        if self.source is None:
            raise InputError(
                "this predictor's network was not read from a file; write one with checkpoint.save_checkpoint"
            )
        if self.source.suffix != ".safetensors":
            raise InputError(f"{self.source} is an exported file; load the weights that it was exported from")
        found: Checkpoint = _training_part("weights.checkpoint").read_checkpoint(self.source)
        return found

    def __call__(self, image: ImageLike, intrinsics: ArrayLike | None = None) -> Prediction:
        """Predict for one image.

        Args:
            image: a path (the EXIF orientation is applied); a Pillow image or an array, used as they
                are: uint8 or uint16, or float in [0,1], (H,W,3), (H,W,4) or grey (H,W).
            intrinsics: (3,3) in pixels of this image, stored with the prediction; see there.

        Raises:
            InputError: the image cannot be read, the intrinsics are no (3,3) matrix in pixels of the image, or the
                network gives values that are no numbers.
        """
        return self.predict_batch([image], [intrinsics])[0]

    def predict_batch(self, images: Sequence[ImageLike], intrinsics: Sequence[ArrayLike | None]) -> list[Prediction]:
        """Predict for several images, those of one input size at once, which a GPU is made for.

        Args:
            images: as for one.
            intrinsics: of each.

        Raises:
            InputError: as for one image.
        """
        if len(images) != len(intrinsics):
            raise InputError(f"{len(images)} images need as many intrinsics, not {len(intrinsics)}; None where unknown")
        pixels = [to_pixels(image) for image in images]
        matrices = [
            None if matrix is None else _check_intrinsics(matrix, image.shape)
            for matrix, image in zip(intrinsics, pixels, strict=True)
        ]
        groups: dict[tuple[int, int], list[int]] = {}
        for index, image in enumerate(pixels):
            groups.setdefault(self.input_size(image.shape[:2], matrices[index]), []).append(index)
        predictions: dict[int, Prediction] = {}
        for size, indices in groups.items():
            started = perf_counter()
            disparities = self._predict([pixels[index] for index in indices], size)
            seconds = (perf_counter() - started) / len(indices)
            for index, disparity in zip(indices, disparities, strict=True):
                predictions[index] = Prediction(
                    disparity=_enlarged(disparity, pixels[index].shape[:2]),
                    image=pixels[index],
                    intrinsics=matrices[index],
                    **asdict(self.scale),
                    runtime=f"{self.runtime}, {self.precision}",
                    seconds=seconds,
                )
        return [predictions[index] for index in range(len(pixels))]

    def scaled_disparity(self, image: ImageLike) -> Float32:
        """Return 1/depth at `size`, float32 (h,w), in 1/network units, for the canonical camera: for evaluation.

        The image is squashed to that size, whatever its aspect, as published numbers are measured.
        """
        return self.scale.scaled_disparity(self._predict([to_pixels(image)], self.size)[0])

    def input_size(self, image: tuple[int, ...], intrinsics: NDArray[np.float64] | None = None) -> tuple[int, int]:
        """Return (height, width) at which the network sees an image of size (height, width).

        Where fx and fy say that the image was squeezed, it is that of the image as it was.
        """
        if not self.keep_aspect:
            return self.size
        height, width = image[0], image[1]
        pixel_aspect = 1.0 if intrinsics is None else float(intrinsics[1, 1] / intrinsics[0, 0])
        if pixel_aspect > 0 and abs(log(pixel_aspect)) > SQUARE:
            height, width = round(height * max(1, 1 / pixel_aspect)), round(width * max(1, pixel_aspect))
        return aspect_size((height, width), self.size, self._stride)

    def disparities_with_flip(self, image: ImageLike) -> tuple[Float32, Float32]:
        """Return the sigmoid output for the image and, mirrored back, for its mirror image: two (h,w) at `size`."""
        both = self._run([to_pixels(image)], self.size, flip=True)
        return both[0], np.ascontiguousarray(both[1, :, ::-1])

    def _predict(self, images: Sequence[Pixels], size: tuple[int, int]) -> list[Float32]:
        found = self._run(images, size, flip=self.flip)
        if not self.flip:
            return list(found)
        count = len(images)
        return [blend_flipped(found[i], found[count + i, :, ::-1]) for i in range(count)]

    def _run(self, images: Sequence[Pixels], size: tuple[int, int], *, flip: bool) -> Float32:
        """Return the sigmoid output (B,h,w) of images; with `flip` (2B,h,w), those of the mirrored ones behind."""
        resized = [Image.fromarray(one).resize((size[1], size[0]), Image.Resampling.LANCZOS) for one in images]
        planes = np.stack([np.asarray(one) for one in resized]).transpose(0, 3, 1, 2)  # (B,3,h,w)
        batch = planes.astype(np.float32, order="C") / np.float32(255)
        if flip:
            batch = np.concatenate([batch, batch[..., ::-1]])  # (2B,3,h,w)
        disparity: Float32 = self.infer(batch)[:, 0]
        if not np.isfinite(disparity).all():
            raise InputError("the network's output is not finite: its weights are damaged or diverged")
        return disparity


def blend_flipped(left: NDArray[Any], right: NDArray[Any]) -> Float32:
    """Blend the disparity of an image with that of its mirror image.

    Each is unreliable near one border, where the network lacks context: within 5 % of the left border the
    mirrored one is used alone, within 5 % of the right border the plain one, fading over another 5 % to
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


def _enlarged(disparity: Float32, size: tuple[int, ...]) -> Float32:
    """Resize disparity (h,w) bilinearly about pixel centres to `size`; averages where that is smaller."""
    image = Image.fromarray(np.ascontiguousarray(disparity, dtype=np.float32))
    return np.array(image.resize((size[1], size[0]), Image.Resampling.BILINEAR))


def _training_part(module: str) -> Any:
    return require(f"hrdepth.{module}", "train", "weights files to share need")


def _check_intrinsics(intrinsics: ArrayLike, size: tuple[int, ...]) -> NDArray[np.float64]:
    try:
        matrix = np.array(intrinsics, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"the intrinsics {intrinsics!r:.100} must be a (3,3) matrix of numbers") from error
    if matrix.shape != (3, 3):
        raise InputError(f"the intrinsics must be a (3,3) matrix, not one of shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError(f"the intrinsics {matrix.tolist()} must be finite numbers")
    if matrix[1, 0] or matrix[2].tolist() != [0, 0, 1]:
        raise InputError(f"the intrinsics {matrix.tolist()} must read [fx s cx; 0 fy cy; 0 0 1]; are they transposed?")
    check_focal_lengths(matrix, size, "the intrinsics")
    (height, width), (cx, cy) = size[:2], matrix[:2, 2]
    if not (-width <= cx <= 2 * width and -height <= cy <= 2 * height):  # an image may be a part of a larger one
        raise InputError(
            f"the principal point ({cx:g}, {cy:g}) of the intrinsics lies far outside the {width}x{height} image "
            "(width x height); give K in pixels of that size"
        )
    return matrix
