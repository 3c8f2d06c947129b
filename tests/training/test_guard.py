"""Tests of training/guard.py and training/health.py."""

import logging
from collections import Counter
from dataclasses import replace

import pytest
import torch
import yaml

from hrdepth.cli import main
from hrdepth.config import GuardConfig, NetworkConfig, ObjectiveConfig, OptimiserConfig, check_values
from hrdepth.data import build_mix
from hrdepth.data.dataset import FrameDataset
from hrdepth.data.mixing import MixedSampler
from hrdepth.errors import InputError, TrainingStopped
from hrdepth.networks.pose import PoseNet
from hrdepth.objectives import Output
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.training import build_training_objective, train
from hrdepth.training.health import CollapseDetector, StepRecord, StepStatistics
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from tiny_networks import NETWORK, POSE_NETWORK
from tiny_training import split, tiny_training

NAN = float("nan")
# Seen to be good in so few steps, with these seeds.
GOOD = {
    "network": NetworkConfig("lite_hrdepth"),
    "pose_network": NetworkConfig("posenet", {"backbone": "mobilenetv3_small_100"}),
}
QUICK = GuardConfig(patience=2, keep_every_steps=1)


@pytest.fixture
def config(drives, tmp_path):
    """Three batches of two samples an epoch."""
    return tiny_training(
        tmp_path / "run",
        split(drives, "six"),
        validation=[split(drives, "two")],
        pose_network=NetworkConfig("posenet", {"backbone": "test_resnet"}),
        objective=ObjectiveConfig(frames=[-1], options={"scales": [0]}),
    )


def test_infinity_disables_the_check_of_motion(config):
    check_values(replace(config, guard=GuardConfig(max_motion=float("inf"))))
    for guard, sentence in (
        (GuardConfig(max_motion=NAN), "guard.max_motion nan must be positive$"),
        (GuardConfig(max_rotation=float("inf")), "guard.max_rotation inf must be positive, and finite"),
    ):
        with pytest.raises(InputError, match=sentence):
            check_values(replace(config, guard=guard))


def order(config, epoch=0):
    """The frames of an epoch's batches, as the sampler gives them: [["drive 3 l (...)", ...], ...]."""
    mix = build_mix(config.train, config.objective.frames, config.size)
    sampler = MixedSampler([len(part) for part in mix.datasets], [data.weight for data in config.train], config.seed)
    sampler.set_epoch(epoch)
    names = [mix.name(item) for item in sampler]
    return [names[i : i + config.batch_size] for i in range(0, len(names), config.batch_size)]


def stopped(config):
    with pytest.raises(TrainingStopped) as caught:
        train(config)
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def weights(path):
    checkpoint = read_checkpoint(path)
    parts = {"network": checkpoint.network, "pose_network": checkpoint.pose_network}
    state = {f"{part}.{key}": v for part, module in parts.items() if module for key, v in module.state_dict().items()}
    assert all(value.isfinite().all() for value in state.values())
    return state, checkpoint.provenance


def poison(monkeypatch, key, frame, *, training=True):
    """Put a NaN into a tensor of one frame's sample."""
    load = FrameDataset.__getitem__

    def poisoned(self, item):
        sample = load(self, item)
        if self.reader.targets[item % len(self)].frame == frame and (self.augment is not None) == training:
            sample[key] = sample[key].clone(memory_format=torch.contiguous_format)
            sample[key].view(-1)[5] = NAN
        return sample

    monkeypatch.setattr(FrameDataset, "__getitem__", poisoned)


