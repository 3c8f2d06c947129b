"""What a command made, without what differs between two equal runs; and whether its files are whole."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

# Of JSON: when and how fast it was made, not what.
VOLATILE = {
    "date", "resumed", "command", "versions", "machine", "seconds", "minutes", "kept", "samples_per_second", "created",
    "cpu", "threads", "cores", "sample", "seconds_per_image", "cost", "files", "speed", "commit", "written",
    "measurements", "peak_memory_mib",
}  # fmt: skip
TIMES = re.compile(r"\d{4}-\d\d-\d\d[T ]?[\d:]*Z?|[\d.,]+ ?(s|ms|min|minutes|seconds|samples/s|images/s|MB)\b")
IGNORED = ("events.out", "hparams.yaml", "log.txt", "changes.bin")


def left_over(folder: Path) -> list[str]:
    """Return the names of unfinished files and folders."""
    return sorted(
        str(path.relative_to(folder))
        for path in folder.rglob("*")
        if path.name.startswith(".") or path.suffix == ".partial" or path.name.endswith("_unfinished")
    )


def finished(folder: Path) -> list[Path]:
    """Return the files under their final names."""
    unfinished = left_over(folder)
    return [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file()
        and not path.name.startswith(IGNORED)
        and not any(str(path.relative_to(folder)).startswith(name) for name in unfinished)
    ]


def content(folder: Path) -> dict[str, str]:
    """Return digests of what the files say, by their names."""
    return {str(path.relative_to(folder)): _digest(path) for path in finished(folder)}


def damaged(folder: Path) -> list[str]:
    """Return the names of files under their final names that cannot be read."""
    found = []
    for path in finished(folder):
        if path.parent.name == "claims":  # of work that is not done: an empty one is void soon
            continue
        try:
            if not path.stat().st_size:
                raise ValueError("empty")
            _digest(path, read=True)
        except Exception as error:  # of any library
            found.append(f"{path.name}: {error!r}"[:120])
    return found


def _digest(path: Path, *, read: bool = False) -> str:
    suffix = path.suffix
    if suffix in (".json", ".csv", ".html", ".xml", ".md", ".txt", ".yaml"):
        text = path.read_text(encoding="utf-8")
        if suffix == ".json":
            text = json.dumps(_steady(json.loads(text)), sort_keys=True)
        elif suffix == ".csv":
            rows = csv.DictReader(io.StringIO(text))
            text = json.dumps([{k: v for k, v in row.items() if k not in VOLATILE} for row in rows])
        elif suffix in (".html", ".md"):
            text = TIMES.sub("", text)
        elif suffix == ".xml":
            text = text.split("<rt_info>\n\t\t<")[0]
        return hashlib.sha256(text.encode()).hexdigest()
    if suffix in (".mkv", ".mp4"):
        return _frames(path)
    if suffix in (".safetensors", ".ckpt", ".onnx", ".pt2"):
        return _tensors(path)
    if read and suffix in (".png", ".jpg"):
        with Image.open(path) as image:
            image.load()
    elif read and suffix in (".npy", ".npz"):
        loaded = np.load(path, allow_pickle=False)
        _ = [loaded[name] for name in loaded.files] if suffix == ".npz" else loaded
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _steady(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _steady(inner) for name, inner in value.items() if name not in VOLATILE}
    return [_steady(inner) for inner in value] if isinstance(value, list) else value


def _frames(path: Path) -> str:
    import av

    digest = hashlib.sha256()
    with av.open(str(path)) as container:
        for frame in container.decode(video=0):
            digest.update(f"{frame.pts} ".encode() + frame.to_ndarray().tobytes())
    return digest.hexdigest()


def _tensors(path: Path) -> str:
    import torch

    if path.suffix == ".safetensors":
        from safetensors.numpy import load_file

        state: Any = {name: array.tobytes() for name, array in load_file(path).items()}
    elif path.suffix == ".onnx":
        import onnx

        graph = onnx.load(path).graph
        state = [node.SerializeToString() for node in (*graph.initializer, *graph.node)]
    elif path.suffix == ".pt2":
        program = torch.export.load(path)
        state = {name: tensor.detach().numpy().tobytes() for name, tensor in program.state_dict.items()}
    else:
        held = torch.load(path, weights_only=True, map_location="cpu")
        state = [_plain(held[name]) for name in ("state_dict", "optimizer_states", "global_step", "epoch")]
    return hashlib.sha256(repr(state).encode()).hexdigest()


def _plain(value: Any) -> Any:
    if hasattr(value, "numpy"):
        return value.contiguous().numpy().tobytes()
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
