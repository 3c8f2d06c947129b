"""Find the weights of a row, and train those that are missing."""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
import yaml

from hrdepth.compute import is_out_of_memory
from hrdepth.config import TrainConfig
from hrdepth.config.safe_yaml import load_yaml, read_text
from hrdepth.config.setting_files import plain_settings
from hrdepth.errors import InputError, TrainingStopped
from hrdepth.io.arrays import check_archive
from hrdepth.io.files import file_sha256, write_json
from hrdepth.io.run_folder import read_json_or_empty
from hrdepth.paper import PaperRow
from hrdepth.reproduce.context import Context
from hrdepth.reproduce.plan import BEST, Plan, network_mismatch, plan_training, row_mismatch, run_folder

__all__ = ["Weights", "find_weights", "learned_from", "shown_weights", "train_missing"]

log = logging.getLogger(__name__)

# Settings that do not change what a run learns, or that are compared apart: `init` and `seed`.
_NOT_LEARNED_FROM = (
    "output", "resume", "max_minutes", "checkpoint_minutes", "workers", "log", "guard", "scan", "cache", "device",
    "init", "seed", "metres_per_unit",
)  # fmt: skip
# In a run's folder: memory did not suffice for it.
OUT_OF_MEMORY = "out-of-memory.json"
# Why a run ended before its epochs, as its run.json has it.
_ENDS = {"max_minutes": ", when its time was over", "early_stop": ", when its validation loss no longer fell"}


@dataclass(frozen=True)
class Weights:
    """Weights of a row.

    Attributes:
        path: of the file.
        seed: of the training; None where there is one only, and of given weights.
        given: they were given, not found in the row's run folder.
        place: position in the list of given weights, where there are several; else None.
        note: remarks on their training or network, or "".
        training: `learned_from` of the row, where they were trained by just these settings; else empty.
    """

    path: Path
    seed: int | None = None
    given: bool = False
    place: int | None = None
    note: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)


def find_weights(row: PaperRow, context: Context, seeds: Sequence[int | None]) -> tuple[list[Weights], str]:
    """Find the weights of a row, one file per seed; and describe which are missing and why, or "".

    Raises:
        InputError: a training checkpoint is damaged, or a given file is not a weights file.
    """
    config = context.config
    if row.name in context.given:
        files = context.given[row.name]
        places = range(len(files)) if len(files) > 1 else [None]
        return [
            Weights(path, given=True, place=place, note=row_mismatch(row, config, path))
            for path, place in zip(files, places, strict=True)
        ], ""
    found, missing = [], dict[str, list[int | None]]()
    for seed in seeds:
        file = run_folder(config, row.name, seed) / f"{config.checkpoint}.safetensors"
        if file.is_file():
            note = _note(row, context, seed, file)
            training = {} if note else learned_from(row, context, seed)
            found.append(Weights(file, seed, note=note, training=training))
        else:
            missing.setdefault(_why_missing(row, context, seed), []).append(seed)
    if not found and len(missing) == 1:
        return [], next(iter(missing))
    reasons = [f"{_seeds_text(seeds_of_it)}: {reason}" for reason, seeds_of_it in missing.items()]
    if found and missing:
        reasons.insert(0, f"{_seeds_text([one.seed for one in found])} of {', '.join(map(str, seeds))}")
    return found, "; ".join(reasons)


def shown_weights(row: PaperRow, context: Context) -> tuple[Weights | None, str]:
    """Find the file that a figure shows of a row, after training the first seed if asked to; or the reason for none.

    Raises:
        InputError: as `train_missing` and `find_weights`.
    """
    if context.config.train:
        train_missing(row, context, context.seeds[:1])
    found, reason = find_weights(row, context, context.seeds)
    if not found:
        return None, reason
    first = found[0]
    several = "" if first.place is None else f"the first of {len(found)} files"
    if first.seed is not None and len(context.seeds) > 1:
        several = f"seed {first.seed} of {', '.join(map(str, context.seeds))}"
    return replace(first, note="; ".join(filter(None, (several, first.note)))), ""


