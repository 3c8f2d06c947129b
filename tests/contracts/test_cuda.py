"""What CUDA must give: the same depth as the CPU, training that resumes, labels. `examples/cuda_check.sh` runs them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import ObjectiveConfig
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import NETWORKS, build_network
from hrdepth.training import train
from tiny_networks import narrow
from tiny_training import split, tiny_training
from weights_files import save

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_gives_the_disparity_of_the_cpu(name):
    torch.manual_seed(0)
    network = build_network(narrow(name)).eval()
    image = torch.rand(2, 3, 64 if network.stride <= 32 else 128, 128)
    with torch.inference_mode():
        expected = network(image)[0]
        found = network.cuda()(image.cuda())[0].cpu()
    torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-2)


def test_a_training_runs_in_bfloat16_and_is_resumed(tmp_path):
    data = fake_datasets.drive(tmp_path / "data", frames=10)
    config = tiny_training(tmp_path / "run", split(data), device="cuda", precision="bf16-mixed", workers=2, epochs=1)
    config = replace(config, objective=ObjectiveConfig(frames=[-1, 1, "s"]), channels_last=True, average=0.9)
    train(config)
    train(replace(config, epochs=2, resume="last"))
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)
    assert state["global_step"] == 8
    assert all(value.isfinite().all() for value in state["state_dict"].values())


def test_prediction_in_batches_gives_the_depth_of_the_cpu(tmp_path):
    weights = save(tmp_path / "net.safetensors")
    on_cpu, on_card = (Predictor.from_file(weights, device=device, runtime="pytorch") for device in ("cpu", "cuda"))
    images = [np.asarray(fake_datasets.image(2 * number)) for number in range(8)]
    for image, found in zip(images, on_card.predict_batch(images, [None] * 8), strict=True):
        np.testing.assert_allclose(found.disparity, on_cpu(image).disparity, atol=5e-3)


def test_a_teacher_labels_a_data_set(tmp_path):
    data = fake_datasets.drive(tmp_path / "data")
    weights = save(tmp_path / "net.safetensors")
    command = ["prepare", "labels", "--teacher", str(weights), "--data", str(data), "--device", "cuda"]
    assert main([*command, "--out", str(tmp_path / "labels")]) == 0
    assert len(list(Path(tmp_path / "labels").rglob("*.npy"))) > 0
