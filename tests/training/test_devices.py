"""Tests of training/setup.py and training/loop.py with several processes."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from lightning import Callback
from torch import nn

from hrdepth.cli.inputs import check_inputs
from hrdepth.config import AugmentConfig, ObjectiveConfig
from hrdepth.config.setting_files import plain_settings, read_train_config
from hrdepth.data import mixing
from hrdepth.data.mixing import MixedSampler, SharedSampler
from hrdepth.errors import InputError
from hrdepth.training.setup import with_launcher
from hrdepth.training.state import find_start, with_resume
from hrdepth.weights.checkpoint import read_checkpoint
from tiny_training import split


@pytest.fixture
def tiny(tiny):
    """Enough samples for two processes, which moreover want gradients of all weights; a checkpoint after each step."""
    data = [split(Path(tiny.train[0].root), name) for name in ("train", "two")]
    objective = ObjectiveConfig(frames=["s"])
    return replace(tiny, train=data[:1], validation=data[1:], objective=objective, batch_size=2, checkpoint_minutes=0)


class Gradients(Callback):
    """Keep the first step's gradients, with batch norm's statistics fixed, and end the run."""

    def __init__(self, path):
        self.path = path

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        for module in pl_module.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eval()

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        gradients = {name: value.grad.clone() for name, value in pl_module.objective.named_parameters()}
        torch.save(gradients, f"{self.path}.{trainer.global_rank}")
        trainer.should_stop = True


def first_gradients(config, path):
    from lightning import seed_everything

    from hrdepth.training import DepthModule, build_loaders, build_trainer, build_training_objective

    seed_everything(config.seed, verbose=False)
    loaders = build_loaders(config)
    folder = Path(config.output)
    folder.mkdir()
    trainer = build_trainer(config, folder)
    trainer.callbacks.append(Gradients(path))
    module = DepthModule(build_training_objective(config), config.optimiser, config.average, config.seed)
    trainer.fit(module, loaders["train"], loaders["validation"])


@pytest.mark.slow
def test_two_processes_give_the_gradients_of_the_doubled_batch(tiny, tmp_path):
    tiny = replace(tiny, objective=ObjectiveConfig(frames=[-1, 1, "s"], options={"tie_break": 0.0}), epochs=1)
    first_gradients(replace(tiny, batch_size=4, output=str(tmp_path / "one")), tmp_path / "one.pt")
    two = replace(tiny, batch_size=2, devices=2, strategy="ddp_spawn", output=str(tmp_path / "two"))
    first_gradients(two, tmp_path / "two.pt")
    one = torch.load(tmp_path / "one.pt.0")
    largest = max(float(value.abs().max()) for value in one.values())
    assert largest > 1e-3
    for rank in (0, 1):
        other = torch.load(tmp_path / f"two.pt.{rank}")
        assert other.keys() == one.keys()
        for name, value in one.items():
            assert torch.allclose(other[name], value, rtol=1e-4, atol=1e-6), name


@pytest.mark.slow
def test_two_processes_from_the_command_line_are_resumed(tiny, tmp_path):
    """One folder, one history, both halves of each batch; a run that was resumed ends as the undisturbed one."""
    states = {}
    for name, epochs in (("whole", [2]), ("parts", [1, 2])):
        config = replace(tiny, devices=2, output=str(tmp_path / name), augment=AugmentConfig(jitter=0.0))
        for part, end in enumerate(epochs):
            given = replace(config, epochs=end, resume="last" if part else None)
            (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain_settings(given)))
            command = [sys.executable, "-m", "hrdepth.cli", "train", "--config", str(tmp_path / "config.yaml")]
            environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
            assert done.returncode == 0, done.stderr
        assert read_checkpoint(tmp_path / name / "last.safetensors").provenance["step"] == 4
        states[name] = torch.load(tmp_path / name / "last.ckpt", weights_only=True)["state_dict"]
    assert all(torch.equal(value, states["parts"][name]) for name, value in states["whole"].items())
    # The machines may be others, the number of processes not.
    again = replace(read_train_config(tmp_path / "parts" / "config.yaml"), epochs=3, resume="last")
    assert find_start(replace(again, devices=1, nodes=2)).step == 4
    for devices, nodes in ((1, 1), (3, 1), (2, 2)):
        with pytest.raises(InputError, match=rf"processes \(devices x nodes\) is {devices * nodes}, but .* with 2"):
            find_start(replace(again, devices=devices, nodes=nodes))


@pytest.mark.slow
def test_processes_that_srun_starts_train_together(tiny, tmp_path):
    """SLURM cannot be installed in a test: its variables are set as srun sets them, for two machines that are one."""
    config = replace(tiny, epochs=1, resume="auto", augment=AugmentConfig(jitter=0.0))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(plain_settings(config)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = []
    for rank in range(2):
        step = {"STEP_ID": 0, "STEP_NUM_TASKS": 2, "STEP_NUM_NODES": 2, "JOB_ID": 1234, "JOB_NAME": "hrdepth",
                "NTASKS": 2, "NTASKS_PER_NODE": 1, "NNODES": 2, "NODELIST": "127.0.0.1", "PROCID": rank,
                "NODEID": rank, "LOCALID": 0}  # fmt: skip
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        environment |= {"MASTER_PORT": str(port), **{f"SLURM_{name}": str(value) for name, value in step.items()}}
        command = [sys.executable, "-m", "hrdepth.cli", "train", "--config", str(tmp_path / "config.yaml")]
        running.append(subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True))
    errors = [process.communicate(timeout=300)[1] for process in running]
    assert [process.returncode for process in running] == [0, 0], errors
    folder = Path(config.output)
    settings = yaml.safe_load((folder / "config.yaml").read_text())
    assert (settings["devices"], settings["nodes"]) == (1, 2)
    state = torch.load(folder / "last.ckpt", weights_only=True)
    assert state["global_step"] == 2, "8 samples, 2 of each process a step"
    assert state["hrdepth"]["settings"]["nodes"] == 2


@pytest.mark.slow
def test_a_killed_process_is_restarted_by_torchrun_and_the_run_ends_as_the_undisturbed_one(tiny, tmp_path):
    config = replace(tiny, batch_size=1, epochs=2, resume="auto", augment=AugmentConfig(jitter=0.0))
    states = {}
    for name in ("undisturbed", "killed"):
        given = replace(config, output=str(tmp_path / name))
        (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump(plain_settings(given)))
        command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
        command += ["--max-restarts", "2", "--monitor-interval", "0.2", "-m", "hrdepth.cli", "train"]
        command += ["--config", str(tmp_path / f"{name}.yaml")]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "OMP_NUM_THREADS": "1"}
        running = subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        if name == "killed":
            kill_a_rank(running.pid, Path(given.output) / "last.ckpt")
        output, _ = running.communicate(timeout=800)
        assert running.returncode == 0, output
        about = json.loads((Path(given.output) / "run.json").read_text())
        assert ("resumed" in about) == (name == "killed")
        assert about["ended"] == "epochs"
        states[name] = torch.load(Path(given.output) / "last.ckpt", weights_only=True)
    assert states["killed"]["global_step"] == states["undisturbed"]["global_step"] == 8
    weights = states["killed"]["state_dict"]
    assert all(torch.equal(value, weights[name]) for name, value in states["undisturbed"]["state_dict"].items())


def kill_a_rank(launcher, checkpoint):
    """Kill the second process with SIGKILL when the first training checkpoint is there."""
    for _ in range(6000):
        if checkpoint.exists():
            break
        time.sleep(0.05)
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            environment = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == launcher and b"LOCAL_RANK=1" in environment:
            os.kill(int(process.name), signal.SIGKILL)
            return
    raise AssertionError("there is no second process")


def test_the_launcher_says_how_many_processes_there_are(tiny, monkeypatch):
    assert with_launcher(tiny) is tiny
    for name, value in {"TORCHELASTIC_RUN_ID": "1", "LOCAL_WORLD_SIZE": "4", "WORLD_SIZE": "8"}.items():
        monkeypatch.setenv(name, value)
    found = with_launcher(tiny)
    assert (found.devices, found.nodes) == (4, 2)
    monkeypatch.setenv("WORLD_SIZE", "6")
    with pytest.raises(InputError, match="6 processes, 4 on this machine"):
        with_launcher(tiny)
    monkeypatch.delenv("TORCHELASTIC_RUN_ID")
    for name, value in {"SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "16", "SLURM_STEP_NUM_NODES": "2"}.items():
        monkeypatch.setenv(name, value)
    found = with_launcher(tiny)
    assert (found.devices, found.nodes) == (8, 2)


def test_resume_auto_begins_and_resumes(tiny, tmp_path):
    config = replace(tiny, output=str(tmp_path / "run"), resume="auto")
    assert with_resume(config).resume is None
    check_inputs(config)
    (tmp_path / "run").mkdir()
    assert with_resume(config).resume is None
    (tmp_path / "run" / "config.yaml").write_text("")
    assert with_resume(config).resume == "last"


def test_processes_share_an_epoch(monkeypatch):
    sampler = MixedSampler([11], [1.0], seed=2)
    whole = list(sampler)
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(mixing, "_process", lambda rank=rank: (rank, 2))
        assert len(sampler) == 5
        parts.append(list(sampler))
        sampler.resume_at(0, 2)
        assert list(sampler) == parts[-1][2:]
        sampler.resume_at(0, 0)
    # The first two of each are the first four of the whole: two processes' batches are one doubled batch.
    assert sorted(parts[0][:2] + parts[1][:2]) == sorted(whole[:4])
    assert sorted(parts[0] + parts[1]) == sorted(whole[:10])


@pytest.mark.parametrize("size", [4, 5])
def test_processes_share_the_validation_without_remainder(monkeypatch, size):
    parts = []
    for rank in (0, 1):
        monkeypatch.setattr(mixing, "_process", lambda rank=rank: (rank, 2))
        sampler = SharedSampler(size)
        parts += list(sampler)
        assert len(sampler) == len(list(sampler))
    assert sorted(parts) == list(range(size))
