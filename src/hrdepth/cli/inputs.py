"""Whether the files and names in a command's config are there: asked first, so that the answer comes at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hrdepth.config import (
    EXPORTS,
    STORED_DTYPES,
    AppConfig,
    BenchmarkExportConfig,
    BenchmarkNetwork,
    BenchmarkPredictConfig,
    BenchmarkTrainConfig,
    CalibrateScaleConfig,
    CorruptionsConfig,
    FleetConfig,
    GroundTruthConfig,
    ImportConfig,
    PackConfig,
    PredictConfig,
    PrepareConfig,
    PrepareLabelsConfig,
    PrepareVideoConfig,
    PublishedDataConfig,
    ReproduceConfig,
    RuntimeConfig,
    TrainConfig,
    check_values,
)
from hrdepth.config.inference import texts
from hrdepth.config.training import nested_options
from hrdepth.errors import InputError, require
from hrdepth.io.files import existing_file, existing_folder
from hrdepth.io.objects import is_url
from hrdepth.registry import lookup, registered

__all__ = ["check_inputs"]


def check_inputs(config: Any) -> None:
    """Check what a config names, without PyTorch; each command checks the rest.

    Raises:
        InputError: a file, a folder, bundled weights, a device, a runtime or a precision is not there.
    """
    on_ray = isinstance(config, FleetConfig) and config.ray is not None
    rendered = isinstance(config, ReproduceConfig) and config.render  # its data come first
    for name, default in ((field.name, field.default) for field in fields(config)):
        value = getattr(config, name)
        if value == "" != default:
            raise InputError(f"{name} is empty; give a value, or leave it out")
        if rendered and name == "data":
            continue
        if on_ray and name in ("input", "inputs", "data"):  # thousands of files, in a store or a folder
            continue
        if name == "runtime" and isinstance(config, PackConfig):
            continue  # a file
        if name == "input" and isinstance(config, PredictConfig):
            from hrdepth.io.media import probe

            probe(config.source, live=True)
            continue
        if name in CHECKS and value not in (None, "", (), []):
            # The paper's tables have NAME=FILE,FILE.
            rows = name == "weights" and isinstance(config, ReproduceConfig)
            CHECKS[name]([file for row in value for file in _files_of_row(row)] if rows else value)
    if isinstance(config, RuntimeConfig) and config.precision is not None:
        from hrdepth.inference.runtimes import PRECISIONS

        lookup(dict.fromkeys(PRECISIONS), config.precision, "precision")
    for kind, check in OF_COMMANDS.items():
        if isinstance(config, kind):
            check(config)
    if isinstance(of_training := getattr(config, "config", None), TrainConfig):  # what is prepared or measured
        _check_data_sets(of_training)


def _files_of_row(row: str) -> list[str]:
    """Return the files of NAME=FILE,FILE, as `reproduce` reads it; a file's name may hold `=`, too."""
    return (row.partition("=")[2] if "=" in row else row).split(",")


def _check_app(config: AppConfig) -> None:
    from hrdepth.io.run_folder import find_runs

    find_runs(texts(config.runs))


def _check_published(config: PublishedDataConfig) -> None:
    existing_folder(config.root, "unpack the archives there")


def _check_labels(config: PrepareLabelsConfig) -> None:
    if config.data is not None:
        existing_folder(config.data)
    if not config.verify and "/" not in config.teacher:
        _check_weights(config.teacher)


def _check_cache(config: PrepareConfig) -> None:
    if config.verify and config.cache is not None:
        existing_folder(config.cache)


def _check_corruptions(config: CorruptionsConfig) -> None:
    if config.base is not None:
        (_check_file if config.base.endswith(".json") else _check_weights)(config.base)


def _check_pack(config: PackConfig) -> None:
    from hrdepth.io.media import probe

    lookup(dict.fromkeys(STORED_DTYPES), config.dtype, "dtype")
    if config.out is not None:  # else --web makes a page
        _check_suffix(config.out)
    for path in (config.card, config.results):
        if path is not None:
            _check_file(path)
    if config.images is not None:
        probe(config.images)


def _check_benchmark(config: BenchmarkPredictConfig | BenchmarkExportConfig) -> None:
    from hrdepth.inference.runtimes import RUNTIMES

    config.check_network()
    if isinstance(config, BenchmarkExportConfig):
        for name in config.formats:
            lookup(dict.fromkeys(EXPORTS), name, "format")
    else:
        for name in config.runtimes:
            lookup(RUNTIMES, name.partition(":")[0], "runtime")


def _check_benchmark_network(config: BenchmarkNetwork) -> None:
    if config.network is not None:
        _check_network(config.network)


def _check_training(config: TrainConfig) -> None:
    check_values(config)
    _check_networks(config)
    if config.resume not in (None, "auto"):
        _check_resume(config)
    _check_data_sets(config)
    for options in nested_options(config.objective.options):
        if teacher := options.get("teacher"):
            _check_teacher(str(teacher))


