"""The state of a run in its folder: where it can be resumed, settings, provenance and end."""

from __future__ import annotations

import copy
import logging
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning.pytorch.utilities import rank_zero_only

from hrdepth.config import TrainConfig
from hrdepth.config.names import rename_keys
from hrdepth.config.setting_files import plain_settings, read_train_config
from hrdepth.config.training import PATH_OPTIONS, nested_options
from hrdepth.errors import InputError, first_line
from hrdepth.io.arrays import check_archive, check_checksums
from hrdepth.io.files import atomic_path, output_folder, read_json, write_json
from hrdepth.io.locks import remove_leftovers
from hrdepth.io.provenance import provenance

__all__ = [
    "LAST",
    "Start",
    "find_start",
    "is_first_process",
    "make_folder",
    "prepare_folder",
    "read_about",
    "with_resume",
]

# The training checkpoint in a run's folder.
LAST = "last.ckpt"

# Settings that a resumed run may change: they change its files, logs or end, but not its weights until then.
FREE = (
    "output", "resume", "epochs", "max_minutes", "checkpoint_minutes", "workers", "log", "init", "guard", "scan",
    "cache", "devices", "nodes",  # but for how many processes they are together
)  # fmt: skip

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Start:
    """Where a resumed run continues.

    Attributes:
        path: the training checkpoint.
        epoch: the epoch to continue, counted from 0.
        batch: batches of that epoch that are done (in each process).
        step: optimiser steps that are done.
        rows: of metrics.csv written by then.
        done: whether no step is left: it had its epochs, or stopped early.
        stopped_early: whether it stopped early.
        data: what it learned from, see `training.identity`; None of earlier versions.
    """

    path: Path
    epoch: int
    batch: int
    step: int
    rows: int
    done: bool
    stopped_early: bool
    data: dict[str, Any] | None = None


LONGEST = 200  # characters of a setting in a message
STATED = {"settings": dict, "epoch": int, "batch": int, "rows": int, "global_step": int}
"""What a training checkpoint says of the run, and its types."""


def find_start(config: TrainConfig) -> Start | None:
    """Find the training checkpoint that `config.resume` names.

    Returns:
        None for a new run, and for one that was killed before its first checkpoint, which starts again.

    Raises:
        InputError: there is none, it is damaged, or it was written with other settings.
    """
    if config.resume is None:
        return None
    path = Path(config.output) / LAST if config.resume == "last" else Path(config.resume)
    if not Path(config.output).is_dir():
        raise InputError(f"resume continues in the run's own folder, but output {config.output} does not exist")
    if config.resume == "last" and not path.exists() and _has_begun(Path(config.output)):
        settings = Path(config.output) / "config.yaml"
        if settings.is_file():
            _compare(plain_settings(read_train_config(settings)), plain_settings(config), settings)
        log.info("the run in %s was stopped before its first checkpoint; it starts again", config.output)
        return None
    if not path.is_file():
        raise InputError(f"there is no training checkpoint {path} to resume from; start a run without resume")
    content = _read(path)
    about, step = content["hrdepth"], content["global_step"]
    before, now = rename_keys(about["settings"]), plain_settings(config)
    try:
        if "data" in about:  # which is compared by content, wherever it lies
            before, now = _without_paths(before), _without_paths(now)
        waited = max((state.get("wait_count", 0) for state in content["callbacks"].values()), default=0)
        stopped_early = config.early_stop is not None and waited >= config.early_stop
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged ({error!r})") from error
    if (processes := config.devices * config.nodes) != (earlier := before.get("devices", 1) * before.get("nodes", 1)):
        raise InputError(
            f"the number of processes (devices x nodes) is {processes}, but {path} was written with {earlier}; start "
            "as many as before, or a new run with init naming its last.safetensors"
        )
    _compare(before, now, path)
    if config.epochs < about["epoch"] + bool(about["batch"]):
        raise InputError(f"epochs {config.epochs}: {path} has already reached epoch {about['epoch']}; set more")
    done = stopped_early or about["epoch"] >= config.epochs
    return Start(path, about["epoch"], about["batch"], step, about["rows"], done, stopped_early, about.get("data"))


def with_resume(config: TrainConfig) -> TrainConfig:
    """Return the config with what `resume: auto` means: `last` where `output` holds a run, else None."""
    if config.resume != "auto":
        return config
    folder = Path(config.output)
    begun = (folder / LAST).is_file() or (folder / "config.yaml").is_file()
    return replace(config, resume="last" if begun else None)


def _has_begun(folder: Path) -> bool:
    """Return whether a training that was killed before its first checkpoint may have left this folder."""
    remove_leftovers(folder)
    return (folder / "config.yaml").is_file() or not any(folder.iterdir())


