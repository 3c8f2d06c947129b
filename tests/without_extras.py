"""Runs commands in a process where PyTorch and other large packages are hidden, as if they were not installed."""

from __future__ import annotations

import json
import subprocess
import sys

HIDDEN = ("torch", "torchvision", "timm", "lightning", "matplotlib", "scipy", "onnx", "skimage", "transformers")
# As if they were not installed: no finder finds them.
HIDE = f"""
import sys

class Without:
    def __init__(self, finder):
        self.finder = finder

    def find_spec(self, name, path=None, target=None):
        return None if name.partition(".")[0] in {HIDDEN} else self.finder.find_spec(name, path, target)

    def __getattr__(self, name):
        return getattr(self.finder, name)

sys.meta_path[:] = map(Without, sys.meta_path)
"""
COMMANDS = """
import contextlib, io, json
from hrdepth.cli import main

answers = []
for command in json.loads(sys.argv[1]):
    out, error = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            status = main(command)
        except SystemExit as end:
            status = end.code
    answers.append([status, out.getvalue(), error.getvalue()])
print(json.dumps(answers))
"""


def python(script: str, *arguments: object) -> str:
    command = [sys.executable, "-c", HIDE + script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def run(*commands: list[str]) -> list[tuple[int, str, str]]:
    """Run commands one after the other in one process; return status, output and errors of each."""
    return [tuple(answer) for answer in json.loads(python(COMMANDS, json.dumps(commands)).splitlines()[-1])]
