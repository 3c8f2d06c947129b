"""Decode all images of a data set, and convert PNG to JPEG."""

from __future__ import annotations

import hashlib
import io
import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from rich.progress import track

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path, resume, write_bytes, write_failure, write_json
from hrdepth.io.image_files import content_digest
from hrdepth.io.images import DAMAGE, open_image, read_image, save_image
from hrdepth.io.parallel import parallel_map
from hrdepth.io.provenance import provenance
from hrdepth.prepare.published.layout import Layout, resized_size

__all__ = ["convert_to_jpeg", "damaged_images"]

RECORD = "jpeg.json"
"""Settings of the JPEGs beside it. A JPEG's comment is a digest of its image and of the settings."""
SAME = 1.0  # grey levels of 255: other versions of libjpeg round otherwise, by less


def damaged_images(images: Sequence[Path], threads: int | None) -> list[str]:
    """Decode every image; return a sentence for each that cannot be."""
    found = parallel_map(_damage, images, threads)
    return [sentence for sentence in track(found, "decoding", len(images)) if sentence is not None]


def convert_to_jpeg(
    layout: Layout,
    out: Path,
    *,
    quality: int,
    width: int | None = None,
    delete_originals: bool = False,
    threads: int | None = None,
    overwrite: bool = False,
) -> tuple[int, int]:
    """Write a JPEG of each PNG of a data set, below `out` at the same relative path; resume an interrupted call.

    Args:
        layout: lists the images, and the small files that are copied with them to another folder.
        out: an existing folder; the data set's root writes the JPEGs beside the originals.
        quality: of the JPEGs, 1 to 100.
        width: wider images are made smaller, to this many pixels; None for none.
        delete_originals: delete the PNGs, once each JPEG shows what its PNG would give now.
        threads: that read and write.
        overwrite: replace files that were made with other settings.

    Returns:
        How many JPEGs were written, and how many PNGs deleted.

    Raises:
        InputError: there are no images, or one is damaged; JPEGs or copies of other settings are there; a JPEG shows
            something else than its PNG; the folder cannot be written. What was written stays.
    """
    separate = out.resolve() != layout.root.resolve()
    if width is not None and layout.scales_calibration and not separate:
        raise InputError(
            f"the calibrations below {layout.root} are for the images at their full size and would be wrong for "
            "smaller ones; give another folder with --out, where they are scaled"
        )
    work = [(path, out / layout.relative(path).with_suffix(".jpg")) for path in _sources(layout, separate)]
    settings = {"quality": quality, "width": width}
    begun = bool(work) and (out / RECORD).exists()
    begun = begun and resume(out / RECORD, settings, overwrite=overwrite) is not None
    good = parallel_map(partial(_up_to_date, quality=quality, width=width), work if begun else (), threads)
    made = {jpeg for (_, jpeg), is_good in zip(work, good) if is_good}  # noqa: B905
    todo = [item for item in work if item[1] not in made]
    other = [jpeg for _, jpeg in todo if jpeg.exists()]
    if other and not overwrite:
        raise InputError(
            f"{len(other)} of the JPEGs to write exist already and were not made by this step from the current "
            f"images, such as {other[0]}; move them away, give another folder with --out, or pass --overwrite "
            "true to replace them"
        )
    if separate:
        _copy_companions(layout, out, width, overwrite=overwrite)
    if todo and not begun:
        write_json(out / RECORD, settings | provenance())
    writing = parallel_map(partial(_write_jpeg, quality=quality, width=width), todo, threads)
    written = sum(1 for _ in track(writing, "to JPEG", len(todo)))
    if not delete_originals:
        return written, 0
    comparing = parallel_map(partial(_difference, quality=quality), work, threads)
    different = [sentence for sentence in track(comparing, "comparing", len(work)) if sentence is not None]
    if different:
        raise InputError.several(different)
    for png, _ in work:
        png.unlink()
    return written, len(work)


def _damage(path: Path) -> str | None:
    try:
        read_image(path)
    except InputError as error:
        return f"{error}; unpack it again"
    return None


