"""Tests of inference/runtimes/graphs.py with every depth network.

Every depth network is the same in every exported format, at sizes and batches that it was not traced with.
"""

from __future__ import annotations

import pytest
import torch

from hrdepth.inference.runtimes import load_runtime, unavailable
from hrdepth.inference.runtimes.graphs import (
    Graph,
    openvino_model,
    simplify,
    write_onnx,
    write_openvino,
    write_torch_export,
)
from hrdepth.inference.runtimes.source import Description
from hrdepth.networks import NETWORKS, build_network
from hrdepth.networks.blocks import DisparityHead
from tiny_networks import narrow


def save_openvino(graph, path, *, size, metadata):
    write_openvino(openvino_model(graph, size), path, metadata=metadata)


SIZE = (64, 96)
WRITERS = {
    ".onnx": ("onnxruntime", write_onnx),
    ".pt2": ("pytorch", write_torch_export),
    ".xml": ("openvino", save_openvino),
}


# The paper's networks each time, the others, whose exports take as long, in the slow run.
PAPERS = ("hrdepth", "lite_hrdepth", "monodepth2")
PARAMETERS = [name if name in PAPERS else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS]


@pytest.fixture(scope="module", params=PARAMETERS)
def network(request):
    torch.manual_seed(0)
    network = build_network(narrow(request.param)).eval()
    with torch.no_grad():  # statistics and heads that a mistake would show in
        for module in network.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.0)
            if isinstance(module, DisparityHead):
                module.conv.weight.normal_(0, 2.0)
        if not has_heads(network):
            for module in network.modules():
                if isinstance(module, torch.nn.Conv2d):
                    module.weight.mul_(1.5)
    return network


def has_heads(network):
    return any(isinstance(module, DisparityHead) for module in network.modules())


@pytest.fixture(scope="module")
def graph(network):
    return Graph(simplify(network, static=True)).eval()


@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_an_exported_network_is_equal(network, graph, suffix, tmp_path):
    check_export(network, graph, suffix, tmp_path)


# torch.export takes ten times as long as the others for networks of many layers.
@pytest.mark.parametrize("network", ["pydnet", pytest.param("fastdepth", marks=pytest.mark.slow)], indirect=True)
def test_an_exported_program_is_equal(network, graph, tmp_path):
    check_export(network, graph, ".pt2", tmp_path)


@pytest.mark.slow
def test_every_exported_program_is_equal(network, graph, tmp_path):
    check_export(network, graph, ".pt2", tmp_path)


def check_export(network, graph, suffix, tmp_path):
    name, write = WRITERS[suffix]
    if reason := unavailable(name):
        pytest.skip(reason)
    fixed = suffix == ".pt2" and network.crops_maps  # torch.export then fixes the size
    path = tmp_path / f"network{suffix}"
    write(graph, path, size=SIZE if fixed else None, metadata=Description(size=SIZE).metadata())
    exported = load_runtime(path, threads=1, trust=True)
    for shape in [(1, 3, *SIZE)] if fixed else [(1, 3, *SIZE), (2, 3, 96, 64)]:
        image = torch.rand(shape)
        with torch.inference_mode():
            expected = network(image)[0]
        assert expected.std() > 0.01
        torch.testing.assert_close(torch.from_numpy(exported(image.numpy())), expected, atol=1e-3, rtol=1e-3)


def test_simplifying_folds_batch_norm_and_leaves_the_network_alone(network):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    simplified = simplify(network)
    norms = [m for m in simplified.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    heads = [m for m in simplified.modules() if isinstance(m, DisparityHead)]
    assert not norms
    if isinstance(getattr(getattr(network, "decoder", None), "heads", None), torch.nn.ModuleList):
        assert len(heads) == 1
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        torch.testing.assert_close(simplified(image), network(image)[0], atol=1e-4, rtol=1e-4)
