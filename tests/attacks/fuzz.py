"""Give every reader of the package changed files: it may read them or raise `InputError`, nothing else.

    python tests/attacks/fuzz.py --inputs 20000 --out fuzz.json

An input is named by its kind and a number, and is the same each time: `--kinds weights --first 731 --inputs 1` repeats
one. Each kind runs in a process of its own, whose memory is limited; an input that takes 20 s of processor time, or
two minutes, or ends the process, counts as a failure. With `--pipes` each file is a pipe from which nothing comes.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

from attacks import readers  # noqa: E402
from attacks.readers import OF_TORCH, READERS, write_seeds  # noqa: E402
from hrdepth.errors import InputError  # noqa: E402

# Of the inputs, beside 1 for readers that take milliseconds.
SHARES = {
    "config": 0.05, "prediction": 0.05, "checkpoint": 0.3, "weights": 0.3, "onnx_file": 0.3, "openvino_file": 0.2,
    "torch_export": 0.3, "folder_of_drives": 0.3, "labels": 0.5, "depth_hints": 0.5,
}  # fmt: skip
SECONDS, PATIENCE = 20.0, 120.0  # of the processor; of the clock, as a pipe takes no time of the processor
GIGABYTES = 8
# A config may be a pipe; published weights are opened by a function that has checked the file.
PIPES_ALLOWED = {"config", "published_weights"}
LONGEST = 20_000  # characters of a message
# Of readers, what takes long to import: once, not in each fork.
LARGE = (
    "hrdepth.teachers.onnx", "hrdepth.evaluation.metric_scale", "hrdepth.weights.card", "hrdepth.reproduce.measure",
    "hrdepth.app.training_tab", "hrdepth.prepare.calibration", "hrdepth.data.cache", "hrdepth.io.images",
)  # fmt: skip


def attack(kind: str, number: int, seeds: Path, work: Path) -> str:
    """Read one changed file; return `read`, `refused`, or the exception and where it came from."""
    chance = Random(f"{kind} {number}")
    try:
        READERS[kind](chance, seeds, work)
    except InputError as error:
        return "refused" if len(str(error)) < LONGEST else f"a message of {len(str(error))} characters"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        frames = traceback.extract_tb(error.__traceback__)
        own = [frame for frame in frames if "hrdepth" in Path(frame.filename).parts] or frames
        place = f"{'/'.join(Path(own[-1].filename).parts[-2:])}:{own[-1].lineno}"
        return f"{type(error).__name__} at {place}: {str(error)[:100]}"
    return "read"


def campaign(inputs: int, first: int, kinds: list[str], folder: Path) -> dict[str, Any]:
    """Read `inputs` files, by `SHARES`; return what was found."""
    started, seeds = time.monotonic(), folder / "seeds"
    _write_in_a_process(seeds, torch=any(kind in OF_TORCH for kind in kinds))
    for module in LARGE if len(kinds) > 1 else ():
        importlib.import_module(module)
    table: dict[str, dict[str, int]] = {}
    failures: dict[str, str] = {}
    shares = {kind: SHARES.get(kind, 1.0) for kind in kinds}
    for kind, share in shares.items():
        count = max(1, round(inputs * share / sum(shares.values())))
        outcomes = _in_a_process(kind, range(first, first + count), seeds, folder)
        counts = Counter(o if o in ("read", "refused") else "failed" for o in outcomes.values())
        table[kind] = dict(sorted(counts.items()))
        failed = {f"{kind} {number}": o for number, o in outcomes.items() if o not in ("read", "refused")}
        failures |= failed
        print(kind, table[kind], *sorted(set(failed.values()))[:8], sep="\n  " if failed else " ", flush=True)
    total: Counter[str] = Counter()
    for row in table.values():
        total.update(row)
    minutes = round((time.monotonic() - started) / 60, 1)
    return {"total": {"inputs": total.total(), **total}, "kinds": table, "failures": failures, "minutes": minutes}


def _write_in_a_process(seeds: Path, *, torch: bool) -> None:
    """Write the valid files in a fork, as runtimes leave threads that later forks would wait for."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            write_seeds(seeds, torch=torch)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    if os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]):
        raise RuntimeError("the valid files were not written")


def _in_a_process(kind: str, numbers: range, seeds: Path, folder: Path) -> dict[int, str]:
    """Read the files of a kind in forks, a new one after each that died."""
    outcomes: dict[int, str] = {}
    log = folder / "outcomes.txt"
    while len(outcomes) < len(numbers):
        left = numbers[len(outcomes) :]
        log.write_text("")
        child = os.fork()
        if child == 0:
            _work(kind, left, seeds, folder / "work", log)
        _, status = os.waitpid(child, 0)
        code = os.waitstatus_to_exitcode(status)
        found = [json.loads(line) for line in log.read_text().splitlines()]
        outcomes |= dict(zip(left, found, strict=False))
        if code and len(found) < len(left):
            hung = {-signal.SIGPROF: f"more than {SECONDS:g} s", -signal.SIGALRM: "it waited for ever"}
            outcomes[left[len(found)]] = hung.get(code, f"the process ended with {code}")
    return outcomes


def _work(kind: str, numbers: range, seeds: Path, work: Path, log: Path) -> None:
    for stream in (0, 1, 2):
        os.dup2(os.open(os.devnull, os.O_RDWR), stream)
    resource.setrlimit(resource.RLIMIT_DATA, (GIGABYTES * 2**30,) * 2)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    code = 70
    try:
        work.mkdir(exist_ok=True)
        with log.open("a") as file:
            for number in numbers:
                signal.setitimer(signal.ITIMER_PROF, SECONDS)
                signal.setitimer(signal.ITIMER_REAL, SECONDS if readers.PIPES else PATIENCE)
                file.write(json.dumps(attack(kind, number, seeds, work)) + "\n")
                file.flush()
        code = 0
    finally:
        os._exit(code)


def main() -> int:
    """Run a campaign from the command line; the status says whether anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--inputs", type=int, default=20_000)
    parser.add_argument("--first", type=int, default=0, help="the number of the first input of each kind")
    parser.add_argument("--kinds", nargs="*", default=list(READERS))
    parser.add_argument("--out", type=Path, help="a JSON file for what was found")
    parser.add_argument("--core", action="store_true", help="kinds that need no PyTorch only")
    parser.add_argument("--pipes", action="store_true", help="pipes in place of files")
    options = parser.parse_args()
    readers.PIPES = options.pipes
    left_out = (OF_TORCH if options.core else set()) | (PIPES_ALLOWED if options.pipes else set())
    kinds = [kind for kind in options.kinds if kind not in left_out]
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(options.inputs, options.first, kinds, Path(folder))
    if options.out is not None:
        from hrdepth.io.files import write_json
        from hrdepth.io.provenance import provenance

        write_json(options.out, provenance(seed=options.first, **found))
    print(json.dumps(found["total"]))
    return int(bool(found["failures"]))


if __name__ == "__main__":
    sys.exit(main())
