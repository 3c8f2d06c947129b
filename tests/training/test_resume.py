"""Tests of training/state.py and checkpoint_schedule.py."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from time import monotonic

import pytest
import torch
import yaml

from damage import flip_bit
from hrdepth.config import GuardConfig, LogConfig, ObjectiveConfig, OptimiserConfig
from hrdepth.config.setting_files import plain_settings
from hrdepth.data.mixing import MixedSampler
from hrdepth.errors import InputError
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.training import train
from hrdepth.training.checkpoint_file import CheckpointFile
from hrdepth.training.loop import DepthModule
from hrdepth.training.state import find_start
from hrdepth.weights.checkpoint import read_checkpoint


class Killed(BaseException):
    """Nobody handles it."""


def at_training_batch(monkeypatch, number, action):
    """Do something when training sees its `number`-th batch."""
    forward, seen = ViewSynthesis.forward, []

    def disturbed(self, batch):
        if self.training:
            seen.append(1)
            if len(seen) == number:
                action()
        return forward(self, batch)

    monkeypatch.setattr(ViewSynthesis, "forward", disturbed)


def die():
    raise Killed


def broken_off(config, monkeypatch, number):
    """Train until the `number`-th batch, and die in it; each step before leaves a checkpoint."""
    with monkeypatch.context() as patch:
        at_training_batch(patch, number, die)
        with pytest.raises(Killed):
            train(replace(config, checkpoint_minutes=0))


@pytest.fixture(scope="module")
def finished(tiny_settings, tmp_path_factory):
    """The config of a run of one step, of which tests take a copy."""
    output = str(tmp_path_factory.mktemp("finished") / "run")
    config = replace(tiny_settings, train=tiny_settings.validation, epochs=1, output=output)
    train(config)
    return config


@pytest.fixture
def again(finished, tmp_path):
    """A copy of that run, to be resumed for a second step."""
    shutil.copytree(finished.output, tmp_path / "again")
    return replace(finished, output=str(tmp_path / "again"), epochs=2, resume="last")


def training_state(config):
    return torch.load(Path(config.output) / "last.ckpt", weights_only=True)


def assert_same(left, right):
    """Weights, averages, optimiser and schedule are equal bit by bit."""
    a, b = training_state(left), training_state(right)
    assert a["global_step"] == b["global_step"]
    assert all(torch.equal(value, b["state_dict"][name]) for name, value in a["state_dict"].items())
    assert a["lr_schedulers"][0]["_last_lr"] == b["lr_schedulers"][0]["_last_lr"]
    for index, state in a["optimizer_states"][0]["state"].items():
        assert all(torch.equal(value, b["optimizer_states"][0]["state"][index][name]) for name, value in state.items())
    for name in ("last", "best"):
        x, y = (read_checkpoint(Path(config.output) / f"{name}.safetensors") for config in (left, right))
        other = y.network.state_dict()
        assert all(torch.equal(value, other[key]) for key, value in x.network.state_dict().items())
        assert x.provenance["step"] == y.provenance["step"]


def ended(config):
    """What run.json says ended the run."""
    return json.loads((Path(config.output) / "run.json").read_text()).get("ended")


def history(config):
    """The rows of metrics.csv without what a clock says."""
    clocks = ("minutes", "samples_per_second")
    rows = list(csv.DictReader((Path(config.output) / "metrics.csv").open()))
    return [{key: float(value) for key, value in row.items() if value and key not in clocks} for row in rows]


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"batch_size": 2}, 2),  # within the first epoch
        pytest.param({"workers": 1}, 7, marks=pytest.mark.slow),  # within the second, with batches loaded ahead
        ({}, 5),  # at the border of the epochs
        pytest.param({"accumulate": 2, "average": 0.9}, 7, marks=pytest.mark.slow),
        pytest.param(
            {
                "objective": ObjectiveConfig(frames=[-1, 1, "s"]),
                "optimiser": OptimiserConfig(1e-3, schedule="cosine", warmup_steps=3, gradient_clip=0.1),
            },
            4,
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_run_that_was_killed_and_resumed_ends_bit_equal(tiny, trained, tmp_path, monkeypatch, changes, number):
    undisturbed = replace(tiny, **changes) if changes else trained
    if changes:
        train(undisturbed)
    config = replace(tiny, **changes, output=str(tmp_path / "killed"))
    broken_off(config, monkeypatch, number)
    best = train(replace(config, resume="last"))
    assert best == tmp_path / "killed" / "best.safetensors"
    assert_same(undisturbed, config)
    assert history(undisturbed) == history(config)


@pytest.mark.slow
def test_a_run_killed_in_mid_epoch_resumes_bit_equal(tiny, trained, tmp_path):
    config = replace(tiny, output=str(tmp_path / "killed"), checkpoint_minutes=0)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain_settings(config)))
    script = """
