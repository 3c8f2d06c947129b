"""What a prepared recording knows of itself: `ROOT/DRIVE/manifest.json`.

format, settings      what decides how it looks; a recording is gone on with only if they are equal
source                name, bytes, time of change, kind of what it was made of
complete              false until every frame is written
chosen                stride, frames a second, median motion; frames left out, by reason, as ranges of the source
camera                where K comes from, whether it is to be learned, what was undone
mask                  share of the image left out of the loss
frames                by file name: number in the source, motion since the last, SHA-256
split                 first and last frame of training and validation
provenance            how it came about

Whether the files are still what they were is for `verify_drive`.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from hrdepth.errors import InputError
from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance

__all__ = ["FORMAT", "checksum", "drives_with_manifest", "read_manifest", "verify_drive", "write_manifest"]

FORMAT = 1
FILE = "manifest.json"


def read_manifest(drive: Path) -> dict[str, Any] | None:
    """Return the manifest of a recording, None where there is none.

    Raises:
        InputError: it is damaged.
    """
    file = drive / FILE
    if not file.is_file():
        return None
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise InputError(f"{file} is damaged; delete the folder {drive} and prepare it anew") from error
    return content


def write_manifest(drive: Path, content: dict[str, Any]) -> None:
    """Write a manifest, with its provenance."""
    write_json(drive / FILE, {"format": FORMAT, **content, "provenance": provenance()})


def drives_with_manifest(root: Path) -> list[Path]:
    """Return the recordings of a set that `hrdepth prepare` made, in order of their names."""
    found = [file.parent for file in sorted(root.glob(f"*/{FILE}"))]
    return [drive for drive in found if "chosen" in (read_manifest(drive) or {})]


def verify_drive(drive: Path) -> list[str]:
    """Compare a recording's files with its manifest; return a sentence for each that is missing or changed."""
    manifest = read_manifest(drive) or {}
    if not manifest.get("complete"):
        return [f"{drive} is not complete; run hrdepth prepare again to go on"]
    faults = []
    for name, known in {**manifest["frames"], **manifest["files"]}.items():
        file = drive / name
        if not file.is_file():
            faults.append(f"{file} is missing")
        elif checksum(file) != known["sha256"]:
            faults.append(f"{file} has changed")
    return faults


def checksum(file: Path) -> str:
    """Return the SHA-256 of a file."""
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
