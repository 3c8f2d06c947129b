"""Published weight files, made from the recipe in ../shared/parity/README.md: tensors follow from their names."""

import json
import zlib
from pathlib import Path

import numpy as np
import torch

FILES = {"encoder.pth": "encoder", "depth.pth": "depth", "pose_encoder.pth": "pose_encoder", "pose.pth": "pose"}


def tensor(key: str, shape: list[int], salt: str) -> torch.Tensor:
    if key.endswith("num_batches_tracked"):
        return torch.tensor(0)
    z = np.random.RandomState(zlib.crc32((salt + key).encode())).standard_normal(shape).astype(np.float32)
    if key.endswith("running_mean"):
        z = 0.1 * z
    elif key.endswith("running_var"):
        z = 1 + 0.1 * np.abs(z)
    elif len(shape) == 1:
        z = 1 + 0.1 * z if key.endswith("weight") else 0.05 * z
    else:
        z = z * np.sqrt(1 / np.prod(shape[1:]))
    return torch.from_numpy(np.asarray(z, dtype=np.float32))


def write(folder: Path, parity: Path, network: str, **facts) -> dict[str, Path]:
    """Write the files of `network` and of the pose network; return them by the importer's argument names."""
    lists = json.loads((parity / "networks.json").read_text())
    for name, keys in {**lists[network], **lists["posenet"]}.items():
        content = {key: tensor(key, shape, lists["salt"]) for key, shape in keys}
        torch.save(content | (facts if name == "encoder.pth" else {}), folder / name)
    return {argument: folder / name for name, argument in FILES.items()}
