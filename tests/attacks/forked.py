"""Run commands in forks of one process that has imported everything, under a kill, a limit or a fault."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.chmod", "os.truncate", "os.utime", "tempfile.mkstemp")


@dataclass(frozen=True)
class Kill:
    """When a command is killed.

    Attributes:
        change: before this change of the file system (a file opened for writing, renamed, removed ...), from 1.
        cpu: or after so many seconds of processor time, wherever it is then, also in a library.
    """

    change: int | None = None
    cpu: float | None = None


@dataclass(frozen=True)
class Result:
    """How a command ended: its exit status, or minus the signal; its output; its changes; its processor time."""

    status: int
    output: str
    changes: int
    cpu: float

    @property
    def has_traceback(self) -> bool:
        """Whether it shows the user how it is made inside."""
        return "Traceback (most recent call last)" in self.output

    @property
    def sentence(self) -> str:
        """The last line."""
        return (self.output.strip().splitlines() or [""])[-1][:300]


def count_changes(at: int | None, note: Callable[[int], None]) -> None:
    """Note each change of the file system; kill this process and its children before number `at`."""
    seen = 0

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        opened = event == "open" and isinstance(arguments[2], int) and arguments[2] & WRITES
        if not opened and event not in CHANGES:
            return
        if opened and str(arguments[0]).startswith(("/dev", "/proc")):
            return
        seen += 1
        note(seen)
        if seen == at:
            os.killpg(0, signal.SIGKILL)

    sys.addaudithook(hook)


def run(
    arguments: list[str],
    folder: Path,
    kill: Kill | None = None,
    prepare: Callable[[], Any] | None = None,
    seconds: float = 900.0,
) -> Result:
    """Run `hrdepth` with arguments in a folder; `prepare` is called in the fork before."""
    log, counted = folder / "log.txt", folder / "changes.bin"
    log.unlink(missing_ok=True)
    counted.unlink(missing_ok=True)
    sys.stdout.flush()
    began = time.monotonic()
    child = os.fork()
    if child == 0:
        _be_the_command(arguments, folder, kill or Kill(), prepare, log, counted)
    while True:
        ended, status, used = os.wait4(child, os.WNOHANG)
        if ended:
            break
        if time.monotonic() - began > seconds:
            os.killpg(child, signal.SIGKILL)
        time.sleep(0.01)
    with contextlib.suppress(ProcessLookupError):  # its children, such as loaders
        os.killpg(child, signal.SIGKILL)
    changes = int.from_bytes(counted.read_bytes(), "little") if counted.exists() else 0
    output = log.read_text(encoding="utf-8", errors="replace")
    return Result(os.waitstatus_to_exitcode(status), output, changes, used.ru_utime + used.ru_stime)


def _be_the_command(
    arguments: list[str], folder: Path, kill: Kill, prepare: Callable[[], Any] | None, log: Path, counted: Path
) -> None:
    code = 70
    try:
        os.setsid()
        with contextlib.suppress(
            OSError
        ):  # Linux schedules a new session as a group, whose priority would be the usual
            Path("/proc/self/autogroup").write_text(str(os.nice(0)))
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
        handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(handle, 1)
        os.dup2(handle, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        os.chdir(folder)
        sys.dont_write_bytecode = True  # it would be a change of the file system the first time alone
        if prepare is not None:
            prepare()
        if torch := sys.modules.get("torch"):
            # After a fork PyTorch makes its pool of threads anew at its first use; two threads at once make that fail.
            torch.set_num_threads(1)
        from hrdepth.cli import main

        number = os.open(counted, os.O_WRONLY | os.O_CREAT, 0o644)
        count_changes(kill.change, lambda seen: os.pwrite(number, seen.to_bytes(8, "little"), 0))
        if kill.cpu is not None:
            signal.setitimer(signal.ITIMER_PROF, kill.cpu)  # whose signal ends a process that does not handle it
        try:
            code = main(arguments)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
            code = 1
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    finally:
        os._exit(code)
