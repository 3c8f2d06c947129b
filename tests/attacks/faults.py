"""Run every command that writes where something is wrong: a sentence and status 2, or success; never a traceback.

    python tests/attacks/faults.py --trials 3 --seed 1 --out faults.json

| fault | what is wrong |
|---|---|
| full | the disk of the results has room for a part that is drawn (needs root; else files may not grow beyond it) |
| read-only | the results lie on a disk that cannot be written (needs root) |
| vanished | a file of the data is deleted while the command works |
| corrupt | a file of the data, or of the weights, is cut, empty, or has random bytes in it |
| terminal | standard output knows ASCII alone |
| closed | standard output and error are closed |

After a full disk the command is repeated with room, and makes what it makes undisturbed.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from attacks.commands import COMMANDS, CORE_COMMANDS, INSTALLED, write_inputs  # noqa: E402
from attacks.content import content, damaged, left_over  # noqa: E402
from attacks.forked import Result, count_changes, run  # noqa: E402
from attacks.kills import as_a_user, fresh, import_everything, short_parts  # noqa: E402

FAULTS = ("full", "read-only", "vanished", "corrupt", "terminal", "closed")
CAN_MOUNT = hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("mount") is not None


def campaign(trials: int, seed: int, names: list[str], faults: list[str], folder: Path) -> dict[str, Any]:
    """Try each fault `trials` times with each command; return what was found."""
    started, table = time.monotonic(), {}
    core = all(name in CORE_COMMANDS for name in names)
    write_inputs(folder / "in", torch=not core)
    import_everything(core=core)
    for name in names:
        whole = fresh(folder / "whole")
        undisturbed = run(COMMANDS[name].arguments, whole, prepare=short_parts)
        if undisturbed.status:
            table[name] = {"error": undisturbed.output[-2000:]}
            print(name, json.dumps(table[name]), flush=True)
            continue
        row: Counter[str] = Counter(trials=0, failures=0)
        details = []
        for fault in faults:
            for number in range(trials):
                chance = random.Random(f"{name} {fault} {number} {seed}")
                failure = _try(name, fault, chance, folder, undisturbed)
                row["trials"] += 1
                row["failures"] += failure is not None
                details += [f"{fault} {number}: {failure}"] if failure is not None else []
        table[name] = {**row, **({"details": details} if details else {})}
        print(name, json.dumps(table[name]), flush=True)
    total: Counter[str] = Counter()
    for found in table.values():
        total.update({key: value for key, value in found.items() if isinstance(value, int)})
    return {"total": dict(total), "commands": table, "minutes": round((time.monotonic() - started) / 60, 1)}


def _try(name: str, fault: str, chance: random.Random, folder: Path, undisturbed: Result) -> str | None:
    """Return what went wrong, None if all was as it should be."""
    command, trial = COMMANDS[name], fresh(folder / "trial" / "of")
    shutil.copytree(folder / "in", folder / "trial" / "in", dirs_exist_ok=True)
    out, change = trial / "out", chance.randint(1, max(1, undisturbed.changes))
    bytes_made = sum(path.stat().st_size for path in (folder / "whole" / "out").rglob("*") if path.is_file())
    room = 4096 * (1 + int(chance.random() * bytes_made / 4096))
    try:
        if fault == "full" and CAN_MOUNT:
            with _disk(out, f"size={room}"):
                result = run(command.arguments, trial, prepare=short_parts)
                failure = _judge(result, out)
                if failure is not None:
                    return failure
                subprocess.run(["mount", "-o", "remount,size=1g", str(out)], check=True)
                again = run(as_a_user(command, trial), trial, prepare=short_parts)
                if again.status:
                    return f"with room of {room} bytes, then more: {again.sentence}"
                left = left_over(out)
                return f"left {left}" if left else _compare(out, folder / "whole" / "out")
        if fault == "full":
            return _judge(run(command.arguments, trial, prepare=lambda: _limit_files(room)), out)
        if fault == "read-only":
            if not CAN_MOUNT:
                return None
            with _disk(out, "size=1g"):
                subprocess.run(["mount", "-o", "remount,ro", str(out)], check=True)
                return _judge(run(command.arguments, trial, prepare=short_parts), out, succeeds=False)
        prepare: dict[str, Callable[[], Any]] = {
            "vanished": lambda: _vanish(folder / "trial" / "in", chance, change),
            "corrupt": lambda: _corrupt(_victim(folder / "trial" / "in", chance), chance),
            "terminal": lambda: setattr(sys, "stdout", open(1, "w", encoding="ascii", closefd=False)),  # noqa: SIM115
            "closed": _close_streams,
        }
        result = run(command.arguments, trial, prepare=prepare[fault])
        return _judge(result, out, fails=fault not in ("terminal", "closed"))
    finally:
        shutil.rmtree(folder / "trial", ignore_errors=True)


def _judge(result: Result, out: Path, *, fails: bool = True, succeeds: bool = True) -> str | None:
    allowed = ({0} if succeeds else set()) | ({2} if fails else set())
    if result.has_traceback or result.status not in allowed:
        return f"status {result.status}: {result.output[-600:]}"
    if len(result.sentence) > 2000:
        return f"a sentence of {len(result.sentence)} characters"
    found = damaged(out)
    return f"damaged {found}" if found else None


def _compare(made: Path, expected: Path) -> str | None:
    here, there = content(made), content(expected)
    differing = sorted(name for name in {*here, *there} if here.get(name) != there.get(name))
    return f"differing {differing[:4]}" if differing else None


@contextlib.contextmanager
def _disk(folder: Path, options: str) -> Iterator[None]:
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def _close_streams() -> None:
    """Close output and error, as Python finds them where its parent has."""
    short_parts()
    sys.stdout = sys.stderr = None  # type: ignore[assignment]
    os.close(1)
    os.close(2)


def _limit_files(size: int) -> None:
    short_parts()
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def _victim(data: Path, chance: random.Random) -> Path:
    return chance.choice(sorted(path for path in data.rglob("*") if path.is_file()))


def _vanish(data: Path, chance: random.Random, change: int) -> None:
    """Delete a file of the data when this process makes its change number `change`."""
    short_parts()
    victims = [_victim(data, chance) for _ in range(3)]

    def note(seen: int) -> None:
        if seen == change:
            for victim in victims:
                victim.unlink(missing_ok=True)

    count_changes(None, note)


def _corrupt(victim: Path, chance: random.Random) -> None:
    short_parts()
    held = victim.read_bytes()
    kind = chance.randrange(4)
    if kind == 0:
        held = held[: len(held) // 2]
    elif kind == 1:
        held = b""
    elif kind == 2:
        held = chance.randbytes(3000)
    else:
        at = chance.randrange(max(1, len(held)))
        held = held[:at] + chance.randbytes(20) + held[at + 20 :]
    victim.write_bytes(held)


def main() -> int:
    """Run a campaign from the command line; the status says whether anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=3, help="of each fault with each command")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", nargs="*", default=INSTALLED)
    parser.add_argument("--faults", nargs="*", default=list(FAULTS))
    parser.add_argument("--core", action="store_true", help="commands that need no PyTorch only")
    parser.add_argument("--out", type=Path, help="a JSON file for what was found")
    options = parser.parse_args()
    names = CORE_COMMANDS if options.core else options.commands
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(options.trials, options.seed, names, options.faults, Path(folder))
    if options.out is not None:
        from hrdepth.io.files import write_json
        from hrdepth.io.provenance import provenance

        write_json(options.out, provenance(seed=options.seed, **found))
    print(json.dumps(found["total"]))
    return int(found["total"].get("failures", 0) > 0 or any("error" in row for row in found["commands"].values()))


if __name__ == "__main__":
    sys.exit(main())
