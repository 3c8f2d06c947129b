"""Damage to files, as by a bad disk or an incomplete transfer."""

import zipfile
from pathlib import Path


def flip_bit(path):
    """Flip a bit of the largest tensor in a zip archive of PyTorch's."""
    path = Path(path)
    content = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        tensors = [part for part in archive.infolist() if "/data/" in part.filename]
    largest = max(tensors, key=lambda part: part.file_size)
    content[largest.header_offset + 200 + largest.file_size // 2] ^= 1
    path.write_bytes(content)
