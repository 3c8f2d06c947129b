"""Weight files with the tensors of the published ones, whose values follow from their names."""

import gzip
import json
import zlib
from pathlib import Path

import numpy as np
import torch

# For each network its files, and for each file the names and shapes of its tensors in order.
PUBLISHED = json.loads(gzip.decompress((Path(__file__).parent / "golden" / "networks.json.gz").read_bytes()))
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


def write(folder: Path, network: str, **facts) -> dict[str, Path]:
    """Write the files of `network` and of the pose network; return them by the importer's argument names."""
    for name, keys in {**PUBLISHED[network], **PUBLISHED["posenet"]}.items():
        content = {key: tensor(key, shape, PUBLISHED["salt"]) for key, shape in keys}
        torch.save(content | (facts if name == "encoder.pth" else {}), folder / name)
    return {argument: folder / name for name, argument in FILES.items()}
