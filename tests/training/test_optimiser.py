"""Tests of training/optimiser.py and training/weight_files.py."""

import csv
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import nn

from hrdepth.config import AugmentConfig, GuardConfig, OptimiserConfig, check_values
from hrdepth.errors import InputError
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.training import build_training_objective, train
from hrdepth.training.loop import DepthModule
from hrdepth.training.optimiser import build_optimiser, build_schedule, learning_rate_factor, scale_learning_rate
from tiny_training import tiny_training


def factors(config, steps=8, steps_an_epoch=2):
    return [learning_rate_factor(config, step, steps, steps_an_epoch) for step in range(steps)]


def test_schedules_give_the_documented_factors():
    step = factors(OptimiserConfig(decay_after=3, decay=0.1))
    assert step == [1.0] * 6 + [0.1] * 2
    assert factors(OptimiserConfig(schedule="constant")) == [1.0] * 8
    cosine = factors(OptimiserConfig(schedule="cosine", floor=0.2))
    assert cosine[0] == 1
    assert cosine[4] == pytest.approx(0.6)  # halfway between 1 and the floor
    assert cosine == sorted(cosine, reverse=True)
    assert learning_rate_factor(OptimiserConfig(schedule="cosine", floor=0.2), 8, 8, 2) == pytest.approx(0.2)


def test_a_learning_rate_is_scaled_only_where_it_is_asked_for(caplog):
    caplog.set_level("INFO")
    config = tiny_training("run", batch_size=4, accumulate=3, devices=2, nodes=2)
    assert scale_learning_rate(config) is config
    assert not caplog.records
    asked = replace(config, optimiser=OptimiserConfig(1e-4, reference_batch=12))
    scaled = scale_learning_rate(asked)
    assert scaled.optimiser.learning_rate == pytest.approx(4e-4)
    assert "learning rate 0.0001 x 48 / 12 = 0.0004" in caplog.text
    assert scale_learning_rate(scaled) is scaled  # a resumed run, by its own config.yaml
    with pytest.raises(InputError, match="reference_batch"):
        check_values(replace(config, optimiser=OptimiserConfig(reference_batch=0)))


def test_warmup_rises_linearly():
    assert factors(OptimiserConfig(schedule="constant", warmup_steps=4)) == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_a_schedule_resumes_from_its_state():
    def build():
        optimiser = build_optimiser([nn.Parameter(torch.ones(1))], config)
        return optimiser, build_schedule(optimiser, config, 8, 2)

    config = OptimiserConfig(schedule="cosine", warmup_steps=2)
    (optimiser, schedule), (resumed, rest) = build(), build()
    for step in range(8):
        if step == 3:
            rest.load_state_dict(schedule.state_dict())
            resumed.load_state_dict(optimiser.state_dict())
        for each, course in ((optimiser, schedule), *(((resumed, rest),) if step >= 3 else ())):
            each.step()
            course.step()
    assert rest.get_last_lr() == schedule.get_last_lr()
    assert resumed.param_groups[0]["lr"] == optimiser.param_groups[0]["lr"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"schedule": "linear"}, "give step, cosine or constant"),
        ({"floor": 2.0}, "optimiser.floor"),
        ({"warmup_steps": -1}, "optimiser.warmup_steps"),
        ({"gradient_clip": 0.0}, "optimiser.gradient_clip"),
        ({"learning_rate": -1e-4}, "optimiser.learning_rate -0.0001 must be positive"),
        ({"learning_rate": float("nan")}, "optimiser.learning_rate nan must be positive, and finite"),
        ({"decay": -0.1}, "optimiser.decay -0.1 must lie between 0 and 1"),
        ({"weight_decay": -0.1}, "optimiser.weight_decay -0.1 must be 0 or more"),
    ],
)
def test_impossible_optimiser_settings_are_refused(tiny, settings, sentence):
    with pytest.raises(InputError, match=sentence):
        train(replace(tiny, optimiser=OptimiserConfig(**settings)))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"accumulate": 0}, "accumulate 0"),
        ({"average": 1.0}, "average 1 must lie"),
        ({"early_stop": 0}, "early_stop 0"),
        ({"checkpoint_minutes": -1.0}, "checkpoint_minutes"),
        ({"max_minutes": 0.0}, "max_minutes 0 must be positive"),
        ({"metres_per_unit": float("inf")}, "metres_per_unit inf must be positive, and finite"),
        ({"initial_depth": -3.0}, "initial_depth -3 must be positive"),
        ({"seed": -1}, "seed -1 must be 0 or more"),
        ({"seed": 2**32}, "seed 4294967296 must be below"),
        ({"augment": AugmentConfig(contrast=-0.2)}, "augment.contrast -0.2 must lie between 0 and 1"),
        ({"guard": GuardConfig(max_motion=0.0)}, "guard.max_motion 0 must be positive"),
        ({"devices": 0}, "devices 0"),
        ({"devices": 3, "strategy": "ddp"}, "3 processes"),
        ({"sync_batch_norm": True}, "needs CUDA"),
        ({"strategy": "telepathy"}, "strategy 'telepathy' cannot work here"),
    ],
)
def test_impossible_run_settings_are_refused(tiny, changes, sentence):
    with pytest.raises(InputError, match=sentence):
        train(replace(tiny, **changes))


