"""Locks on files and folders that end with the process, so that what killed processes left can be told and removed."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import platform
import shutil
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from hrdepth.errors import InputError
from hrdepth.io.parallel import repeated

__all__ = [
    "TEMPORARY",
    "SharedLock",
    "claim",
    "is_void",
    "locked_folder",
    "locked_temporary",
    "refreshed",
    "remove_leftovers",
    "remove_leftovers_once",
    "remove_void_claims",
    "temporary_folder",
    "unlock",
]

log = logging.getLogger(__name__)

# Windows has none: there nothing is locked, and leftovers stay.
fcntl = importlib.import_module("fcntl") if find_spec("fcntl") else None

TEMPORARY = ".hrdepth-"
"""How the names of unfinished files and folders begin."""
STALE = 600.0
"""Seconds without a sign of life after which the claim of a process is void; see `refreshed`."""
EMPTY = 5.0
"""The same of a claim without a name in it, which is written as soon as the file is there."""

MOST_CLEANED = 10_000

# Handles of locked files, and folders whose leftovers this process has removed.
_handles: set[int] = set()
_cleaned: set[str] = set()


def remove_leftovers(folder: str | Path, prefix: str = TEMPORARY) -> None:
    """Remove what killed processes left unfinished in a folder; what a living one writes is locked, and stays."""
    if fcntl is None:
        return
    for entry in Path(folder).glob(f"{prefix}*"):
        try:
            handle = os.open(entry, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0))
        except OSError:  # gone meanwhile
            continue
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if entry.is_dir():
                shutil.rmtree(entry, ignore_errors=True)
            else:
                entry.unlink(missing_ok=True)
        except OSError:  # in use
            continue
        finally:
            os.close(handle)


@contextmanager
def temporary_folder(parent: str | Path, prefix: str = TEMPORARY) -> Iterator[Path]:
    """Yield a new folder in `parent`, and remove it at the end; as `atomic_path`, also after a killed process."""
    parent = Path(parent)
    remove_leftovers(parent, prefix)

    def make() -> tuple[int, str]:
        name = tempfile.mkdtemp(prefix=prefix, dir=parent)
        return (-1 if fcntl is None else os.open(name, os.O_RDONLY)), name

    folder, handle = locked_temporary(make)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        unlock(handle)


@contextmanager
def locked_folder(folder: str | Path, refusal: str | None) -> Iterator[None]:
    """Lock a folder against other processes that lock it too; the lock ends with the process, however it ends.

    Args:
        folder: it exists.
        refusal: the message where another process has locked it; None waits until that one has ended.

    Raises:
        InputError: another process has locked it, and there is a `refusal`.
    """
    if fcntl is None:
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        if refusal is not None:
            os.close(handle)
            raise InputError(refusal) from error
        log.info("%s is locked; waiting until the process that locked it has ended", folder)
        fcntl.flock(handle, fcntl.LOCK_EX)
    except OSError as error:  # some network disks have no locks
        log.debug("no lock on %s: %s", folder, error)
    _handles.add(handle)
    try:
        yield
    finally:
        unlock(handle)


class SharedLock:
    """A lock on a file that one process has alone at first, and many share then; without locks each is alone.

    Args:
        file: made if it is missing; its folder exists when it is locked.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._handle = -1

    def lock(self) -> bool:
        """Lock the file; return whether alone. While another process has it alone, wait until that one shares it."""
        if fcntl is None:
            return True
        self._handle = os.open(self._file, os.O_CREAT | os.O_RDWR)
        _handles.add(self._handle)
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._handle, fcntl.LOCK_SH)
            return False
        except OSError as error:  # some network disks have no locks
            log.debug("no lock on %s: %s", self._file, error)
        return True

    def share(self) -> None:
        """Let others lock the file as well."""
        if fcntl is not None:
            with contextlib.suppress(OSError):  # as above
                fcntl.flock(self._handle, fcntl.LOCK_SH)

    def unlock(self) -> None:
        """Unlock the file."""
        unlock(self._handle)
        self._handle = -1


def claim(file: Path) -> bool:
    """Return whether this process does a piece of work, of all that share a folder; `file` stands for the work.

    Who does it refreshes the file, see `refreshed`, and removes it when its result is there. The claim of a process of
    this machine that has ended is void, and that of any other after `STALE` seconds.
    """
    for _ in range(2):
        try:
            handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
        except FileExistsError:
            if not is_void(file):
                return False
            file.unlink(missing_ok=True)
            continue
        with os.fdopen(handle, "w") as stream:
            stream.write(f"{platform.node()} {os.getpid()}")
        return True
    return False


@contextmanager
def refreshed(claims: Collection[Path]) -> Iterator[None]:
    """Show others that this process lives: give its claims, which may change meanwhile, a new time every minute or so.

    By the time, not by the process's number: that of a dead process is given to another one, at the latest when the
    machine starts again.
    """

    def touch() -> None:
        for file in list(claims):
            with contextlib.suppress(OSError):  # its work has just been done
                os.utime(file)

    with repeated(touch, STALE / 10):
        yield


def remove_void_claims(folder: Path) -> None:
    """Remove the claims of processes that were killed when their result was there already."""
    for file in folder.glob("*"):
        if is_void(file):
            file.unlink(missing_ok=True)


def is_void(file: Path) -> bool:
    """Return whether a claim holds no longer, as far as can be told."""
    try:
        machine, _, process = file.read_text().partition(" ")
        if time.time() - file.stat().st_mtime > (STALE if machine else EMPTY):
            return True
        if machine == platform.node() and process.isdigit() and os.name != "nt":
            os.kill(int(process), 0)
    except ProcessLookupError:
        return True
    except OSError:  # another process was quicker, or the process is another user's
        return False
    return False


def locked_temporary(make: Callable[[], tuple[int, str]]) -> tuple[Path, int]:
    """Make a temporary file or folder, and lock it; `make` returns its handle and name."""
    while True:
        handle, name = make()
        if fcntl is None:  # Windows renames no open file
            if handle >= 0:
                os.close(handle)
            return Path(name), -1
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:  # another process is about to remove it as a leftover
            os.close(handle)
            continue
        except OSError as error:  # some network disks have no locks
            log.debug("no lock on %s: %s", name, error)
        if not Path(name).exists():
            os.close(handle)
            continue
        _handles.add(handle)
        return Path(name), handle


def unlock(handle: int) -> None:
    """Close the handle of a lock."""
    if handle in _handles:
        _handles.discard(handle)
        os.close(handle)


def _close_handles() -> None:
    """Close the locked files in a forked process, or it would hold the locks when this one is gone."""
    while _handles:
        os.close(_handles.pop())


def remove_leftovers_once(folder: Path) -> None:
    """Remove a folder's leftovers before this process writes there for the first time."""
    key = str(Path(folder).resolve())
    if key not in _cleaned:
        if len(_cleaned) > MOST_CLEANED:  # the page makes folders for ever
            _cleaned.clear()
        _cleaned.add(key)
        remove_leftovers(folder)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_close_handles)
