"""Several data sets in one training: which sample comes when."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from torch.utils.data import ConcatDataset, Sampler

from hrdepth.data.batch import Batch
from hrdepth.data.frames import FrameDataset

__all__ = ["Mix", "MixedSampler"]


class Mix(ConcatDataset[Batch]):
    """Data sets one behind the other, as one.

    Asking for item `i + epoch * len(self)` gives sample i with that epoch's random changes.
    """

    datasets: list[FrameDataset]  # type: ignore[assignment]

    def __getitem__(self, item: int) -> Batch:
        epoch, index = divmod(item, len(self))
        part, inside = self._find(index)
        sample = self.datasets[part][inside + epoch * len(self.datasets[part])]
        return {**sample, "index": sample["index"] * 0 + index}

    def describe(self, index: int) -> str:
        """Name sample `index` for a message."""
        part, inside = self._find(index)
        return self.datasets[part].describe(inside)

    def _find(self, index: int) -> tuple[int, int]:
        part = int(np.searchsorted(self.cumulative_sizes, index, side="right"))
        return part, index - (self.cumulative_sizes[part - 1] if part else 0)


class MixedSampler(Sampler[int]):
    """Every sample of set k `weights[k]` times an epoch, in an order that seed and epoch alone decide.

    A fraction of a set is drawn anew each epoch. Yields `index + epoch * total`, so that the loader's processes know
    the epoch without being told.

    Args:
        sizes: samples of each set.
        weights: how often an epoch sees each of them.
        seed: of the order.

    Example:
        >>> sampler = MixedSampler([3, 10], [2.0, 0.5])
        >>> len(sampler), sorted(index % 13 for index in sampler)[:6]
        (11, [0, 0, 1, 1, 2, 2])
    """

    def __init__(self, sizes: Sequence[int], weights: Sequence[float], seed: int = 0) -> None:
        self.sizes = list(sizes)
        self.weights = list(weights)
        self.seed = seed
        self.epoch = 0

    def __len__(self) -> int:
        return sum(round(size * weight) for size, weight in zip(self.sizes, self.weights, strict=True))

    def __iter__(self) -> Iterator[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        offsets = np.cumsum([0, *self.sizes])
        drawn = []
        for offset, size, weight in zip(offsets, self.sizes, self.weights, strict=False):
            count = round(size * weight)
            rounds = [random.permutation(size) for _ in range(-(-count // size))]
            drawn.append(offset + np.concatenate(rounds)[:count] if rounds else np.empty(0, dtype=np.int64))
        order = random.permutation(np.concatenate(drawn)) + self.epoch * int(offsets[-1])
        yield from map(int, order)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this."""
        self.epoch = epoch
