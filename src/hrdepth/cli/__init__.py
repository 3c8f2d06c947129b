"""The command line: `main` runs `hrdepth COMMAND ...`."""

from hrdepth.cli.main import main

__all__ = ["main"]