def test_gradients_are_clipped_together(tiny):
    module = DepthModule(build_training_objective(tiny), OptimiserConfig(gradient_clip=0.5))
    parameters = list(module.objective.parameters())
    for parameter in parameters:
        parameter.grad = torch.ones_like(parameter)
    module.configure_gradient_clipping(None)
    norm = torch.stack([parameter.grad.norm() for parameter in parameters]).norm()
    assert float(norm) == pytest.approx(0.5, rel=1e-4)


def test_accumulated_batches_make_one_step(tiny):
    train(replace(tiny, epochs=1, accumulate=3))
    rows = list(csv.DictReader((Path(tiny.output) / "metrics.csv").open()))
    # 4 batches: a step of three, and one of the one that is left.
    assert torch.load(Path(tiny.output) / "last.ckpt", weights_only=True)["global_step"] == 2
    assert max(int(row["step"]) for row in rows) == 1


def test_the_average_is_validated_and_written(tiny, monkeypatch):
    validated = []
    forward = ViewSynthesis.forward

    def watched(self, batch):
        if not self.training:
            validated.append(self.state_dict())
        return forward(self, batch)

    monkeypatch.setattr(ViewSynthesis, "forward", watched)
    train(replace(tiny, epochs=1, average=0.5))
    state = torch.load(Path(tiny.output) / "last.ckpt", weights_only=True)["state_dict"]
    from hrdepth.weights.checkpoint import read_checkpoint

    written = read_checkpoint(Path(tiny.output) / "last.safetensors").network.state_dict()
    for name, value in written.items():
        assert torch.equal(value, state[f"average.module.network.{name}"])
        assert torch.equal(value, validated[-1][f"network.{name}"])
    assert any(not torch.equal(value, state[f"objective.network.{name}"]) for name, value in written.items())


def test_the_average_is_that_of_the_weights(tiny):
    module = DepthModule(build_training_objective(tiny), OptimiserConfig(), average=0.75)
    parameter = next(module.objective.parameters())
    expected = None
    for value in (1.0, 2.0, 4.0):
        with torch.no_grad():
            parameter.fill_(value)
        module.average.update_parameters(module.objective)
        expected = value if expected is None else 0.75 * expected + 0.25 * value
    assert float(next(module.eval_objective.parameters()).mean()) == pytest.approx(expected)
    assert not any(parameter.requires_grad for parameter in module.average.parameters())


def test_a_compiled_network_does_not_tie_the_average_to_the_last_weights(tiny, monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    objective = build_training_objective(replace(tiny, compile_networks=True))
    network = objective.network
    assert network._compiled_call_impl is not None
    module = DepthModule(objective, OptimiserConfig(), average=0.5).eval()
    image = torch.rand(1, 3, 64, 96)
    before = module.eval_objective.network(image)[0]
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(2)
    assert torch.equal(module.eval_objective.network(image)[0], before)
    assert not torch.equal(network(image)[0], before)


def test_training_stops_early_without_improvement(tiny):
    still = OptimiserConfig(1e-12, schedule="constant")
    train(replace(tiny, train=tiny.validation, optimiser=still, epochs=20, early_stop=2))
    state = torch.load(Path(tiny.output) / "last.ckpt", weights_only=True)
    assert state["global_step"] < 20
