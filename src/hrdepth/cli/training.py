"""Training commands: train, scan, diagnose, report."""

from __future__ import annotations

import json
from pathlib import Path

from hrdepth.config import DiagnoseConfig, RecipeConfig, RecipeCopyConfig, RecipeListConfig, ReportConfig, TrainConfig
from hrdepth.config.setting_files import recipe, recipes
from hrdepth.errors import InputError
from hrdepth.io.files import output_file, write_bytes
from hrdepth.registry import lookup


def train(config: TrainConfig) -> None:
    """Train a depth network by self-supervision."""
    import hrdepth.training

    print(f"weights with the lowest validation loss: {hrdepth.training.train(config)}")


def recipes_list(config: RecipeListConfig) -> None:
    """List the recipes: configs of trainings and of reproductions that come with the package."""
    found = recipes()
    width = max(map(len, found))
    print(json.dumps(found, indent=2) if config.json else "\n".join(f"{n:<{width}}  {t}" for n, t in found.items()))


def recipes_show(config: RecipeConfig) -> None:
    """Print a recipe."""
    print(_recipe(config.name).read_text(encoding="utf-8"), end="")


def recipes_copy(config: RecipeCopyConfig) -> None:
    """Copy a recipe into a file, to change it."""
    file = _recipe(config.name)
    out = output_file(config.out or file.name, overwrite=config.overwrite)
    write_bytes(out, file.read_bytes())
    print(f"{out}; train with hrdepth train --config {out}")


def _recipe(name: str) -> Path:
    file = recipe(name)
    if file is None:
        lookup(recipes(), name, "recipe")
        raise InputError(f"unknown recipe '{name}'; hrdepth recipes lists them")
    return file


def scan(config: TrainConfig) -> None:
    """Check the data of a training config and list all problems."""
    from hrdepth.check.scan import scan_data

    report = scan_data(config)
    lines = [error.sentence for error in report.errors] + [f"warning: {fault.sentence}" for fault in report.warnings]
    print("\n".join(lines or report.summary))
    if lines:
        raise InputError(f"{len(lines)} problem{'s' if len(lines) > 1 else ''} found, listed above")


def diagnose(config: DiagnoseConfig) -> None:
    """Find out why a training fails, the most probable cause first."""
    from hrdepth.training.guard import diagnose_run

    causes = diagnose_run(config.run)
    print("\n".join(map(str, causes)) or "no cause of failure found")
    if causes:
        raise InputError(f"{config.run}: probable cause: {causes[0].kind}; all are listed above")


def report(config: ReportConfig) -> None:
    """Write a report page about a training: curves, metrics, best and worst frames, a point cloud, settings."""
    import hrdepth.report

    print(hrdepth.report.report(config))
