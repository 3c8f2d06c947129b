"""Exceptions for wrong input, as opposed to errors of the program."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

__all__ = ["MALFORMED", "InputError", "TrainingStopped", "first_line", "missing_package", "require"]

MALFORMED = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError)
"""What the use of content raises that has another form than expected: a wrong type, too large, too deep, too short."""

# Characters of a message. Values that it shows come from files, and may have any length.
LONGEST = 10_000

# Packages that whole commands need, and the extra of hrdepth that installs each.
EXTRAS = {
    **dict.fromkeys(["torch", "torchvision", "timm", "onnx", "lightning", "tensorboard"], "train"),
    "matplotlib": "report",
}


class InputError(ValueError):
    """Bad input, reported in one sentence: what is wrong, where, and what to do.

    The command line prints the sentence and exits with status 2, without a traceback. Of a very long message the middle
    is left out.

    Attributes:
        findings: all sentences, if `several` made the error; its text may be limited to the first of them.
    """

    findings: tuple[str, ...] = ()

    def __init__(self, message: str = "") -> None:
        half = LONGEST // 2
        shown = message if len(message) <= LONGEST else f"{message[:half]} [...] {message[-half:]}"
        super().__init__(shown)

    @classmethod
    def several(cls, findings: Sequence[str], limit: int = 20) -> InputError:
        """Return one error for several findings: a line each, and a count of those beyond `limit`."""
        rest = len(findings) - limit
        error = cls("\n".join([*findings[:limit], *([f"... and {rest} more"] if rest > 0 else [])]))
        error.findings = tuple(findings)
        return error


class TrainingStopped(InputError):  # noqa: N818  (an end, as KeyboardInterrupt is)
    """The guard stopped a training: which tensor, on which frames, what to look at, what was saved."""


def first_line(error: Exception) -> str:
    """Return the first line of a library's message, or the error's class where it has none."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def require(module: str, extra: str, need: str) -> Any:
    """Import a module that an extra of hrdepth installs.

    Args:
        module: its dotted name.
        extra: the extra that has it.
        need: what needs it, with the verb: "point clouds need".

    Returns:
        The module.

    Raises:
        InputError: it, or a package that it imports, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        name = "OpenCV" if error.name == "cv2" else error.name
        raise InputError(f"{need} {name}; install it with pip install 'hrdepth[{extra}]'") from error


def missing_package(error: ModuleNotFoundError, need: str) -> InputError | None:
    """Return an error that says what to install; None where no extra of hrdepth has the package.

    Args:
        error: of the import.
        need: what needs it, with the verb: "`hrdepth export` needs".
    """
    package = (error.name or "").partition(".")[0]
    if package not in EXTRAS:
        return None
    return InputError(f"{need} {package}; install it with pip install 'hrdepth[{EXTRAS[package]}]'")
