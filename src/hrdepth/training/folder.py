"""A run's folder: made once, and noted in it how often the run went on."""

from __future__ import annotations

import json
import logging
import os
from dataclasses import replace
from pathlib import Path

import yaml
from lightning.pytorch.utilities import rank_zero_only

from hrdepth.config import TrainConfig
from hrdepth.errors import InputError
from hrdepth.io.files import atomic_path, output_folder, write_json
from hrdepth.io.provenance import provenance
from hrdepth.training.resume import LAST, Start, plain_settings

__all__ = ["is_first_process", "note_end", "prepare_folder"]

log = logging.getLogger(__name__)


def prepare_folder(config: TrainConfig, start: Start | None, samples: dict[str, int]) -> None:
    """Make the run's folder, or note in it that the run goes on.

    Args:
        config: names it.
        start: where a resumed run goes on; None for a new one.
        samples: how many there are to train on and to validate on.

    Raises:
        InputError: a new run's folder holds something already, or cannot be made.
    """
    folder = Path(config.output)
    if start is None:
        if (folder / LAST).exists():
            raise InputError(f"the output folder {folder} holds a run; go on with --resume last, or choose another")
        output_folder(folder)
        about = provenance(config.seed, samples=samples)
    else:
        for remainder in folder.glob(f".*{Path(LAST).suffix}"):  # of a run that was killed while writing
            remainder.unlink()
        about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        again = provenance(config.seed, epoch=start.epoch, batch=start.batch, step=start.step)
        if not start.ended:
            about.pop("ended", None)
        about["resumed"] = [*about.get("resumed", []), again]
    (folder / "panels").mkdir(exist_ok=True)
    with atomic_path(folder / "config.yaml") as temporary:
        settings = plain_settings(replace(config, resume=None))
        temporary.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")
    write_json(folder / "run.json", about)
    log.info(
        "training %s on %d samples, validating on %d, into %s%s",
        config.network.name, samples["train"], samples["validation"], folder,
        "" if start is None else f", from epoch {start.epoch}, step {start.step} on",
    )  # fmt: skip


def note_end(folder: Path, why: str) -> None:
    """Keep in a run's run.json what ended it: `epochs`, `max_minutes` or `early_stop`; a run broken off has none."""
    about = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    write_json(folder / "run.json", {**about, "ended": why})


def is_first_process() -> bool:
    """Say whether this process, of all that train together, writes the folder; Lightning starts the others."""
    first = rank_zero_only.rank == 0 and os.environ.get("NODE_RANK", "0") == "0"
    if not first:
        logging.getLogger("hrdepth").setLevel(logging.WARNING)
    return first
