"""Pack the data sets of a training into shards, and verify them: `hrdepth prepare shards`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import yaml
from rich.progress import track

from hrdepth.config import DatasetConfig, PrepareShardsConfig
from hrdepth.config.setting_files import plain_settings
from hrdepth.config.training import nested_options
from hrdepth.data import OpenData, open_data
from hrdepth.data.cache import cached_size
from hrdepth.data.map_cache import DepthHints, MapCache
from hrdepth.data.reader import SplitLine
from hrdepth.data.shards import camera_facts
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import (
    file_sha256,
    json_object,
    output_folder,
    read_json,
    resume,
    write_bytes,
    write_json,
    write_text,
)
from hrdepth.io.parallel import parallel_map
from hrdepth.io.provenance import provenance
from hrdepth.io.shards import FORMAT, INDEX, ShardEntry, read_index, write_shard
from hrdepth.objectives import reads_depth
from hrdepth.prepare.shard_contents import Contents, index_entry
from hrdepth.teachers.labels import Labels

__all__ = ["pack_shards"]

log = logging.getLogger(__name__)

BEGUN = "packing.json"
CONFIG = "train.yaml"


def pack_shards(config: PrepareShardsConfig) -> list[Path]:
    """Pack every data set of a training config, or verify what was packed; it resumes when called again.

    A shard is kept if its images are those that were packed (by their time of change, else by `content_digest`), and
    maps and objects have the sizes that they had; others are written again. True depth is not compared.

    Returns:
        The folders of the data sets: `OUT/train-1`, ..., `OUT/validation-1`, ...; `OUT/train.yaml` trains from them.

    Raises:
        InputError: data that cannot be read, a folder of other things or of other settings, teacher or hints, a full
            disk, or shards that are damaged.
    """
    out = Path(config.out)
    if config.verify:
        return _verify(out)
    if config.config is None:
        raise InputError("no training set is given to be packed: pass --config TRAIN.yaml")
    training = config.config
    parts: dict[str, DatasetConfig] = {}
    objective = deepcopy(training.objective)
    maps = []
    for options in nested_options(objective.options):
        for layer in _maps(options):
            _copy_about(layer, out, options)
            maps.append(layer)
    for use, named in (("train", training.train), ("validation", training.validation)):
        for number, part in enumerate(named, 1):
            (data,) = open_data([part], training.objective.frames, depth_suffices=reads_depth(training.objective))
            decoded = cached_size(training, [data.neighbours]) if config.images == "decoded" else None
            _pack(out / f"{use}-{number}", data, maps, config, decoded)
            parts[f"{use}-{number}"] = part
    sets = {use: [_packed(out, name, part) for name, part in parts.items() if name.startswith(use)]
            for use in ("train", "validation")}  # fmt: skip
    packed = replace(training, **sets, objective=objective, cache=None)  # type: ignore[arg-type]
    write_text(out / CONFIG, yaml.safe_dump(plain_settings(packed), sort_keys=False))
    return [out / name for name in parts]


def _maps(options: Mapping[str, Any]) -> list[MapCache]:
    """Return the maps that an objective's options name: hints, labels and their confidence."""
    maps: list[MapCache] = [DepthHints.open(options["hints"])] if options.get("hints") else []
    if options.get("labels"):
        labels = Labels.open(options["labels"])
        maps += [labels, *([labels.confidence] if labels.confidence else [])]
    return maps


def _pack(
    root: Path, data: OpenData, maps: Sequence[MapCache], config: PrepareShardsConfig, decoded: tuple[int, int] | None
) -> None:
    """Pack one data set, unless it is packed already."""
    neighbours, reader = data.neighbours, data.neighbours.reader
    assert config.config is not None
    with_depth = reads_depth(config.config.objective) and reader.has_depth()
    groups = list(_groups(data, config.megabytes * 1e6))
    settings = {
        "images": config.images,
        "size": decoded if config.images == "decoded" else None,
        "frames": list(neighbours.frames),
        "distances": neighbours.distances,
        "maps": [layer.ending for layer in maps],
        "depth": with_depth,
        "groups": [len(group) for group in groups],
        "lines": _digest(reader.targets),
    }
    root.mkdir(parents=True, exist_ok=True)
    if (root / BEGUN).is_file():
        resume(root / BEGUN, settings, overwrite=None)
    else:
        output_folder(root)
        write_json(root / BEGUN, {**settings, **provenance()})
    contents = Contents(data, maps, with_depth, config.images == "decoded", decoded)
    cameras, masks = _cameras(data)
    shard_of = {line.key: number for number, group in enumerate(groups) for line in group}
    others = {line.key for line in reader.split or reader.targets} - shard_of.keys()
    index = {
        "format": FORMAT,
        "settings": settings,
        "depth": with_depth,
        "cameras": cameras,
        "masks": sorted(masks),
        "lines": [[*line.key, line.text, shard_of[line.key]] for line in reader.targets],
        "other_lines": sorted(others),
    }
    numbered = [(f"shard-{number:06d}", group) for number, group in enumerate(groups)]
    current = list(parallel_map(partial(contents.kept, root), numbered, config.threads))
    if _is_packed(root, index, masks) and all(current):
        log.info("%s is packed already", root)
        return
    (root / INDEX).unlink(missing_ok=True)
    write = partial(_write_shard, root, contents)
    work = ((*named, about) for named, about in zip(numbered, current, strict=True))
    found = parallel_map(write, work, config.threads)
    shards = list(track(found, f"packing {root.name}", len(groups), disable=len(groups) < 8))
    for name, mask in masks.items():
        (root / "masks").mkdir(exist_ok=True)
        write_bytes(root / name, mask)
    write_json(root / INDEX, {**index, "shards": shards, "provenance": provenance(), "complete": True})