@pytest.mark.parametrize(
    ("key", "fault"),
    [
        ("target", "input image 'target' holds NaN"),
        ("sources_augmented", "input image 'sources_augmented' holds NaN"),
        ("intrinsics", "input 'intrinsics' holds NaN"),
    ],
)
def test_a_nan_in_an_input_names_only_its_frame(config, tmp_path, monkeypatch, key, fault):
    batches = order(config)
    step, name = 1, batches[1][0]
    poison(monkeypatch, key, int(name.split()[1]))
    sentence = stopped(config)
    assert sentence.startswith(f"training stopped at step {step}: {fault}, on frame {name}; ")
    assert all(other not in sentence for batch in batches for other in batch if other != name)
    assert "panels/stopped.png" in sentence
    assert (tmp_path / "run" / "panels" / "stopped.png").exists()
    # Batch norm took the NaN in before anybody could know; the file is without.
    state, about = weights(tmp_path / "run" / "last.safetensors")
    assert about["step"] == 0
    start = build_start(config)
    assert all(torch.equal(state[key], value) for key, value in start.items())
    assert not (tmp_path / "run" / "stopped.safetensors").exists()


def build_start(config):
    from lightning import seed_everything

    seed_everything(config.seed, verbose=False)
    return build_training_objective(config).state_dict()


def test_a_learning_rate_that_overflows_is_caught_before_the_weights_are_written(config, tmp_path):
    sentence = stopped(replace(config, optimiser=OptimiserConfig(1e30)))
    assert "at step 1: disparity at scale 0 holds NaN, on frame" in sentence
    assert all(name in sentence for name in order(config)[1])
    assert "lower optimiser.learning_rate" in sentence
    assert "last.safetensors holds the initial weights of this run" in sentence
    state, _ = weights(tmp_path / "run" / "last.safetensors")
    assert all(torch.equal(state[key], value) for key, value in build_start(config).items())


def test_the_guard_checks_every_n_steps(config, tmp_path):
    guard = GuardConfig(every_steps=2)
    sentence = stopped(replace(config, optimiser=OptimiserConfig(1e30), guard=guard))
    assert "at step 2: parameter network." in sentence
    weights(tmp_path / "run" / "last.safetensors")


def test_weights_that_are_nan_from_the_start_are_named(config, tmp_path):
    start = build_training_objective(config)
    with torch.no_grad():
        start.network.decoder.heads[0].conv.bias[0] = NAN
    save_checkpoint(tmp_path / "bad.safetensors", start.network, config.network, size=config.size)
    sentence = stopped(replace(config, init=str(tmp_path / "bad.safetensors")))
    assert "parameter network.decoder.heads.0.conv.bias holds NaN" in sentence
    assert "check the weights file of init" in sentence
    assert sentence.endswith("there are no good weights")
    assert not list((tmp_path / "run").glob("*.safetensors"))


def test_a_nan_in_a_gradient_only_is_found(config, tmp_path, monkeypatch):
    compute = ViewSynthesis.losses

    def steep(self, output, batch):
        losses = compute(self, output, batch)
        slope = torch.sqrt(0 * self.network.decoder.heads[0].conv.bias).sum()  # finite, its gradient is not
        return {**losses, "loss": losses["loss"] + slope}

    monkeypatch.setattr(ViewSynthesis, "losses", steep)
    sentence = stopped(config)
    assert "at step 0: gradient of network.decoder.heads.0.conv.bias holds NaN, on frame" in sentence
    assert all(name in sentence for name in order(config)[0])
    weights(tmp_path / "run" / "last.safetensors")


def test_a_nan_in_the_loss_only_is_found(config, monkeypatch):
    compute = ViewSynthesis.losses
    monkeypatch.setattr(
        ViewSynthesis, "losses", lambda *args: {key: value + NAN for key, value in compute(*args).items()}
    )
    assert "at step 0: 'loss/scale0' holds NaN, on frame" in stopped(config)


def test_a_nan_in_validation_names_its_frame_and_leaves_the_weights(config, tmp_path, monkeypatch):
    poison(monkeypatch, "target_augmented", 5, training=False)
    sentence = stopped(replace(config, guard=QUICK))
    assert "at step 3: input image 'target_augmented' holds NaN, on validation frame drive 5 l (" in sentence
    assert sentence.endswith("last.safetensors holds the last good weights, from step 2")
    assert weights(tmp_path / "run" / "last.safetensors")[1]["step"] == 2


