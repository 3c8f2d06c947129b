"""Tests of cli/networks.py, `hrdepth predict`.

`hrdepth predict` reads each file once.
"""

import subprocess
import sys

import torch
from PIL import Image

from hrdepth.config import NetworkConfig
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint

# Prints how often a file whose name is given first was opened while the command ran.
COUNTED = """
import sys
watched, opened = sys.argv[1], []
def count(event, arguments):
    if event == "open" and str(arguments[0]).endswith(watched):
        opened.append(arguments[0])
sys.addaudithook(count)
import safetensors, safetensors.torch
for module, name in ((safetensors, "safe_open"), (safetensors.torch, "load_file")):  # they open files in Rust
    def counted(path, *arguments, _open=getattr(module, name), **settings):
        opened.append(path)
        return _open(path, *arguments, **settings)
    setattr(module, name, counted)
from hrdepth.cli import main
assert main(sys.argv[2:]) == 0
print("opened", len(opened))
"""


def test_the_weights_file_is_opened_once(tmp_path):
    torch.manual_seed(0)
    config = NetworkConfig("hrdepth", {"backbone": "test_resnet"})
    save_checkpoint(tmp_path / "net.safetensors", build_network(config), config, size=(64, 96))
    Image.linear_gradient("L").resize((120, 80)).save(tmp_path / "street.jpg")
    command = ["predict", "street.jpg", "--weights", "net.safetensors", "--runtime", "pytorch", "--out", "out"]
    done = subprocess.run(
        [sys.executable, "-c", COUNTED, "net.safetensors", *command],
        capture_output=True, text=True, cwd=tmp_path, check=True,
    )  # fmt: skip
    assert done.stdout.splitlines()[-1] == "opened 1"
