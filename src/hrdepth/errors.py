"""The exceptions that mean: the input is at fault, not the program."""

from __future__ import annotations

__all__ = ["InputError", "TrainingStopped"]


class InputError(ValueError):
    """Bad input, said in one sentence: what is wrong, where, and what to do.

    The command line prints the sentence and exits with status 2, without a traceback.
    """


class TrainingStopped(InputError):  # noqa: N818  (an end, as KeyboardInterrupt is)
    """The guard ended a run that had gone wrong: which tensor, on which frames, what to look at, what is kept."""
