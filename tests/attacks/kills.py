"""Kill every command that writes, again and again, repeat it as a user would, and compare with an undisturbed run.

    python tests/attacks/kills.py --kills 500 --seed 1 --out kills.json

A kill comes before a change of the file system that was drawn, or after a share of the processor time that was drawn.
A trial is one to three kills and a run to the end. It fails if that run does not end with status 0 (a dead end), if
what it made differs from what the undisturbed run made, if anything unfinished lies there, or if after any kill a file
under its final name cannot be read.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from attacks.commands import COMMANDS, CORE_COMMANDS, INSTALLED, Command, write_inputs  # noqa: E402
from attacks.content import content, damaged, left_over  # noqa: E402
from attacks.forked import Kill, Result, run  # noqa: E402

MOST_KILLS = 3
SHORT_PARTS = 5  # frames of a video between points from which it is resumed; usually 100


def campaign(kills: int, seed: int, names: list[str], folder: Path) -> dict[str, Any]:
    """Kill commands `kills` times; return what was found."""
    started, table = time.monotonic(), {}
    write_inputs(folder / "in", torch=any(name not in CORE_COMMANDS for name in names))
    import_everything(core=all(name in CORE_COMMANDS for name in names))
    weights = {name: COMMANDS[name].weight for name in names}
    for name, weight in weights.items():
        table[name] = _attack(name, math.ceil(kills * weight / sum(weights.values())), seed, folder)
        print(name, json.dumps(table[name]), flush=True)
    total: Counter[str] = Counter()
    for row in table.values():
        total.update({key: value for key, value in row.items() if isinstance(value, int)})
    return {
        "total": dict(total),
        "commands": table,
        "minutes": round((time.monotonic() - started) / 60, 1),
    }


def _attack(name: str, kills: int, seed: int, folder: Path) -> dict[str, Any]:
    command, chance = COMMANDS[name], random.Random(f"{name} {seed}")
    whole = fresh(folder / "whole")
    undisturbed = run(command.arguments, whole, prepare=short_parts)
    if undisturbed.status:
        return {"error": undisturbed.output[-2000:]}
    expected = content(whole / "out")
    row = Counter(kills=0, trials=0, dead_ends=0, unequal=0, leftovers=0, damaged=0, tracebacks=0)
    details: list[str] = []
    while row["kills"] < kills:
        trial = fresh(folder / "trial")
        row["trials"] += 1
        drawn = []
        for _ in range(min(chance.randint(1, MOST_KILLS), kills - row["kills"])):
            drawn.append(_draw(chance, undisturbed))
            result = run(as_a_user(command, trial), trial, drawn[-1], short_parts)
            row["tracebacks"] += result.has_traceback
            details += [f"{drawn}: {result.output[-2000:]}"] if result.has_traceback else []
            if result.status >= 0:  # it had ended before
                break
            row["kills"] += 1
            found = damaged(trial / "out")
            row["damaged"] += len(found)
            details += [f"{drawn}: damaged {found}"] if found else []
        last = run(as_a_user(command, trial), trial, prepare=short_parts)
        row["tracebacks"] += last.has_traceback
        details += [f"{drawn}: {last.output[-2000:]}"] if last.has_traceback else []
        if last.status:
            row["dead_ends"] += 1
            details.append(f"{drawn}: {last.sentence}")
            continue
        made, left = content(trial / "out"), left_over(trial / "out")
        row["unequal"] += made != expected
        row["leftovers"] += len(left)
        if made != expected or left:
            differing = [file for file in {*made, *expected} if made.get(file) != expected.get(file)]
            details.append(f"{drawn}: differing {sorted(differing)[:4]}, left {left[:4]}")
    found = {"details": details[:20]} if details else {}
    return {
        **row,
        "seconds_undisturbed": round(undisturbed.cpu, 2),
        "changes_undisturbed": undisturbed.changes,
        **found,
    }


def _draw(chance: random.Random, undisturbed: Result) -> Kill:
    if chance.random() < 0.6:
        return Kill(change=chance.randint(1, max(1, undisturbed.changes)))
    return Kill(cpu=round(chance.uniform(0.02, 1) * undisturbed.cpu, 4))


def as_a_user(command: Command, folder: Path) -> list[str]:
    """Return the command as it is repeated: with its options for resuming, once there is something to resume."""
    made = any(not path.name.startswith(".") for path in (folder / "out").rglob("*"))
    return command.arguments + (list(command.again) if made else [])


def fresh(folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "out").mkdir(parents=True)
    return folder


def short_parts() -> None:
    import hrdepth.inference.writer

    hrdepth.inference.writer.PART_FRAMES = SHORT_PARTS


def import_everything(*, core: bool) -> None:
    """Import before the forks what the commands would import after them."""
    import hrdepth  # first: it switches telemetry off, for whose threads forks would wait
    import hrdepth.cli.main
    import hrdepth.evaluation.command
    import hrdepth.inference.folder
    import hrdepth.prepare.video
    import hrdepth.synthetic

    if not core:
        import torch

        import hrdepth.inference.export
        import hrdepth.report
        import hrdepth.reproduce.table
        import hrdepth.training.train  # noqa: F401

        torch.set_num_threads(1)


def main() -> int:
    """Run a campaign from the command line; the status says whether anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--commands", nargs="*", default=INSTALLED, help="names; without, all that write")
    parser.add_argument("--core", action="store_true", help="commands that need no PyTorch only")
    parser.add_argument("--out", type=Path, help="a JSON file for what was found")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(options.kills, options.seed, CORE_COMMANDS if options.core else options.commands, Path(folder))
    if options.out is not None:
        from hrdepth.io.files import write_json
        from hrdepth.io.provenance import provenance

        write_json(options.out, provenance(seed=options.seed, **found))
    print(json.dumps(found["total"]))
    failed = sum(found["total"][name] for name in ("dead_ends", "unequal", "leftovers", "damaged", "tracebacks"))
    return int(failed > 0 or any("error" in row for row in found["commands"].values()))


if __name__ == "__main__":
    sys.exit(main())
