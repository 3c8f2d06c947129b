"""Recordings on a Ray cluster: `predict --ray` and `prepare video --ray`.

OUT/fleet.json              settings, what was done and what failed; `complete` when all recordings are in
OUT/FOLDER/DRIVE/           the results of FOLDER/DRIVE.mp4, as the plain command writes them, their manifest last
OUT/FOLDER/                 those of the images in FOLDER; of many, in parts with manifests predict-00000.json, ...
"""

from __future__ import annotations

import json
import logging
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from hrdepth.camera import choose_camera, pinhole
from hrdepth.config import FleetConfig, Outputs, PredictConfig, PrepareVideoConfig
from hrdepth.data.splits import replaced_lines
from hrdepth.errors import InputError
from hrdepth.fleet.units import stream, with_absolute_paths
from hrdepth.inference.folder import predict_to_folder
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import read_json
from hrdepth.io.image_files import IMAGE_SUFFIXES, distinct_names, is_visible, natural_order, walk
from hrdepth.io.locks import temporary_folder
from hrdepth.io.objects import (
    fetch_file,
    is_url,
    join_url,
    last_part,
    put_folder,
    put_json,
    read_remote_json,
    read_remote_text,
    remote_files,
)
from hrdepth.io.provenance import provenance
from hrdepth.prepare.video import prepare_videos

__all__ = ["Unit", "find_units", "predict_recordings", "prepare_recordings"]

log = logging.getLogger(__name__)

RECORD = "fleet.json"
VIDEOS = frozenset([
    ".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".ts", ".mts", ".m2ts", ".wmv", ".flv", ".3gp",
    ".ogv",
])  # fmt: skip
# Settings that decide on results where they are given; a folder's record names them from then on.
DECIDING = ("shift", "intrinsics", "camera", "precision")
PART = 256
"""Images of a folder in one unit of `predict`: some minutes on one core, and no more is done again."""


@dataclass(frozen=True)
class Unit:
    """One video, or images of one folder.

    Attributes:
        name: of the folder of its results, below OUT; "" for OUT itself.
        manifest: of its results.
        files: what is to be read, as paths or URLs, and what it is called locally.
        video: whether it is one.
    """

    name: str
    manifest: str
    files: tuple[tuple[str, str], ...]
    video: bool


def find_units(source: str, manifest: str, part: int | None = None) -> list[Unit]:
    """Find the videos and the folders of images in a folder or URL, and in those below it.

    Args:
        source: a folder or URL; or a single video or image.
        manifest: what their results' manifest is called.
        part: most images of a unit; None for all of a folder.

    Raises:
        InputError: there are none.
    """
    if is_url(source):
        visible = [name for name in _files(source) if all(map(is_visible, PurePosixPath(name).parts))]
        folder = {name: join_url(source, name) for name in visible}
    elif (root := Path(source)).is_file():
        folder = {"": str(root.resolve())}
    else:
        folder = {name: str((root / name).resolve()) for name in _files(source)}
    if set(folder) == {""}:
        folder = {last_part(source): folder[""]}
    folders: dict[str, dict[str, list[str]]] = {}
    others = 0
    for name in folder:
        suffix = PurePosixPath(name).suffix.lower()
        kind = "video" if suffix in VIDEOS else "image" if suffix in IMAGE_SUFFIXES else None
        others += kind is None
        if kind is not None:
            folders.setdefault(str(PurePosixPath(name).parent), {}).setdefault(kind, []).append(name)
    if others:
        log.info("%s: %d files that are neither images nor videos are left out", source, others)
    units = []
    for parent, kinds in sorted(folders.items()):
        above = "" if parent == "." else f"{parent}/"
        videos = sorted(kinds.get("video", ()))
        for name, stem in zip(videos, distinct_names([Path(name) for name in videos]), strict=True):
            own = PurePosixPath(name).name if f"{above}{stem}" in folders else stem
            units.append(Unit(f"{above}{own}", manifest, ((folder[name], PurePosixPath(name).name),), True))
        images = sorted(kinds.get("image", ()), key=natural_order)
        called = distinct_names([Path(name) for name in images])
        files = [(folder[n], f"{c}{PurePosixPath(n).suffix}") for n, c in zip(images, called, strict=True)]
        size = part or max(len(files), 1)
        for number, at in enumerate(range(0, len(files), size)):
            stem, _, ending = manifest.partition(".")
            own = manifest if len(files) <= size else f"{stem}-{number:05d}.{ending}"
            units.append(Unit(above.rstrip("/"), own, tuple(files[at : at + size]), False))
    if not units:
        raise InputError(f"{source} does not exist, or holds neither images nor videos")
    return units


