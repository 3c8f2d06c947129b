"""Find images in folders, and name their results: one rule for every command."""

from __future__ import annotations

import hashlib
import logging
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from hrdepth.errors import InputError
from hrdepth.io.shards import Member

__all__ = [
    "IMAGE_SUFFIXES",
    "SUFFIXES",
    "content_digest",
    "distinct_names",
    "find_image",
    "is_visible",
    "list_images",
    "natural_order",
    "result_name",
    "spellings",
    "visible_images",
    "walk",
]

log = logging.getLogger(__name__)

# Of two images that differ in this alone, a data set has the first.
SUFFIXES = (
    ".jpg", ".png", ".jpeg", ".webp", ".mpo", ".bmp", ".tif", ".tiff", ".gif", ".ppm", ".pgm", ".pnm", ".jp2", ".avif",
    ".heic", ".heif",
)  # fmt: skip
IMAGE_SUFFIXES = frozenset(SUFFIXES)
# Bytes of a file's name in most file systems, and of those what results may append.
LONGEST, ROOM = 255, 55
UNCOMPRESSED = frozenset([".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".pnm", ".gif"])
PART = 4096  # bytes of a compressed image's beginning, middle and end
# Before the suffix of files that are being written or are copies.
TEMPORARY = frozenset([".tmp", ".temp", ".part", ".partial", ".crdownload", ".download", ".bak", ".swp"])


def spellings(suffixes: Iterable[str]) -> tuple[str, ...]:
    """Return suffixes as they are, then as cameras and scanners also write them.

    Example:
        >>> spellings([".jpg", ".png"])
        ('.jpg', '.png', '.JPG', '.PNG', '.Jpg', '.Png')
    """
    lower = tuple(suffixes)
    return (*lower, *map(str.upper, lower), *(f".{suffix[1:].capitalize()}" for suffix in lower))


SPELLINGS = spellings(SUFFIXES)


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
        announce: log how many other files there are, once.

    Raises:
        InputError: it cannot be read, or contains none.
    """
    try:
        files = [file for file in sorted(folder.iterdir()) if file.is_file()]
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror})") from error
    images = visible_images(files)
    if not images:
        content = sorted(folder.iterdir(), key=lambda entry: not entry.is_dir())
        if not content:
            raise InputError(f"the folder {folder} is empty")
        raise InputError(f"the folder {folder} contains no images (such as .jpg or .png), but {content[0].name}")
    if announce and (others := [file.name for file in files if file not in set(images)]):
        _announce(folder, len(others), others[0])
    return sorted(images, key=lambda file: natural_order(file.name))


@lru_cache  # a command lists its input more than once
def _announce(folder: Path, count: int, name: str) -> None:
    log.warning("%s: %d files are left out, which are hidden, temporary or no images, such as %s", folder, count, name)


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
        with os.scandir(folder) as found:
            entries = sorted((entry for entry in found if entry.name[0] != "."), key=lambda entry: entry.name)
    except OSError as error:
        raise InputError(f"the folder {folder} cannot be read ({error.strerror})") from error
    for entry in entries:
        if entry.is_dir():
            yield from _walk(folder / entry.name, (*above, real))
        elif entry.is_file() and is_visible(entry.name):
            yield folder / entry.name


def find_image(folder: Path, stem: str, suffixes: Sequence[str] = SPELLINGS) -> Path | None:
    """Return the file `stem` in `folder` with one of these suffixes, None if there is none; JPEG comes before PNG."""
    paths = (folder / f"{stem}{suffix}" for suffix in suffixes)
    return next((path for path in paths if len(os.fsencode(path.name)) <= LONGEST and path.is_file()), None)


def content_digest(image: Path) -> bytes:
    """Return a digest of an image's content, fast: whole data sets cannot be read at each start.

    Of a compressed image, and of a file that is no image, size, beginning, middle and end are read, where nearly every
    change shows; other images are read whole.

    Raises:
        OSError: it cannot be read.
    """
    if isinstance(image, Member):  # of the image that was packed
        entry = image.entry
        return bytes.fromhex(entry.outline) or f"{entry.bytes} {entry.crc}".encode()
    status = image.stat()
    return _content_digest(image, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=2**17)
def _content_digest(image: Path, size: int, _changed: int) -> bytes:
    digest = hashlib.sha256(str(size).encode())
    with image.open("rb") as file:
        if image.suffix.lower() in UNCOMPRESSED:
            while part := file.read(2**20):
                digest.update(part)
            return digest.digest()
        for place in (0, size // 2, max(0, size - PART)):
            file.seek(place)
            digest.update(file.read(PART))
    return digest.digest()


def distinct_names(paths: Sequence[Path]) -> list[str]:
    """Return a name for the results of each file of a folder: its stem, or where that is not unique its whole name.

    Names that differ in case or in how Unicode spells a letter are one name to some file systems, and get a digest.
    What is too long for a suffix of the results is shortened, see `result_name`.

    Example:
        >>> distinct_names([Path("a.jpg"), Path("x.jpg"), Path("x.png"), Path("x.jpg.png")])
        ['a', 'x.jpg', 'x.png', 'x.jpg.png']
        >>> distinct_names([Path("A.jpg"), Path("a.jpg")])
        ['A-559aead0', 'a-ca978112']
    """
    stems, names = Counter(path.stem for path in paths), {path.name for path in paths}
    chosen = [path.stem if stems[path.stem] == 1 and path.stem not in names else path.name for path in paths]
    alike = Counter(map(_one_spelling, chosen))
    apart = [name if alike[_one_spelling(name)] == 1 else f"{name}-{_digest(name)}" for name in chosen]
    return [result_name(name) for name in apart]


def _one_spelling(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _digest(name: str) -> str:
    return hashlib.sha256(os.fsencode(name)).hexdigest()[:8]


def result_name(name: str) -> str:
    """Return a name to which results append theirs: shortened where a file system would take no longer one.

    Example:
        >>> result_name("ride"), len(result_name("ä" * 120).encode()), result_name("ä" * 120)[-9:]
        ('ride', 199, '-bd4dd497')
    """
    whole = os.fsencode(name)
    if len(whole) <= LONGEST - ROOM:
        return name
    start = os.fsdecode(whole[: LONGEST - ROOM - 9]).encode("utf-8", "ignore").decode("utf-8")
    log.warning("the name %s... has %d bytes; results have a shorter one", name[:40], len(whole))
    return f"{start}-{_digest(name)}"


def natural_order(name: str) -> tuple[list[tuple[int, str]], str]:
    """Return a key that sorts names with 2 before 10."""
    parts = re.split(r"([0-9]+)", name.lower())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], name
