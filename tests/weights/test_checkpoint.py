"""Tests of weights/checkpoint.py."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import hrdepth
from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint

LITE, POSE = NetworkConfig("lite_hrdepth"), NetworkConfig("posenet", {"backbone": "test_resnet"})


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    path = tmp_path / "net.safetensors"
    save_checkpoint(
        path, build_network(LITE), LITE, size=(192, 640), pose_network=build_pose_network(POSE),
        pose_network_config=POSE, metres_per_unit=5.4, provenance={"seed": 7},
    )  # fmt: skip
    return path


def rewrite(path, change_tensors=lambda tensors: tensors, **metadata):
    tensors = change_tensors(load_file(path))
    checkpoint_metadata = {
        "format": "hrdepth/1", "network": json.dumps({"name": "lite_hrdepth", "options": {}}), "pose_network": "null",
        "size": "[192, 640]", "metres_per_unit": "null", "provenance": "{}",
    }  # fmt: skip
    save_file(tensors, path, checkpoint_metadata | metadata)


def test_a_checkpoint_restores_networks_and_metadata(path):
    checkpoint = read_checkpoint(path)
    assert (checkpoint.size, checkpoint.scale.metres_per_unit, checkpoint.provenance) == ((192, 640), 5.4, {"seed": 7})
    assert not checkpoint.network.training
    assert not checkpoint.pose_network.training
    image = torch.rand(1, 3, 64, 96)
    assert set(hrdepth.load_network(path)(image)) == {0, 1, 2, 3}
    axis_angle, _ = hrdepth.load_pose_network(path)(torch.cat([image, image], 1))
    assert axis_angle.shape == (1, 2, 1, 3)


def test_options_rebuild_the_network_without_its_initial_weights(tmp_path):
    config = NetworkConfig("hrdepth", {"fse_reduction": 4, "max_depth": 50.0, "weights": None})
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, build_network(config), config, size=(192, 640))
    checkpoint = read_checkpoint(path)
    assert checkpoint.network.max_depth == 50.0
    assert "weights" not in checkpoint.network_config.options
    assert checkpoint.scale.metres_per_unit is None


def test_channels_last_weights_are_stored_the_same(tmp_path):
    torch.manual_seed(0)
    network = build_network(LITE).to(memory_format=torch.channels_last)
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, network, LITE, size=(192, 640))
    state = read_checkpoint(path).network.state_dict()
    assert all(torch.equal(value, state[key]) for key, value in network.state_dict().items())


def test_a_missing_pose_network_is_named(path):
    rewrite(path, lambda tensors: {k: v for k, v in tensors.items() if k.startswith("depth.")})
    with pytest.raises(InputError, match="holds no pose network"):
        hrdepth.load_pose_network(path)


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda p: p.unlink(), "does not exist"),
        (lambda p: p.write_bytes(p.read_bytes()[:1000]), "damaged"),
        (lambda p: p.write_bytes(b""), "damaged"),
        (lambda p: save_file({"x": torch.zeros(1)}, p), "import-weights"),
        (lambda p: rewrite(p, network='{"name": "lite_hrdeph", "options": {}}'), "did you mean 'lite_hrdepth'"),
        (lambda p: rewrite(p, network='{"name": "hrdepth", "options": {}}'), "'encoder.network.conv1.weight' is"),
        (lambda p: rewrite(p, size="[192"), "metadata .* damaged"),
        (lambda p: rewrite(p, lambda t: {**t, "depth.extra": torch.zeros(1)}), "tensor 'extra'"),
        (
            lambda p: rewrite(p, lambda t: {**t, "depth.decoder.heads.0.conv.bias": torch.zeros(2)}),
            r"'decoder.heads.0.conv.bias' has shape \(2,\), the network's has \(1,\)",
        ),
    ],
)
def test_damaged_files_are_refused_with_a_message(path, damage, sentence):
    damage(path)
    with pytest.raises(InputError, match=sentence):
        hrdepth.load_network(path)


def test_an_interrupted_write_leaves_the_old_file(path, monkeypatch):
    before = path.read_bytes()

    def fail(file, content):
        with file.open("wb") as stream:
            stream.write(content[: len(content) // 2])
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "write_bytes", fail)
    with pytest.raises(KeyboardInterrupt):
        save_checkpoint(path, build_network(LITE), LITE, size=(192, 640))
    assert path.read_bytes() == before
    assert list(path.parent.iterdir()) == [path]
