"""Run a command: errors become one sentence and an exit status."""

from __future__ import annotations

import logging
import sys
from collections.abc import Sequence
from typing import Any

from hrdepth.cli.commands import COMMANDS
from hrdepth.cli.inputs import check_inputs
from hrdepth.cli.parser import parse
from hrdepth.errors import InputError, missing_package

__all__ = ["main"]

# Exit statuses: bad input, and stopped by the user (128 + SIGINT).
BAD_INPUT, INTERRUPTED = 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hrdepth COMMAND ...` and return its exit status.

    Args:
        arguments: what follows `hrdepth`; None for the process's own.

    Returns:
        0; 2 after bad input, reported in one sentence on standard error; 130 when interrupted.
    """
    console = logging.StreamHandler()
    # Only warnings of libraries.
    console.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.partition(".")[0] == "hrdepth")
    logging.basicConfig(level=logging.INFO, format="%(message)s", handlers=[console])
    try:
        name, config = parse(sys.argv[1:] if arguments is None else arguments)
        _run(name, config)
    except InputError as error:
        # A loader's process adds its traceback before the sentence.
        print(f"hrdepth: {str(error).rsplit('InputError: ', 1)[-1].strip()}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("hrdepth: interrupted; finished results are kept", file=sys.stderr)
        return INTERRUPTED
    return 0


def _run(name: str, config: Any) -> None:
    try:
        check_inputs(config)
        COMMANDS[name][0](config)
    except ModuleNotFoundError as error:
        if (sentence := missing_package(error, f"`hrdepth {name}` needs")) is None:
            raise
        raise sentence from error
