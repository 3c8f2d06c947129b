"""Uploads that wait to be used: each has an owner, a name that nobody can guess, and counts towards quotas."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic, time

from hrdepth.config import UploadLimits
from hrdepth.errors import InputError

__all__ = ["Uploads"]

KEPT_SECONDS = 3300.0
"""Of what is not used; with `visitors.PURGE_SECONDS` less than the hour that the page promises."""


@dataclass(frozen=True)
class Upload:
    """A file that waits: its owner, size in bytes and time of arrival by the monotonic clock."""

    owner: str
    size: int
    arrived: float


class Uploads:
    """The page's uploads.

    Args:
        root: folder of all files of the page; the total quota counts everything in it.
        limits: `visitor_megabytes` and `total_megabytes`.
    """

    def __init__(self, root: Path, limits: UploadLimits) -> None:
        self.root = root
        self.limits = limits
        self._waiting: dict[Path, Upload] = {}
        self._moved: dict[Path, Path] = {}
        self._expected: dict[str, int] = {}
        self._lock = Lock()

    @contextmanager
    def expect(self, owner: str, size: int) -> Iterator[None]:
        """Reserve space while an upload arrives.

        Args:
            owner: the visitor.
            size: bytes that arrive.

        Raises:
            InputError: it is larger than a file may be, or does not fit the visitor's or the page's quota.
        """
        self.purge()
        limits = self.limits
        if size > limits.megabytes * 1e6 + 2**20:  # the form around the file is small
            raise InputError(f"an upload may have {limits.megabytes:g} MB")
        with self._lock:
            own = sum(upload.size for upload in self._waiting.values() if upload.owner == owner)
            own += self._expected.get(owner, 0)
            total = _bytes_in(self.root) + sum(self._expected.values())
            if own + size > limits.visitor_megabytes * 1e6:
                raise InputError(
                    f"your uploads that were not used yet have {own / 1e6:.0f} MB; a visitor may have "
                    f"{limits.visitor_megabytes:g} MB. Use them, or come again in an hour"
                )
            if total + size > limits.total_megabytes * 1e6:
                raise InputError("the page's disk quota is used up; come again in an hour")
            self._expected[owner] = self._expected.get(owner, 0) + size
        try:
            yield
        finally:
            with self._lock:
                self._expected[owner] -= size
                if not self._expected[owner]:
                    del self._expected[owner]

    def adopt(self, file: Path, owner: str) -> Path:
        """Move an uploaded file to a name that nobody can guess, and note its owner.

        Gradio stores it under its content's hash and its name, where equal uploads of two visitors meet.

        Raises:
            OSError: an equal upload arrived and was used at the same time.
        """
        with self._lock:
            own = self.root / f"upload-{secrets.token_urlsafe(24)}" / file.name
            own.parent.mkdir(mode=0o700)
            try:
                file.rename(own)
            except FileNotFoundError:
                shutil.copyfile(self._moved.get(file, file), own)
            self._moved[file] = own
            self._waiting[own] = Upload(owner, own.stat().st_size, monotonic())
        return own

    def claim(self, file: Path, owner: str, folder: Path) -> Path:
        """Move an upload of this visitor into their folder; no other file can be named.

        Args:
            file: its path, as the answer to the upload gave it.
            owner: the visitor.
            folder: the visitor's.

        Raises:
            InputError: it is no upload of this visitor, or it was used already.
        """
        with self._lock:
            upload = self._waiting.get(file)
            if upload is None or upload.owner != owner:
                raise InputError(
                    f"{file.name[:100]} is not a file that you uploaded, or it was used already; send it again"
                )
            del self._waiting[file]
            taken = folder / f"{secrets.token_urlsafe(8)}" / file.name
            taken.parent.mkdir()
            file.rename(taken)
            shutil.rmtree(file.parent, ignore_errors=True)
        return taken

    def purge(self) -> None:
        """Remove uploads that nobody used for an hour, and what Gradio leaves of uploads that were broken off."""
        with self._lock:
            old = [file for file, upload in self._waiting.items() if monotonic() - upload.arrived > KEPT_SECONDS]
            for file in old:
                del self._waiting[file]
            self._moved = {hashed: own for hashed, own in self._moved.items() if own in self._waiting}
        for file in old:
            shutil.rmtree(file.parent, ignore_errors=True)
        for part in self.root.glob("*"):
            with suppress(OSError):  # removed meanwhile
                if part.is_file() and time() - part.stat().st_mtime > KEPT_SECONDS:
                    part.unlink()


def _bytes_in(folder: Path) -> int:
    total = 0
    for root, _, names in os.walk(folder):  # which passes over folders that are removed meanwhile
        for name in names:
            with suppress(OSError):
                total += Path(root, name).stat().st_size
    return total
