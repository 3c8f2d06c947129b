"""One safetensors file holds a network, its pose network, its config, and what its scale means.

The tensors of the depth network are stored under `depth.`, those of the pose network under `pose.`; the file's
metadata holds JSON. Nothing in the file can run code.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from hrdepth.camera import DepthScale, LearnedCamera
from hrdepth.config import NetworkConfig
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import existing_file, parse_json
from hrdepth.networks import build_network, build_pose_network
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import without_memory
from hrdepth.registry import lookup
from hrdepth.weights.find import announce_licence, check_licence, locate_weights, read_cameras, stated_size
from hrdepth.weights.tensor_files import DTYPES, HASH, read_tensors, write_tensors

__all__ = ["Checkpoint", "load_network", "load_pose_network", "read_checkpoint", "save_checkpoint"]

FORMAT = "hrdepth/1"
Network = TypeVar("Network", bound=nn.Module)
# The metadata's values, as JSON; each may be null.
_KINDS = {"provenance": dict, "card": dict, "licence": str, "name": str, "scale": str, HASH: str, "cameras": list}


@dataclass(frozen=True)
class Checkpoint:
    """What a weights file holds.

    Attributes:
        network: the depth network, in eval mode.
        network_config: its name and options.
        pose_network: the pose network in eval mode, or None.
        pose_network_config: its name and options, or None.
        size: (height, width) in pixels that the network was trained at.
        provenance: how the weights came about.
        cameras: whose intrinsics were learned in training.
        name: of the weights, or None.
        licence: of the weights, SPDX; None if unknown.
        card: fields of `weights.card.Card`.
        sha256: of the tensors; None in older files.
        path: the file it was read from.
        file_sha256: of that file.
    """

    network: DepthNetwork
    network_config: NetworkConfig
    pose_network: nn.Module | None
    pose_network_config: NetworkConfig | None
    size: tuple[int, int]
    provenance: dict[str, Any] = field(default_factory=dict)
    cameras: tuple[LearnedCamera, ...] = ()
    name: str | None = None
    licence: str | None = None
    card: dict[str, Any] = field(default_factory=dict)
    sha256: str | None = None
    path: Path | None = None
    file_sha256: str | None = None

    @property
    def scale(self) -> DepthScale:
        """What the network's disparity means."""
        return self.network.scale


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
    cameras: Sequence[LearnedCamera] = (),
    provenance: dict[str, Any] | None = None,
    name: str | None = None,
    licence: str | None = None,
    card: dict[str, Any] | None = None,
    dtype: str = "float32",
) -> None:
    """Write a weights file, atomically, with a hash of its tensors.

    Args:
        path: ends in `.safetensors`.
        network: the depth network.
        network_config: rebuilds it; `weights` among its options (where it started) is not stored.
        size: (height, width) that it was trained at.
        pose_network: optional.
        pose_network_config: rebuilds that.
        metres_per_unit: of its `DepthScale`; by default as the network carries it.
        canonical_focal: of its `DepthScale`; by default as the network carries it.
        cameras: see `Checkpoint`.
        provenance: see `hrdepth.io.provenance`.
        name: see `Checkpoint`.
        licence: see `Checkpoint`.
        card: see `Checkpoint`.
        dtype: of kernels in the file, a key of `DTYPES`; they are loaded as float32. See `write_tensors`.

    Raises:
        InputError: the file cannot be written, the licence is no SPDX identifier, or there is no such dtype.
    """
    tensors = {f"depth.{key}": value for key, value in network.state_dict().items()}
    if pose_network is not None:
        tensors |= {f"pose.{key}": value for key, value in pose_network.state_dict().items()}
    scale = DepthScale.of(network)
    if metres_per_unit is not None:
        scale = replace(scale, metres_per_unit=metres_per_unit)
    if canonical_focal is not None:
        scale = replace(scale, canonical_focal=canonical_focal)
    header = {
        "network": _describe(network_config),
        "pose_network": _describe(pose_network_config) if pose_network is not None else None,
        "size": list(size),
        **{name: value for name, value in scale.as_dict().items() if name not in ("min_depth", "max_depth")},
        "cameras": [asdict(camera) for camera in cameras],
        "scale": scale.sentence,
        "provenance": provenance or {},
        "name": name,
        "licence": None if licence is None else check_licence(licence),
        "card": card or {},
    }
    metadata = {"format": FORMAT, **{key: json.dumps(value) for key, value in header.items()}}
    stored = lookup(DTYPES, dtype, "dtype")
    write_tensors(path, tensors, metadata, None if dtype == "float32" else stored)


