"""What each command of the command line does: one function a command; whatever imports torch is imported inside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, get_type_hints

from hrdepth.cli.benchmarks import (
    benchmark_app,
    benchmark_evaluate,
    benchmark_export,
    benchmark_load,
    benchmark_predict,
    benchmark_train,
)
from hrdepth.cli.evaluation import (
    calibrate_scale,
    compare,
    corruptions,
    evaluate,
    odometry,
    tabulate,
)
from hrdepth.cli.networks import (
    export,
    import_weights,
    models,
    pack,
)
from hrdepth.cli.prediction import (
    app,
    predict,
)
from hrdepth.cli.preparation import (
    doctor,
    prepare_cache,
    prepare_cityscapes,
    prepare_hints,
    prepare_kitti,
    prepare_odometry,
    prepare_video,
    render,
)
from hrdepth.cli.reproduction import (
    reproduce_figure2,
    reproduce_figure4,
    reproduce_figure5,
    reproduce_table1,
    reproduce_table2,
    reproduce_table3,
    reproduce_table4,
)
from hrdepth.cli.training import (
    diagnose,
    report,
    scan,
    train,
)

__all__ = ["COMMANDS"]

_COMMANDS: dict[str, tuple[Callable[[Any], None], tuple[str, ...]]] = {
    # name (of two words: a command of several parts): function, positional arguments (x+, x*: several)
    "train": (train, ()),
    "diagnose": (diagnose, ("run",)),
    "scan": (scan, ()),
    "evaluate": (evaluate, ()),
    "corruptions": (corruptions, ()),
    "tabulate": (tabulate, ("results+",)),
    "compare": (compare, ("weights+",)),
    "report": (report, ("run",)),
    "predict": (predict, ("input",)),
    "odometry": (odometry, ("input",)),
    "calibrate-scale": (calibrate_scale, ("weights",)),
    "export": (export, ("weights",)),
    "pack": (pack, ("weights",)),
    "import-weights": (import_weights, ()),
    "render": (render, ("root",)),
    "models": (models, ()),
    "app": (app, ()),
    "prepare video": (prepare_video, ("inputs*",)),
    "prepare cache": (prepare_cache, ()),
    "prepare hints": (prepare_hints, ()),
    "prepare kitti": (prepare_kitti, ("root",)),
    "prepare kitti-odometry": (prepare_odometry, ("root",)),
    "prepare cityscapes": (prepare_cityscapes, ("root",)),
    "doctor": (doctor, ("data",)),
    "benchmark load": (benchmark_load, ()),
    "benchmark train": (benchmark_train, ()),
    "benchmark predict": (benchmark_predict, ()),
    "benchmark evaluate": (benchmark_evaluate, ()),
    "benchmark export": (benchmark_export, ()),
    "benchmark app": (benchmark_app, ()),
    "reproduce table1": (reproduce_table1, ("weights*",)),
    "reproduce table2": (reproduce_table2, ("weights*",)),
    "reproduce table3": (reproduce_table3, ("weights*",)),
    "reproduce table4": (reproduce_table4, ("weights*",)),
    "reproduce figure2": (reproduce_figure2, ("weights*",)),
    "reproduce figure4": (reproduce_figure4, ("weights*",)),
    "reproduce figure5": (reproduce_figure5, ("weights*",)),
}
# Name: function, the config that it takes, positional arguments.
COMMANDS = {
    name: (function, get_type_hints(function)["config"], positional)
    for name, (function, positional) in _COMMANDS.items()
}