def _cameras(data: OpenData) -> tuple[dict[str, Any], dict[str, bytes]]:
    """Return the facts of each recording's camera, and the masks' contents by their packed names."""
    names: dict[Path, str] = {}
    cameras = {}
    for (folder, side), camera in data.neighbours.cameras().items():
        if camera.mask is not None:
            names.setdefault(camera.mask, f"masks/{len(names)}{camera.mask.suffix}")
        cameras[f"{folder} {side}"] = camera_facts(camera, None if camera.mask is None else names[camera.mask])
    return cameras, {name: mask.read_bytes() for mask, name in names.items()}


def _is_packed(root: Path, index: Mapping[str, Any], masks: Mapping[str, bytes]) -> bool:
    """Return whether a set was packed whole, with these facts and masks."""
    try:
        before = read_index(root)
        same = {name: before[name] for name in index} == json.loads(json.dumps(index))  # tuples as lists
        return same and all((root / name).read_bytes() == mask for name, mask in masks.items())
    except (*MALFORMED, OSError):  # there is none, or it is damaged: it is written again
        return False


def _groups(data: OpenData, max_bytes: float) -> Iterator[list[SplitLine]]:
    """Yield the targets of each shard: a stretch of a recording, both sides, with some `max_bytes` of images."""
    lines = sorted(data.neighbours.reader.targets, key=lambda line: (line.folder, line.frame, line.side))
    group: list[SplitLine] = []
    size = 0
    seen: set[Path] = set()
    for line in lines:
        images = set(data.neighbours.all_images(line).values()) - seen
        added = sum(path.stat().st_size for path in images)
        if group and ((line.folder != group[-1].folder and size + added > max_bytes / 2) or size + added > max_bytes):
            yield group
            group, size, seen = [], 0, set()
            images = set(data.neighbours.all_images(line).values())
            added = sum(path.stat().st_size for path in images)
        group.append(line)
        seen |= images
        size += added
    if group:
        yield group


def _write_shard(
    root: Path, contents: Contents, work: tuple[str, Sequence[SplitLine], dict[str, Any] | None]
) -> dict[str, Any]:
    """Write one shard, unless it is kept; return its entry in the index."""
    name, lines, kept = work
    if kept is not None:
        return kept
    (root / f"{name}.json").unlink(missing_ok=True)  # it would describe another tar if this is killed
    return index_entry(name, write_shard(root, name, contents.files(lines)), len(lines))


def _copy_about(layer: MapCache, out: Path, options: dict[str, Any]) -> None:
    """Copy the description of packed maps, and let the options name it.

    Raises:
        InputError: the shards there have maps of another description.
    """
    if isinstance(layer, DepthHints | Labels):
        name = "hints" if isinstance(layer, DepthHints) else "labels"
        copy, content = out / name / layer.ABOUT, (layer.folder / layer.ABOUT).read_bytes()
        options[name] = str(out / name)
        if copy.is_file():
            resume(copy, {key: value for key, value in json_object(content).items() if key not in provenance()},
                   overwrite=None)  # fmt: skip
        copy.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(copy, content)
    else:  # the labels' confidence: its folder says that there is one
        (out / "labels" / "confidence").mkdir(parents=True, exist_ok=True)
        write_bytes(out / "labels" / "confidence" / "packed", b"")


def _packed(out: Path, name: str, part: DatasetConfig) -> DatasetConfig:
    """Return the config of a packed set; frames that stand still were left out when it was packed."""
    return replace(part, dataset="shards", root=str(out / name), split=None, options={}, min_motion=None)


def _verify(out: Path) -> list[Path]:
    """Compare every shard with its SHA-256; remove those that differ, so that packing again writes them.

    Raises:
        InputError: some differ or are missing; all are named.
    """
    folders = sorted(file.parent for file in out.glob(f"*/{INDEX}"))
    if not folders:
        raise InputError(f"{out} holds no shards, or unfinished ones; pack a set with hrdepth prepare shards")
    bad = []
    for folder in folders:
        try:
            shards = read_index(folder)["shards"]
        except MALFORMED as error:
            raise InputError(f"{folder / INDEX} is damaged ({error}); pack the shards again") from error

        def is_good(shard: dict[str, Any], folder: Path = folder) -> bool:
            file = folder / f"{shard['name']}.tar"
            try:
                about = read_json(file.with_suffix(".json"))
                entries = [ShardEntry(*facts) for facts in about["files"].values()]
                return bool(entries) and about["sha256"] == shard["sha256"] == file_sha256(file)
            except (*MALFORMED, OSError):
                return False

        for shard, good in zip(shards, parallel_map(is_good, shards), strict=True):
            if not good:
                bad.append(folder / f"{shard['name']}.tar")
                for ending in ("tar", "json"):
                    (folder / f"{shard['name']}.{ending}").unlink(missing_ok=True)
                (folder / INDEX).unlink(missing_ok=True)
    if bad:
        raise InputError(
            f"{len(bad)} shards were damaged or missing and have been removed, run hrdepth prepare shards again to "
            f"write them again: {', '.join(map(str, bad))}"
        )
    return folders


def _digest(lines: Sequence[SplitLine]) -> str:
    return hashlib.sha256("\n".join(line.name for line in lines).encode()).hexdigest()[:32]
