"""Tests of benchmark/train.py and benchmark/workloads.py.

`hrdepth benchmark train`: the workloads measured and the numbers computed from their times, at a tiny size.
"""

import json

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import tiny_networks
from hrdepth.benchmark.roofline import MATRIX
from hrdepth.benchmark.train import PARTS, benchmark_train
from hrdepth.benchmark.workloads import WORKLOADS, WorkloadTimer
from hrdepth.config import BenchmarkTrainConfig, NetworkConfig, ObjectiveConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network

SECONDS = {
    "unit": 2.0, "step": 6.0, "depth network": 3.0, "pose network": 1.0, "losses": 0.5, "optimiser": 0.25,
    "loading": 0.125, "matrices": 4.0, "matrices bfloat16": 8.0,
}  # fmt: skip


def config(**settings):
    return BenchmarkTrainConfig(
        network=tiny_networks.NETWORK, pose_network=tiny_networks.POSE_NETWORK,
        **{"objective": ObjectiveConfig(), **settings},
        sizes=[(64, 64)], batch_sizes=[2], rounds=2, steps=1, workers=0, device="cpu",
    )  # fmt: skip


def measurements(path):
    return {row["name"].removeprefix("64x64, batch 2: "): row for row in json.loads(path.read_text())["measurements"]}


@pytest.fixture
def measured(in_process, monkeypatch):
    """Known times instead of measured ones; the calls are noted."""
    calls = []

    def measure(self, name, count):
        calls.append(name)
        return [SECONDS[name]] * count, 100.0

    monkeypatch.setattr(WorkloadTimer, "measure", measure)
    return calls


def test_numbers_follow_from_the_times(measured, tmp_path, capsys):
    out = tmp_path / "train.json"
    benchmark_train(config(out=str(out)))
    assert measured[:4] == ["unit", "step", "unit", "step"], "interleaved"
    assert measured[4:] == [name for name in (*PARTS, "matrices", "matrices bfloat16") for _ in range(2)]
    rows = measurements(out)
    for name in ("unit", "step", *PARTS):
        assert (rows[name]["median"], rows[name]["unit"]) == (SECONDS[name] / 2, "s/sample")
        assert rows[name]["samples"] == 2
    assert rows["step in units"]["median"] == 3
    assert rows["rate"]["median"] == 1 / 3
    assert rows["peak memory above the start"]["median"] == 100
    assert rows["matrix rate, float32"]["median"] == 2 * MATRIX**3 / 4 / 1e9
    assert rows["matrix rate, bfloat16"]["median"] == 2 * MATRIX**3 / 8 / 1e9
    operations = rows["floating-point operations"]["median"]
    limit = rows["limit set by operations and matrix rate"]["median"]
    assert limit == operations / rows["matrix rate, float32"]["median"]
    written = json.loads(out.read_text())
    assert written["provenance"]["versions"]["torch"]
    assert written["settings"]["sizes"] == [[64, 64]]
    assert "step in units" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"train\.json exists already"):
        benchmark_train(config(out=str(out)))


def test_operations_are_those_of_both_networks(measured, tmp_path):
    out = tmp_path / "train.json"
    benchmark_train(config(out=str(out)))
    network = build_network(tiny_networks.NETWORK).train()
    pose_network = build_pose_network(tiny_networks.POSE_NETWORK).train()
    with FlopCounterMode(display=False) as counter:
        network(torch.rand(1, 3, 64, 64))
        pose_network(torch.rand(2, 6, 64, 64))
    forward = counter.get_total_flops() / 1e9
    # Backward costs twice the forward pass, less the gradient of the images.
    assert 2 * forward < measurements(out)["floating-point operations"]["median"] < 3 * forward


def test_without_neighbours_there_is_no_pose_network(measured, tmp_path):
    out = tmp_path / "train.json"
    benchmark_train(config(out=str(out), objective=ObjectiveConfig(frames=["s"])))
    assert "pose network" not in measured
    assert "pose network" not in measurements(out)


def test_a_worker_prepares_a_workload_once_and_warms_it_up(monkeypatch):
    ran = []

    def prepare(name):
        ran.append(f"prepare {name}")
        return lambda: ran.append(name)

    monkeypatch.setitem(WORKLOADS, "step", lambda config: prepare("step"))
    monkeypatch.setitem(WORKLOADS, "losses", lambda config: prepare("losses"))
    timer = WorkloadTimer(config())
    seconds, peak = timer.measure("step", 2)
    assert len(seconds) == 2
    assert isinstance(peak, float)
    timer.measure("step", 1)
    timer.measure("losses", 1)
    assert ran == ["prepare step", *["step"] * 5, "prepare losses", *["losses"] * 3]


@pytest.mark.slow
def test_every_workload_is_measured_in_a_separate_process(tmp_path):
    out = tmp_path / "train.json"
    benchmark_train(config(out=str(out)))
    rows = measurements(out)
    assert {"unit", "step", *PARTS, "step in units", "rate", "peak memory above the start"} < set(rows)
    assert all(row["median"] > 0 for row in rows.values())


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"sizes": []}, "sizes is empty"),
    ({"rounds": 0}, "rounds 0"),
])  # fmt: skip
def test_settings_that_measure_nothing_are_refused(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        benchmark_train(BenchmarkTrainConfig(network=NetworkConfig("lite_hrdepth"), **settings))
