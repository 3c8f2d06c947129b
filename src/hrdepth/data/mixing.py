"""Several data sets in one training: which sample comes when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import distributed
from torch.utils.data import ConcatDataset, Sampler

from hrdepth.camera import Camera
from hrdepth.data.dataset import FrameDataset
from hrdepth.data.reader import FrameReader
from hrdepth.data.sample import Batch, SizedItem
from hrdepth.errors import InputError

__all__ = ["Mix", "MixedSampler", "SharedSampler", "draws", "metres_per_unit"]

# Keeps the draws of batches' sizes apart from those of the order.
SIZE_STREAM = 1
# How far rigs may differ and still share one factor: KITTI's days do by 1 %.
TOLERANCE = 0.02


class Mix(ConcatDataset[Batch]):
    """Data sets one behind the other, as one.

    Asking for item `i + n * len(self)` gives sample i with its n-th random changes.
    """

    datasets: list[FrameDataset]  # type: ignore[assignment]

    def __getitem__(self, item: int | SizedItem) -> Batch:
        item, size = item if isinstance(item, SizedItem) else (item, None)
        part, inside = self._locate(item)
        sample = part[inside if size is None else SizedItem(inside, size)].copy()
        sample["item"] = torch.tensor(item)  # the mix's, not the part's
        return sample

    def name(self, item: int) -> str:
        """Return the target frame of an item, as `FrameDataset.name`."""
        part, inside = self._locate(item)
        return part.name(inside)

    def camera(self, item: int) -> Camera:
        """Return the camera of an item, as `FrameDataset.camera`."""
        part, inside = self._locate(item)
        return part.camera(inside)

    def without_augmentation(self) -> Mix:
        """Return the same samples without random changes."""
        return Mix([part.without_augmentation() for part in self.datasets])

    def _locate(self, item: int) -> tuple[FrameDataset, int]:
        draw, index = divmod(item, len(self))
        part = int(np.searchsorted(self.cumulative_sizes, index, side="right"))
        inside = index - (self.cumulative_sizes[part - 1] if part else 0)
        return self.datasets[part], inside + draw * len(self.datasets[part])


class MixedSampler(Sampler[int | SizedItem]):
    """Every sample of set k `weights[k]` times an epoch, in an order that seed and epoch alone decide.

    A fraction of a set is drawn again each epoch. Yields `index + n * total`, n counting the draws of a sample, so that
    each draw gets random changes of its own and the loader's processes need no epoch.

    Where several processes train together, each yields every n-th item of the common order, so that their batches
    together are those of one process with n times the batch size; what is left over at the end is left out.

    Args:
        sizes: samples of each set.
        weights: how often an epoch sees each of them.
        seed: of the order.
        shapes: (height, width) of batches, of which each batch has one, drawn; None for the data sets' own.
        batch_size: samples a batch, of one shape.
        shards: of each set, the shard of each sample and how many shards are mixed at a time; None mixes the set.

    Example:
        >>> sampler = MixedSampler([3, 10], [2.0, 0.5])
        >>> len(sampler), sorted(index % 13 for index in sampler)[:6]
        (11, [0, 0, 1, 1, 2, 2])
    """

    def __init__(
        self,
        sizes: Sequence[int],
        weights: Sequence[float],
        seed: int = 0,
        shapes: Sequence[tuple[int, int]] | None = None,
        batch_size: int = 1,
        shards: Sequence[tuple[Sequence[int], int] | None] | None = None,
    ) -> None:
        self.shards = [None] * len(sizes) if shards is None else list(shards)
        self.sizes = list(sizes)
        self.weights = list(weights)
        self.seed = seed
        self.shapes = None if shapes is None else list(shapes)
        self.batch_size = batch_size
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        return self._total() // _process()[1]

    def __iter__(self) -> Iterator[int | SizedItem]:
        rank, processes = _process()
        shared = len(self) * processes
        for position, item in enumerate(self._order()[rank:shared:processes][self.start :], start=self.start):
            yield item if self.shapes is None else SizedItem(item, self._shape(position // self.batch_size))

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch; Lightning calls this."""
        if epoch != self.epoch:
            self.epoch, self.start = epoch, 0

    def resume_at(self, epoch: int, start: int) -> None:
        """Choose the epoch, and leave out the first `start` of this process's items, which were trained already."""
        self.epoch, self.start = epoch, start

    def _shape(self, batch: int) -> tuple[int, int]:
        """Return the shape of a batch, the same in all processes."""
        assert self.shapes is not None
        random = np.random.default_rng((self.seed, self.epoch, SIZE_STREAM, batch))
        return self.shapes[int(random.integers(len(self.shapes)))]

    def _total(self) -> int:
        return sum(draws(size, weight) for size, weight in zip(self.sizes, self.weights, strict=True))

    def _order(self) -> list[int]:
        random = np.random.default_rng((self.seed, self.epoch))
        offsets = np.cumsum([0, *self.sizes])
        total, rounds_an_epoch = int(offsets[-1]), -(-max(self.weights) // 1)
        drawn = []
        for offset, size, weight, shards in zip(offsets, self.sizes, self.weights, self.shards, strict=False):
            count = draws(size, weight)
            first = self.epoch * int(rounds_an_epoch)
            rounds = [_shuffled(random, size, shards) + (first + n) * total for n in range(-(-count // size))]
            drawn.append(offset + np.concatenate(rounds)[:count] if rounds else np.empty(0, dtype=np.int64))
        if all(shards is None for shards in self.shards):
            return [int(item) for item in random.permutation(np.concatenate(drawn))]
        # The sets are mixed, and each keeps its order, in which few shards are needed at a time.
        turns = random.permutation(np.repeat(np.arange(len(drawn)), [len(part) for part in drawn]))
        following = [iter(part) for part in drawn]
        return [int(next(following[part])) for part in turns]


def _shuffled(random: np.random.Generator, size: int, shards: tuple[Sequence[int], int] | None) -> NDArray[np.int64]:
    """Return the samples of a set in random order: of some shards, then of the next ones, if it has shards."""
    if shards is None:
        return random.permutation(size)
    of_sample, window = np.asarray(shards[0]), shards[1]
    order = random.permutation(int(of_sample.max()) + 1)
    parts = [order[at : at + window] for at in range(0, len(order), window)]
    return np.concatenate([random.permutation(np.flatnonzero(np.isin(of_sample, part))) for part in parts])


def draws(size: int, weight: float) -> int:
    """Return how many samples an epoch draws from a set of `size` samples.

    Example:
        >>> draws(10, 0.5), draws(4, 0.1)
        (5, 0)
    """
    return round(size * weight)


class SharedSampler(Sampler[int]):
    """Every sample once over all processes, in order; each takes every n-th.

    Args:
        size: samples.
    """

    def __init__(self, size: int) -> None:
        self.size = size

    def __len__(self) -> int:
        return len(self._items())

    def __iter__(self) -> Iterator[int]:
        return iter(self._items())

    def _items(self) -> range:
        rank, processes = _process()
        return range(rank, self.size, processes)


def metres_per_unit(readers: Iterable[FrameReader]) -> float:
    """Derive the metres of one unit of predicted depth from the baselines of all recordings.

    It is the baseline in metres over the baseline in units; a config that leaves the latter alone has both the same,
    which gives 1.

    Raises:
        InputError: no recording has stereo pairs, one gives no baseline in metres, or they disagree.
    """
    factors: dict[float, str] = {}
    for reader in readers:
        seen = set()
        for line in reader.targets:
            if (line.folder, line.side) in seen or reader.image(line, "s") is None:
                continue
            seen.add((line.folder, line.side))
            camera = reader.camera(line)
            if camera.baseline is None or camera.baseline_metres is None:
                raise InputError(f"{camera.source} does not give the baseline in metres")
            factors.setdefault(camera.baseline_metres / camera.baseline, camera.source)
    if not factors:
        raise InputError("no recording has stereo pairs")
    low, high = min(factors), max(factors)
    if high > low * (1 + TOLERANCE):
        raise InputError(
            f"the rigs disagree: a unit is {low:.4g} m by {factors[low]}, {high:.4g} m by {factors[high]}; "
            "set the option baseline of each to the same share of its metres"
        )
    return float(f"{np.median(list(factors)):.4g}")


def _process() -> tuple[int, int]:
    """Return which of the processes that train together this is, and how many there are."""
    if distributed.is_available() and distributed.is_initialized():
        return distributed.get_rank(), distributed.get_world_size()
    return 0, 1
