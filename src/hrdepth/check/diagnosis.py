"""Find why a training fails, the probable cause first, from a few samples of its data and its networks.

`diagnose` is called at the guard's stop, at the end of a training and by `hrdepth diagnose`.
"""

from __future__ import annotations

import torch
from torch.utils.data import Dataset, default_collate

from hrdepth.check.finding import ADVICE, Finding
from hrdepth.check.networks import examine_networks
from hrdepth.check.samples import examine_samples
from hrdepth.data.sample import Batch
from hrdepth.objectives import Objective

__all__ = ["diagnose"]


@torch.no_grad()
def diagnose(objective: Objective, data: Dataset[Batch], samples: int = 8, networks: bool = True) -> list[Finding]:
    """Look for what makes a training fail, in a few samples of its data and in its networks.

    Args:
        objective: owns the networks; left in the mode in which it came.
        data: samples without random changes, in the order of the objective's `frames`.
        samples: how many are looked at, evenly over the set.
        networks: judge the networks too; without, the recordings alone, whatever the networks have learnt by now.

    Returns:
        What was found, the probable cause first: recordings before what their faults do to the networks.
    """
    count = min(samples, len(data))  # type: ignore[arg-type]
    items = [index * len(data) // count for index in range(count)]  # type: ignore[arg-type]
    batch: Batch = default_collate([data[item] for item in items])
    device = next(objective.parameters()).device
    batch = {name: _finite(value).to(device) for name, value in batch.items()}  # type: ignore[assignment, arg-type]
    found = list(examine_samples(batch, objective.frames))
    if networks:
        training = objective.training
        objective.eval()
        found += examine_networks(objective, batch)
        objective.train(training)
    return sorted(found, key=lambda finding: list(ADVICE).index(finding.kind))


def _finite(value: torch.Tensor) -> torch.Tensor:
    # A NaN is the guard's affair; here it must not hide the rest.
    return value.nan_to_num() if value.is_floating_point() else value
