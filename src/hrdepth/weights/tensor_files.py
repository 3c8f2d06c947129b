"""Tensors and text in one safetensors file, with a hash of the tensors that is checked when they are read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from hrdepth.config import STORED_DTYPES
from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path, parse_json

__all__ = ["DTYPES", "HASH", "read_tensors", "tensors_sha256", "write_stored", "write_tensors"]

# Where the metadata has the hash, as JSON like its other values.
HASH = "sha256"
DTYPES = {name: getattr(torch, name) for name in STORED_DTYPES}


def write_tensors(
    path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str], dtype: torch.dtype | None = None
) -> None:
    """Write tensors and metadata, atomically, with the hash of the tensors as they are stored.

    Args:
        path: ends in `.safetensors`.
        tensors: by name.
        metadata: text by name.
        dtype: of kernels and matrices. Vectors (statistics of batch normalisation, biases) keep their own, as they are
            few and their errors add up, and so does what would overflow. None keeps all.

    Raises:
        InputError: the file cannot be written.
    """
    stored = {key: _storable(value, dtype) for key, value in tensors.items()}
    write_stored(path, stored, {**metadata, HASH: json.dumps(tensors_sha256(stored))})


def write_stored(path: str | Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Write tensors and metadata as they are, atomically.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_path(path, durable=True) as temporary:
        # The library would write a file of its own name beside it, which a killed process leaves.
        temporary.write_bytes(save(dict(tensors), dict(metadata)))


def read_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, str], str]:
    """Read a file once; one without a hash, by an older version or another program, is not checked.

    Returns:
        The tensors, the metadata, and the SHA-256 of the whole file.

    Raises:
        InputError: the file is damaged or of another format.
    """
    try:
        content = path.read_bytes()
        tensors = load(content)
        header = parse_json(content[8 : 8 + int.from_bytes(content[:8], "little")])
    except (SafetensorError, OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path} is damaged or no safetensors file ({error})") from error
    metadata: dict[str, str] = header.get("__metadata__", {})
    if HASH in metadata and metadata[HASH] != json.dumps(tensors_sha256(tensors)):
        raise InputError(f"{path} is damaged: its tensors are not those that were written; copy or download it again")
    return tensors, metadata, hashlib.sha256(content).hexdigest()


def tensors_sha256(tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of names, types, shapes and values, whatever the order; metadata may change under it.

    Example:
        >>> one, two = {"a": torch.zeros(2), "b": torch.ones(1)}, {"b": torch.ones(1), "a": torch.zeros(2)}
        >>> tensors_sha256(one) == tensors_sha256(two), tensors_sha256(one) == tensors_sha256({"a": torch.zeros(2)})
        (True, False)
    """
    digest = hashlib.sha256()
    for key in sorted(tensors):
        value = tensors[key].contiguous()
        digest.update(f"{key} {value.dtype} {tuple(value.shape)}\n".encode())
        digest.update(value.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _storable(tensor: Tensor, dtype: torch.dtype | None) -> Tensor:
    value = tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous()
    if dtype is None or not value.is_floating_point() or value.ndim < 2:
        return value
    converted = value.to(dtype)
    return converted if bool(converted.isfinite().all()) else value
