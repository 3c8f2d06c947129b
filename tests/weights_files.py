"""Weights files to test with."""

import torch

from hrdepth.config import NetworkConfig
from hrdepth.networks import build_network
from hrdepth.networks.blocks import DisparityHead
from hrdepth.weights.checkpoint import save_checkpoint

CONFIG = NetworkConfig("hrdepth", {"backbone": "test_resnet"})
COMMIT = "a" * 40
FACTS = {"licence": "CC-BY-NC-SA-3.0", "card": {"terms": "non-commercial use only"}}


def save(path, **facts):
    torch.manual_seed(0)
    network = build_network(CONFIG).eval()
    for module in network.modules():
        if isinstance(module, DisparityHead):
            torch.nn.init.normal_(module.conv.weight, 0, 0.5)
    save_checkpoint(path, network, CONFIG, size=(64, 96), metres_per_unit=5.4, **facts)
    return path
