"""Tests of training/train.py."""

import csv
import json
import logging
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import timm
import torch
import yaml

import fake_datasets
from hrdepth.config import LogConfig, NetworkConfig, ObjectiveConfig, OptimiserConfig
from hrdepth.errors import InputError
from hrdepth.io.files import file_sha256
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.training import build_training_objective, train
from hrdepth.training.setup import build_loaders
from hrdepth.weights.checkpoint import read_checkpoint
from tiny_networks import NETWORK
from tiny_training import split, tiny_training

# At one scale, for time.
MONO, STEREO = (ObjectiveConfig(frames=[frame], options={"scales": [0]}) for frame in (-1, "s"))


@pytest.fixture
def config(tiny):
    """Two steps an epoch, of one image and the one before it: what depth and pose network need at the least."""
    two, one = (replace(tiny.train[0], split=f"{tiny.train[0].root}/{name}.txt") for name in ("two", "one"))
    return replace(
        tiny,
        train=[two],
        validation=[one],
        objective=MONO,
        optimiser=OptimiserConfig(),
        metres_per_unit=1.0,
    )


@pytest.fixture(scope="module")
def begun(tiny_settings, tmp_path_factory):
    """The weights file after one step, of both networks."""
    output = str(tmp_path_factory.mktemp("begun") / "run")
    part = tiny_settings.validation
    return train(replace(tiny_settings, train=part, objective=MONO, metres_per_unit=1.0, epochs=1, output=output))


def test_a_run_writes_weights_logs_panels_and_provenance(tmp_path):
    config = tiny_training(
        tmp_path / "run",
        split(fake_datasets.drive(tmp_path / "data")),
        objective=ObjectiveConfig(frames=[-1, 1, "s"]),
        log=LogConfig(every_steps=1, panels_every_steps=2, panels=1),
        metres_per_unit=1.0,
    )
    best = train(config)
    run = tmp_path / "run"
    assert best == run / "best.safetensors"
    checkpoint = read_checkpoint(run / "last.safetensors")
    assert (checkpoint.size, checkpoint.scale.metres_per_unit) == ((64, 96), 1.0)
    assert checkpoint.provenance["step"] == 4
    assert checkpoint.pose_network is not None
    rows = list(csv.DictReader((run / "metrics.csv").open()))
    assert {"train/loss", "train/loss/scale3", "val/loss", "samples_per_second", "lr-Adam"} <= set(rows[0])
    assert sum(bool(row["val/loss"]) for row in rows) == 2
    assert sorted(path.name for path in (run / "panels").iterdir()) == ["000002.png", "000004.png"]
    assert yaml.safe_load((run / "config.yaml").read_text())["network"]["name"] == "hrdepth"
    about = json.loads((run / "run.json").read_text())
    assert about["samples"] == {"train": 4, "validation": 4}
    assert about["versions"]["torch"] == torch.__version__.split("+")[0] or torch.__version__.startswith("2")
    assert list(run.glob("events.out.tfevents*"))


def test_weights_files_record_what_the_networks_started_from(config, tmp_path):
    image_weights = tmp_path / "image.pth"
    torch.save(timm.create_model("test_resnet").state_dict(), image_weights)
    pose_network = NetworkConfig("posenet", {"backbone": "test_resnet", "weights": str(image_weights)})
    first = replace(config, train=config.validation, pose_network=pose_network, epochs=1)
    best = train(first)
    named = f"image.pth, SHA-256 {file_sha256(image_weights)}"
    assert read_checkpoint(best).provenance["started_from"] == {"pose_network": named}
    # A resumed run may no longer have the file that it was started from.
    second = replace(first, init=str(best), output=str(tmp_path / "second"))
    train(second)
    (tmp_path / "run" / "best.safetensors").rename(tmp_path / "elsewhere.safetensors")
    last = train(replace(second, epochs=2, resume="last")).with_name("last.safetensors")
    named = f"run/best.safetensors, SHA-256 {file_sha256(tmp_path / 'elsewhere.safetensors')}"
    provenance = read_checkpoint(last).provenance
    assert provenance["epoch"] == 1
    assert provenance["started_from"] == {"network": named, "pose_network": named}