import os, signal, sys
from hrdepth.cli import main
from hrdepth.objectives.view_synthesis import ViewSynthesis
forward, seen = ViewSynthesis.forward, []
def disturbed(self, batch):
    seen.append(1)
    if len(seen) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return forward(self, batch)
ViewSynthesis.forward = disturbed
main(["train", "--config", sys.argv[1]])
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", script, str(tmp_path / "config.yaml")]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    assert training_state(config)["global_step"] == 3
    (tmp_path / "killed" / ".cut-short.ckpt").write_bytes(b"killed while writing")
    train(replace(config, resume="last"))
    assert_same(trained, config)
    assert not list((tmp_path / "killed").glob(".*"))


@pytest.fixture(scope="module")
def accumulated(tiny_settings, tmp_path_factory):
    """The config of a run of two batches a step that no signal stops."""
    config = replace(tiny_settings, accumulate=2, output=str(tmp_path_factory.mktemp("accumulated") / "run"))
    train(config)
    return config


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_between_two_steps_and_the_run_can_be_resumed(accumulated, tmp_path, monkeypatch, number):
    config = replace(accumulated, output=str(tmp_path / "stopped"))
    handler = signal.getsignal(number)
    with monkeypatch.context() as patch:
        at_training_batch(patch, 1, lambda: signal.raise_signal(number))
        with pytest.raises(KeyboardInterrupt):
            train(config)
    assert ended(config) is None
    assert signal.getsignal(number) is handler
    assert training_state(config)["global_step"] == 1
    train(replace(config, resume="last"))
    assert_same(accumulated, config)
    assert history(accumulated) == history(config)


def test_a_time_limit_in_mid_epoch_does_not_change_the_result(tiny, trained, tmp_path, monkeypatch):
    """The validation that ends such a run is one that an undisturbed run does not make."""
    config = replace(tiny, output=str(tmp_path / "short"), max_minutes=60.0)
    with monkeypatch.context() as patch:
        late = []
        # Not the clock of the whole process, by which the served page of other tests sleeps.
        patch.setattr("hrdepth.training.checkpoint_schedule.monotonic", lambda: monotonic() + sum(late))
        at_training_batch(patch, 6, lambda: late.append(4000.0))
        compute = ViewSynthesis.losses

        def best_at_the_end(self, output, batch):
            losses = compute(self, output, batch)
            return losses if self.training or not late else {name: loss / 100 for name, loss in losses.items()}

        patch.setattr(ViewSynthesis, "losses", best_at_the_end)
        train(config)
    assert (ended(trained), ended(config)) == ("epochs", "max_minutes")
    assert training_state(config)["global_step"] == 6
    for name in ("last", "best"):
        assert read_checkpoint(tmp_path / "short" / f"{name}.safetensors").provenance["step"] == 6
    train(replace(config, resume="last"))
    assert ended(config) == "epochs"
    assert_same(trained, config)
    assert history(trained) == history(config)
    assert not list((tmp_path / "short").glob(".*"))


def test_rows_after_the_checkpoint_are_written_once(tiny, trained, tmp_path, monkeypatch):
    log = LogConfig(every_steps=1, panels_every_steps=3, panels=1)
    config = replace(tiny, log=log, epochs=1, checkpoint_minutes=0)
    copy = tmp_path / "copy.ckpt"
    with monkeypatch.context() as patch:
        at_training_batch(patch, 4, lambda: shutil.copy(tmp_path / "run" / "last.ckpt", copy))
        train(config)
    rows = history(config)
    assert rows == history(trained)[: len(rows)]
    train(replace(config, resume=str(copy), epochs=2))
    assert history(config) == history(trained)
    steps = [row["step"] for row in history(config) if "train/loss" in row]
    assert steps == list(range(8))
    resumed = json.loads((tmp_path / "run" / "run.json").read_text())["resumed"]
    assert [(start["epoch"], start["batch"], start["step"]) for start in resumed] == [(0, 3, 3)]
    assert yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["epochs"] == 2