def _seeds_text(seeds: Sequence[int | None]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def train_missing(row: PaperRow, context: Context, seeds: Sequence[int | None]) -> None:
    """Train a row whose weights are missing, first what it starts or learns from; resume interrupted runs.

    A run that the guard stopped, or that cannot be resumed, is left alone with a warning; so is what needs it.

    Raises:
        InputError: no config gives the row, or what `training.train` raises.
    """
    if row.name not in context.given:
        for seed in seeds:
            _train(row, context, seed)


def _train(row: PaperRow | str, context: Context, seed: int | None) -> bool:
    """Train, and first what is needed; return whether the run has finished."""
    plan = plan_training(context.config, row, seed, context.given)
    folder = Path(plan.config.output)
    epochs = _epochs_done(folder)
    if (folder / BEST).is_file() and _has_ended(folder, epochs, plan.config):
        return True
    if obstacle := _obstacle(folder):
        log.warning("%s: not trained, %s", folder, obstacle)
        return False
    for name in plan.before:
        if not _train(name, context, seed):
            log.warning("%s: not trained, it needs the weights of %s first", folder, name)
            return False
    from hrdepth.training import train
    from hrdepth.training.memory import fit_memory, release_memory

    settings = fit_memory(replace(plan.config, resume=None if epochs is None else "last"))
    (folder / OUT_OF_MEMORY).unlink(missing_ok=True)
    try:
        train(settings)
    except TrainingStopped as stop:
        log.warning("%s: %s", folder, stop)
        return False
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        log.warning("%s: out of memory with batches of %d; its row ends here", folder, settings.batch_size)
        folder.mkdir(parents=True, exist_ok=True)
        message = f"out of memory with batches of {settings.batch_size}: {str(error).partition(chr(10))[0]}"
        write_json(folder / OUT_OF_MEMORY, {"message": message})
    else:
        return True
    release_memory()  # after the error, whose traceback holds the tensors
    return False


def _has_ended(folder: Path, epochs: float | None, plan: TrainConfig) -> bool:
    """Return whether a run with weights has finished by its settings."""
    if epochs is None or epochs >= plan.epochs:  # weights without a training checkpoint cannot be resumed
        return True
    ended = read_json_or_empty(folder / "run.json").get("ended")
    return ended == "early_stop" or (ended == "max_minutes" and plan.max_minutes is not None)


def _obstacle(folder: Path) -> str:
    """Return why an unfinished run cannot be resumed; "" where it can, or has not begun."""
    resumable = (folder / "last.ckpt").is_file()
    if stopped := _stopped(folder) or ("" if resumable else _out_of_memory(folder)):
        return f"{stopped}; remove {folder} to try again"
    if folder.is_dir() and any(folder.iterdir()) and not resumable:
        return f"{folder} holds a run without a training checkpoint; if it was killed, remove it to train it again"
    return ""


def _stopped(folder: Path) -> str:
    """Return the guard's message on a run that it stopped, or ""."""
    path = folder / "stopped.json"
    return f"stopped by the guard: {read_json_or_empty(path).get('message', '')}" if path.is_file() else ""


def _out_of_memory(folder: Path) -> str:
    """Return the message on a run that memory did not suffice for, or ""."""
    return str(read_json_or_empty(folder / OUT_OF_MEMORY).get("message", ""))


def _why_missing(row: PaperRow, context: Context, seed: int | None) -> str:
    if obstacle := _obstacle(run_folder(context.config, row.name, seed)):
        return obstacle
    plan = _known_plan(row, context, seed)
    for name in plan.before if plan else ():
        if obstacle := _obstacle(run_folder(context.config, name, seed)):
            return f"it needs {name} first: {obstacle}"
    return "no config trains it" if row.config is None else f"no weights in {context.config.runs}"


def _epochs_done(folder: Path) -> float | None:
    """Return the epochs that a run has made, halves for a part of one; None without a training checkpoint."""
    path = folder / "last.ckpt"
    if not path.is_file():
        return None
    try:
        if zipfile.is_zipfile(path):
            check_archive(path)
        about = torch.load(path, map_location="cpu", weights_only=True, mmap=True)["hrdepth"]
        return float(about["epoch"]) + 0.5 * bool(about["batch"])
    except Exception as error:  # a damaged file can raise anything
        raise InputError(f"{path} is damaged or no training checkpoint; remove the folder to train again") from error


def _known_plan(row: PaperRow, context: Context, seed: int | None) -> Plan | None:
    """Return the training that gives a row; None if no config does."""
    try:
        return plan_training(context.config, row, seed, context.given)
    except InputError:
        return None


def learned_from(row: PaperRow, context: Context, seed: int | None) -> dict[str, Any]:
    """Return what a row's training learns from: its settings and the rows before it; {} if no config gives the row."""
    plan = _known_plan(row, context, seed)
    if plan is None:
        return {}
    settings = {key: value for key, value in asdict(plan.config).items() if key not in _NOT_LEARNED_FROM}
    learned: dict[str, Any] = _plain({"settings": settings, "before": plan.before})
    init = plan.config.init
    if init is not None and init not in {str(run_folder(context.config, name, seed) / BEST) for name in plan.before}:
        learned["init"] = file_sha256(Path(init)) if Path(init).is_file() else init
    return learned


def _note(row: PaperRow, context: Context, seed: int | None, file: Path) -> str:
    """Describe how the run of the weights differs from the config, and whether it was stopped."""
    folder = run_folder(context.config, row.name, seed)
    stopped = [_stopped(folder), _out_of_memory(folder)]
    known = _known_plan(row, context, seed)
    if known is None:
        return _joined(stopped)
    plan, notes = known.config, list[str]()
    if row.dataset.startswith("CS") and plan.init is None:
        notes.append("without CityScapes")
    epochs = _epochs_done(folder)
    if epochs is not None and epochs < plan.epochs:
        ended = _ENDS.get(read_json_or_empty(folder / "run.json").get("ended", ""), "")
        notes.append(f"after {int(epochs)} of {plan.epochs} epochs{ended}")
    notes += stopped
    try:
        stored = load_yaml(read_text(folder / "config.yaml"))
    except (OSError, InputError, yaml.YAMLError):  # weights alone: their network can be compared
        return _joined([*notes, network_mismatch(plan.network, file)])
    wanted = plain_settings(plan)
    if int(stored.get("batch_size") or 0) * int(stored.get("accumulate") or 1) == plan.batch_size * plan.accumulate:
        if stored["batch_size"] != plan.batch_size:
            notes.append(f"in batches of {stored['batch_size']} with averaged gradients, as memory allowed")
        wanted |= {key: stored.get(key) for key in ("batch_size", "accumulate")}
    others = [key for key, value in wanted.items() if key not in _NOT_LEARNED_FROM and _plain(stored.get(key)) != value]
    if others:
        notes.append(f"trained with other settings of {', '.join(others)}")
    return _joined(notes)


def _joined(notes: Sequence[str]) -> str:
    return "; ".join(filter(None, notes))


def _plain(value: Any) -> Any:
    return json.loads(json.dumps(value, default=str))
