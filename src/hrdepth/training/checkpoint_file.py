"""The file of a training checkpoint: written whole or not at all, with checksums that are checked."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import TorchCheckpointIO

from hrdepth.errors import InputError
from hrdepth.io.arrays import check_checksums
from hrdepth.io.files import atomic_path

__all__ = ["CheckpointFile"]


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
