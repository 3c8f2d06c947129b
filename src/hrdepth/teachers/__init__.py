"""Teachers by kind. Another one costs a file and a line here."""

from __future__ import annotations

from collections.abc import Callable

import torch

from hrdepth.teachers.base import Meaning, Teacher
from hrdepth.teachers.huggingface import TransformersTeacher
from hrdepth.teachers.network import NetworkTeacher
from hrdepth.teachers.onnx import OnnxTeacher
from hrdepth.weights.find import teacher_kind

__all__ = ["TEACHERS", "Meaning", "Teacher", "open_teacher", "teacher_kind"]

# By the kind that `open_teacher` finds.
TEACHERS: dict[str, Callable[[str, torch.device], Teacher]] = {
    "weights": lambda name, device: NetworkTeacher.read(name).to(device),
    "onnx": lambda name, device: OnnxTeacher(name),
    "transformers": TransformersTeacher,
}


def open_teacher(name: str, device: torch.device | None = None) -> Teacher:
    """Open a teacher by name.

    Args:
        name: a weights file of this package, by path, name or `hf://` address; an ONNX file with its facts
            (`teachers.onnx`); or a depth model of the transformers library, by its name on the Hugging Face Hub or a
            folder.
        device: on which it runs; ONNX Runtime chooses its own.

    Raises:
        InputError: there is no such teacher, or it cannot be used.
    """
    return TEACHERS[teacher_kind(name)](name, device or torch.device("cpu"))
