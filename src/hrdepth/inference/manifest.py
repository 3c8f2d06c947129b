"""predict.json: the settings that determine the results, and what of an earlier run can be resumed."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from hrdepth.camera import LearnedCamera
from hrdepth.config import Outputs
from hrdepth.errors import MALFORMED, InputError
from hrdepth.inference.outputs import image_files
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256, read_json, resume
from hrdepth.io.media import MediaInfo, named_images

__all__ = [
    "MANIFEST",
    "KnownCamera",
    "check_resume",
    "content_digests",
    "forget_changed",
    "made_files",
    "remove_results",
    "settings",
]

log = logging.getLogger(__name__)

MANIFEST = "predict.json"

KnownCamera = ArrayLike | LearnedCamera | None


def settings(
    predictor: Predictor, source: Path, info: MediaInfo, outputs: Outputs, camera: KnownCamera
) -> dict[str, Any]:
    """Return all settings that determine the results, JSON-able."""
    scale = predictor.scale
    metric = scale.metres_per_unit is not None
    shift = f" + {scale.shift:g}" if scale.shift else ""
    factor = "" if scale.canonical_focal is None or camera is None else ", x fx / (canonical_focal x width)"
    kind = "picture" if info.kind == "image" else info.kind if info.live is None else "live"  # as in earlier files
    coded = f"16 bits, value / 256 = {'metres' if metric else 'network units'}, 0 = none, 65535 = 255.996 or more"
    return {
        "input": {"name": source.name or source.resolve().name, "kind": kind, "fps": info.fps},
        "network": {
            "weights": None if predictor.source is None else predictor.source.name,
            "sha256": predictor.source_sha256,
            "runtime": predictor.runtime,
            "precision": predictor.precision,
            "device": predictor.device,
            "size": list(predictor.size),
            "keep_aspect": predictor.keep_aspect,
            **scale.as_dict(),
            "flip": predictor.flip,
        },
        # `write` only if it is used, so that folders of earlier versions can be resumed.
        "outputs": {name: value for name, value in asdict(outputs).items() if name != "write" or value},
        "intrinsics": _describe(camera),
        "units": {
            "disparity": "the network's sigmoid output in (0,1)",
            "depth": f"network units, 1 / (1/max_depth + (1/min_depth - 1/max_depth) x disparity{shift}){factor}"
            if scale.has_depth
            else scale.unit,
            "metres": f"depth x {scale.metres_per_unit:g}" if metric else None,
            "depth_png": coded,
            "depth_video": coded,
            "points": f"x right, y down, z forward, in {'metres' if metric else 'network units'}",
        },
    }


def _describe(camera: KnownCamera) -> Any:
    if isinstance(camera, LearnedCamera):
        return {"learned": asdict(camera)}
    return None if camera is None else np.asarray(camera).tolist()


def content_digests(info: MediaInfo) -> dict[str, str | None]:
    """Return digests of the images, or of the video: many have the same name, and one may be replaced."""
    return {name: _digest(path) for name, path in (named_images(info) or {info.path.name: info.path}).items()}


def _digest(path: Path) -> str | None:
    try:
        return file_sha256(path)[:16]
    except OSError:  # it is reported when it is read
        return None


def check_resume(info: MediaInfo, outputs: Outputs, out: Path, described: dict[str, Any]) -> dict[str, Any]:
    """Return the manifest of the earlier run in `out`, which has the settings of `described`.

    Raises:
        InputError: there is none, its settings differ, or results of this kind cannot be resumed.
    """
    if info.live is not None:
        raise InputError("a live source cannot be resumed; pass --overwrite true, or choose another folder")
    if info.kind != "video" and (outputs.smooth is not None or outputs.flicker):
        raise InputError("smoothing and flicker need all frames from the first on; pass --overwrite true instead")
    before = resume(out / MANIFEST, described)
    assert before is not None  # as nothing is overwritten
    return before


def forget_changed(
    manifest: dict[str, Any], digests: dict[str, str | None], info: MediaInfo, outputs: Outputs, out: Path
) -> None:
    """Delete the results of images that have changed since.

    Raises:
        InputError: `out` holds the results of other images, or of another video.
    """
    before = manifest["images"] if isinstance(manifest.get("images"), dict) else {}
    changed = [name for name, digest in before.items() if digests.get(name, digest) != digest]
    same = [name for name, digest in before.items() if digest is not None and digests.get(name) == digest]
    if not same:
        what = "images in" if info.kind == "folder" else info.kind
        raise InputError(
            f"the results in {out} are not of the {what} {info.path}, as far as {MANIFEST} says; choose another "
            "folder, or pass --overwrite true to start over"
        )
    for name in changed:
        log.info("%s has changed since and is predicted again", name)
        for file in image_files(name, outputs):
            (out / file).unlink(missing_ok=True)


def made_files(manifest: dict[str, Any], out: Path) -> list[Path]:
    """Return the files that a complete run made; none if one is missing."""
    made = [out / str(name) for name in (*manifest.get("files", []), MANIFEST)]
    return made if all(path.is_file() for path in made) else []


def remove_results(out: Path, info: MediaInfo) -> None:
    """Delete the results in `out` of the run whose manifest is there; what is to be predicted is kept there."""
    try:
        manifest = read_json(out / MANIFEST)
    except (OSError, ValueError):  # there is none, or it is damaged
        return
    inputs = {path.resolve() for path in (named_images(info) or {info.path.name: info.path}).values()}
    for name in _results(manifest):
        if not isinstance(name, str) or Path(name).name != name:
            continue
        path = out / name
        with suppress(OSError, ValueError):  # one with a name that no file can have
            if path.is_file() and not path.is_symlink() and path.resolve() not in inputs:
                path.unlink()


def _results(manifest: dict[str, Any]) -> list[Any]:
    """Return the names of a run's files: those that it lists or, of a killed one, those of all its images."""
    try:
        if "files" in manifest:
            return list(manifest["files"])
        outputs = Outputs(**manifest["outputs"])
        return [file for name in manifest["images"] for file in image_files(name, outputs)]
    except MALFORMED:  # it is not of a run
        return []
