"""Tests of io/locks.py."""

import os
import platform
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path
from hrdepth.io.locks import (
    TEMPORARY,
    claim,
    is_void,
    locked_folder,
    refreshed,
    remove_leftovers,
    remove_void_claims,
    temporary_folder,
)

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")


def paused(folder: Path, code: str) -> subprocess.Popen:
    """Start a process that runs `code` in `folder`, in which `wait()` waits for ever; return when it waits."""
    start = "import time\nfrom hrdepth.io.files import *\nfrom hrdepth.io.locks import *\n"
    start += "def wait():\n    print('waits', flush=True)\n    time.sleep(600)\n"
    process = subprocess.Popen(
        [sys.executable, "-c", start + textwrap.dedent(code)], cwd=folder, stdout=subprocess.PIPE, env=os.environ
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"waits\n"
    return process


def end(process: subprocess.Popen) -> None:
    process.send_signal(signal.SIGKILL)
    process.wait()


WRITING = """
with atomic_path("a.txt") as path, temporary_folder(".") as folder:
    path.write_text("half")
    (folder / "b.txt").write_text("half")
    wait()
"""


def unfinished(folder: Path) -> list[Path]:
    return list(folder.glob(f"{TEMPORARY}*"))


def test_the_next_run_removes_what_a_killed_one_left_but_not_what_a_living_one_writes(tmp_path: Path) -> None:
    living, killed = paused(tmp_path, WRITING), paused(tmp_path, WRITING)
    assert len(unfinished(tmp_path)) == 4
    end(killed)
    remove_leftovers(tmp_path)
    assert len(unfinished(tmp_path)) == 2
    end(living)
    with atomic_path(tmp_path / "c.txt") as path:
        path.write_text("whole")
    assert [file.name for file in tmp_path.iterdir()] == ["c.txt"]


def test_a_folder_is_locked_until_its_process_ends_even_if_it_forked(tmp_path: Path) -> None:
    fork = """
    import os
    with locked_folder(".", "in use"):
        if os.fork() == 0:
            time.sleep(20)
            os._exit(0)
        wait()
    """
    process = paused(tmp_path, fork)
    with pytest.raises(InputError, match="^in use$"), locked_folder(tmp_path, "in use"):
        pass
    end(process)
    deadline = time.monotonic() + 30
    while True:  # the fork lets go of the lock as soon as it runs
        try:
            with locked_folder(tmp_path, "in use"):
                break
        except InputError:
            assert time.monotonic() < deadline
            time.sleep(0.1)


def test_a_temporary_folder_is_removed_at_the_end(tmp_path: Path) -> None:
    with temporary_folder(tmp_path) as folder:
        (folder / "file").write_text("x")
        remove_leftovers(tmp_path)
        assert (folder / "file").is_file()
    assert not list(tmp_path.iterdir())


def test_claims_of_dead_processes_are_removed_and_those_of_living_ones_stay(tmp_path):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    (tmp_path / "dead").write_text(f"{platform.node()} {ended.pid}")
    (tmp_path / "of another machine").write_text("another-machine 1")
    assert claim(tmp_path / "living")
    remove_void_claims(tmp_path)
    remove_void_claims(tmp_path / "missing")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["living", "of another machine"]


def test_work_is_claimed_once_and_the_claim_of_a_dead_process_is_void(tmp_path):
    file = tmp_path / "work"
    assert claim(file)
    assert not claim(file)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    file.write_text(f"{platform.node()} {ended.pid}")
    assert claim(file)
    file.write_text(f"another-machine {ended.pid}")
    assert not claim(file)
    os.utime(file, (1, 1))
    assert claim(file)
    file.write_text("")  # it may be written in this moment
    assert not claim(file)
    os.utime(file, (time.time() - 6, time.time() - 6))  # killed before it was written
    assert claim(file)


def test_claims_stay_valid_while_their_process_works(tmp_path, monkeypatch):
    monkeypatch.setattr("hrdepth.io.locks.STALE", 1.0)
    mine: set[Path] = set()
    with refreshed(mine):
        assert claim(tmp_path / "work")
        mine |= {tmp_path / "work", tmp_path / "done and removed"}
        os.utime(tmp_path / "work", (1, 1))
        deadline = time.monotonic() + 60
        while is_void(tmp_path / "work"):
            assert time.monotonic() < deadline
            time.sleep(0.01)
    os.utime(tmp_path / "work", (1, 1))
    assert is_void(tmp_path / "work")
