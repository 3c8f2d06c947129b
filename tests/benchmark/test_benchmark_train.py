"""The benchmark of training measures what it says, at a tiny size."""

import json

import pytest

from hrdepth.benchmark.train import benchmark_train
from hrdepth.config import BenchmarkTrainConfig, NetworkConfig, ObjectiveConfig
from hrdepth.errors import InputError


def config(**settings):
    return BenchmarkTrainConfig(
        network=NetworkConfig("lite_hrdepth"),
        pose_network=NetworkConfig("posenet", {"backbone": "mobilenetv3_small_100"}),
        objective=ObjectiveConfig(),
        sizes=[(64, 64)], batch_sizes=[2], rounds=2, steps=1, workers=0, **settings,
    )  # fmt: skip


def test_a_step_and_its_parts_are_measured(tmp_path, capsys):
    out = tmp_path / "train.json"
    benchmark_train(config(out=str(out)))
    written = json.loads(out.read_text())
    rows = {row["name"].removeprefix("64x64, batch 2: "): row for row in written["measurements"]}
    assert rows["step"]["median"] > rows["losses"]["median"] > 0
    assert rows["step in units"]["median"] == pytest.approx(
        rows["step"]["median"] / rows["unit"]["median"], rel=0.8
    )  # a ratio of medians is not the median of ratios
    assert rows["peak memory above the start"]["median"] > 0
    # Lite has 3.1M parameters and 64 x 64 images: far from none, far from HR-Depth at full size.
    assert 0.1 < rows["floating-point operations"]["median"] < 10
    assert written["provenance"]["versions"]["torch"]
    assert "step in units" in capsys.readouterr().out
    with pytest.raises(InputError, match=r"train\.json exists already"):
        benchmark_train(config(out=str(out)))


@pytest.mark.parametrize(("settings", "sentence"), [
    ({"sizes": []}, "sizes is empty"),
    ({"rounds": 0}, "rounds 0"),
])  # fmt: skip
def test_settings_that_measure_nothing(settings, sentence):
    with pytest.raises(InputError, match=sentence):
        benchmark_train(BenchmarkTrainConfig(**settings))
