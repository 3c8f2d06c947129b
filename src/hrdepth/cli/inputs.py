"""Whether the files and names in a command's config are there: asked first, so that the answer comes at once."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from hrdepth.config import (
    AppConfig,
    FleetConfig,
    GroundTruthConfig,
    ImportConfig,
    PackConfig,
    PublishedDataConfig,
    ReproduceConfig,
    RuntimeConfig,
    TrainConfig,
)
from hrdepth.errors import InputError
from hrdepth.io.objects import is_url

__all__ = ["check_inputs"]


def check_inputs(config: Any) -> None:
    """Check what a config names, without PyTorch; each command checks the rest.

    Raises:
        InputError: a file, a folder, bundled weights, a device, a runtime or a precision is not there.
    """
    on_ray = isinstance(config, FleetConfig) and config.ray is not None
    for name in (field.name for field in fields(config)):
        value = getattr(config, name)
        if on_ray and name in ("input", "inputs", "data"):  # thousands of files, in a store or a folder
            continue
        if name == "runtime" and isinstance(config, PackConfig):
            continue  # a file
        if name in CHECKS and value not in (None, "", (), []):
            # The paper's tables have NAME=FILE,FILE.
            rows = name == "weights" and isinstance(config, ReproduceConfig)
            CHECKS[name]([file for row in value for file in row.rpartition("=")[2].split(",")] if rows else value)
    if isinstance(config, RuntimeConfig) and config.calibration is not None:
        _check_calibration(config.calibration)
    if isinstance(config, RuntimeConfig) and config.precision is not None:
        from hrdepth.inference.runtimes import PRECISIONS
        from hrdepth.registry import lookup

        lookup(dict.fromkeys(PRECISIONS), config.precision, "precision")
    if isinstance(config, TrainConfig):
        _check_training(config)
    if isinstance(config, AppConfig):
        from hrdepth.io.run_folder import find_runs

        find_runs(_each(config.runs))
    if isinstance(config, ImportConfig) and (config.pose_encoder is None) == (config.pose is None):
        _check_released(config)
    if isinstance(config, PublishedDataConfig):
        from hrdepth.data.reader import existing_folder

        existing_folder(config.root, "unpack the archives there")


def _check_training(config: TrainConfig) -> None:
    from hrdepth.data.reader import existing_folder

    missing = []
    for root in dict.fromkeys(data.root for data in (*config.train, *config.validation)):
        if is_url(root):  # of shards, which are asked for when they are needed
            continue
        try:
            existing_folder(root)
        except InputError as error:
            missing.append(str(error))
    if missing:
        raise InputError.several(missing)
    if teacher := config.objective.options.get("teacher"):
        _check_weights(str(teacher))


def _check_weights(value: Any) -> None:
    from hrdepth.weights.find import SCHEME, locate_weights

    for source in _each(value):
        if not source.startswith(SCHEME) and not is_url(source):  # the Hub may be slow, as a store may be
            locate_weights(source)


def _check_input(value: Any) -> None:
    from hrdepth.io.media import probe

    for path in _each(value):
        probe(path)


def _check_released(config: ImportConfig) -> None:
    from hrdepth.io.files import existing_file

    for path in (config.encoder, config.depth, config.pose_encoder, config.pose):
        if path is not None:
            existing_file(path, "the weights file")


def _check_calibration(value: str) -> None:
    from hrdepth.inference.runtimes.quantisation import calibration_images

    calibration_images(Path(value), limit=1)


def _check_data(value: Any) -> None:
    from hrdepth.data.reader import existing_folder

    if isinstance(value, GroundTruthConfig) and value.root is not None:
        existing_folder(value.root)


def _check_device(value: str) -> None:
    from hrdepth.inference.runtimes.device import check_device

    check_device(value)


def _check_runtime(value: str) -> None:
    from hrdepth.inference.runtimes import RUNTIMES
    from hrdepth.registry import lookup

    lookup(RUNTIMES, value, "runtime")


def _check_run(value: str) -> None:
    if not (Path(value) / "config.yaml").is_file():
        raise InputError(f"{value} is no run's folder: it has no readable config.yaml")


def _each(value: Any) -> Iterable[str]:
    return (value,) if isinstance(value, str) else value


CHECKS: dict[str, Callable[[Any], None]] = {
    "weights": _check_weights,
    "init": _check_weights,
    "input": _check_input,
    "inputs": _check_input,
    "data": _check_data,
    "device": _check_device,
    "runtime": _check_runtime,
    "run": _check_run,
}
"""By the name of a config's field, of whatever command."""
