"""The command line: one function a command; whatever imports torch is imported inside it."""

from __future__ import annotations

import dataclasses
import json
import logging
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jsonargparse import ActionYesNo, ArgumentParser, Namespace

import hrdepth
from hrdepth.config import (
    BenchmarkLoadConfig,
    BenchmarkTrainConfig,
    CalibrateScaleConfig,
    CompareConfig,
    EvaluateConfig,
    ImportConfig,
    ModelsConfig,
    OdometryConfig,
    PredictConfig,
    PrepareConfig,
    RenderConfig,
    TrainConfig,
)
from hrdepth.errors import InputError

__all__ = ["main"]

# Exit statuses: bad input, and stopped by the user (128 + SIGINT).
BAD_INPUT, INTERRUPTED = 2, 130


def train(config: TrainConfig) -> None:
    """Train a depth network by self-supervision."""
    with _training_extra():
        from hrdepth.training import train as run

    print(f"weights with the lowest validation loss: {run(config)}")


def scan(config: TrainConfig) -> None:
    """Look through the data of a training config and list everything that is wrong with it."""
    from hrdepth.data.scan import scan_data

    report = scan_data(config)
    print("\n".join([*report.errors, *(f"warning: {warning}" for warning in report.warnings)] or report.summary))
    if findings := len(report.errors) + len(report.warnings):
        raise InputError(f"{findings} thing{'s' if findings > 1 else ''} to mend, listed above")


def evaluate(config: EvaluateConfig) -> None:
    """Evaluate a network, or predictions made elsewhere, by the Eigen protocol."""
    from hrdepth.evaluation.command import evaluate as run

    run(config)


def predict(config: PredictConfig) -> None:
    """Predict depth for a picture, a folder of pictures or a video."""
    from hrdepth.geometry import pinhole
    from hrdepth.predictor import Predictor
    from hrdepth.streams import predict_to_folder

    predictor = Predictor.from_file(config.weights, size=config.size, device=config.device, flip=config.flip)
    for path in predict_to_folder(
        predictor,
        config.input,
        config.out,
        npz=config.npz,
        depth_png=config.depth_png,
        panel=config.panel,
        overwrite=config.overwrite,
        intrinsics=None if config.intrinsics is None else pinhole(*config.intrinsics),
        weights=Path(config.weights).name,
    ):
        print(path)


def odometry(config: OdometryConfig) -> None:
    """Write the trajectory that a pose network sees in a video, and its errors where the true one is known."""
    from hrdepth.evaluation.odometry import odometry as run

    run(config)


def calibrate_scale(config: CalibrateScaleConfig) -> None:
    """Find out what a unit of depth is in metres, from known lengths, and store it with the weights."""
    from hrdepth.scale import calibrate_scale as run

    run(config)


def compare(config: CompareConfig) -> None:
    """Draw networks beside each other: disparity, error maps, error by distance, feature maps, learning curves."""
    from hrdepth.figures.command import compare as run

    for path in run(config):
        print(path)


def import_weights(config: ImportConfig) -> None:
    """Turn published encoder.pth and depth.pth files into one weights file of this package."""
    from hrdepth.import_weights import import_weights as run

    settings = dataclasses.asdict(config)
    run(**settings)
    print(config.out)


def render(config: RenderConfig) -> None:
    """Render a synthetic drive through a street, with exact depth and poses."""
    from hrdepth.data.synthetic import render_drive

    settings = dataclasses.asdict(config)
    print(render_drive(settings.pop("root"), **settings))


def models(config: ModelsConfig) -> None:
    """List the networks: parameters, GFLOPs, and where they stand in the paper."""
    from rich.console import Console

    from hrdepth.networks.summary import listing, summaries

    found = summaries()
    if config.json:
        print(json.dumps([summary.as_dict() for summary in found], indent=2))
    else:
        Console().print(listing(found))


def prepare(config: PrepareConfig) -> None:
    """Decode and resize the pictures of a training once, into a cache that loads faster."""
    from hrdepth.data.prepare import prepare as run

    cache = run(config)
    print(f"{len(cache.entries)} pictures in {cache.folder}")


def benchmark_load(config: BenchmarkLoadConfig) -> None:
    """Measure how fast samples are loaded, without and with a cache."""
    with _training_extra():
        from hrdepth.benchmark.load import benchmark_load as run

    run(config)


def benchmark_train(config: BenchmarkTrainConfig) -> None:
    """Measure a training step and its parts, in units of a ResNet-18's forward and backward pass."""
    with _training_extra():
        from hrdepth.benchmark.train import benchmark_train as run

    run(config)


