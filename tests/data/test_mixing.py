"""Tests of data/mixing.py."""

from collections import Counter

import torch

import fake_datasets
from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data import build_mix
from hrdepth.data.mixing import MixedSampler


def test_weights_say_how_often_a_sample_comes():
    sampler = MixedSampler([4, 10], [2.0, 0.5], seed=1)
    items = list(sampler)
    seen = Counter(item % 14 for item in items)
    assert len(sampler) == len(items) == 13
    # A sample that comes twice comes with other random changes, in this epoch and the next.
    assert len(set(items)) == 13
    sampler.set_epoch(1)
    assert not set(items) & set(sampler)
    assert {index: count for index, count in seen.items() if index < 4} == {0: 2, 1: 2, 2: 2, 3: 2}
    assert sum(count for index, count in seen.items() if index >= 4) == 5


def test_order_depends_on_seed_and_epoch():
    def order(seed, epoch):
        sampler = MixedSampler([7], [1.0], seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 0) == order(0, 0)
    assert len({tuple(index % 7 for index in order(seed, epoch)) for seed in (0, 1) for epoch in (0, 1)}) == 4
    assert sorted(order(0, 3)) == [21, 22, 23, 24, 25, 26, 27]


def test_a_mix_draws_from_all_parts_in_every_epoch(tmp_path):
    fake_datasets.drive(tmp_path / "a", frames=5)
    fake_datasets.drive(tmp_path / "b", frames=7, stereo=False)
    parts = [DatasetConfig("folder", str(tmp_path / name), str(tmp_path / name / "train.txt")) for name in "ab"]
    mix = build_mix(parts, [-1, "s"], (64, 96), AugmentConfig())
    assert len(mix) == 3 + 5
    assert mix.name(1) == mix.name(9) == f"drive 2 l ({tmp_path / 'a' / 'train.txt'}:2)"
    assert mix.name(3 + 8 * 2) == f"drive 1 l ({tmp_path / 'b' / 'train.txt'}:1)"
    for epoch in (0, 2):
        samples = [mix[i + epoch * len(mix)] for i in range(len(mix))]
        assert [int(sample["item"]) for sample in samples] == [i + epoch * len(mix) for i in range(len(mix))]
        assert len({float(sample["target"].sum()) for sample in samples[:3]}) == 3
        # The second set has no stereo pairs: masked, not missing.
        assert [bool(sample["source_valid"][1]) for sample in samples] == [True] * 3 + [False] * 5
        assert torch.equal(samples[5]["sources"][1], torch.zeros(3, 64, 96))


def test_each_batch_has_one_shape_also_after_a_resumption():
    shapes = [(64, 96), (64, 64)]
    sampler = MixedSampler([10], [2.0], seed=1, shapes=shapes, batch_size=4)
    items = list(sampler)
    batches = [items[start : start + 4] for start in range(0, 20, 4)]
    assert all(len({item.size for item in batch}) == 1 for batch in batches)
    assert {item.size for item in items} == set(shapes)
    assert [item.item for item in items] == list(MixedSampler([10], [2.0], seed=1))
    sampler.resume_at(0, 8)
    assert list(sampler) == items[8:]
