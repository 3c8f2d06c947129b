"""All pictures of a data set: looked at, and turned from PNG to JPEG."""

from __future__ import annotations

import errno
import logging
import shutil
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from rich.progress import track

from hrdepth.errors import InputError
from hrdepth.evaluation.parallel import in_order
from hrdepth.images import read_image
from hrdepth.preparation.published.layout import Layout

__all__ = ["convert_to_jpeg", "damaged_pictures"]

log = logging.getLogger(__name__)


def damaged_pictures(pictures: Sequence[Path], threads: int | None) -> list[str]:
    """Decode every picture; return a sentence for each that cannot be."""
    found = in_order(_damage, ((path,) for path in pictures), threads)
    return [sentence for sentence in track(found, "decoding", len(pictures)) if sentence is not None]


def convert_to_jpeg(
    layout: Layout,
    out: Path,
    *,
    quality: int,
    width: int | None = None,
    delete_originals: bool = False,
    threads: int | None = None,
) -> tuple[int, int]:
    """Write a JPEG of each PNG of a data set, below `out` at the same place; go on where an earlier call stopped.

    Args:
        layout: knows the pictures, and the small files that are copied with them to another folder.
        out: the folder; the data set's own writes them beside the originals.
        quality: of the JPEGs, 1 to 100.
        width: wider pictures are made smaller, to this many pixels; None for none.
        delete_originals: delete each PNG whose JPEG can be decoded and has its size.
        threads: that read and write.

    Returns:
        How many JPEGs were written, and how many PNGs deleted.

    Raises:
        InputError: a picture is damaged, or the folder cannot be written; what was written is kept.
    """
    elsewhere = out.resolve() != layout.root.resolve()
    suffixes = (".png", ".jpg", ".jpeg") if elsewhere else (".png",)
    pictures = [path for path in layout.pictures() if path.suffix in suffixes]
    if not elsewhere:
        # A PNG whose JPEG is there is no longer what a reader finds first.
        beside = (path.with_suffix(".png") for path in layout.pictures())
        pictures = sorted({*pictures, *(path for path in beside if path.is_file())})
    work = [(path, out / layout.relative(path).with_suffix(".jpg"), quality, width) for path in pictures]
    written = sum(track(in_order(_write_jpeg, work, threads), "to JPEG", len(work)))
    if elsewhere:
        for file in layout.companions():
            _copy(file, out / layout.relative(file))
    deleted = 0
    if delete_originals:
        for png, jpeg, *_ in work:
            _check_copy(png, jpeg)
            png.unlink()
            deleted += 1
    return written, deleted


def _damage(path: Path) -> str | None:
    try:
        read_image(path)
    except InputError as error:
        return f"{error}; unpack it again"
    return None


def _write_jpeg(source: Path, file: Path, quality: int, width: int | None) -> bool:
    """Write one JPEG unless it is there and newer than its source; a JPEG that need not shrink is copied."""
    if file.is_file() and file.stat().st_mtime_ns >= source.stat().st_mtime_ns:
        return False
    image = read_image(source)
    shrinks = width is not None and image.width > width
    temporary = file.with_name(f".{file.name}.partial")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix != ".png" and not shrinks:
            shutil.copyfile(source, temporary)
        else:
            if width is not None and shrinks:
                size = (width, round(image.height * width / image.width))
                image = image.resize(size, Image.Resampling.LANCZOS)
            image.save(temporary, format="JPEG", quality=quality)
        temporary.replace(file)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        full = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error.strerror)
        raise InputError(f"{file} cannot be written: {full}; what is there is kept, run it again to go on") from error
    return True


def _copy(source: Path, file: Path) -> None:
    try:
        if not file.is_file() or file.stat().st_size != source.stat().st_size:
            file.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, file)
    except OSError as error:
        raise InputError(f"{file} cannot be written ({error.strerror}); choose another folder") from error


def _check_copy(png: Path, jpeg: Path) -> None:
    if read_image(jpeg).size != read_image(png).size:
        raise InputError(f"{jpeg} has another size than {png}, which is kept; delete the JPEG and run it again")
