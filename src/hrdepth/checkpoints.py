"""One safetensors file holds a network, its pose network, its config, and what its scale means.

The tensors of the depth network are stored under `depth.`, those of the pose network under `pose.`; the file's
metadata holds JSON. Nothing in the file can run code.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.files import atomic_path, existing_file
from hrdepth.networks import build_network, build_pose_network
from hrdepth.networks.blocks import DepthNetwork

__all__ = ["Checkpoint", "load_network", "load_pose_network", "read_checkpoint", "save_checkpoint"]

FORMAT = "hrdepth/1"


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds.

    Attributes:
        network: the depth network, in eval mode.
        network_config: its name and options.
        pose_network: the pose network in eval mode, or None.
        pose_network_config: its name and options, or None.
        size: (height, width) in pixels that the network was trained at.
        metres_per_unit: metres that one unit of depth stands for; None where depth is known up to scale only.
        provenance: how the weights came about.
        canonical_focal: fx, in picture widths, of the camera that the depth holds for; for another one it is to be
            multiplied by `geometry.focal_factor`. None takes it as it is for any camera.
    """

    network: DepthNetwork
    network_config: NetworkConfig
    pose_network: nn.Module | None
    pose_network_config: NetworkConfig | None
    size: tuple[int, int]
    metres_per_unit: float | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    canonical_focal: float | None = None


def save_checkpoint(
    path: str | Path,
    network: nn.Module,
    network_config: NetworkConfig,
    *,
    size: tuple[int, int],
    pose_network: nn.Module | None = None,
    pose_network_config: NetworkConfig | None = None,
    metres_per_unit: float | None = None,
    canonical_focal: float | None = None,
    provenance: dict[str, Any] | None = None,
) -> None:
    """Write a weights file, atomically.

    Args:
        path: ends in `.safetensors`.
        network: the depth network.
        network_config: rebuilds it; `weights` among its options (where it started) is not kept.
        size: (height, width) that it was trained at.
        pose_network: optional.
        pose_network_config: rebuilds that.
        metres_per_unit: None where depth is known up to scale only.
        canonical_focal: see `Checkpoint`.
        provenance: see `hrdepth.provenance`.

    Raises:
        InputError: the file cannot be written.
    """
    tensors = {f"depth.{key}": value for key, value in network.state_dict().items()}
    if pose_network is not None:
        tensors |= {f"pose.{key}": value for key, value in pose_network.state_dict().items()}
    header = {
        "network": _describe(network_config),
        "pose_network": _describe(pose_network_config) if pose_network is not None else None,
        "size": list(size),
        "metres_per_unit": metres_per_unit,
        "canonical_focal": canonical_focal,
        "scale": scale_sentence(metres_per_unit, canonical_focal),
        "provenance": provenance or {},
    }
    metadata = {"format": FORMAT, **{key: json.dumps(value) for key, value in header.items()}}
    with atomic_path(path) as temporary:
        save_file({key: _storable(value) for key, value in tensors.items()}, temporary, metadata)


def scale_sentence(metres_per_unit: float | None, canonical_focal: float | None = None) -> str:
    """Say what a network's depth means."""
    known = metres_per_unit is not None
    sentence = f"metres = {metres_per_unit:g} x predicted depth" if known else "depth is known up to an unknown factor"
    if canonical_focal is None:
        return sentence
    return f"{sentence}, predicted depth being fx / ({canonical_focal:g} x width) times the network's"


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a weights file.

    Raises:
        InputError: the file does not exist, is damaged, is of another kind, or its tensors do not fit its config.
    """
    path = existing_file(path, "the weights file")
    tensors, metadata = _read(path)
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} is not a weights file of hrdepth; published encoder.pth and depth.pth files are "
            "converted by `hrdepth import-weights`"
        )
    try:
        header = {key: json.loads(value) for key, value in metadata.items() if key != "format"}
        network_config = NetworkConfig(**header["network"])
        pose_config = NetworkConfig(**header["pose_network"]) if header["pose_network"] else None
        height, width = header["size"]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"the metadata of the weights file {path} is damaged ({error})") from error
    network = build_network(network_config)
    _fill(network, tensors, "depth.", path)
    pose_network = None
    if pose_config is not None:
        pose_network = build_pose_network(pose_config)
        _fill(pose_network, tensors, "pose.", path)
    return Checkpoint(
        network.eval(),
        network_config,
        pose_network.eval() if pose_network is not None else None,
        pose_config,
        (height, width),
        header.get("metres_per_unit"),
        header.get("provenance", {}),
        header.get("canonical_focal"),
    )


def load_network(path: str | Path) -> DepthNetwork:
    """Load the depth network of a weights file, in eval mode on the CPU.

    Returns:
        A module that maps `image (B,3,H,W)` in [0,1] to `{0: disparity, 1: ..., 2: ..., 3: ...}`.

    Raises:
        InputError: as `read_checkpoint`.
    """
    return read_checkpoint(path).network


def load_pose_network(path: str | Path) -> nn.Module:
    """Load the pose network of a weights file, in eval mode on the CPU.

    Returns:
        A module that maps a stacked pair (B,6,H,W) to axis-angle and translation, see `networks.pose.PoseNet`.

    Raises:
        InputError: as `read_checkpoint`, or the file holds no pose network.
    """
    pose_network = read_checkpoint(path).pose_network
    if pose_network is None:
        raise InputError(f"the weights file {path} holds no pose network")
    return pose_network


def load_tensors(module: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
    """Fill `module` with exactly the tensors that it has.

    Raises:
        InputError: a tensor is missing, surplus or misshaped; the sentence names it.
    """
    wanted = module.state_dict()
    for key, value in wanted.items():
        if key not in tensors:
            raise InputError(f"{source} does not fit the network: tensor '{key}' is missing")
        if tensors[key].shape != value.shape:
            raise InputError(
                f"{source} does not fit the network: tensor '{key}' has shape {tuple(tensors[key].shape)}, "
                f"the network's has {tuple(value.shape)}"
            )
    surplus = [key for key in tensors if key not in wanted]
    if surplus:
        raise InputError(f"{source} does not fit the network: tensor '{surplus[0]}' is one that it does not have")
    module.load_state_dict(tensors)


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}, file.metadata() or {}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path} is damaged or no safetensors file ({error})") from error


def _fill(module: nn.Module, tensors: dict[str, Tensor], prefix: str, path: Path) -> None:
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    load_tensors(module, own, f"the weights file {path}")


def _describe(config: NetworkConfig | None) -> dict[str, Any]:
    if config is None:
        raise TypeError("a network to save needs its config")
    options = {key: value for key, value in config.options.items() if key != "weights"}
    return {"name": config.name, "options": options}


def _storable(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", memory_format=torch.contiguous_format).contiguous()
