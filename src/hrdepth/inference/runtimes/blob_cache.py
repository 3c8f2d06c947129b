"""Networks that OpenVINO has compiled, in the user's cache folder: a file for each network, shape, version, machine.

Whatever goes wrong with the folder, the network is compiled as if there were none. Two processes may write at once, as
each file appears under its name when it is complete; its content is checked by a hash when it is read.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hrdepth.errors import InputError
from hrdepth.io.files import user_cache, write_bytes

__all__ = ["cache_folder", "read_blob", "write_blob"]

log = logging.getLogger(__name__)

MOST_FILES = 16
"""Files that stay; the oldest go. A file takes some 15 MB."""
DIGEST_BYTES = 32


def cache_folder() -> Path:
    """Return the folder, which need not exist: `HRDEPTH_CACHE` itself, else `openvino` of the user's own."""
    return user_cache("" if os.environ.get("HRDEPTH_CACHE") else "openvino")


def read_blob(key: Mapping[str, Any]) -> bytes | None:
    """Return the blob that was written with this key; None where there is none, or it is damaged."""
    try:
        content = _file(key).read_bytes()
    except OSError:
        return None
    digest, blob = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return blob if hashlib.sha256(blob).digest() == digest else None


def write_blob(key: Mapping[str, Any], blob: bytes) -> None:
    """Store a blob by its key; continue without where that is not possible.

    Args:
        key: all that decides on the blob, JSON-able.
        blob: what OpenVINO exported.
    """
    path = _file(key)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, hashlib.sha256(blob).digest() + blob)
        oldest = sorted(path.parent.glob("*.blob"), key=lambda file: file.stat().st_mtime)[:-MOST_FILES]
    except (OSError, InputError) as error:
        log.debug("the compiled network is not kept: %s", error)
        return
    for file in oldest:
        with contextlib.suppress(OSError):  # another process was faster
            file.unlink()


def _file(key: Mapping[str, Any]) -> Path:
    return cache_folder() / f"{hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:32]}.blob"