COMMANDS: dict[str, tuple[Callable[[Any], None], type, tuple[str, ...]]] = {
    # name (of two words: a command of several parts): function, its config, positional arguments (x+: several)
    "train": (train, TrainConfig, ()),
    "scan": (scan, TrainConfig, ()),
    "evaluate": (evaluate, EvaluateConfig, ()),
    "compare": (compare, CompareConfig, ("weights+",)),
    "predict": (predict, PredictConfig, ("input",)),
    "odometry": (odometry, OdometryConfig, ("input",)),
    "calibrate-scale": (calibrate_scale, CalibrateScaleConfig, ("weights",)),
    "import-weights": (import_weights, ImportConfig, ()),
    "render": (render, RenderConfig, ("root",)),
    "models": (models, ModelsConfig, ()),
    "prepare": (prepare, PrepareConfig, ()),
    "benchmark load": (benchmark_load, BenchmarkLoadConfig, ()),
    "benchmark train": (benchmark_train, BenchmarkTrainConfig, ()),
}


@contextmanager
def _training_extra() -> Iterator[None]:
    try:
        yield
    except ModuleNotFoundError as error:
        raise InputError(f"training needs {error.name}; install it with pip install 'hrdepth[train]'") from error


def main(arguments: Sequence[str] | None = None) -> int:
    """Run `hrdepth COMMAND ...` and return its exit status.

    Args:
        arguments: what stands behind `hrdepth`; None for the process's own.

    Returns:
        0; 2 after bad input, said in one sentence on standard error; 130 when interrupted.
    """
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    parser = _parser()
    given = sys.argv[1:] if arguments is None else arguments
    settings = parser.parse_args([_with_underscores(argument) for argument in given])
    try:
        name, made = _chosen(parser, settings)
        command, kind, _ = COMMANDS[name]
        command(_config(made, kind))
    except InputError as error:
        # A loader's process wraps the sentence in its own traceback; the sentence stands last.
        print(f"hrdepth: {str(error).rsplit('InputError: ', 1)[-1].strip()}", file=sys.stderr)
        return BAD_INPUT
    except KeyboardInterrupt:
        print("hrdepth: interrupted; what was finished is kept", file=sys.stderr)
        return INTERRUPTED
    return 0


def _parser() -> ArgumentParser:
    parser = ArgumentParser(
        prog="hrdepth",
        description="Self-supervised monocular depth: train, evaluate, predict.",
        version=hrdepth.__version__,
    )
    commands = parser.add_subcommands(dest="command")
    parts: dict[str, Any] = {}
    for name, (function, kind, positional) in COMMANDS.items():
        group, _, part = name.partition(" ")
        if part and group not in parts:
            several = ArgumentParser(description=_HELP[group, "part"])
            commands.add_subcommand(group, several, help=_HELP[group, "part"])
            parts[group] = several.add_subcommands(dest="part")
        command = _command_parser(name, kind, positional, function.__doc__)
        (parts[group] if part else commands).add_subcommand(part or name, command, help=function.__doc__)
    return parser


def _command_parser(name: str, kind: type, positional: tuple[str, ...], about: str | None) -> ArgumentParser:
    command = ArgumentParser(description=about)
    names = {field.name for field in dataclasses.fields(kind)}
    if "config" not in names:  # else it is a file with the settings of something else
        command.add_argument("--config", action="config", help="a YAML file with any of the settings below")
    for argument in positional:
        several: dict[str, Any] = {"nargs": "+"} if argument.endswith("+") else {}
        argument = argument.rstrip("+")
        command.add_argument(argument, type=str, help=_HELP.get((name, argument)), **several)
    flags = {flag for command_name, flag in _FLAGS if command_name == name}
    command.add_class_arguments(
        kind, as_group=False, skip={*(argument.rstrip("+") for argument in positional), *flags}, sub_configs=True
    )
    for flag in sorted(flags):
        command.add_argument(f"--{flag}", action=ActionYesNo, nargs="?", default=False, help=_HELP.get((name, flag)))
    return command


def _with_underscores(argument: str) -> str:
    """Let `--pose-encoder` stand for `--pose_encoder`, which is what the config calls it."""
    if not argument.startswith("--"):
        return argument
    name, equals, value = argument[2:].partition("=")
    return f"--{name.replace('-', '_')}{equals}{value}"


# Settings that hold when they are named alone, without true or false.
_FLAGS = {("prepare", "verify"), ("models", "json")}
_HELP = {
    ("benchmark", "part"): "Measure time and memory on this machine.",
    ("prepare", "verify"): "compare the cache with its checksums and sources instead; needs no --config",
    ("predict", "input"): "a picture, a folder of pictures or a video",
    ("calibrate-scale", "weights"): "a weights file",
    ("odometry", "input"): "a folder of pictures or a video, in the order of time",
    ("compare", "weights"): "weights files",
    ("render", "root"): "the folder to make",
    ("models", "json"): "print JSON instead of a table",
}


def _chosen(parser: ArgumentParser, settings: Namespace) -> tuple[str, Namespace]:
    """Return the command's name, as `COMMANDS` has it, and its settings."""
    made, name = parser.instantiate(settings)[settings.command], str(settings.command)
    part = made.get("part") if name not in COMMANDS else None
    return (f"{name} {part}", made[part]) if part else (name, made)


def _config(made: Namespace, kind: type) -> Any:
    names = {field.name for field in dataclasses.fields(kind)}
    return kind(**{name: value for name, value in made.items() if name in names})


if __name__ == "__main__":
    sys.exit(main())