def test_a_saturated_disparity_stops_the_run(config, tmp_path):
    start = build_training_objective(config)
    with torch.no_grad():
        for head in start.network.decoder.heads:
            head.conv.bias.fill_(-30.0)
    save_checkpoint(tmp_path / "far.safetensors", start.network, config.network, size=config.size)
    guard = GuardConfig(patience=3, warmup_steps=0)
    sentence = stopped(replace(config, init=str(tmp_path / "far.safetensors"), guard=guard))
    assert "at step 2: disparity at scale 0 is nearly constant for 3 steps" in sentence
    assert "depth is about 100 units, on frame" in sentence
    assert all(name in sentence for name in order(config)[2])
    assert "K is in pixels" in sentence
    assert "stopped.safetensors" in sentence
    weights(tmp_path / "run" / "stopped.safetensors")


def test_a_high_learning_rate_that_collapses_the_disparity_stops_the_run(config, tmp_path):
    # Nothing is patched here: such steps make every feature of the decoder constant.
    config = replace(config, objective=ObjectiveConfig(frames=["s"]), optimiser=OptimiserConfig(0.1), epochs=20)
    sentence = stopped(replace(config, guard=GuardConfig(warmup_steps=2, patience=5, keep_every_steps=1)))
    assert "disparity at scale 0 is nearly constant for 5 steps" in sentence
    step = int(sentence.split()[4].rstrip(":"))
    assert all(name in sentence for name in order(config, epoch=step // 3)[step % 3])
    state, about = weights(tmp_path / "run" / "last.safetensors")
    bad, _ = weights(tmp_path / "run" / "stopped.safetensors")
    assert 0 < about["step"] == step - 5
    assert not all(torch.equal(state[key], bad[key]) for key in state)


def test_a_high_learning_rate_that_explodes_the_pose_stops_the_run(config, tmp_path):
    sentence = stopped(replace(config, epochs=20, optimiser=OptimiserConfig(0.03), guard=GuardConfig(patience=5)))
    assert "translation of the pose network explodes: up to" in sentence
    assert "last.safetensors holds the initial weights of this run" in sentence
    assert weights(tmp_path / "run" / "last.safetensors")[1]["step"] == 0


@pytest.mark.parametrize(
    ("part", "fault"), [(0, "axis-angle of the pose network explodes"), (1, "translation of the pose network explodes")]
)
def test_an_exploding_pose_stops_the_run(config, tmp_path, monkeypatch, part, fault):
    forward, calls = PoseNet.forward, Counter()

    def exploding(self, pair):
        motion = list(forward(self, pair))
        calls["training"] += self.training
        if self.training and calls["training"] > 3:
            motion[part] = motion[part].clone()
            motion[part][0] += 1e4  # the first sample with its neighbour at -1
        return tuple(motion)

    monkeypatch.setattr(PoseNet, "forward", exploding)
    sentence = stopped(replace(config, guard=QUICK))
    # Epoch 1 begins with step 3; it is the second bad step that stops the run.
    assert f"at step 4: {fault}" in sentence
    name, other = order(config, epoch=1)[1]
    assert f"for 2 steps, on frame {name}; " in sentence
    assert other not in sentence
    # Validated at step 3, before the first look at the weights that exploded: only those of step 2 are known as good.
    assert weights(tmp_path / "run" / "last.safetensors")[1]["step"] == 2
    assert weights(tmp_path / "run" / "stopped.safetensors")[1]["step"] == 4


def test_the_last_good_weights_are_the_validated_ones_of_the_same_step(config, tmp_path, monkeypatch):
    compute, calls = ViewSynthesis.losses, Counter()

    def late(self, output, batch):
        calls["training"] += self.training
        losses = compute(self, output, batch)
        return {key: value + NAN for key, value in losses.items()} if calls["training"] == 6 else losses

    monkeypatch.setattr(ViewSynthesis, "losses", late)
    assert stopped(config).endswith("last.safetensors holds the last good weights, from step 3")
    about = weights(tmp_path / "run" / "last.safetensors")[1]
    assert about["step"] == 3
    assert about["validation_loss"] is not None


@pytest.mark.slow
def test_the_guard_does_not_change_a_clean_run(config, tmp_path, caplog):
    config = replace(config, **GOOD)
    with caplog.at_level(logging.WARNING):
        on, off = (
            weights(train(replace(config, epochs=2, output=str(tmp_path / str(enabled)), guard=guard)))[0]
            for enabled, guard in ((True, replace(QUICK, warmup_steps=0)), (False, GuardConfig(enabled=False)))
        )
    assert all(torch.equal(on[key], off[key]) for key in on)
    assert not [record for record in caplog.records if record.name.startswith("hrdepth.training")]
    assert not list((tmp_path / "True" / "panels").iterdir())


def test_no_nan_is_written_without_the_guard(config, tmp_path):
    sentence = stopped(replace(config, optimiser=OptimiserConfig(1e30), guard=GuardConfig(enabled=False)))
    assert "the validation loss of epoch 0 is nan; set guard.enabled" in sentence
    assert not list((tmp_path / "run").glob("*.safetensors"))


def health(**changes):
    return StepStatistics(1.0, 0.1, 0.1, spread=0.5, nearness=0.2, motion=0.1, rotation=0.01)._replace(**changes)


def step_of(scale):
    return StepRecord({}, Output({scale: torch.zeros(1)}, torch.zeros(1), torch.zeros(1)))


def steps_found(config, spreads):
    detector, step = CollapseDetector(config), step_of(0)
    verdicts = [detector.update(health(spread=spread), i, step, torch.nn.Module()) for i, spread in enumerate(spreads)]
    return [i for i, verdict in enumerate(verdicts) if verdict is not None]


def test_a_disparity_collapses_once_it_has_varied_or_should_have():
    config = GuardConfig(patience=3, warmup_steps=8)
    assert steps_found(config, [0.001] * 12) == [10, 11]
    assert steps_found(config, [0.001, 0.001, 0.3, 0.001, 0.001, 0.001]) == [5]
    assert steps_found(config, [0.3, 0.001, 0.001, 0.003, 0.001, 0.001]) == []


def test_a_resumed_detector_continues_its_counts():
    detector, step = CollapseDetector(GuardConfig(patience=3)), step_of(0)
    for number, spread in enumerate((0.3, 0.001, 0.001)):
        assert detector.update(health(spread=spread), number, step, torch.nn.Module()) is None
    resumed = CollapseDetector(GuardConfig(patience=3))
    resumed.load_state_dict(detector.state_dict())
    assert resumed.is_suspicious
    assert resumed.update(health(spread=0.001), 3, step, torch.nn.Module()) is not None


def test_the_batches_of_an_accumulated_step_count_once():
    detector, step = CollapseDetector(GuardConfig(patience=3)), step_of(0)
    detector.update(health(spread=0.3), 0, step, torch.nn.Module())
    found = [detector.update(health(spread=0.001), number // 4, step, torch.nn.Module()) for number in range(4, 16)]
    assert [number for number, fault in enumerate(found) if fault is not None] == [8, 9, 10, 11]


def test_the_command_line_prints_one_message(config, tmp_path, capsys):
    root = config.train[0].root
    part = {"dataset": "folder", "root": root, "split": f"{root}/train.txt"}
    settings = {
        "train": [part], "validation": [part], "output": str(tmp_path / "run"), "network": vars(NETWORK),
        "pose_network": vars(POSE_NETWORK), "size": [64, 96], "batch_size": 2, "workers": 0,
        "optimiser": {"learning_rate": 1e30}, "device": "cpu", "guard": {"every_steps": 1},
    }  # fmt: skip
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(settings))
    assert main(["train", "--config", str(tmp_path / "run.yaml")]) == 2
    error = capsys.readouterr().err
    assert "hrdepth: training stopped at step 1: disparity at scale 0 holds NaN" in error
    assert "Traceback" not in error