def test_the_same_seed_gives_the_same_weights(config, tmp_path):
    once = replace(config, objective=STEREO, epochs=1)
    runs = [replace(once, output=str(tmp_path / name), seed=seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))]
    a, b, c = (read_checkpoint(train(run)).network.state_dict() for run in runs)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not all(torch.equal(a[key], c[key]) for key in a)


def test_stereo_alone_needs_no_pose_network(config):
    best = train(replace(config, objective=STEREO, epochs=1))
    assert read_checkpoint(best).pose_network is None


def test_metres_per_unit_follows_from_the_baseline(config, tmp_path):
    part = replace(config.train[0], options={"baseline": 0.1})
    settings = replace(config, train=[part], validation=[part], objective=STEREO, metres_per_unit=None, epochs=1)
    best = train(settings)
    assert read_checkpoint(best).scale.metres_per_unit == 5.0
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["metres_per_unit"] == 5.0


def test_a_run_trains_in_bfloat16_and_channels_last(config):
    network = NetworkConfig("hrdepth", {"backbone": "test_efficientnet"})
    best = train(replace(config, network=network, precision="bf16-mixed", channels_last=True, epochs=1))
    state = read_checkpoint(best).network.state_dict()
    assert all(torch.isfinite(value).all() for value in state.values())


def test_init_loads_depth_and_pose_network(config, begun):
    start = read_checkpoint(begun)
    objective = build_training_objective(replace(config, init=str(begun), seed=5))
    assert torch.equal(objective.network.state_dict()["decoder.heads.0.conv.bias"],
                       start.network.state_dict()["decoder.heads.0.conv.bias"])  # fmt: skip
    assert torch.equal(objective.pose_network.state_dict()["decoder.2.bias"],
                       start.pose_network.state_dict()["decoder.2.bias"])  # fmt: skip
    with pytest.raises(InputError, match="holds hrdepth .* wants lite_hrdepth"):
        build_training_objective(replace(config, init=str(begun), network=NetworkConfig("lite_hrdepth")))


def test_freeze_depth_steps_freezes_depth_while_the_pose_network_trains(config, begun, tmp_path):
    start = read_checkpoint(begun)

    def changed(name, steps, epochs=1):
        """Whether depth parameters, statistics of depth's batch norm and pose parameters changed."""
        log = LogConfig(every_steps=1, panels_every_steps=1, panels=1)
        run = replace(config, init=str(begun), freeze_depth_steps=steps, epochs=epochs, output=str(tmp_path / name))
        train(replace(run, log=log))
        after = read_checkpoint(tmp_path / name / "last.safetensors")
        found = []
        for of in ("network", "pose_network"):
            old, new = getattr(start, of).state_dict(), getattr(after, of).state_dict()
            found.append({key for key, value in old.items() if not torch.equal(value, new[key])})
        statistics = {key for key in found[0] if key.endswith(("running_mean", "running_var", "num_batches_tracked"))}
        return [bool(found[0] - statistics), bool(statistics), bool(found[1])]

    assert changed("held", 2) == [False, False, True]  # an epoch is two steps
    assert changed("held after a validation and panels", 4, epochs=2) == [False, False, True]
    assert changed("let go", 1) == [True, True, True]


def test_init_with_another_depth_range_is_refused(config, begun):
    other = NetworkConfig(NETWORK.name, {**NETWORK.options, "max_depth": 50.0})
    with pytest.raises(InputError, match=r"0\.1 to 100, the run 0\.1 to 50"):
        build_training_objective(replace(config, init=str(begun), network=other))


def test_a_run_stopped_by_its_time_limit_writes_weights(config, tmp_path):
    train(replace(config, epochs=10_000, max_minutes=0.002))
    assert 0 < read_checkpoint(tmp_path / "run" / "last.safetensors").provenance["step"] < 20_000


