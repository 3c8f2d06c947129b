"""Initialise a backbone from a local file of this or another library.

A file may have the backbone's own names, those of the whole classifier, or those of another library that builds the
same layers in the same order. Every tensor must fit; otherwise the error names the first that does not.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from timm.models import adapt_input_conv
from torch import Tensor, nn

from hrdepth.errors import InputError, first_line
from hrdepth.io.arrays import check_archive, check_checksums
from hrdepth.io.files import existing_file, file_sha256

__all__ = ["load_local_weights"]

# Keys under which training scripts store a state dict, next to epoch and optimiser.
WRAPPERS = ("state_dict", "model")
# A classifier's last tensors, which feature maps do not need: weight and bias.
CLASSIFIER_TENSORS = 2


def load_local_weights(network: nn.Module, path: str, body: Callable[[], nn.Module] | None = None) -> str:
    """Load weights into `network` from a file with a state dict; its batch counters stay at 0.

    Args:
        network: the feature extractor. If its first convolution reads more images than the file's, the file's
            weights are repeated and divided by their number.
        path: a `.safetensors` file or one of torch.save, read without running code.
        body: builds the network that the features are taken from, up to its classifier; its names and the order of
            its tensors are tried if the file does not have the names of `network`.

    Returns:
        Name and SHA-256 of the file, as a weights file records where a training started.

    Raises:
        InputError: the file cannot be read, or a tensor is missing or has another shape; the message names the first.
    """
    file = existing_file(path, "the backbone's weights file")
    tensors = _weights(_read(file))
    wanted = _weights(network.state_dict())
    names = {key: key for key in wanted}
    if body is not None and not wanted.keys() <= tensors.keys():
        expected = _weights(body().state_dict())
        # timm's extractors flatten the first level of nesting: `stages.0.x` becomes `stages_0.x`.
        names |= {name: key for key in expected for name in (key, key.replace(".", "_", 1)) if name in wanted}
        if not set(names.values()) <= tensors.keys():
            tensors = _by_order(tensors, expected, file)
    fitting = {name: _fit(tensors.get(key), wanted[name], key, file) for name, key in names.items()}
    network.load_state_dict(fitting, strict=False)
    return f"{file.name}, SHA-256 {file_sha256(file)}"


def _fit(tensor: Tensor | None, wanted: Tensor, name: str, file: Path) -> Tensor:
    if tensor is None:
        raise InputError(f"the backbone's weights file {file} does not fit: tensor '{name}' is missing")
    if wanted.ndim == 4 and wanted.shape[1] > tensor.shape[1] == 3 and wanted.shape[0] == tensor.shape[0]:
        tensor = adapt_input_conv(wanted.shape[1], tensor)
    if tensor.shape != wanted.shape:
        raise InputError(
            f"the backbone's weights file {file} does not fit: tensor '{name}' has shape {tuple(tensor.shape)}, "
            f"the network's has {tuple(wanted.shape)}"
        )
    return tensor


def _by_order(tensors: dict[str, Tensor], expected: dict[str, Tensor], file: Path) -> dict[str, Tensor]:
    """Rename another library's tensors by their order, if each has the expected shape and last name."""
    start = f"the backbone's weights file {file} does not fit: it has other names than the network, and"
    if file.suffix == ".safetensors":
        raise InputError(f"{start} a safetensors file keeps no order to go by; save it with the network's names")
    for (name, tensor), (expected_name, other) in zip(tensors.items(), expected.items(), strict=False):
        if tensor.shape != other.shape or name.rpartition(".")[2] != expected_name.rpartition(".")[2]:
            raise InputError(
                f"{start} in order its '{name}' {tuple(tensor.shape)} meets the network's '{expected_name}' "
                f"{tuple(other.shape)}"
            )
    surplus = len(tensors) - len(expected)
    if surplus not in (0, CLASSIFIER_TENSORS):
        raise InputError(f"{start} it has {len(tensors)} tensors, the network without classifier {len(expected)}")
    return dict(zip(expected, tensors.values(), strict=False))


def _weights(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Leave out the batch counters, which older files lack."""
    return {key: value for key, value in tensors.items() if not key.endswith("num_batches_tracked")}


def _read(file: Path) -> dict[str, Tensor]:
    try:
        content: Any = load_file(file) if file.suffix == ".safetensors" else _safely(file)
    except Exception as error:
        raise InputError(f"the weights file {file} cannot be read: {first_line(error)}") from error
    for wrapper in WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(wrapper), dict):
            content = content[wrapper]
    found = content.items() if isinstance(content, dict) else ()
    tensors = {str(key).removeprefix("module."): value for key, value in found if isinstance(value, Tensor)}
    if not tensors:
        raise InputError(f"the weights file {file} holds no state dict of tensors")
    return tensors


def _safely(file: Path) -> Any:
    if zipfile.is_zipfile(file):
        check_archive(file)
        check_checksums(file)
    return torch.load(file, map_location="cpu", weights_only=True)