def test_a_finished_run_can_be_resumed_for_more_epochs(tiny, trained):
    train(replace(tiny, epochs=1))
    train(replace(tiny, resume="last"))
    assert_same(trained, tiny)


def test_a_bad_step_never_replaces_the_good_checkpoint(tiny, monkeypatch):
    compute, seen = ViewSynthesis.losses, []

    def poisoned(self, *args):
        seen.append(1)
        return {name: loss if len(seen) <= 2 else loss * float("nan") for name, loss in compute(self, *args).items()}

    monkeypatch.setattr(ViewSynthesis, "losses", poisoned)
    with pytest.raises(InputError, match="validation loss"):
        train(replace(tiny, guard=GuardConfig(enabled=False), checkpoint_minutes=0))
    assert training_state(tiny)["global_step"] == 2


def test_bad_weights_never_replace_the_good_checkpoint(tiny, monkeypatch):
    monkeypatch.setattr("hrdepth.training.weight_files.WeightFiles.on_validation_end", lambda *_: None)
    train(replace(tiny, guard=GuardConfig(enabled=False), epochs=1))
    good = training_state(tiny)["state_dict"]
    step = DepthModule.optimizer_step

    def breaking(self, *arguments):
        step(self, *arguments)
        if self.trainer.global_step == 7:  # not counted yet: the last of the epoch
            torch.nn.init.constant_(self.objective.network.get_parameter(next(iter(good)).split(".", 2)[2]), torch.nan)

    monkeypatch.setattr(DepthModule, "optimizer_step", breaking)
    train(replace(tiny, guard=GuardConfig(enabled=False), resume="last", checkpoint_minutes=0))
    state = training_state(tiny)
    assert state["global_step"] == 7
    assert all(value.isfinite().all() for value in state["state_dict"].values())


def test_a_run_that_stopped_early_stays_stopped(tiny, monkeypatch):
    monkeypatch.setattr(ViewSynthesis, "identity_errors", lambda self, batch: None)
    tiny = replace(
        tiny,
        train=tiny.validation,
        objective=ObjectiveConfig(frames=["s"], options={"tie_break": 0.0, "scales": [0]}),
        optimiser=OptimiserConfig(1e-30, schedule="constant"),
        epochs=9,
        early_stop=2,
    )
    best = train(tiny)
    step = training_state(tiny)["global_step"]
    assert step < 9
    assert ended(tiny) == "early_stop"
    assert train(replace(tiny, resume="last")) == best
    assert ended(tiny) == "early_stop"
    assert training_state(tiny)["global_step"] == step


def test_a_run_that_has_ended_is_left_as_it_is(trained, caplog):
    before = (Path(trained.output) / "run.json").read_bytes()
    caplog.set_level("INFO", "hrdepth")
    assert train(replace(trained, resume="last")) == Path(trained.output) / "best.safetensors"
    assert "nothing to resume" in caplog.text
    assert (Path(trained.output) / "run.json").read_bytes() == before


def test_a_run_killed_after_its_last_checkpoint_is_completed(tiny, trained, tmp_path, monkeypatch):
    config = replace(tiny, output=str(tmp_path / "killed"), log=LogConfig(panels_every_steps=100))
    with monkeypatch.context() as patch:

        def die(self, trainer, module):
            raise KeyboardInterrupt

        patch.setattr("hrdepth.training.guard.Guard.on_train_end", die)
        with pytest.raises(KeyboardInterrupt):
            train(config)
    folder, whole = Path(config.output), Path(trained.output)
    assert not (folder / "diagnosis.json").exists()
    train(replace(config, resume="last"))
    assert ended(config) == "epochs"
    assert_same(trained, config)
    causes = [json.loads((one / "diagnosis.json").read_text())["causes"] for one in (folder, whole)]
    assert causes[0] == causes[1]
    assert [file.name for file in (folder / "panels").iterdir()] == [f"{training_state(config)['global_step']:06d}.png"]


