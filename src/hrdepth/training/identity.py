"""What a run learns from, without paths: a resumed run must find the same, wherever the data now lie."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, cast

from torch.utils.data import DataLoader

from hrdepth.camera import Camera
from hrdepth.data.dataset import FrameDataset
from hrdepth.data.layers import Frames, Layer
from hrdepth.data.map_cache import MapCache
from hrdepth.data.mixing import Mix
from hrdepth.data.reader import SplitLine
from hrdepth.data.sample import WHOLE, Batch
from hrdepth.errors import InputError
from hrdepth.io.files import parse_json
from hrdepth.io.image_files import content_digest
from hrdepth.io.parallel import parallel_map, usable_cores
from hrdepth.io.provenance import provenance

__all__ = ["describe_data", "refuse_changed_data"]

LAYERED = 8  # samples of a data set whose further layers are read, beside the files of all


def describe_data(loaders: Mapping[str, DataLoader[Batch]], inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides on a run's weights besides its settings, JSON-able: images, cameras, layers, teacher.

    Args:
        loaders: of the run, see `build_loaders`.
        inputs: see `build_objective`.
    """
    mixes = {use: cast(Mix, loader.dataset) for use, loader in loaders.items()}
    data = {
        f"{use} {number}": _describe(part) for use, mix in mixes.items() for number, part in enumerate(mix.datasets, 1)
    }
    return {"data": data, "inputs": dict(_files(inputs))}


def _files(inputs: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield names and digests of files, also of an objective within another."""
    for name, value in inputs.items():
        if hasattr(value, "sha256"):
            yield name, value.sha256()
        elif isinstance(value, Mapping):
            yield from _files(value)


def refuse_changed_data(before: Mapping[str, Any] | None, now: Mapping[str, Any], path: Path) -> None:
    """Compare what a run learns from with what it learned from when `path` was written.

    Args:
        before: see `describe_data`; None of a training checkpoint of an earlier version, which does not say.
        now: the same, of this run.
        path: the training checkpoint.

    Raises:
        InputError: they differ; it names the first difference.
    """
    if before is None:
        return
    # As it is read from a file: tuples are lists there.
    for name, old, new in _differences(before, parse_json(json.dumps(now))):
        shown = f": {old}, now {new}" if "camera of" in name else ""
        raise InputError(
            f"the {name} changed since {path} was written{shown}; restore what it was, or start a new run, with init "
            "naming the weights of this one"
        )


def _describe(part: FrameDataset) -> dict[str, Any]:
    targets = part.reader.targets
    images = list(dict.fromkeys(part.neighbours.images()))
    cameras = part.neighbours.cameras().items()
    last = len(targets) - 1
    spread = sorted({index * last // (LAYERED - 1) for index in range(LAYERED)})
    contents = list(parallel_map(partial(_contents, part), targets, usable_cores() + 4)) if part.layers else []
    return {
        "frames": _digest(line.name.encode() for line in targets),
        "images": _digest(parallel_map(content_digest, images, usable_cores() + 4)),
        "cameras": {f"{folder} {side}": _numbers(camera) for (folder, side), camera in cameras},
        "layers": {
            layer.key: _made_as(layer) if isinstance(layer, MapCache) else _digest(_planes(part, layer, spread))
            for layer in part.layers
        },
        "files": {layer.key: _digest(row[number] for row in contents) for number, layer in enumerate(part.layers)},
    }


def _numbers(camera: Camera) -> list[Any]:
    fx, fy, cx, cy = map(float, camera.intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]])
    return [fx, fy, cx, cy, *camera.size, camera.baseline, camera.learn, camera.keep]


def _made_as(maps: MapCache) -> str:
    """Return a digest of how hints or labels were made; a map's own name says of which image."""
    file = maps.folder / getattr(maps, "ABOUT", "")
    if not file.is_file():
        return ""
    settings = parse_json(file.read_text(encoding="utf-8"))
    return _digest(
        json.dumps([name, settings[name]]).encode() for name in sorted(settings.keys() - provenance(0).keys())
    )


def _contents(part: FrameDataset, line: SplitLine) -> list[bytes]:
    """Return the digests of the files of a sample for each layer; a file that many samples use is read once."""
    frames = _frames(part, line)
    return [
        b"".join(content_digest(file) if file and file.is_file() else b"-" for file in layer.files(frames))
        for layer in part.layers
    ]


def _planes(part: FrameDataset, layer: Layer, items: Iterable[int]) -> Iterator[bytes]:
    for item in items:
        yield layer.read(_frames(part, part.reader.targets[item]), part.size, WHOLE).numpy().tobytes()


def _frames(part: FrameDataset, line: SplitLine) -> Frames:
    neighbours = part.neighbours
    return Frames(line, part.reader.camera(line), neighbours.target(line), neighbours.sources(line), part.reader)


def _digest(parts: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:32]


def _changed_layers(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Return the layers of a data set that differ, came or went."""
    if "files" not in old:  # a checkpoint of an earlier version compares the layers that it names
        before, now = old.get("layers", {}), new.get("layers", {})
        return [layer for layer in before if before[layer] != now.get(layer, before[layer])]
    layers = dict.fromkeys([*old["layers"], *new.get("layers", {})])
    facts = [(old[fact], new.get(fact, {})) for fact in ("layers", "files")]
    return [layer for layer in layers if any(before.get(layer) != now.get(layer) for before, now in facts)]


def _differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Yield name, old and new value of what differs."""
    for use in dict.fromkeys([*before["data"], *now["data"]]):
        old, new = before["data"].get(use, {}), now["data"].get(use, {})
        for recording in dict.fromkeys([*old.get("cameras", {}), *new.get("cameras", {})]):
            pair = [side.get("cameras", {}).get(recording) for side in (old, new)]
            if pair[0] != pair[1]:
                yield f"camera of '{recording}' in data set {use} has", *pair
        for name, what in (("frames", "list of frames"), ("images", "images")):
            if old.get(name) != new.get(name):
                verb = "has" if name == "frames" else "have"
                yield f"{what} of data set {use} {verb}", old.get(name), new.get(name)
        yield from ((f"layer '{layer}' of data set {use} has", None, None) for layer in _changed_layers(old, new))
    for name in dict.fromkeys([*before["inputs"], *now["inputs"]]):
        if before["inputs"].get(name) != now["inputs"].get(name):
            yield f"{name} has", None, None
