"""Where a table or figure is measured: the folder of results, given weights, rendered drives, true depth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from hrdepth.config import ReproduceConfig
from hrdepth.errors import InputError
from hrdepth.registry import lookup
from hrdepth.reproduce.measure import fingerprint, results_folder
from hrdepth.reproduce.runs import Given, given_weights
from hrdepth.truth import GroundTruthSet, build_ground_truth

__all__ = ["Place", "open_place"]


@dataclass(frozen=True)
class Place:
    """What the rows of a table or figure have in common.

    Attributes:
        folder: of results.
        given: weights by name.
        truths: images with true depth; None measures nothing.
        identity: their `measure.fingerprint`.
        wanted: names of the rows to measure and train.
    """

    folder: Path
    given: Given
    truths: GroundTruthSet | None
    identity: str
    wanted: frozenset[str]


def open_place(config: ReproduceConfig, names: Collection[str]) -> Place:
    """Check what is asked for, render drives that are absent, find the true depth, make the folder.

    Args:
        config: the settings.
        names: of all rows.

    Raises:
        InputError: a name that no row has, weights but nothing to hold them against, or missing data.
    """
    given = given_weights(config.weights)
    for name in given:
        lookup(dict.fromkeys(names), name, "row")
    wanted = frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in config.rows))
    if config.rows and not wanted:
        raise InputError(f"rows {', '.join(config.rows)}: no row has such a name; there are {', '.join(sorted(names))}")
    if given and config.data is None:
        raise InputError("weights are given, but no true depth to hold them against; give --data.kind and --data.root")
    for drive in config.render:
        from hrdepth.synthetic import render_drive

        settings = asdict(drive)
        render_drive(settings.pop("root"), **settings)
    truths = None if config.data is None else build_ground_truth(config.data)
    identity = "" if config.data is None or truths is None else fingerprint(config.data, truths)
    return Place(results_folder(config), given, truths, identity, wanted | given.keys())
