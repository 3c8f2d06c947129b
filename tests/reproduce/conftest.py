"""What every table does anew for the paper's rows is done once: recipes are read, a training's memory is counted."""

import dataclasses
from contextlib import suppress

import pytest

from hrdepth.reproduce import plan

READ, COUNTED = {}, {}


@pytest.fixture(autouse=True)
def rows_are_planned_once(monkeypatch):
    read = plan.train_config

    def read_once(settings, where):
        key = repr({**settings, "output": "", "seed": "seed" in settings})
        if key not in READ:
            READ[key] = read(settings, where)  # or raises
        own = {name: settings[name] for name in ("output", "seed") if name in settings}
        return dataclasses.replace(READ[key], **own)

    def count_once(config):
        key = repr((config.network, config.pose_network, config.objective, config.size))
        if key not in COUNTED:
            COUNTED[key] = count(config)
        return COUNTED[key]

    monkeypatch.setattr(plan, "train_config", read_once)
    with suppress(ImportError):  # where Lightning is not installed, nothing is trained
        from hrdepth.training import memory

        count = memory.memory_need
        monkeypatch.setattr(memory, "memory_need", count_once)