def _sources(layout: Layout, separate: bool) -> list[Path]:
    """Return the images to make JPEGs of: all, or the PNGs where the JPEGs go beside them."""
    images = list(layout.images())
    if not images:
        raise InputError(f"{layout.root} contains none of the wanted images; unpack the archives there")
    if separate:
        return images
    # Readers prefer a JPEG to its PNG.
    return sorted({png for path in images if (png := path.with_suffix(".png")).is_file()})


def _comment(source: Path, quality: int, width: int | None) -> bytes:
    """Return what marks the JPEG of an image: a digest of its content and of the settings."""
    key = f"{content_digest(source).hex()} {quality} {width}"
    return f"hrdepth {hashlib.sha256(key.encode()).hexdigest()}".encode()


def _up_to_date(item: tuple[Path, Path], quality: int, width: int | None) -> bool:
    """Return whether a JPEG was made of its source, as that now is, with these settings."""
    source, jpeg = item
    try:
        with open_image(jpeg) as image:
            if image.info.get("comment") == _comment(source, quality, width):
                return True
        return content_digest(source) == content_digest(jpeg)  # copied
    except DAMAGE:  # or there is none
        return False


def _write_jpeg(item: tuple[Path, Path], quality: int, width: int | None) -> None:
    """Write one JPEG; a JPEG that need not shrink is copied."""
    source, file = item
    comment = _comment(source, quality, width)  # before the image, which may change meanwhile
    image = read_image(source)
    height, wide = resized_size((image.height, image.width), width)
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if source.suffix.lower() != ".png" and wide == image.width:
            write_bytes(file, source.read_bytes())
        else:
            if wide < image.width:
                image = image.resize((wide, height), Image.Resampling.LANCZOS)
            save_image(file, image, quality=quality, comment=comment)
    except (OSError, InputError) as error:
        raise InputError(f"{file} cannot be written: {write_failure(error)}; run it again to resume") from error


def _copy_companions(layout: Layout, out: Path, width: int | None, *, overwrite: bool) -> None:
    """Copy the small files, those that give K in pixels as smaller images need them; replace none."""
    copies = [(file, out / layout.relative(file)) for file in layout.companions()]
    texts = {file: None if width is None else layout.resized(file, width) for file, _ in copies}
    todo = [(file, copy) for file, copy in copies if not _is_copy(file, copy, texts[file])]
    edited = [(file, copy) for file, copy in todo if copy.exists()]
    if edited and not overwrite:
        file, copy = edited[0]
        raise InputError(
            f"{copy} exists and differs from what {file} gives ({len(edited)} such in all); move it away, or pass "
            "--overwrite true to replace it"
        )
    for file, copy in todo:
        text = texts[file]
        try:
            copy.parent.mkdir(parents=True, exist_ok=True)
            with atomic_path(copy) as temporary:
                if text is None:
                    shutil.copy2(file, temporary)
                else:
                    temporary.write_text(text, encoding="utf-8")
        except OSError as error:
            raise InputError(f"{copy} cannot be written ({error.strerror}); choose another folder") from error


def _is_copy(file: Path, copy: Path, text: str | None) -> bool:
    if not copy.is_file():
        return False
    return copy.read_bytes() == (file.read_bytes() if text is None else text.encode())


def _difference(item: tuple[Path, Path], quality: int) -> str | None:
    """Return a sentence if a JPEG shows something else than its PNG would as a JPEG of this quality."""
    png, jpeg = item
    fresh = io.BytesIO()
    read_image(png).save(fresh, format="JPEG", quality=quality)
    with Image.open(fresh) as image:
        expected, shown = np.asarray(image, dtype=np.float32), np.asarray(read_image(jpeg), dtype=np.float32)
    if expected.shape != shown.shape:
        return f"{jpeg} has another size than {png}; no PNG was deleted, delete the JPEG and run it again"
    difference = float(np.abs(expected - shown).mean())
    if difference <= SAME:
        return None
    return (
        f"{jpeg} is {difference:.1f} of 255 grey levels from what {png} gives; no PNG was deleted, delete the JPEG and "
        "run it again"
    )
