"""What a table or figure is measured with: the folder of results, given weights, rendered drives, true depth."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from hrdepth.config import GroundTruthConfig, ReproduceConfig
from hrdepth.errors import InputError
from hrdepth.io.files import file_sha256, output_folder
from hrdepth.registry import lookup
from hrdepth.reproduce.measure import MEASURED, content_hash
from hrdepth.reproduce.runs import Given, given_weights
from hrdepth.truth import GroundTruthSet, build_ground_truth

__all__ = ["ReproductionContext", "fingerprint", "open_context"]


@dataclass(frozen=True)
class ReproductionContext:
    """What the rows of a table or figure have in common.

    Attributes:
        folder: of results.
        given: weights by name.
        truths: images with true depth; None measures nothing.
        identity: their `fingerprint`.
        wanted: names of the rows to measure and train.
    """

    folder: Path
    given: Given
    truths: GroundTruthSet | None
    identity: str
    wanted: frozenset[str]


def open_context(config: ReproduceConfig, names: Collection[str]) -> ReproductionContext:
    """Check the settings, render missing drives, find the true depth, make the folder.

    Args:
        config: the settings.
        names: of all rows.

    Raises:
        InputError: a name that no row has, weights without true depth, or missing data.
    """
    given = given_weights(config.weights)
    for name in given:
        lookup(dict.fromkeys(names), name, "row")
    wanted = frozenset(name for name in names if any(fnmatchcase(name, pattern) for pattern in config.rows))
    if config.rows and not wanted:
        raise InputError(f"rows {', '.join(config.rows)}: no row has such a name; there are {', '.join(sorted(names))}")
    if given and config.data is None:
        raise InputError("weights are given, but no true depth to compare them with; give --data.kind and --data.root")
    for drive in config.render:
        from hrdepth.synthetic import render_drive

        settings = asdict(drive)
        render_drive(settings.pop("root"), **settings)
    truths = None if config.data is None else build_ground_truth(config.data)
    identity = "" if config.data is None or truths is None else fingerprint(config.data, truths)
    return ReproductionContext(_results_folder(config), given, truths, identity, wanted | given.keys())


def fingerprint(config: GroundTruthConfig, truths: GroundTruthSet) -> str:
    """Return a hash of which images and true depth these are: settings, folder, list, and how a drive was rendered."""
    root = None if config.root is None else Path(config.root)
    lists = [Path(part) for part in (config.split,) if part and Path(part).is_file()]
    if root is not None and config.kind == "drive":
        lists += [*([] if config.split else [root / "val.txt"]), *sorted(root.glob("*/manifest.json"))]
    settings = {key: str(Path(value).resolve()) if key in ("root", "depths") and value else value
                for key, value in asdict(config).items()}  # fmt: skip
    return content_hash({**settings, "images": len(truths), "files": [file_sha256(path) for path in lists]})


def _results_folder(config: ReproduceConfig) -> Path:
    """Make the folder of results, or reuse that of earlier commands."""
    known = (Path(config.out) / MEASURED).is_dir()
    folder = output_folder(config.out, overwrite=config.overwrite or known)
    (folder / MEASURED).mkdir(exist_ok=True)
    return folder
