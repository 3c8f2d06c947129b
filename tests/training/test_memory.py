"""Tests of training/memory.py.

The memory of a training: counted before it, and made to fit.
"""

from dataclasses import replace

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks

from hrdepth.compute import is_out_of_memory
from hrdepth.config import NetworkConfig, ReproduceConfig, TrainConfig
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import build_objective
from hrdepth.paper import row_of
from hrdepth.reproduce.plan import plan_training
from hrdepth.training import memory
from hrdepth.training.memory import GIB, MemoryNeed, memory_need, split_batches


def config(**changes):
    settings = {"train": [], "validation": [], "output": "run", "batch_size": 12}
    return TrainConfig(**{**settings, **changes})


@pytest.mark.slow
def test_what_is_counted_is_what_a_step_saves():
    run = config(network=NetworkConfig("lite_hrdepth"), size=(64, 96))
    objective = build_objective(run.objective, build_network(run.network), build_pose_network(run.pose_network)).train()
    weights = {parameter.data_ptr() for parameter in objective.parameters()}

    def saved(size):
        found = {}

        def pack(tensor):
            if tensor.untyped_storage().data_ptr() not in weights:
                found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
            return tensor

        batch = memory._batch(run, size)
        batch["intrinsics"][:] = torch.eye(3)
        batch["stereo_pose"][:] = torch.eye(4)
        with saved_tensors_hooks(pack, lambda tensor: tensor):
            objective(batch)
        return sum(storage.nbytes() for storage in found.values())

    need = memory_need(run)
    assert need.sample == pytest.approx(saved(3) - saved(2), rel=0.02)
    assert need.fixed == 16 * sum(parameter.numel() for parameter in objective.parameters())


@pytest.mark.slow
def test_losses_that_are_compiled_are_counted_without_compiling():
    run = config(network=NetworkConfig("lite_hrdepth"), size=(64, 96))
    compiled = replace(run, objective=replace(run.objective, options={"compile": True}))
    assert memory_need(compiled) == memory_need(run)


@pytest.mark.parametrize(
    ("name", "networks"),  # GiB of a batch of 12 that the networks' activations alone keep
    [pytest.param("packnet-m-1280x384", 43, marks=pytest.mark.slow), ("kitti-hrdepth-m-1280x384", 13)],
)
def test_the_largest_rows_need_more_than_their_networks_activations(name, networks):
    need = memory_need(plan_training(ReproduceConfig("out"), row_of(name)).config)
    assert networks < need.of(12) < 2.5 * networks


def test_an_objective_that_needs_more_than_images_is_counted_by_its_networks():
    need = memory_need(plan_training(ReproduceConfig("out"), row_of("kitti-lite-t-640x192")).config)
    assert need.fixed == 16 * 3_109_964
    assert 0.5 < need.of(12) < 5


@pytest.mark.parametrize(
    ("free", "batches"),
    [(100, (12, 1)), (14.2, (12, 1)), (14, (6, 2)), (7, (4, 3)), (4, (3, 4)), (3, (2, 6)), (0.1, (1, 12))],
)
def test_batches_are_split_until_they_fit_with_as_many_samples_a_step(free, batches):
    split = split_batches(config(), MemoryNeed(0, GIB), free)
    assert (split.batch_size, split.accumulate) == batches
    twice = split_batches(config(accumulate=2), MemoryNeed(0, GIB), free)
    assert (twice.batch_size, twice.accumulate) == (batches[0], 2 * batches[1])


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), True),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 3.62 GiB"), True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_errors_of_memory_are_told_from_others(error, found):
    assert is_out_of_memory(error) == found
