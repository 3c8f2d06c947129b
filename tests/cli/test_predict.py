"""Tests of cli/networks.py, `hrdepth predict`.

`hrdepth predict` reads each file once.
"""

import sys

import safetensors
import safetensors.torch
import torch
from PIL import Image

from hrdepth.cli import main
from hrdepth.config import NetworkConfig
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint
from opened_files import opened_files


def note_openings_in_rust(monkeypatch, opened):
    """Note what these functions open too, under whichever name a module has imported them."""
    for module, name in ((safetensors, "safe_open"), (safetensors.torch, "load_file")):
        original = getattr(module, name)

        def counted(path, *arguments, original=original, **settings):
            opened.append(str(path))
            return original(path, *arguments, **settings)

        for other in [found for found in sys.modules.values() if hasattr(found, "__dict__")]:
            for key in [key for key, value in vars(other).items() if value is original]:
                monkeypatch.setattr(other, key, counted)


def test_the_weights_file_is_opened_once(tmp_path, monkeypatch):
    torch.manual_seed(0)
    config = NetworkConfig("hrdepth", {"backbone": "test_resnet"})
    save_checkpoint(tmp_path / "net.safetensors", build_network(config), config, size=(64, 96))
    Image.linear_gradient("L").resize((120, 80)).save(tmp_path / "street.jpg")
    monkeypatch.chdir(tmp_path)
    command = ["predict", "street.jpg", "--weights", "net.safetensors", "--runtime", "pytorch", "--out", "out"]
    with opened_files() as opened:
        note_openings_in_rust(monkeypatch, opened)
        assert main(command) == 0
    assert len([path for path in opened if path.endswith("net.safetensors")]) == 1