def _read(path: Path) -> dict[str, Any]:
    try:
        check_archive(path)
        check_checksums(path)
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except Exception as error:  # damaged pickles raise any
        raise InputError(
            f"{path} is damaged or not a training checkpoint ({first_line(error)}); copy it again, or start a new run "
            "with init best.safetensors"
        ) from error
    if not isinstance(content, dict) or "hrdepth" not in content:
        raise InputError(f"{path} is not a training checkpoint of hrdepth; to start from a weights file, set init")
    about = content["hrdepth"]
    stated = {**about, "global_step": content.get("global_step")} if isinstance(about, dict) else {}
    wrong = [name for name, kind in STATED.items() if not isinstance(stated.get(name), kind)]
    if wrong or not isinstance(content.get("callbacks"), dict):
        raise InputError(f"{path} is damaged: {', '.join(wrong or ['callbacks'])} cannot be read from it")
    return content


def _compare(before: dict[str, Any], now: dict[str, Any], path: Path) -> None:
    free = FREE if now["optimiser"]["schedule"] != "cosine" else tuple(name for name in FREE if name != "epochs")
    old, new = _flat(before), _flat(now)
    if now["freeze_depth_steps"] and (old.get("init") is None) != (new.get("init") is None):
        free = tuple(name for name in free if name != "init")  # with init begins what is frozen
    names = [*new, *(name for name in old if name not in new)]
    for name in sorted(names, key=lambda name: name.startswith("optimiser.")):  # its rate may follow from the batch
        if name.split(".")[0] not in free and old.get(name) != new.get(name):
            values = ["null" if one is None else str(one)[:LONGEST] for one in (new.get(name), old.get(name))]
            raise InputError(
                f"{name} is {values[0]}, but {path} was written with {values[1]}; resume a run with the settings in "
                "its folder's config.yaml"
            )


def _without_paths(settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings without where the data lie; of the objective's files it still says which ones there are."""
    remaining = copy.deepcopy(settings)
    for part in (*remaining["train"], *remaining["validation"]):
        for name in ("root", "split"):
            part.pop(name, None)
    for options in nested_options(remaining["objective"]["options"]):
        for name in PATH_OPTIONS:
            if options.pop(name, None):
                options[name] = "a path"
    return remaining


def _flat(settings: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in settings.items():
        flat |= _flat(value, f"{prefix}{name}.") if isinstance(value, dict) else {f"{prefix}{name}": value}
    return flat


def make_folder(folder: Path) -> None:
    """Make the folder of a new run.

    Raises:
        InputError: it holds a run, is not empty, or cannot be made.
    """
    if (folder / LAST).exists() or ((folder / "config.yaml").exists() and (folder / "run.json").exists()):
        raise InputError(f"the output folder {folder} holds a run; resume it with --resume last, or choose another")
    output_folder(folder)


def prepare_folder(
    config: TrainConfig, start: Start | None, samples: dict[str, int], started_from: dict[str, str] | None = None
) -> None:
    """Write settings and provenance into the run's folder, or note there that the run is resumed.

    Args:
        config: with the folder.
        start: where a resumed run continues; None for one that starts.
        samples: numbers of samples for training and validation.
        started_from: initial weights of each network that has any; a resumed run keeps what its first start noted.

    Raises:
        InputError: it cannot be written, or run.json is damaged.
    """
    folder = Path(config.output)
    if start is None:
        about = provenance(config.seed, samples=samples, started_from=started_from or {})
    else:
        for remainder in folder.glob(f".*{Path(LAST).suffix}"):  # of earlier versions
            remainder.unlink()
        about = read_about(folder / "run.json")
        again = provenance(config.seed, epoch=start.epoch, batch=start.batch, step=start.step)
        about.pop("ended", None)
        about["resumed"] = [*about.get("resumed", []), again]
    with atomic_path(folder / "config.yaml", durable=True) as temporary:  # first, so that it can be resumed
        settings = plain_settings(replace(config, resume=None))
        temporary.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    write_json(folder / "run.json", about)
    (folder / "panels").mkdir(exist_ok=True)
    for part in (folder, folder / "panels"):
        remove_leftovers(part)
    log.info(
        "training %s on %d samples, validating on %d, into %s%s",
        config.network.name, samples["train"], samples["validation"], folder,
        "" if start is None else f", resumed at epoch {start.epoch}, step {start.step}",
    )  # fmt: skip


def read_about(path: Path) -> dict[str, Any]:
    """Read what is known of a run; empty if the file is gone.

    Raises:
        InputError: it is damaged.
    """
    try:
        return read_json(path) if path.exists() else {}
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({error}); delete it, and resume without its history") from error


def is_first_process() -> bool:
    """Return whether this process writes the run's folder, of all that train together; Lightning starts the others."""
    first = rank_zero_only.rank == 0 and os.environ.get("NODE_RANK", "0") == "0"
    if not first:
        logging.getLogger("hrdepth").setLevel(logging.WARNING)
    return first
