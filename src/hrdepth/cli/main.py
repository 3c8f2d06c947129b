"""Run a command: errors become one sentence and an exit status."""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from hrdepth.cli.commands import COMMANDS
from hrdepth.cli.inputs import check_inputs
from hrdepth.cli.parser import parse
from hrdepth.errors import InputError, missing_package
from hrdepth.io.files import write_failure
from hrdepth.io.staging import staged

__all__ = ["main"]

# Exit statuses: bad input, stopped by the user (128 + SIGINT), and nobody reads the output (128 + SIGPIPE).
BAD_INPUT, INTERRUPTED, UNREAD = 2, 130, 141
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # all but tab and newline


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hrdepth COMMAND ...` and return its exit status.

    Args:
        arguments: what follows `hrdepth`; None for the process's own.

    Returns:
        0; 2 after bad input, reported in one sentence on standard error; 130 when interrupted by Ctrl-C, SIGTERM or
        SIGHUP.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal without Unicode shows "?" for what it lacks
            stream.reconfigure(errors="replace")
    console = logging.StreamHandler()
    # Only warnings of libraries.
    console.addFilter(lambda record: record.levelno >= logging.WARNING or record.name.partition(".")[0] == "hrdepth")
    console.setFormatter(_Formatter("%(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[console])
    try:
        with _interrupted_by_signals():
            name, config = parse(sys.argv[1:] if arguments is None else arguments)
            _run(name, config)
            if sys.stdout is not None:
                sys.stdout.flush()
    except InputError as error:
        # A loader's process adds its traceback before the sentence.
        return _bad_input(str(error).rsplit("InputError: ", 1)[-1].strip())
    except KeyboardInterrupt:
        print("hrdepth: interrupted; finished results are kept", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNREAD
    except OSError as error:
        if error.errno is None:
            raise
        return _bad_input(f"{error.filename or 'the output'}: {write_failure(error)}; finished results are kept")
    return 0


def _run(name: str, config: Any) -> None:
    try:
        with staged(config) as local:
            check_inputs(local)
            COMMANDS[name][0](local)
    except ModuleNotFoundError as error:
        if (sentence := missing_package(error, f"`hrdepth {name}` needs")) is None:
            raise
        raise sentence from error


def _bad_input(sentence: str) -> int:
    print(f"hrdepth: {_printable(sentence)}", file=sys.stderr)
    return BAD_INPUT


class _Formatter(logging.Formatter):
    """Gives messages alone."""

    def format(self, record: logging.LogRecord) -> str:
        return _printable(super().format(record))


def _printable(text: str) -> str:
    r"""Show control characters as escapes such as \x1b: values from files would move a terminal's cursor or title."""
    return CONTROL.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


@contextmanager
def _interrupted_by_signals() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does; one that is ignored, as by nohup, stays so."""
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler is signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