def predict_recordings(config: PredictConfig) -> str:
    """Predict for every recording below the input on a Ray cluster; return the folder or URL of the results.

    Raises:
        InputError: as `find_units` and `units.stream`; or the results of another run are there.
    """
    out = _absolute(config.out or f"{Path(last_part(config.input)).stem}_depth")
    units = find_units(config.input, "predict.json", PART)
    network = Predictor.from_pretrained(config.weights, flip=config.flip, shift=config.shift, **config.keywords())
    about: dict[str, Any] = {"command": "predict", "network": network.source_sha256, "size": list(network.size)}
    about |= {"flip": config.flip, "outputs": {field.name: getattr(config, field.name) for field in fields(Outputs)}}
    about |= {name: value for name in DECIDING if (value := getattr(config, name)) is not None}
    del network  # the processes have their own
    local = with_absolute_paths(config, ("weights", "calibration"))
    _run(units, out, partial(_Predicting, replace(local, out=out)), config, about, "recordings")
    return out


def prepare_recordings(config: PrepareVideoConfig) -> str:
    """Prepare every recording among the inputs, or below them, on a Ray cluster; return the folder or URL of the set.

    Raises:
        InputError: as `find_units` and `units.stream`; or the results of another run are there.
    """
    out = _absolute(config.out)
    units = [unit for source in config.inputs for unit in _prepared_units(source)]
    if len({unit.name for unit in units}) < len(units):
        raise InputError("two recordings would have one name; prepare them into sets of their own")
    about: dict[str, Any] = {
        "command": "prepare video",
        "settings": {**asdict(config), "out": "", "inputs": [], "ray": ""},
    }
    local = with_absolute_paths(config, ("intrinsics",))
    _run(units, out, partial(_Preparing, replace(local, out=out)), config, about, "recordings")
    with _staging(out) as folder:
        for file in ("train.txt", "val.txt"):
            lines = (read_remote_text(join_url(out, file)) or "").splitlines()  # those of earlier commands stay
            for unit in units:
                own = read_remote_text(join_url(out, f"{unit.name}/{file}")) or ""
                lines = replaced_lines(lines, unit.name, own.splitlines())
            if lines:
                (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8")
        put_folder(folder, out)
    return out


def _prepared_units(source: str) -> Iterator[Unit]:
    """Yield each video, and each folder of frames, named as the plain command names it."""
    for unit in find_units(source, "manifest.json"):
        name = unit.name or last_part(source if is_url(source) else str(Path(source).resolve()))
        yield replace(unit, name=name.replace("/", "-"))


def _run(
    units: Sequence[Unit],
    out: str,
    make: Callable[[], Any],
    config: PredictConfig | PrepareVideoConfig,
    about: dict[str, Any],
    name: str,
) -> None:
    """Do the units that have no manifest yet, and record what became of them in fleet.json."""
    before = read_remote_json(join_url(out, RECORD))
    there = set(_files(out))
    resume = isinstance(config, PrepareVideoConfig) or config.resume
    about = json.loads(json.dumps({"settings": about, "units": len(units)}))  # as it is read again
    if there and not (resume or config.overwrite):
        raise InputError(f"the output folder {out} is not empty; choose another, or pass --resume or --overwrite true")
    if resume and before is not None and before.get("settings") != about["settings"]:
        raise InputError(f"{out} was made with other settings; choose another folder")
    todo = [unit for unit in units if not (resume and (f"{unit.name}/{unit.manifest}").lstrip("/") in there)]
    if len(todo) < len(units):
        log.info("%d of %d recordings are done already", len(units) - len(todo), len(units))
    put_json(join_url(out, RECORD), provenance(**about, complete=False))
    failed, frames, skipped = [], 0, []
    assert isinstance(config, FleetConfig)
    for done in stream(make, todo, config, name):
        unit = todo[done.number]
        if done.error is not None:
            log.warning("failed: %s: %s", unit.files[0][0], done.error)
            failed.append({"input": unit.files[0][0], "error": done.error})
        else:
            frames += done.result["frames"]
            skipped += done.result["skipped"]
    content = {**about, "kept": len(units) - len(todo), "done": len(todo) - len(failed), "frames": frames}
    put_json(
        join_url(out, RECORD),
        provenance(**content, failed=failed, skipped=skipped, complete=not failed and not skipped),
    )
    if failed:
        log.warning("%d of %d recordings failed; %s names them", len(failed), len(units), join_url(out, RECORD))
        if len(failed) == len(units):
            raise InputError(f"not one recording could be used: {failed[0]['error']}")


class _Predicting:
    """`hrdepth predict`, with one network for all units of a process."""

    def __init__(self, config: PredictConfig) -> None:
        self.config = config
        threads = config.threads or max(1, int(config.ray_cpus))
        keywords = {**config.keywords(), "threads": threads}
        self.predictor = Predictor.from_pretrained(config.weights, flip=config.flip, shift=config.shift, **keywords)

    def __call__(self, unit: Unit) -> dict[str, Any]:
        config = self.config
        camera = choose_camera(self.predictor.cameras, config.camera) if config.intrinsics is None else None
        with _staging(str(config.out)) as folder:
            source = _fetch(unit, folder / "in")
            predict_to_folder(
                self.predictor,
                source,
                folder / "out",
                config,
                progress=False,
                intrinsics=None if config.intrinsics is None else pinhole(*config.intrinsics),
                camera=camera,
                batch=config.batch,
            )
            made = folder / "out" / "predict.json"
            about = read_json(made)
            made.rename(folder / "out" / unit.manifest)
            put_folder(folder / "out", join_url(str(config.out), unit.name), last=unit.manifest)
        return {"frames": about["pictures"], "skipped": about["skipped"]}


class _Preparing:
    """`hrdepth prepare video`."""

    def __init__(self, config: PrepareVideoConfig) -> None:
        self.config = config

    def __call__(self, unit: Unit) -> dict[str, Any]:
        with _staging(self.config.out) as folder:
            source = _fetch(unit, folder / "in")
            settings = replace(self.config, inputs=[str(source)], out=str(folder / "out"), ray=None)
            (made,) = prepare_videos(settings)
            for file in ("train.txt", "val.txt"):
                listed = folder / "out" / file
                lines = listed.read_text(encoding="utf-8").splitlines() if listed.is_file() else []
                text = "".join(f"{unit.name} {line.split(maxsplit=1)[1]}\n" for line in lines)
                (made.folder / file).write_text(text, encoding="utf-8")
            put_folder(made.folder, join_url(self.config.out, unit.name), last=unit.manifest)
            return {"frames": len(made.manifest["frames"]), "skipped": []}


@contextmanager
def _staging(out: str) -> Iterator[Path]:
    """Yield a folder for a unit's files: on the disk of the results, where they then only are renamed."""
    if is_url(out):
        with tempfile.TemporaryDirectory(prefix="hrdepth-") as name:
            yield Path(name)
    else:
        Path(out).mkdir(parents=True, exist_ok=True)
        with temporary_folder(out) as folder:
            yield folder


def _fetch(unit: Unit, folder: Path) -> Path:
    """Return a local path of a video, or of a folder with a unit's images."""
    folder.mkdir()
    for source, name in unit.files:
        if is_url(source):
            try:
                fetch_file(source, folder / name)
            except FileNotFoundError as error:
                raise InputError(f"{source} does not exist any more") from error
        else:
            try:
                (folder / name).symlink_to(source)
            except OSError:  # Windows, without the right to make links
                shutil.copyfile(source, folder / name)
    return folder / unit.files[0][1] if unit.video else folder


def _files(address: str) -> list[str]:
    """Return the names of the files in a folder or URL, and in those below it; none where there is no such folder."""
    if is_url(address):
        return list(remote_files(address))
    root = Path(address)
    return [path.relative_to(root).as_posix() for path in walk(root)] if root.is_dir() else []


def _absolute(out: str) -> str:
    """Return a path that holds in the processes of the cluster, whose working folder is another one."""
    return out.rstrip("/") if is_url(out) else str(Path(out).resolve())