def test_ctrl_c_saves_the_weights_so_far(config, tmp_path, monkeypatch):
    forward, calls = ViewSynthesis.forward, []

    def interrupted(self, batch):
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return forward(self, batch)

    monkeypatch.setattr(ViewSynthesis, "forward", interrupted)
    handler = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        train(replace(config, epochs=50))
    assert signal.getsignal(signal.SIGINT) is handler
    assert 0 < read_checkpoint(tmp_path / "run" / "last.safetensors").provenance["step"] <= 3


def test_the_learning_rate_falls_after_its_epoch(config, tmp_path):
    train(replace(config, epochs=2, optimiser=OptimiserConfig(1e-3, decay_after=1, decay=0.5, weight_decay=1e-2)))
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    rates = [float(row["lr-AdamW"]) for row in rows if row["lr-AdamW"]]
    assert (rates[0], rates[-1]) == (1e-3, 5e-4)


def test_results_are_never_overwritten(config, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        train(config)
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"size": (100, 96)}, "multiples of 32"),
        ({"batch_size": 0}, "batch_size"),
        ({"batch_size": 100}, "do not fill one batch"),
        ({"precision": "16"}, "precision '16'"),
        ({"train": []}, "no data set"),
        ({"size": (32, 96)}, "at least 64"),
        ({"freeze_depth_steps": -1}, "freeze_depth_steps -1"),
        ({"device": "gpuu"}, "unknown device .gpuu.; use auto"),
        ({"initial_depth": 500.0}, "outside the network's range"),
        ({"optimiser": OptimiserConfig(decay_after=0)}, "decay_after"),
        ({"network": NetworkConfig("lite_hrdept")}, "did you mean 'lite_hrdepth'"),
        # Before any data are opened: there are none.
        ({"network": NetworkConfig("hrdepth", {"widht": 3}), "train": []}, "has no option 'widht'"),
        ({"pose_network": NetworkConfig("posenet", {"layers": 3}), "train": []}, "has no option 'layers'"),
    ],
)
def test_impossible_settings_are_refused(config, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        train(replace(config, **changes))


def test_a_weight_that_draws_no_sample_is_refused_before_the_run_begins(config, tmp_path):
    small = replace(split(Path(config.train[0].root), "four"), weight=0.1)
    sentence = "weight 0.1 of its 4 samples is less than one an epoch; give at least 0.25, or leave"
    for parts in ([small], [*config.train, small]):
        with pytest.raises(InputError, match=re.escape(f"data set 'folder' at {small.root}: {sentence}")):
            train(replace(config, train=parts))
    assert not (tmp_path / "run").exists()
    # The least weight named draws one sample; a weight of validation is not used.
    parts = {"train": [*config.train, replace(small, weight=0.25)], "validation": [small]}
    assert len(build_loaders(replace(config, **parts))["train"].sampler) == 3


@pytest.mark.parametrize(
    ("depth", "objective", "warned"),
    [
        (3.0, ObjectiveConfig(frames=[-1, 1]), True),
        (0.3, ObjectiveConfig(frames=[-1, 1]), False),
        (None, ObjectiveConfig(frames=[-1, 1]), False),
        (3.0, ObjectiveConfig(frames=[-1, 1, "s"]), False),
        (3.0, ObjectiveConfig("supervised", frames=[]), False),
    ],
)
def test_a_far_initial_depth_without_stereo_gives_a_warning(config, caplog, depth, objective, warned):
    settings = replace(config, initial_depth=depth, objective=objective, train=[])
    with caplog.at_level(logging.WARNING), pytest.raises(InputError, match="no data set"):
        train(settings)
    assert ("leave it null, or below 1" in caplog.text) == warned


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")
def test_a_run_trains_on_cuda(config):
    train(replace(config, device="cuda", precision="bf16-mixed", channels_last=True, epochs=1))
