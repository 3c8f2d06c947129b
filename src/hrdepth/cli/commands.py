"""The commands by name: the function of each, whose docstring is its help, and its positional arguments."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hrdepth.cli import evaluation, networks, preparation, training, workbench

__all__ = ["COMMANDS", "GROUPS"]

COMMANDS: dict[str, tuple[Callable[[Any], None], str]] = {
    # `weights+`, `inputs*`: one or more, any number
    "train": (training.train, ""),
    "diagnose": (training.diagnose, "run"),
    "scan": (training.scan, ""),
    "evaluate": (evaluation.evaluate, ""),
    "corruptions": (evaluation.corruptions, ""),
    "tabulate": (evaluation.tabulate, "results+"),
    "compare": (evaluation.compare, "weights+"),
    "report": (training.report, "run"),
    "predict": (networks.predict, "input more*"),
    "odometry": (evaluation.odometry, "input"),
    "calibrate-scale": (evaluation.calibrate_scale, "weights"),
    "export": (networks.export, "weights"),
    "pack": (networks.pack, "weights"),
    "serve": (networks.serve, "folder"),
    "import-weights": (networks.import_weights, ""),
    "render": (preparation.render, "root"),
    "models": (networks.models, ""),
    "recipes list": (training.recipes_list, ""),
    "recipes show": (training.recipes_show, "name"),
    "recipes copy": (training.recipes_copy, "name"),
    "app": (networks.app, ""),
    "prepare video": (preparation.prepare_video, "inputs*"),
    "prepare cache": (preparation.prepare_cache, ""),
    "prepare hints": (preparation.prepare_hints, ""),
    "prepare labels": (preparation.prepare_labels, ""),
    "prepare shards": (preparation.prepare_shards, ""),
    "prepare kitti": (preparation.prepare_kitti, "root"),
    "prepare kitti-odometry": (preparation.prepare_odometry, "root"),
    "prepare cityscapes": (preparation.prepare_cityscapes, "root"),
    "doctor": (preparation.doctor, "data"),
    "benchmark load": (workbench.benchmark_load, ""),
    "benchmark train": (workbench.benchmark_train, ""),
    "benchmark predict": (workbench.benchmark_predict, ""),
    "benchmark evaluate": (workbench.benchmark_evaluate, ""),
    "benchmark export": (workbench.benchmark_export, ""),
    "benchmark start": (workbench.benchmark_start, ""),
    "benchmark app": (workbench.benchmark_app, ""),
    "reproduce table1": (workbench.reproduce_table1, "weights*"),
    "reproduce table2": (workbench.reproduce_table2, "weights*"),
    "reproduce table3": (workbench.reproduce_table3, "weights*"),
    "reproduce table4": (workbench.reproduce_table4, "weights*"),
    "reproduce figure2": (workbench.reproduce_figure2, "weights*"),
    "reproduce resolution": (workbench.reproduce_resolution, "weights*"),
    "reproduce figure4": (workbench.reproduce_figure4, "weights*"),
    "reproduce figure5": (workbench.reproduce_figure5, "weights*"),
}
GROUPS = {
    "recipes": "The configs that come with the package: list, show, copy. `hrdepth recipes` lists them.",
    "prepare": "Make a training set from videos (short: `hrdepth prepare VIDEO --out DATA`) or published data, or a "
    "cache.",
    "benchmark": "Measure time and memory on this machine.",
    "reproduce": "Reproduce the paper's tables and figures, with its rows next to measured ones.",
}