@pytest.fixture(scope="module")
def killed_in_epoch_1(tiny_settings, tmp_path_factory):
    """A run after its checkpoint of step 6, for what leaves it as it is."""
    config = replace(tiny_settings, output=str(tmp_path_factory.mktemp("killed") / "run"))
    with pytest.MonkeyPatch.context() as monkeypatch:
        broken_off(config, monkeypatch, 7)
    return config


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"seed": 1}, "seed is 1, but .* was written with 0"),
        ({"optimiser": OptimiserConfig(1e-3, decay_after=1, decay=0.4)}, "optimiser.decay is 0.4"),
        ({"devices": 2}, r"processes \(devices x nodes\) is 2, but .*last.ckpt was written with 1; start as many"),
        ({"epochs": 1, "optimiser": OptimiserConfig(1e-3, decay_after=1, decay=0.5)}, "reached epoch 1"),
        ({"resume": "nowhere.ckpt"}, "no training checkpoint nowhere.ckpt"),
        ({"resume": "{run}/config.yaml"}, "damaged or not a training checkpoint"),
        ({"output": "{run}-not"}, "does not exist"),
        ({"resume": None}, "resume it with --resume last"),
    ],
)
def test_a_run_that_cannot_be_resumed_is_refused(killed_in_epoch_1, changes, sentence):
    run = killed_in_epoch_1
    filled = {key: value.format(run=run.output) if isinstance(value, str) else value for key, value in changes.items()}
    with pytest.raises(InputError, match=sentence):
        train(replace(run, **{"resume": "last", **filled}))
    assert training_state(run)["global_step"] == 6


def test_whether_there_is_init_decides_what_is_frozen(tiny, monkeypatch, tmp_path):
    first = replace(tiny, output=str(tmp_path / "first"), epochs=1)
    train(first)
    run = replace(tiny, init=f"{first.output}/best.safetensors", freeze_depth_steps=2)
    broken_off(run, monkeypatch, 3)
    with pytest.raises(InputError, match="init is null, but .* was written with .*best.safetensors"):
        train(replace(run, resume="last", init=None))


def test_a_run_killed_while_depth_is_frozen_is_resumed(tiny, finished, tmp_path, monkeypatch):
    init = Path(finished.output) / "best.safetensors"
    runs = [replace(tiny, init=str(init), freeze_depth_steps=5, output=str(tmp_path / name)) for name in ("run", "cut")]
    train(runs[0])
    broken_off(runs[1], monkeypatch, 3)
    train(replace(runs[1], resume="last"))
    assert_same(*runs)
    # Eight steps, of which the last three count.
    tracked = "encoder.network.bn1.num_batches_tracked"
    counts = [training_state(runs[1])["state_dict"][f"objective.network.{tracked}"],
              read_checkpoint(init).network.state_dict()[tracked]]  # fmt: skip
    assert int(counts[0] - counts[1]) == 3


def test_cosine_needs_the_same_epochs(tiny, monkeypatch):
    tiny = replace(tiny, optimiser=OptimiserConfig(schedule="cosine"))
    broken_off(tiny, monkeypatch, 3)
    with pytest.raises(InputError, match="epochs is 3"):
        train(replace(tiny, resume="last", epochs=3))


def test_a_sampler_starts_within_an_epoch_and_forgets_it_in_the_next():
    whole, rest = MixedSampler([7], [2.0], seed=3), MixedSampler([7], [2.0], seed=3)
    whole.set_epoch(2)
    rest.resume_at(2, 5)
    rest.set_epoch(2)
    assert list(rest) == list(whole)[5:]
    assert len(rest) == len(whole)
    for sampler in (whole, rest):
        sampler.set_epoch(3)
    assert list(rest) == list(whole)


