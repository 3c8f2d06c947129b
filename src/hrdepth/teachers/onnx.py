"""Any depth model in an ONNX file, with a few declared facts beside it."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from hrdepth.config.safe_yaml import load_yaml
from hrdepth.errors import MALFORMED, InputError, require
from hrdepth.io.files import existing_file, file_sha256
from hrdepth.io.onnx_file import outer_files
from hrdepth.teachers.base import Meaning, Teacher

__all__ = ["OnnxFacts", "OnnxTeacher"]


@dataclass(frozen=True)
class OnnxFacts:
    """What an ONNX file does not say of itself: `NAME.yaml` beside `NAME.onnx`.

    Attributes:
        output: `depth` or `disparity`: which of them is larger where things are farther, or nearer.
        meaning: `metric` (metres, or 1/metres), `scale` (an unknown factor an image) or `affine` (an unknown factor and
            offset an image, disparity alone).
        size: (height, width) of the input; null where the file fixes it.
        mean: subtracted from each channel, of RGB images in [0,1].
        std: by which each channel is then divided.
        name: of the output; null takes the first.
        canonical_focal: the focal length, in image widths, that metric depth assumes; null for the image's own camera.
        licence: SPDX identifier.

    Raises:
        InputError: values that cannot be.
    """

    output: str
    meaning: str
    size: tuple[int, int] | None = None
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    name: str | None = None
    canonical_focal: float | None = None
    licence: str | None = None

    def __post_init__(self) -> None:
        if self.output not in ("depth", "disparity"):
            raise InputError(f"output '{str(self.output)[:100]}': give depth or disparity")
        if self.meaning not in tuple(Meaning):
            raise InputError(f"meaning '{str(self.meaning)[:100]}': give {', '.join(Meaning)}")
        if self.output == "depth" and self.meaning == Meaning.AFFINE:
            raise InputError("meaning 'affine' is for disparity: depth with an unknown offset cannot be learned")
        if len(self.mean) != 3 or len(self.std) != 3 or min(self.std) <= 0:
            raise InputError(f"mean {list(self.mean)} and std {list(self.std)}: give three numbers each, std above 0")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise InputError(f"size {list(self.size)}: give height and width")
        if self.canonical_focal is not None and not 0.1 < self.canonical_focal < 20:
            raise InputError(f"canonical_focal {self.canonical_focal:g} must lie between 0.1 and 20 image widths")


class OnnxTeacher(Teacher):
    """A depth model in ONNX Runtime.

    Args:
        path: the file; `OnnxFacts` lie beside it, with the suffix `.yaml`.

    Raises:
        InputError: a file is missing or damaged, or the facts do not fit the model.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = existing_file(path, "the teacher")
        self.name = self.path.name
        self.declared = _read_facts(self.path.with_suffix(".yaml"))
        self.meaning = Meaning(self.declared.meaning)
        self.licence, self.canonical_focal = self.declared.licence, self.declared.canonical_focal
        self.metres_per_unit = 1.0 if self.meaning == Meaning.METRIC else None
        runtime = require("onnxruntime", "export", "ONNX teachers need")
        try:
            self._session: Any = runtime.InferenceSession(str(self.path), providers=runtime.get_available_providers())
        except Exception as error:  # ONNX Runtime's errors have no common class
            raise InputError(f"the teacher {self.path} is no ONNX file that can be run ({error})") from error
        inputs, outputs = self._session.get_inputs(), [output.name for output in self._session.get_outputs()]
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            raise InputError(f"the teacher {self.path} must have one input (N,3,H,W), it has {len(inputs)}")
        self._output = self.declared.name or outputs[0]
        if self._output not in outputs:
            raise InputError(f"the teacher {self.path} has no output '{self._output}'; it has {', '.join(outputs)}")
        self._input, fixed = inputs[0].name, inputs[0].shape[2:]
        self._batch = inputs[0].shape[0] if isinstance(inputs[0].shape[0], int) else None
        size = tuple(fixed) if all(isinstance(side, int) for side in fixed) else self.declared.size
        if size is None:
            raise InputError(f"{self.path.with_suffix('.yaml')} must give size (height, width): the model takes any")
        self.size = (int(size[0]), int(size[1]))
        grey = Image.fromarray(np.linspace(0, 255, 48, dtype=np.uint8)[:, None].repeat(64, 1)).convert("RGB")
        self.maps([grey], (48, 64))  # a wrong fact shows here, not after an hour of reading images

    def digest(self) -> str:
        """See `Teacher.digest`: of the file, those that have tensors of it, and the facts."""
        model = file_sha256(self.path)
        if files := outer_files(self.path):
            model = hashlib.sha256("".join([model, *map(file_sha256, files)]).encode()).hexdigest()
        return f"{model[:32]}{file_sha256(self.path.with_suffix('.yaml'))[:32]}"

    def maps(self, images: Sequence[Image.Image], size: tuple[int, int]) -> NDArray[np.float32]:
        """See `Teacher.maps`.

        Raises:
            InputError: the declared facts do not fit the model.
        """
        height, width = self.size
        resized = [image.resize((width, height), Image.Resampling.BICUBIC) for image in images]
        pixels = np.stack([np.asarray(image, np.float32) / 255 for image in resized])
        normalised = (pixels - np.array(self.declared.mean, np.float32)) / np.array(self.declared.std, np.float32)
        batch = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
        step = self._batch or len(batch)
        try:
            parts = [self._session.run([self._output], {self._input: batch[n : n + step]})[0]
                     for n in range(0, len(batch), step)]  # fmt: skip
        except Exception as error:  # ONNX Runtime's errors have no common class
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"the teacher {self.path} cannot compute images of {height}x{width} (height x width), the size in "
                f"{self.path.with_suffix('.yaml')} ({reason})"
            ) from error
        values = np.concatenate(parts).astype(np.float32)
        if values.ndim == 4 and values.shape[1] == 1:
            values = values[:, 0]
        if values.ndim != 3 or len(values) != len(images):
            raise InputError(f"the teacher {self.path}: its output '{self._output}' must be (N,H,W) or (N,1,H,W)")
        if self.declared.output == "depth":
            if not (values > 0).any():
                raise InputError(
                    f"the teacher {self.path}: its output '{self._output}' is nowhere above 0, so it is no depth; see "
                    f"output in {self.path.with_suffix('.yaml')}"
                )
            with np.errstate(divide="ignore"):
                values = np.where(values > 0, np.reciprocal(values), np.float32(np.nan))
        shape = (size[1], size[0])
        return np.stack(
            [np.asarray(Image.fromarray(value).resize(shape, Image.Resampling.BILINEAR)) for value in values]
        )


def _read_facts(file: Path) -> OnnxFacts:
    existing_file(file, "the facts of the teacher")
    try:
        content = load_yaml(file.read_text(encoding="utf-8"))
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in dict(content).items()
        }
        return OnnxFacts(**values)
    except InputError as error:
        raise InputError(f"{file}: {error}") from error
    except (*MALFORMED, yaml.YAMLError, OSError) as error:
        raise InputError(
            f"{file} must give output (depth or disparity), meaning ({', '.join(Meaning)}) and, if need be, size, "
            f"mean, std, name, canonical_focal, licence ({str(error)[:200]})"
        ) from error
