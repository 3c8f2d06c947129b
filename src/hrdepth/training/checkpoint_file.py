"""The file of a training checkpoint: written whole or not at all, with checksums that are checked."""

from __future__ import annotations

import struct
import zipfile
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path

__all__ = ["CheckpointFile", "check_checksums"]


class CheckpointFile(TorchCheckpointIO):
    """Writes training checkpoints beside their final name; the one before is replaced only by one that is verified."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write `checkpoint` to `path`.

        Raises:
            InputError: the file cannot be written, or is not what was written.
        """
        content = BytesIO()
        torch.save(checkpoint, content)
        with atomic_path(path, durable=True) as temporary:
            temporary.write_bytes(content.getbuffer())
            try:
                check_checksums(temporary)
            except ValueError as error:
                raise InputError(f"{path} was not written whole ({error}); the one before is kept") from error


def check_checksums(path: Path) -> None:
    """Check the CRC-32 that PyTorch stores with every part of a file, and does not check itself.

    Raises:
        OSError: the file cannot be read.
        ValueError: a part is not what was written.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError, struct.error) as error:
        raise ValueError(str(error)) from error
    if damaged is not None:
        raise ValueError(f"the checksum of {damaged} is wrong")
