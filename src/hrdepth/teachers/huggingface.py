"""Any depth model of the transformers library: Depth Anything, Depth Pro, DPT (MiDaS), ZoeDepth, GLPN and others."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.nn import functional as F

from hrdepth.errors import InputError, require
from hrdepth.teachers.base import Meaning, Teacher

__all__ = ["MEANINGS", "TransformersTeacher"]

log = logging.getLogger(__name__)

# What the map of each kind of model means, where it is always the same, and whether it is depth (else disparity).
MEANINGS: dict[str, tuple[Meaning, bool]] = {
    "dpt": (Meaning.AFFINE, False),
    "depth_pro": (Meaning.METRIC, True),
    "glpn": (Meaning.METRIC, True),
    "zoedepth": (Meaning.METRIC, True),
}
# What a model's config says of its files and the library's version, and not of its maps.
ORIGIN = frozenset(["_name_or_path", "transformers_version"])


class TransformersTeacher(Teacher):
    """A model for depth estimation with its own image processor.

    Args:
        name: a name on the Hugging Face Hub, such as `depth-anything/Depth-Anything-V2-Small-hf`, or a folder that
            `save_pretrained` wrote. No code of the repository is run, and its weights must be safetensors.
        device: on which it runs.

    Raises:
        InputError: the library is missing, there is no such model, it is of another kind, or it cannot be fetched.
    """

    def __init__(self, name: str, device: torch.device | None = None) -> None:
        transformers = require("transformers", "teachers", f"the teacher {name} needs")
        self.name = name
        self.device = device or torch.device("cpu")
        safe = {"trust_remote_code": False}  # also no pickled weights: either can run code
        try:
            config = transformers.AutoConfig.from_pretrained(name, **safe)
            depth = transformers.AutoModelForDepthEstimation
            self._model: Any = depth.from_pretrained(name, use_safetensors=True, **safe)
            self._processor: Any = transformers.AutoImageProcessor.from_pretrained(name, **safe)
        except Exception as error:  # of three libraries, without a common class
            reason = " ".join(str(error).split())[:200]
            raise InputError(
                f"the teacher {name} cannot be loaded as a depth model of transformers ({reason}); give the name of "
                "one on the Hugging Face Hub with safetensors, or a folder that holds one, and check the connection"
            ) from error
        self.meaning, self._is_depth = _meaning(config, name)
        self.metres_per_unit = 1.0 if self.meaning == Meaning.METRIC else None
        self._model.requires_grad_(False).eval().to(self.device)
        self.licence = _licence(name)

    def digest(self) -> str:
        """See `Teacher.digest`: of weights, architecture and preprocessing."""
        return self._digest(json.dumps(_without_origin(self._model.config.to_dict()), sort_keys=True, default=str))

    def has_digest(self, digest: str) -> bool:
        """See `Teacher.has_digest`: earlier versions hashed where the model lay, and the library's version, too."""
        return digest == self.digest() or digest == self._digest(self._model.config.to_json_string(use_diff=False))

    def _digest(self, config: str) -> str:
        digest = hashlib.sha256(config.encode())
        digest.update(str(sorted(self._processor.to_dict().items())).encode())
        for key, tensor in sorted(self._model.state_dict().items()):
            digest.update(key.encode())
            digest.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
        return digest.hexdigest()

    @torch.inference_mode()
    def maps(self, images: Sequence[Image.Image], size: tuple[int, int]) -> NDArray[np.float32]:
        """See `Teacher.maps`."""
        inputs = self._processor(images=list(images), return_tensors="pt").to(self.device)
        outputs = self._model(**inputs)
        shapes = [(image.height, image.width) for image in images]
        more = {"source_sizes": shapes} if self._model.config.model_type == "zoedepth" else {}
        found = self._processor.post_process_depth_estimation(outputs, target_sizes=shapes, **more)
        values = torch.stack([part["predicted_depth"].float() for part in found])[:, None]
        if self._is_depth:
            values = torch.where(values > 0, 1 / values, torch.nan)
        resized = F.interpolate(values, size, mode="bilinear", align_corners=False, antialias=True)
        return np.asarray(resized[:, 0].cpu().numpy(), np.float32)


def _without_origin(config: Any) -> Any:
    if not isinstance(config, dict):
        return config
    return {key: _without_origin(value) for key, value in config.items() if key not in ORIGIN}


def _meaning(config: Any, name: str) -> tuple[Meaning, bool]:
    kind = config.model_type
    if kind == "depth_anything":
        metric = getattr(config, "depth_estimation_type", "relative") == "metric"
        return (Meaning.METRIC, True) if metric else (Meaning.AFFINE, False)
    if kind not in MEANINGS:
        raise InputError(
            f"the teacher {name} is a model of kind '{kind}', and what its output means is not known; known are "
            f"depth_anything, {', '.join(sorted(MEANINGS))}; export it to ONNX and declare it (docs/teachers.md)"
        )
    return MEANINGS[kind]


def _licence(name: str) -> str | None:
    """Return the licence of a model card, if it can be read without trouble."""
    card = Path(name) / "README.md"
    hub = require("huggingface_hub", "teachers", "teachers need")
    try:
        found = (
            hub.ModelCard.load(card if card.is_file() else name) if card.is_file() or not Path(name).is_dir() else None
        )
    except Exception:  # the card is only for the licence; the Hub raises many kinds of errors
        log.warning(
            "warning: the licence of the teacher %s is not known; look at its page before using the student", name
        )
        return None
    licence = getattr(found and found.data, "license", None)
    return None if licence is None else str(licence)
