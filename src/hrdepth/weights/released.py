"""The authors' and Monodepth2's published weight files, translated by name tables.

A published network is two files, `encoder.pth` and `depth.pth`; a published pose network two more, `pose_encoder.pth`
and `pose.pth`. They hold tensors that no forward pass reads (a classifier, unused reductions) and, in the decoders,
every tensor twice under two names. Both are dropped; anything else that does not fit is an error that names the tensor.
"""

from __future__ import annotations

import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hrdepth.config import NetworkConfig
from hrdepth.config.weights import PUBLISHED
from hrdepth.errors import InputError
from hrdepth.io.arrays import check_archive, check_checksums
from hrdepth.io.files import existing_file, output_file
from hrdepth.io.images import check_size
from hrdepth.io.provenance import provenance
from hrdepth.networks import build_network, build_pose_network
from hrdepth.networks.hrdepth import NODES
from hrdepth.registry import lookup
from hrdepth.weights.checkpoint import save_checkpoint
from hrdepth.weights.find import stated_size

__all__ = ["import_weights"]

# Monodepth2's rig: its stereo training places the two cameras 0.1 units apart, KITTI's are 0.54 m apart.
KITTI_METRES_PER_UNIT = 5.4
# Facts beside the tensors in an encoder file.
FACTS = ("height", "width", "use_stereo")

Rename = Callable[[str], "str | None"]


def import_weights(
    network: str,
    encoder: str | Path,
    depth: str | Path,
    out: str | Path,
    *,
    pose_encoder: str | Path | None = None,
    pose: str | Path | None = None,
    size: tuple[int, int] = (192, 640),
    overwrite: bool = False,
) -> None:
    """Turn published files into one weights file of this package.

    Args:
        network: `hrdepth`, `lite_hrdepth` or `monodepth2`.
        encoder: encoder.pth.
        depth: depth.pth.
        out: the file to write, ends in `.safetensors`.
        pose_encoder: pose_encoder.pth, together with `pose`.
        pose: pose.pth.
        size: (height, width) of training; used where the encoder file does not carry them.
        overwrite: replace `out` if it exists.

    Raises:
        InputError: no such network was published, a file is missing or unreadable, or a tensor is missing, surplus or
            misshaped.
    """
    lookup(dict.fromkeys(PUBLISHED), network, "network with published weights")
    if Path(out).suffix != ".safetensors":
        raise InputError(f"the file to write, {out}, must end in .safetensors")
    out = output_file(out, overwrite=overwrite)
    if (pose_encoder is None) != (pose is None):
        raise InputError("a pose network needs both files: give --pose-encoder and --pose, or neither")

    encoder_tensors, facts = _read_published(encoder)
    decoder_tensors, _ = _read_published(depth)
    config = NetworkConfig(network, {"backbone": "mobilenet_v3_large_authors"} if network == "lite_hrdepth" else {})
    module = build_network(config)
    size = _stated_size(facts, size, module.stride, encoder)
    rename_encoder = _mobilenet_key if network == "lite_hrdepth" else _resnet_key
    _load(module.encoder, encoder_tensors, rename_encoder, encoder)
    if network == "monodepth2":
        _load(module.decoder, decoder_tensors, _monodepth2_key, depth)
    else:
        _load(module.decoder, _undouble(decoder_tensors), _hrdepth_key, depth)

    pose_network, pose_config = None, None
    if pose_encoder is not None and pose is not None:
        pose_config = NetworkConfig("posenet")
        pose_network = build_pose_network(pose_config)
        _load(pose_network.get_submodule("encoder"), _read_published(pose_encoder)[0], _resnet_key, pose_encoder)
        _load(pose_network.get_submodule("decoder"), _read_published(pose)[0], _pose_key, pose)

    save_checkpoint(
        out,
        module,
        config,
        size=size,
        pose_network=pose_network,
        pose_network_config=pose_config,
        metres_per_unit=KITTI_METRES_PER_UNIT if facts.get("use_stereo") else None,
        provenance=provenance(imported_from=[Path(file).name for file in (encoder, depth, pose_encoder, pose) if file]),
    )