def test_a_run_killed_before_its_first_checkpoint_is_resumed_from_the_beginning(tiny, trained, tmp_path, monkeypatch):
    config = replace(tiny, output=str(tmp_path / "killed"))
    broken_off(config, monkeypatch, 1)
    assert not (tmp_path / "killed" / "last.ckpt").exists()
    with pytest.raises(InputError, match="holds a run; resume it with --resume last"):
        train(config)
    with pytest.raises(InputError, match="seed is 77, but .*config.yaml was written with"):
        train(replace(config, resume="last", seed=77))
    train(replace(config, resume="last"))
    assert_same(trained, config)
    assert history(trained) == history(config)


@pytest.mark.parametrize("content", [(), (".hrdepth-cut.yaml",), ("config.yaml",)])
def test_a_run_killed_while_its_folder_was_made_is_resumed(tiny, tmp_path, content):
    folder = tmp_path / "killed"
    folder.mkdir()
    config = replace(tiny, train=tiny.validation, output=str(folder), epochs=1, resume="last")
    for name in content:
        (folder / name).write_text(yaml.safe_dump(plain_settings(replace(config, resume=None, metres_per_unit=1.0))))
    train(config)
    assert (folder / "last.ckpt").is_file()
    assert not list(folder.rglob(".*"))


def test_one_wrong_bit_in_a_checkpoint_is_refused(again):
    flip_bit(Path(again.output) / "last.ckpt")
    with pytest.raises(InputError, match=r"last.ckpt is damaged .*checksum of .* is wrong.*init best.safetensors"):
        train(again)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        (("hrdepth",), [1]),
        (("hrdepth", "settings"), None),
        (("hrdepth", "epoch"), "x"),
        (("hrdepth", "rows"), {}),
        (("hrdepth", "settings", "objective"), 5),
        (("hrdepth", "settings", "train"), 1e308),
        (("hrdepth", "settings", "seed"), "x" * 5000),
        (("global_step",), None),
        (("callbacks",), 3),
        (("callbacks", "a"), []),
    ],
)
def test_contents_of_the_wrong_type_in_a_checkpoint_are_refused(tiny, tmp_path, part, value):
    config = replace(tiny, output=str(tmp_path), resume="last")
    about = {"settings": plain_settings(config), "epoch": 0, "batch": 1, "rows": 1, "data": {}}
    content = {"hrdepth": about, "global_step": 1, "callbacks": {"a": {}}, "state_dict": {}}
    inner = content
    for name in part[:-1]:
        inner = inner[name]
    inner[part[-1]] = value
    torch.save(content, tmp_path / "last.ckpt")
    with pytest.raises(InputError, match=r"last\.ckpt (is damaged|was written with)") as caught:
        find_start(config)
    assert len(str(caught.value)) < 700


def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(tmp_path, monkeypatch):
    file = tmp_path / "last.ckpt"
    CheckpointFile().save_checkpoint({"a": torch.zeros(9)}, file)
    before = file.read_bytes()
    monkeypatch.setattr(Path, "write_bytes", lambda path, content: path.open("wb").write(bytes(content)[:-3]))
    with pytest.raises(InputError, match="was not written whole"):
        CheckpointFile().save_checkpoint({"a": torch.ones(9)}, file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["last.ckpt"]


def test_checkpoints_do_not_pass_through_the_folder_for_temporary_files(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "missing"))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "missing"))
    CheckpointFile().save_checkpoint({"a": torch.zeros(9)}, tmp_path / "last.ckpt")
    assert (tmp_path / "last.ckpt").is_file()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such locks")
def test_a_second_process_that_resumes_the_same_run_is_refused(again):
    script = f"""
import time
from hrdepth.io.locks import locked_folder
with locked_folder({again.output!r}, ""):
    print("locked", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as other:
        assert other.stdout.readline() == b"locked\n"
        with pytest.raises(InputError, match="another process trains in"):
            train(again)
        other.kill()
    train(again)


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("run.json", "[]", "run.json is damaged"),
        ("run.json", "[" * 100000, "run.json is damaged"),
        ("metrics.csv", b"\xff\xfe\x00", "metrics.csv is damaged"),
    ],
)
def test_damaged_files_of_a_run_are_refused_with_advice(again, name, content, sentence):
    file = Path(again.output) / name
    file.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError, match=sentence + r".*delete it, and resume"):
        train(again)
    file.unlink()
    train(again)
