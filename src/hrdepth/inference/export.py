"""`hrdepth export`: a network as a file for other runtimes, checked against PyTorch before it gets its name.

PyTorch is imported once the settings are checked.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from hrdepth.config import FORMATS, ExportConfig
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes import SUFFIXES, load_runtime, unavailable
from hrdepth.inference.runtimes.quantisation import KEEP, calibration_images, quantise
from hrdepth.inference.runtimes.source import CONTENT, UNSEALED, Description, export_files, seal
from hrdepth.io.files import output_file, write_failure
from hrdepth.io.images import check_size, read_image
from hrdepth.io.locks import temporary_folder
from hrdepth.io.provenance import provenance
from hrdepth.registry import lookup
from hrdepth.weights.find import locate_weights

if TYPE_CHECKING:
    from torch import Tensor

    from hrdepth.weights.checkpoint import Checkpoint

__all__ = ["ExportReport", "export"]

# Differences between two runtimes by rounding in float32, and allowed for int8.
TOLERANCE = 1e-4
INT8_TOLERANCE = 0.05


@dataclass(frozen=True)
class ExportReport:
    """What was exported, and how much it differs from PyTorch.

    Attributes:
        path: the file.
        largest: largest difference of disparity, which lies in (0,1).
        relative: mean of |difference| / disparity.
        abs_rel: Abs Rel of the network in PyTorch and of the file, where there was depth to compare with.
    """

    path: Path
    largest: float
    relative: float
    abs_rel: tuple[float, float] | None = None

    def __str__(self) -> str:
        """Return it as one line."""
        text = (
            f"{self.path}: disparity differs from PyTorch's by {self.largest:.1e} at most, {self.relative:.2%} in mean"
        )
        if self.abs_rel is None:
            return text
        return f"{text}; Abs Rel {self.abs_rel[0]:.4f} before, {self.abs_rel[1]:.4f} after"


def export(config: ExportConfig, abs_rel: Callable[[Predictor], float] | None = None) -> ExportReport:
    """Export a network to a temporary file, check it, and only then rename it.

    Args:
        config: what to export, and what the file may lose.
        abs_rel: measures Abs Rel on the ground truth of the config; None skips that comparison.

    Raises:
        InputError: incompatible settings, a package that is missing, or a file that differs from PyTorch
            by more than the tolerance, or loses more Abs Rel than allowed; nothing is left of it then.
    """
    out, kind = _checked(config)
    weights = locate_weights(config.weights)
    from hrdepth.weights.checkpoint import read_checkpoint

    checkpoint = read_checkpoint(weights)
    size = config.size or checkpoint.size
    check_size(size, checkpoint.network.stride)
    description = _describe(config, checkpoint, size)
    with _staged(out) as path:
        _write(kind, path, config, checkpoint, description)
        report = _compare(path, config, checkpoint, size, abs_rel)
    return dataclasses.replace(report, path=out)


def _checked(config: ExportConfig) -> tuple[Path, str]:
    """Return the file and its format."""
    out = Path(config.out)
    of_name = {suffix: kind for kind, suffix in FORMATS.items()}
    kind = config.format or of_name.get(out.suffix)
    if kind is None:
        raise InputError(f"the suffix of {out} is not that of a format; use {', '.join(of_name)}, or give --format")
    if out.suffix != lookup(FORMATS, kind, "format"):
        raise InputError(f"the file {out} must end in {FORMATS[kind]} for --format {kind}")
    if config.int8 and kind != "openvino":
        raise InputError(f"int8 is for --format openvino, not for {kind}")
    if config.int8 and config.calibration is None:
        raise InputError("int8 needs images for calibration; give their folder with --calibration")
    if config.calibration is not None and not config.int8:
        raise InputError("--calibration is for int8; add --int8 or omit it")
    if reason := unavailable(SUFFIXES[out.suffix]):
        raise InputError(f"format {kind} cannot be checked here: {reason}")
    for path in export_files(out):
        output_file(path, overwrite=config.overwrite)
    return out, kind


def _describe(config: ExportConfig, checkpoint: Checkpoint, size: tuple[int, int]) -> Description:
    described = Description.of(checkpoint)
    if config.depth:
        described.scale.check_depth()
    made = provenance(weights=Path(config.weights).name, weights_provenance=checkpoint.provenance)
    mean = std = None
    if not config.normalisation:
        from hrdepth.networks.base import NORMALISATIONS

        name = checkpoint.network_config.options.get("normalisation", "released")
        mean, std = NORMALISATIONS[name]
    return dataclasses.replace(
        described,
        size=size,
        fixed=not config.dynamic,
        output="depth" if config.depth else "disparity",
        mean=mean,
        std=std,
        precision="int8" if config.int8 else "float32",
        licence=config.licence or described.licence,
        provenance=made,
    )


def _write(kind: str, path: Path, config: ExportConfig, checkpoint: Checkpoint, description: Description) -> None:
    from hrdepth.inference.runtimes import graphs

    finest = graphs.simplify(checkpoint.network, static=True)
    unit = description.depth_unit if config.depth else None
    graph = graphs.Graph(finest, normalisation=config.normalisation, depth=unit).eval()
    metadata, size = description.metadata(), None if config.dynamic else description.size
    if kind != "torch-export":
        metadata[CONTENT] = json.dumps(UNSEALED)
    if kind == "onnx":
        graphs.write_onnx(graph, path, size=size, metadata=metadata)
    elif kind == "torch-export":
        graphs.write_torch_export(graph, path, size=size, metadata=metadata)
    else:
        model = graphs.openvino_model(graph, size)
        if config.int8:
            assert config.calibration is not None
            normalise = None
            if description.mean is not None and description.std is not None:
                normalise = (description.mean, description.std)
            model = quantise(
                model,
                Path(config.calibration),
                description.size,
                normalise=normalise,
                keep=KEEP if config.quantisation.keep is None else config.quantisation.keep,
                images=config.quantisation.images,
            )
        graphs.write_openvino(model, path, metadata=metadata)
    if kind != "torch-export":
        seal(export_files(path))


def _compare(
    path: Path,
    config: ExportConfig,
    checkpoint: Checkpoint,
    size: tuple[int, int],
    abs_rel: Callable[[Predictor], float] | None,
) -> ExportReport:
    """Run the file and PyTorch on the same images.

    Raises:
        InputError: they differ by more than is allowed.
    """
    import torch

    exported = load_runtime(path, trust=True)  # this process wrote it
    differences, relative = [], []
    for image in _images(config, size):
        with torch.inference_mode():
            expected = checkpoint.network(image)[0]
        difference = (torch.from_numpy(exported(image.numpy())) - expected).abs()
        differences.append(float(difference.max()))
        relative.append(float((difference / expected).mean()))
    report = ExportReport(path, float(np.max(differences)), float(np.mean(relative)))
    measured, allowed, what = report.largest, TOLERANCE, "by at most"
    if config.int8:
        measured, allowed, what = report.relative, INT8_TOLERANCE, "on average by a relative"
    allowed = allowed if config.tolerance is None else config.tolerance
    if not measured <= allowed:  # also true for NaN
        raise InputError(
            f"the exported network differs from PyTorch {what} {measured:.2g} of disparity, more than the "
            f"{allowed:.2g} allowed; {config.out} was not written. {_remedy(config)}"
        )
    if abs_rel is None:
        return report
    before, after = (abs_rel(Predictor(network, size, device="cpu")) for network in (checkpoint.network, exported))
    if not after - before <= config.max_loss:
        raise InputError(
            f"the exported network has Abs Rel {after:.4f}, PyTorch {before:.4f}: {after - before:.4f} more, "
            f"{config.max_loss:g} allowed; {config.out} was not written. {_remedy(config)}"
        )
    return dataclasses.replace(report, abs_rel=(before, after))


def _remedy(config: ExportConfig) -> str:
    if config.int8:
        return "Calibrate on images more like the training images, or keep more layers in float (quantisation.keep)"
    return "Try another format, or report the network and the versions of torch and of the runtime"


def _images(config: ExportConfig, size: tuple[int, int]) -> Iterator[Tensor]:
    """Yield images (B,3,H,W) to compare on: of the calibration folder, or smooth noise, at each kind of size."""
    import torch

    if config.calibration is not None:
        for path in calibration_images(Path(config.calibration), 4):
            resized = read_image(path).resize((size[1], size[0]), Image.Resampling.LANCZOS)
            yield torch.from_numpy(np.array(resized)).permute(2, 0, 1)[None].float() / 255
        return
    random = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 8, 12, generator=random)
    shapes = [(1, size), (2, (size[0] + 32, size[1] + 64))] if config.dynamic else [(1, size)]
    for batch, shape in shapes:
        yield torch.nn.functional.interpolate(coarse[:batch], size=shape, mode="bilinear", align_corners=False)


@contextmanager
def _staged(out: Path) -> Iterator[Path]:
    """Yield a path of the same name in a temporary folder beside; rename its files on success."""
    try:
        with temporary_folder(out.parent) as folder:
            staged = folder / out.name
            yield staged
            for written, place in zip(export_files(staged), export_files(out), strict=True):
                written.replace(place)
    except OSError as error:
        raise InputError(f"{out} cannot be written ({write_failure(error)}); choose another place") from error
