"""What all rows of a table or figure have in common: settings, given weights, and images with true depth."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from hrdepth.config import ReproduceConfig
from hrdepth.errors import InputError
from hrdepth.io.files import output_folder
from hrdepth.paper import row_of
from hrdepth.registry import lookup
from hrdepth.truth import GroundTruthSet, build_ground_truth
from hrdepth.truth.base import data_digest
from hrdepth.weights.find import locate_weights

__all__ = ["MEASURED_FOLDER", "Context", "open_context"]

MEASURED_FOLDER = "measured"  # in the folder of results


@dataclass(frozen=True)
class Context:
    """What the rows of a table or figure have in common.

    Attributes:
        config: the settings.
        given: weights files by the name of the row that they stand for.
        truths: images with true depth; None measures nothing.
        identity: their `data_digest`.
        wanted: names of the rows to measure and train.
    """

    config: ReproduceConfig
    given: Mapping[str, list[Path]] = field(default_factory=dict)
    truths: GroundTruthSet | None = None
    identity: str = ""
    wanted: frozenset[str] = frozenset()

    @property
    def folder(self) -> Path:
        """The folder of results."""
        return Path(self.config.out)

    @property
    def seeds(self) -> list[int | None]:
        """Those of each row's trainings; None stands for the config's own."""
        return [*self.config.seeds] or [None]


def open_context(config: ReproduceConfig, names: Collection[str]) -> Context:
    """Check the settings for the rows of these names, render missing drives, find the true depth, make the folder.

    Raises:
        InputError: a name that no row has, weights without true depth, or missing data.
    """
    given = _given_weights(config.weights)
    for name in config.row_training:
        row_of(name)
    for name in given:
        lookup(dict.fromkeys(names), name, "row")
    wanted = frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in config.rows))
    if config.rows and not wanted:
        raise InputError(f"rows {', '.join(config.rows)}: no row has such a name; there are {', '.join(sorted(names))}")
    if given and config.data is None:
        raise InputError("weights are given, but no true depth to compare them with; give --data.kind and --data.root")
    for drive in (one for several in config.render for one in several.drives()):
        from hrdepth.synthetic import render_drive

        render_drive(**drive)
    truths = None if config.data is None else build_ground_truth(config.data)
    context = Context(config, given, truths, "" if truths is None else data_digest(truths), wanted | given.keys())
    measured = context.folder / MEASURED_FOLDER
    output_folder(config.out, overwrite=config.overwrite or measured.is_dir())
    measured.mkdir(exist_ok=True)
    return context


def _given_weights(texts: list[str]) -> dict[str, list[Path]]:
    """Read NAME=FILE,FILE,... into files by name."""
    given: dict[str, list[Path]] = {}
    for text in texts:
        name, equals, files = text.partition("=")
        paths = [part for part in files.split(",") if part]
        if not equals or not name or not paths:
            raise InputError(f"'{text}' must read NAME=FILE or NAME=FILE,FILE,... with the name of a row")
        if name in given:
            raise InputError(f"weights of '{name}' are given twice; list them behind one name, with commas")
        given[name] = [locate_weights(path) for path in paths]
    return given