def read_checkpoint(path: str | Path) -> Checkpoint:
    """Read a weights file, opening it once.

    Args:
        path: the file, as `locate_weights` finds it by a name or an address.

    Raises:
        InputError: the file does not exist, is damaged, is of another kind, or its tensors do not fit its config.
    """
    path = existing_file(path, "the weights file")
    tensors, metadata, file_sha256 = read_tensors(path)
    if metadata.get("format") != FORMAT:
        raise InputError(
            f"{path} is not a weights file of hrdepth; published encoder.pth and depth.pth files are "
            "converted by `hrdepth import-weights`"
        )
    try:
        header = {key: parse_json(value) for key, value in metadata.items() if key != "format"}
        for key, kind in _KINDS.items():
            if not isinstance(header.get(key), kind | None):
                raise TypeError(f"{key} is {header[key]!r:.40}")
        network_config = _stored_config(header["network"])
        pose_config = _stored_config(header["pose_network"]) if header["pose_network"] else None
        size = stated_size(header["size"])
        network = _build(build_network, network_config, tensors, "depth.", path)
        network.scale = replace(
            network.scale,
            metres_per_unit=header.get("metres_per_unit"),
            canonical_focal=header.get("canonical_focal"),
            shift=header.get("shift", 0.0),
        )
        if network.scale.shift:
            raise TypeError(f"shift is {network.scale.shift:g}, but a network's is 0 or unknown")
    except InputError as error:  # of a network or a scale
        raise error if str(path) in str(error) else InputError(f"the weights file {path}: {error}") from error
    except MALFORMED as error:
        raise InputError(f"the metadata of the weights file {path} is damaged ({str(error)[:200]})") from error
    pose_network = None
    if pose_config is not None:
        pose_network = _build(build_pose_network, pose_config, tensors, "pose.", path).eval()
    card = header.get("card") or {}
    announce_licence(path, header.get("licence"), card.get("terms"))
    return Checkpoint(
        network.eval(),
        network_config,
        pose_network,
        pose_config,
        size,
        provenance=header.get("provenance") or {},
        cameras=read_cameras(metadata, path),
        name=header.get("name"),
        licence=header.get("licence"),
        card=card,
        sha256=header.get(HASH),
        path=path,
        file_sha256=file_sha256,
    )


def load_network(source: str | Path | None) -> DepthNetwork:
    """Load the depth network of a weights file, by path, name or `hf://` address, in eval mode on the CPU.

    Returns:
        A module that maps `image (B,3,H,W)` in [0,1] to `{0: disparity, 1: ..., 2: ..., 3: ...}`.

    Raises:
        InputError: as `read_checkpoint`.
    """
    return read_checkpoint(locate_weights(source)).network


def load_pose_network(source: str | Path | None) -> nn.Module:
    """Load the pose network of a weights file, as `load_network` finds it, in eval mode on the CPU.

    Returns:
        A module that maps a stacked pair (B,6,H,W) to axis-angle and translation, see `networks.pose.PoseNet`.

    Raises:
        InputError: as `read_checkpoint`, or the file holds no pose network.
    """
    checkpoint = read_checkpoint(locate_weights(source))
    if checkpoint.pose_network is None:
        raise InputError(f"the weights file {checkpoint.path} holds no pose network")
    return checkpoint.pose_network


def _check_fit(module: nn.Module, tensors: dict[str, Tensor], source: str) -> None:
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
        raise InputError(f"{source} does not fit the network: tensor '{surplus[0][:100]}' is one that it does not have")


def _build(
    build: Callable[[NetworkConfig], Network],
    config: NetworkConfig,
    tensors: dict[str, Tensor],
    prefix: str,
    path: Path,
) -> Network:
    """Build a network of a file, and fill it; first without memory, as the file may name a network of any size."""
    own = {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}
    with without_memory():
        try:
            outline = build(config)
        except RuntimeError as error:  # a size beyond that of any tensor
            raise InputError(f"the weights file {path} names a network that cannot be built ({error})") from error
    _check_fit(outline, own, f"the weights file {path}")
    network = build(config)
    network.load_state_dict(own)
    return network


def _stored_config(stored: Any) -> NetworkConfig:
    """Return the config of a network in a file, without `weights`, where it started: nothing else is opened."""
    if not isinstance(stored, dict) or not isinstance(stored.get("name"), str):
        raise TypeError(f"a network is {stored!r:.40}")
    options = stored.get("options", {})
    if not isinstance(options, dict):
        raise TypeError(f"the network's options are {options!r:.40}")
    return NetworkConfig(stored["name"], {key: value for key, value in options.items() if key != "weights"})


def _describe(config: NetworkConfig | None) -> dict[str, Any]:
    if config is None:
        raise TypeError("a network to save needs its config")
    options = {key: value for key, value in config.options.items() if key != "weights"}
    return {"name": config.name, "options": options}
