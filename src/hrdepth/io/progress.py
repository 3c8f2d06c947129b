"""The progress bar of a command."""

from __future__ import annotations

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn

__all__ = ["progress_bar"]


def progress_bar(*more: ProgressColumn, shown: bool, transient: bool = False) -> Progress:
    """Return a bar with description, count, `more` and the time left, shown where standard error is a terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), *more, TimeRemainingColumn())
    return Progress(*columns, console=console, transient=transient, disable=not (shown and console.is_terminal))
