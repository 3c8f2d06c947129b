"""Find images in folders, and name their results: one rule for every command."""

from __future__ import annotations

import logging
import re
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from pathlib import Path

from hrdepth.errors import InputError

__all__ = ["IMAGE_SUFFIXES", "distinct_names", "is_visible", "list_images", "visible_images", "walk"]

log = logging.getLogger(__name__)

# fmt: off
IMAGE_SUFFIXES = frozenset([
    ".jpg", ".jpeg", ".mpo", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pnm",
    ".jp2", ".avif", ".heic", ".heif",
])
# fmt: on
# Before the suffix of files that are being written or are copies.
TEMPORARY = frozenset([".tmp", ".temp", ".part", ".partial", ".crdownload", ".download", ".bak", ".swp"])


def is_visible(name: str) -> bool:
    """Return whether a file is neither hidden nor temporary, by its name.

    Example:
        >>> [is_visible(name) for name in ("000005.png", "._000005.png", "~000005.png", "000005.part.png")]
        [True, False, False, False]
    """
    return not name.startswith((".", "~", "#")) and TEMPORARY.isdisjoint(map(str.lower, Path(name).suffixes))


def list_images(folder: Path, *, announce: bool = False) -> list[Path]:
    """Return the images in a folder, in natural order: 2 before 10.

    Args:
        folder: not those below it.
        announce: log how many other files there are.

    Raises:
        InputError: it cannot be read, or contains none.
    """
    try:
        files = [file for file in sorted(folder.iterdir()) if file.is_file()]
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror})") from error
    if not files:
        raise InputError(f"the folder {folder} is empty")
    images = visible_images(files)
    if not images:
        raise InputError(f"the folder {folder} contains no images (such as .jpg or .png)")
    if announce and (others := [file.name for file in files if file not in set(images)]):
        log.warning(
            "%s: %d files are left out, which are hidden, temporary or no images, such as %s",
            folder, len(others), others[0],
        )  # fmt: skip
    return sorted(images, key=lambda file: _natural(file.name))


def visible_images(paths: Iterable[Path], suffixes: Container[str] = IMAGE_SUFFIXES) -> list[Path]:
    """Return the files that are neither hidden nor temporary, with one of these suffixes, in any case."""
    return [path for path in paths if path.suffix.lower() in suffixes and is_visible(path.name)]


def walk(root: Path) -> Iterator[Path]:
    """Yield the files in a folder and those below it, also behind links; hidden folders and files are left out.

    A link to a folder that contains it is not followed.

    Raises:
        InputError: a folder cannot be read.
    """
    yield from _walk(root, ())


def _walk(folder: Path, above: tuple[Path, ...]) -> Iterator[Path]:
    real = folder.resolve()
    if real in above:
        return
    try:
        paths = sorted(path for path in folder.iterdir() if is_visible(path.name))
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror})") from error
    for path in paths:
        if path.is_dir():
            yield from _walk(path, (*above, real))
        elif path.is_file():
            yield path


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for the results of each file of a folder: its stem, or where that is not unique its whole name.

    Example:
        >>> distinct_names([Path("a.jpg"), Path("x.jpg"), Path("x.png"), Path("x.jpg.png")])
        ['a', 'x.jpg', 'x.png', 'x.jpg.png']
    """
    stems, names = Counter(path.stem for path in paths), {path.name for path in paths}
    return [path.stem if stems[path.stem] == 1 and path.stem not in names else path.name for path in paths]


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name
