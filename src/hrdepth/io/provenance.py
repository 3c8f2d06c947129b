"""Provenance of a result, as a dictionary for every result file."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import shlex
import sys
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["hide_password", "provenance", "provenance_lines"]

PACKAGES = (
    "hrdepth", "torch", "torchvision", "timm", "lightning", "numpy", "pillow", "mitsuba", "onnx", "onnxruntime",
    "openvino", "nncf", "scipy", "scikit-image", "imagecorruptions", "imagecorruptions-imaug",
)  # fmt: skip


def provenance(seed: int | None = None, **extra: Any) -> dict[str, Any]:
    """Return command, versions, seed, date and machine, and whatever `extra` adds; JSON-able if `extra` is.

    Paths in the command are cut to their last two parts, so that a result file does not show where it was made;
    addresses are without passwords.
    """
    return {
        "command": shlex.join([Path(sys.argv[0]).name, *map(_shorten, sys.argv[1:])]),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "seed": seed,
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": {"system": platform.system(), "processor": platform.machine(), "cores": os.cpu_count()},
        **extra,
    }


def provenance_lines() -> list[str]:
    """Return command, date and versions as lines, for the comment above a table."""
    made = provenance()
    versions = ", ".join(f"{name} {version}" for name, version in made["versions"].items())
    return [f"command: {made['command']}", f"date: {made['date']}", f"versions: {versions}"]


def hide_password(address: str) -> str:
    """Return an address without user, password and what comes after `?`, which may be a key."""
    return re.sub(r"(?<=://)[^/]*@|\?.*$", "", address, flags=re.DOTALL)


def _shorten(argument: str) -> str:
    if "://" in argument:
        argument = hide_password(argument)
    flag, equals, values = argument.rpartition("=")
    return f"{flag}{equals}{','.join(map(_last_parts, values.split(',')))}"  # NAME=FOLDER,FOLDER has several


def _last_parts(value: str) -> str:
    return "/".join(Path(value).parts[1:][-2:]) or value if Path(value).is_absolute() else value


@cache
def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