def _read_published(path: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    file = existing_file(path, "the published weights file")
    try:
        if zipfile.is_zipfile(file):
            check_archive(file)
            check_checksums(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read as a state dict of tensors: {error}") from error
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        # Not PyTorch's own sentence, which advises to run the code that a file holds.
        raise InputError(
            f"{file} cannot be read as a state dict of tensors; is it the .pth file, whole, and not a web page?"
        ) from error
    if not isinstance(content, dict):
        raise InputError(f"{file} holds a {type(content).__name__}, not a state dict of tensors")
    tensors = {str(key): value for key, value in content.items() if isinstance(value, Tensor)}
    facts = {key: content[key] for key in FACTS if key in content}
    strange = [key for key in content if key not in tensors and key not in facts]
    bad = next((key for key, value in tensors.items() if not _is_usable(key, value)), None)
    if bad is not None:
        raise InputError(f"{file}: tensor '{bad}' ({tensors[bad].dtype}) must hold finite floating-point numbers")
    if strange:
        raise InputError(
            f"{file} does not fit the network: entry '{strange[0]}' is neither a tensor nor one of {FACTS}"
        )
    return tensors, facts


def _stated_size(facts: dict[str, Any], size: tuple[int, int], stride: int, file: str | Path) -> tuple[int, int]:
    """Return (height, width) as an encoder file states it; `size` where it does not."""
    values = (facts.get("height", size[0]), facts.get("width", size[1]))
    try:
        height, width = map(int, values)
        if (height, width) != values:
            raise ValueError(values)
        check_size((height, width), stride)
        stated_size([height, width])
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{file}: the height {values[0]!s:.20} and width {values[1]!s:.20} of its training must be multiples of "
            f"{stride}, from {2 * stride} up"
        ) from error
    return height, width


def _is_usable(key: str, value: Tensor) -> bool:
    if key.endswith("num_batches_tracked"):
        return True
    return value.is_floating_point() and bool(value.float().isfinite().all())


def _load(module: nn.Module, published: dict[str, Tensor], rename: Rename, file: str | Path) -> None:
    """Fill `module` with published tensors under their new names."""
    wanted = module.state_dict()
    found = {}
    for key, value in published.items():
        own = rename(key)
        if own is None:
            continue
        if own not in wanted:
            raise InputError(f"{file} does not fit the network: tensor '{key}' is one that it does not have")
        # Linear layers of the authors' squeeze-excite are 1x1 convolutions in torchvision's.
        found[own] = value[:, :, None, None] if value.ndim == 2 and wanted[own].ndim == 4 else value
        if found[own].shape != wanted[own].shape:
            raise InputError(
                f"{file} does not fit the network: tensor '{key}' has shape {tuple(value.shape)}, "
                f"the network's has {tuple(wanted[own].shape)}"
            )
    missing = [key for key in wanted if key not in found]
    if missing:
        raise InputError(f"{file} does not fit the network: no tensor for '{missing[0]}' is in it")
    module.load_state_dict(found)


def _undouble(published: dict[str, Tensor]) -> dict[str, Tensor]:
    """Drop the first of the two names of a decoder tensor.

    The release registers each module as `convs.NAME` and again, in the same order, as `decoder.INDEX`; the second
    is loaded last and holds.
    """
    names = list(dict.fromkeys(key.split(".")[1] for key in published if key.startswith("convs.")))
    tensors = dict(published)
    for key in published:
        match = re.fullmatch(r"decoder\.(\d+)\.(.+)", key)
        if match and int(match[1]) < len(names):
            tensors[f"convs.{names[int(match[1])]}.{match[2]}"] = tensors.pop(key)
    return tensors


def _resnet_key(key: str) -> str | None:
    key = key.removeprefix("encoder.")
    return None if key.startswith("fc.") else f"network.{key}"


def _mobilenet_key(key: str) -> str | None:
    """Translate `encoder.features.4.conv.5.fc.0.weight` to `features.4.block.2.fc1.weight`.

    The authors' blocks are flat lists: expansion (0, 1), depthwise (3, 4), squeeze-excite (5), projection (7, 8); the
    first block does not expand: depthwise (0, 1), projection (4, 5).
    """
    match = re.fullmatch(r"encoder\.features\.(\d+)\.conv\.(\d+)\.(.+)", key)
    if match is None:
        return key.removeprefix("encoder.")
    block, position, rest = int(match[1]), int(match[2]), match[3]
    if position == 5 and rest.startswith("fc."):
        return f"features.{block}.block.2.{rest.replace('fc.0', 'fc1').replace('fc.2', 'fc2')}"
    excites = block in (4, 5, 6, 11, 12, 13, 14, 15)
    expanding = {0: "0.0", 1: "0.1", 3: "1.0", 4: "1.1", 7: "4.0" if excites else "2.0", 8: "4.1" if excites else "2.1"}
    first = {0: "0.0", 1: "0.1", 4: "1.0", 5: "1.1"}
    place = (first if block == 1 else expanding).get(position)
    return key if place is None else f"features.{block}.block.{place}.{rest}"


# Reductions that the released decoder builds but never reads.
_DEAD = ("X_00_Conv_0", "X_01_Conv_0", "X_02_Conv_0", "X_03_Conv_0")


def _hrdepth_key(key: str) -> str | None:
    """Translate `convs.X_12_Conv_1.conv.conv.weight` to `nodes.03.fuse.conv.weight`.

    The release stores node (i,j)'s own convolution under the name of the node (i+1,j-1) that it rises from.
    """
    match = re.fullmatch(r"convs\.X_(\d)(\d)_(Conv_0|Conv_1|downsample|attention)\.(.+)", key)
    if match is None:
        return re.sub(r"convs\.dispConvScale(\d)\.", r"heads.\1.", key)
    row, column, part, rest = int(match[1]), int(match[2]), match[3], match[4]
    if f"X_{row}{column}_{part}" in _DEAD:
        return None
    if part == "Conv_0":
        return f"reduce.{row}{column}.{rest.removeprefix('conv.')}"
    if part == "attention":
        rest = rest.replace("fc.", "gate.").replace("conv_se.", "mix.")
        return f"nodes.{row}{column}.{rest}"
    if part == "downsample":
        return f"nodes.{row}{column}.squeeze.{rest.removeprefix('conv.')}"
    if (row, column) == (0, 4):
        return f"final.{rest.removeprefix('conv.')}"
    node = f"{row - 1}{column + 1}"
    return f"nodes.{node}.fuse.{rest.removeprefix('conv.')}" if node in NODES else key


def _monodepth2_key(key: str) -> str | None:
    """Translate `decoder.3.conv.conv.weight` to `fuse.3.conv.weight`: pairs from level 4 down, then four heads."""
    match = re.fullmatch(r"decoder\.(\d+)\.(?:conv\.)?(conv\..+)", key)
    if match is None:
        return key
    index, rest = int(match[1]), match[2]
    if index < 10:
        return f"{'fuse' if index % 2 else 'reduce'}.{4 - index // 2}.{rest}"
    return f"heads.{index - 10}.{rest}"


def _pose_key(key: str) -> str | None:
    """Translate `net.2.weight` to `4.weight`: an activation stands between two convolutions."""
    match = re.fullmatch(r"net\.(\d)\.(.+)", key)
    return f"{2 * int(match[1])}.{match[2]}" if match else key
