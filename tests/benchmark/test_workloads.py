"""Tests of benchmark/workloads.py.

What `hrdepth benchmark train` times runs with every objective of the registry.
"""

import pytest

from hrdepth.benchmark.workloads import WORKLOADS, made_drive
from hrdepth.config import NetworkConfig, ObjectiveConfig, TrainConfig
from hrdepth.networks import build_network
from hrdepth.objectives import OBJECTIVES
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

POSE_NETWORK = NetworkConfig("posecnn", {"explainability": True})
OPTIONS = {
    "struct2depth": {"object_network": "posecnn"},
    "distillation": {"self_supervision": 1.0},
    "supervised": {"other": {"name": "view_synthesis"}, "other_with_depth": True},
}


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    return made_drive(tmp_path_factory.mktemp("drive"), 6)


def config_of(name, drive, tmp_path, frames=(-1, 1)):
    options = dict(OPTIONS.get(name, {}))
    if name == "distillation":
        options["teacher"] = str(tmp_path / "teacher.safetensors")
        save_checkpoint(options["teacher"], build_network(NETWORK), NETWORK, size=(64, 96))
        if not frames:
            del options["self_supervision"]
    return TrainConfig(
        train=[drive], validation=[drive], output=str(tmp_path / "run"), network=NETWORK, pose_network=POSE_NETWORK,
        objective=ObjectiveConfig(name, list(frames), options), size=(64, 96), batch_size=2, workers=0, device="cpu",
    )  # fmt: skip


@pytest.mark.parametrize("name", OBJECTIVES)
def test_step_and_parts_run_with_every_objective(name, drive, tmp_path):
    config = config_of(name, drive, tmp_path)
    for workload in ("step", "depth network", "pose network", "losses", "optimiser"):
        run = WORKLOADS[workload](config)
        for _ in range(2):
            run()


@pytest.mark.parametrize(("name", "frames"), [("view_synthesis", ["s"]), ("distillation", [])])
def test_parts_run_without_a_pose_network(name, frames, drive, tmp_path):
    config = config_of(name, drive, tmp_path, frames)
    for workload in ("step", "depth network", "losses", "optimiser"):
        WORKLOADS[workload](config)()
