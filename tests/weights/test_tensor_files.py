"""Tests of weights/tensor_files.py.

Tensors in a file: their hash, and half precision.
"""

import json

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import hrdepth
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.networks.blocks import DisparityHead
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from weights_files import CONFIG, FACTS, save


def test_a_changed_bit_is_detected(path):
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)
    load_file(path)  # as a safetensors file it is still whole
    with pytest.raises(InputError, match=r"net.safetensors is damaged: its tensors are not those"):
        read_checkpoint(path)


def test_files_without_a_hash_load_and_changed_metadata_leaves_it_right(path):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    tensors = load_file(path)
    save_file(tensors, path, metadata | {"metres_per_unit": "2.0"})
    checkpoint = read_checkpoint(path)
    assert (checkpoint.scale.metres_per_unit, checkpoint.sha256) == (2.0, json.loads(metadata["sha256"]))
    assert (checkpoint.licence, checkpoint.card) == (FACTS["licence"], FACTS["card"])
    del metadata["sha256"], metadata["licence"], metadata["card"], metadata["name"]
    save_file(tensors, path, metadata)
    old = read_checkpoint(path)
    assert (old.sha256, old.licence, old.card, old.name) == (None, None, {}, None)


def test_half_precision_halves_the_file_and_loads_as_float32(path, tmp_path):
    half = save(tmp_path / "half.safetensors", dtype="float16")
    stored = load_file(half)
    assert {value.dtype for value in stored.values() if value.ndim > 1} == {torch.float16}
    assert {v.dtype for v in stored.values() if v.ndim == 1} == {torch.float32}
    assert half.stat().st_size < 0.6 * path.stat().st_size
    image = torch.rand(1, 3, 64, 96)
    one, other = hrdepth.load_network(path), hrdepth.load_network(half)
    assert {value.dtype for value in other.parameters()} == {torch.float32}
    with torch.inference_mode():
        before, after = one(image)[0], other(image)[0]
    assert before.std() > 0.005
    assert 0 < (before - after).abs().max() < 0.001


def test_tensors_that_overflow_half_precision_stay_float32(tmp_path):
    network = build_network(CONFIG)
    heads = [module for module in network.modules() if isinstance(module, DisparityHead)]
    with torch.no_grad():
        heads[0].conv.weight.fill_(1e6)
    save_checkpoint(tmp_path / "n.safetensors", network, CONFIG, size=(64, 96), dtype="float16")
    read = [m for m in hrdepth.load_network(tmp_path / "n.safetensors").modules() if isinstance(m, DisparityHead)]
    assert torch.equal(read[0].conv.weight, heads[0].conv.weight)


@pytest.mark.parametrize(
    ("facts", "sentence"),
    [({"dtype": "float8"}, "unknown dtype 'float8'"), ({"licence": "non commercial!"}, "is no SPDX identifier")],
)
def test_tensors_that_cannot_be_stored_are_refused_with_a_message(tmp_path, facts, sentence):
    with pytest.raises(InputError, match=sentence):
        save(tmp_path / "net.safetensors", **facts)
    assert not list(tmp_path.iterdir())
