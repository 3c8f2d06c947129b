"""Files beside the frames of a prepared recording: manifest, camera, mask, lists of frames.

`ROOT/DRIVE/manifest.json` has

format, settings      what determines the frames; a recording is resumed only if they are equal
source                name, kind, frame rate and a digest of the content of the video or folder
complete              false until every frame is written
chosen                stride, frames a second, median motion; frames left out, by reason, as ranges of the source
camera                where K comes from, whether it is to be learned, which distortion was removed
mask                  share of the image left out of the loss
frames                by file name: number in the source, motion since the last, SHA-256
files                 SHA-256 of the other files
split                 first and last frame of training and validation
provenance            command, versions, date
"""

from __future__ import annotations

import logging
import re
from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray
from PIL import Image

from hrdepth.config import PrepareVideoConfig
from hrdepth.data.splits import replace_lines
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import file_sha256, read_json, write_json, write_text
from hrdepth.io.images import is_readable, write_image
from hrdepth.io.provenance import provenance
from hrdepth.prepare.framing import Framing
from hrdepth.prepare.masks import StillRegions, mask_image
from hrdepth.prepare.selection import split_numbers

__all__ = [
    "MANIFEST",
    "drives_with_manifest",
    "edited_files",
    "read_manifest",
    "reduced",
    "verify_drive",
    "write_camera",
    "write_manifest",
    "write_mask",
    "write_split",
]

log = logging.getLogger(__name__)

FORMAT = 1
MANIFEST = "manifest.json"


def read_manifest(drive: Path) -> dict[str, Any] | None:
    """Return the manifest of a recording, None if there is none.

    Raises:
        InputError: it is damaged.
    """
    file = drive / MANIFEST
    if not file.is_file():
        return None
    try:
        return read_json(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is damaged; delete the folder {drive} and prepare it again") from error


def write_manifest(drive: Path, content: dict[str, Any]) -> None:
    """Write a manifest, with its provenance."""
    write_json(drive / MANIFEST, {"format": FORMAT, **content, "provenance": provenance()})


def drives_with_manifest(root: Path) -> list[Path]:
    """Return the recordings of a set that `hrdepth prepare` made, in order of their names."""
    found = [file.parent for file in sorted(root.glob(f"*/{MANIFEST}"))]
    return [drive for drive in found if "chosen" in (read_manifest(drive) or {})]


def edited_files(drive: Path) -> list[str]:
    """Return which of camera.yaml and mask.png are there, and not as a complete recording's manifest says."""
    known = (read_manifest(drive) or {}).get("files", {})
    present = [name for name in ("camera.yaml", "mask.png") if (drive / name).is_file()]
    return [name for name in present if known.get(name, {}).get("sha256") != file_sha256(drive / name)]


def verify_drive(drive: Path, except_for: Container[str] = ()) -> list[str]:
    """Compare a recording's files with its manifest; return a sentence for each that is missing, changed or cut."""
    manifest = read_manifest(drive) or {}
    if not manifest.get("complete"):
        return [f"{drive} is not complete; run hrdepth prepare again to resume"]
    try:
        entries = {name: str(known["sha256"]) for part in ("frames", "files") for name, known in manifest[part].items()}
        if strange := [name for name in entries if Path(name).is_absolute() or ".." in Path(name).parts]:
            raise ValueError(f"it names {strange[0]!r:.40}")
    except MALFORMED as error:
        raise InputError(f"{drive / MANIFEST} is damaged; delete the folder {drive} and prepare it again") from error
    faults = []
    for name, known in entries.items():
        if name in except_for:
            continue
        file = drive / name
        if not file.is_file():
            faults.append(f"{file} is missing")
        elif file_sha256(file) != known:
            faults.append(f"{file} has changed")
        elif file.suffix in (".jpg", ".png") and not is_readable(file):
            faults.append(f"{file} is damaged, as it was when it was written")
    return faults


def write_camera(folder: Path, analysis: Framing, factor: int) -> dict[str, Any]:
    """Write camera.yaml, and return its entry of the manifest; frames are `factor` times as small as `analysis`."""
    lens = analysis.lens
    k, (height, width) = analysis.intrinsics / factor, (side // factor for side in analysis.size)
    numbers = {"fx": k[0, 0], "fy": k[1, 1], "cx": k[0, 2], "cy": k[1, 2]}
    content: dict[str, Any] = {"width": width, "height": height}
    content |= {name: round(float(value), 4) for name, value in numbers.items()}
    # Only the last part of the path, since a data set may be moved.
    content["source"] = re.sub(r"\S*[/\\]", "", lens.source)
    if lens.pixel_aspect != 1:
        content["pixel_aspect"] = round(float(k[1, 1] / k[0, 0]), 6)
    if lens.learn:
        content["learn"] = True
    write_text(folder / "camera.yaml", yaml.safe_dump(content, sort_keys=False))
    undone = {"model": lens.model, "coefficients": list(lens.distortion)} if lens.distortion else None
    return {"source": content["source"], "learn": lens.learn, "distortion_undone": undone}


def write_mask(folder: Path, analysis: Framing, factor: int, still: StillRegions, *, find: bool) -> dict[str, Any]:
    """Write mask.png and mask.jpg if anything is masked, and return their entry of the manifest."""
    found = still.find() if find else np.zeros(analysis.size, dtype=bool)
    keep, covered = _coarse(analysis.inside() & ~found, factor), ~_coarse(~found, factor)
    for name in ("mask.png", "mask.jpg"):
        (folder / name).unlink(missing_ok=True)
    if not keep.all():
        write_image(folder / "mask.png", np.where(keep, 255, 0).astype(np.uint8))
        write_image(folder / "mask.jpg", mask_image(reduced(still.last_frame, factor), keep))
    return {"share": round(float(1 - keep.mean()), 5), "found": round(float(covered.mean()), 5), "looked": find}


def reduced(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Shrink an image (H,W,3) by a whole factor."""
    return image if factor == 1 else np.asarray(Image.fromarray(image).reduce(factor))


def _coarse(mask: NDArray[np.bool_], factor: int) -> NDArray[np.bool_]:
    """Shrink a mask (H,W): true where it is true in the whole block."""
    height, width = mask.shape
    blocks = mask.reshape(height // factor, factor, width // factor, factor)
    return np.asarray(blocks.all(axis=(1, 3)))


def write_split(root: Path, name: str, numbers: list[int], config: PrepareVideoConfig) -> dict[str, Any]:
    """Enter a recording's frames in train.txt and val.txt, and return their entry of the manifest.

    Raises:
        InputError: no frame has both neighbours.
    """
    training, validation = split_numbers(numbers, config.validation, config.gap)
    if not training:
        raise InputError(f"{root / name} has no frame with both neighbours; too many were skipped as still or at cuts")
    if config.validation and not validation:
        log.warning("%s: %d frames are too few for validation frames", root / name, len(numbers))
    for file, targets in (("train.txt", training), ("val.txt", validation)):
        replace_lines(root / file, name, [f"{name} {number} l" for number in targets])
    return {
        "train": [training[0], training[-1]],
        "validation": [validation[0], validation[-1]] if validation else None,
        "train_frames": len(training),
        "validation_frames": len(validation),
        "gap": config.gap,
    }