def _check_networks(config: TrainConfig | BenchmarkTrainConfig) -> None:
    _check_network(config.network.name)
    lookup(registered("hrdepth.networks", "POSE_NETWORKS"), config.pose_network.name, "pose network")
    lookup(registered("hrdepth.objectives", "OBJECTIVES"), config.objective.name, "objective")


def _check_network(name: str) -> None:
    lookup(registered("hrdepth.networks", "NETWORKS"), name, "network")


def _check_data_sets(config: TrainConfig) -> None:
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
    from hrdepth.data import check_dataset  # imports readers, which takes longer than to look for folders

    for data in (*config.train, *config.validation):
        check_dataset(data)


def _check_teacher(name: str) -> None:
    from hrdepth.weights.find import teacher_kind

    kind = teacher_kind(name)
    if kind == "weights":
        _check_weights(name)
    elif kind == "onnx":
        existing_file(name, "the teacher")
    elif find_spec("transformers") is None:
        require("transformers", "teachers", f"the teacher {name} needs")


def _check_resume(config: TrainConfig) -> None:
    if not Path(config.output).is_dir():
        raise InputError(f"resume continues in the run's own folder, but output {config.output} does not exist")
    if config.resume != "last" and not Path(str(config.resume)).is_file():
        raise InputError(f"there is no training checkpoint {config.resume} to resume from; start a run without resume")


def _check_video(config: PrepareVideoConfig) -> None:
    if config.intrinsics not in ("auto", "exif", "learn"):
        _check_file(config.intrinsics)


def _check_weights(value: Any) -> None:
    from hrdepth.weights.find import SCHEME, locate_weights

    for source in texts(value):
        if not source.startswith(SCHEME) and not is_url(source):  # the Hub may be slow, as a store may be
            locate_weights(source)


def _check_input(value: Any) -> None:
    from hrdepth.io.media import probe

    for path in texts(value):
        probe(path)


def _check_released(config: ImportConfig) -> None:
    from hrdepth.config.weights import PUBLISHED

    lookup(dict.fromkeys(PUBLISHED), config.network, "network with published weights")
    _check_suffix(config.out)
    if (config.pose_encoder is None) == (config.pose is None):  # else the sentence is about both
        for path in (config.encoder, config.depth, config.pose_encoder, config.pose):
            if path is not None:
                existing_file(path, "the weights file")


def _check_suffix(out: str) -> None:
    if Path(out).suffix != ".safetensors":
        raise InputError(f"{out} must end in .safetensors")


def _check_file(value: str) -> None:
    existing_file(value, "the file")


def _check_table(value: str) -> None:
    from hrdepth.io.tables import table_format

    table_format(value)


def _check_calibration(value: str) -> None:
    from hrdepth.inference.runtimes.quantisation import calibration_images

    calibration_images(Path(value), limit=1)


def _check_data(value: Any) -> None:
    if isinstance(value, GroundTruthConfig) and value.root is not None:
        existing_folder(value.root)


def _check_device(value: str) -> None:
    from hrdepth.inference.runtimes.device import check_device

    check_device(value)


def _check_runtime(value: str) -> None:
    from hrdepth.inference.runtimes import RUNTIMES

    lookup(RUNTIMES, value, "runtime")


def _check_run(value: str) -> None:
    if not (Path(value) / "config.yaml").is_file():
        raise InputError(f"{value} is no run's folder: it has no readable config.yaml")


CHECKS: dict[str, Callable[[Any], None]] = {
    "weights": _check_weights,
    "init": _check_weights,
    "input": _check_input,
    "inputs": _check_input,
    "calibration": _check_calibration,
    "data": _check_data,
    "device": _check_device,
    "runtime": _check_runtime,
    "run": _check_run,
    "table": _check_table,
    **dict.fromkeys(("poses", "speeds", "gps", "distances", "disparities"), _check_file),
}
"""By the name of a config's field, of whatever command."""
OF_COMMANDS: dict[type, Callable[[Any], None]] = {
    AppConfig: _check_app,
    CalibrateScaleConfig: lambda config: _check_suffix(config.out),
    BenchmarkExportConfig: _check_benchmark,
    BenchmarkNetwork: _check_benchmark_network,
    BenchmarkPredictConfig: _check_benchmark,
    BenchmarkTrainConfig: _check_networks,
    CorruptionsConfig: _check_corruptions,
    ImportConfig: _check_released,
    PackConfig: _check_pack,
    PrepareConfig: _check_cache,
    PrepareLabelsConfig: _check_labels,
    PrepareVideoConfig: _check_video,
    PublishedDataConfig: _check_published,
    TrainConfig: _check_training,
}
