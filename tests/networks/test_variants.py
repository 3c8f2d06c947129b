"""Tests of networks/hrdepth.py, base.py and summary.py.

Table 4's variants, the options that every network has, and the list of networks.
"""

import functools
import json

import pytest
import torch
from torch import nn

from hrdepth.cli import main
from hrdepth.config import NetworkConfig
from hrdepth.costs import SIZES, stored_summaries
from hrdepth.errors import InputError
from hrdepth.networks import NETWORKS, build_network, build_pose_network, summary
from hrdepth.networks.summary import summarise
from hrdepth.paper import paper_networks
from released_weights import PUBLISHED
from tiny_networks import narrow


@pytest.mark.parametrize("row", paper_networks(), ids=lambda row: row.citation)
def test_counts_agree_with_the_paper(row):
    found = summarise(row.network, row, sizes=())
    # PyD-Net's 1.97M is written 1.9M, PackNet's 128.3M 127M.
    tolerance = {"pydnet": 0.04, "packnet": 0.02}.get(row.network.name, 0.01)
    assert found.parameters_as_in_paper / 1e6 == pytest.approx(row.parameters, rel=tolerance)
    built = build_network(row.network)
    assert found.parameters == sum(parameter.numel() for parameter in built.parameters())


@pytest.fixture(scope="module", autouse=True)
def summaries_once():
    """All networks are built and measured once for the tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(summary, "summaries", functools.cache(summary.summaries))
        yield


@pytest.mark.slow
def test_counts_agree_with_the_published_files():
    counted = {one.name: one.parameters_as_in_paper for one in summary.summaries() if not one.options}
    dead = ("running_mean", "running_var", "num_batches_tracked")
    for name in NETWORKS.keys() & PUBLISHED.keys():  # no others are published in these formats
        shapes = {key: shape for file in PUBLISHED[name].values() for key, shape in _entries(file)}
        # In decoders every tensor stands twice.
        once = {key: shape for key, shape in shapes.items() if not (key.startswith("decoder.") and _twice(shapes))}
        expected = sum(torch.Size(shape).numel() for key, shape in once.items() if not key.endswith(dead))
        assert counted[name] == expected


def _entries(file):
    return file.items() if isinstance(file, dict) else file


def _twice(shapes):
    return any(key.startswith("convs.") for key in shapes)


def test_plain_skips_and_convolutions_equal_the_baseline():
    torch.manual_seed(0)
    baseline = build_network(NetworkConfig("monodepth2")).eval()
    same = build_network(NetworkConfig("hrdepth", {"skip": "plain", "fusion": "conv"})).eval()
    same.encoder.load_state_dict(baseline.encoder.state_dict())
    levels = dict(zip((4, 3, 2, 1), ("40", "31", "22", "13"), strict=True))
    nodes = dict(zip((4, 3, 2, 1), ("31", "22", "13", "04"), strict=True))
    for level in (4, 3, 2, 1):
        same.decoder.reduce[levels[level]].load_state_dict(baseline.decoder.reduce[level].state_dict())
        same.decoder.nodes[nodes[level]].fuse.load_state_dict(baseline.decoder.fuse[level].state_dict())
    same.decoder.reduce["04"].load_state_dict(baseline.decoder.reduce[0].state_dict())
    same.decoder.final.load_state_dict(baseline.decoder.fuse[0].state_dict())
    same.decoder.heads.load_state_dict(baseline.decoder.heads.state_dict())
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        for scale, disparity in baseline(image).items():
            torch.testing.assert_close(same(image)[scale], disparity)


def learners():
    """The paper's networks; PackNet, whose gradients take a gigabyte, is narrow here and whole in `make test-slow`."""
    for row in paper_networks():
        large = row.network.name == "packnet"
        yield pytest.param(row.network, id=row.citation, marks=pytest.mark.slow if large else ())
        if large:
            yield pytest.param(narrow("packnet"), id=f"{row.citation}, narrow")


@pytest.mark.parametrize("config", list(learners()))
def test_every_variant_learns_with_all_its_parameters(config):
    torch.manual_seed(0)
    network = build_network(config)
    sum(d.square().sum() for d in network(torch.rand(2, 3, 64, 64)).values()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": "dens"}, "did you mean 'dense'"),
        ({"fusion": "fsee"}, "did you mean 'fse'"),
        ({"widths": [8, 24, 40]}, "four whole numbers"),
        ({"fse_reduction": 0}, "fse_reduction 0"),
        ({"normalisation": "imagnet"}, "did you mean 'imagenet'"),
    ],
)
def test_wrong_options_are_refused_with_the_valid_ones(options, message):
    with pytest.raises(InputError, match=message):
        build_network(NetworkConfig("lite_hrdepth", options))


@pytest.mark.parametrize("name", NETWORKS)
def test_images_are_normalised_inside_the_network(name):
    torch.manual_seed(0)
    networks = {key: build_network(narrow(name, normalisation=key)).eval() for key in ("released", "imagenet", "none")}
    for network in networks.values():
        network.load_state_dict(networks["released"].state_dict())
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    image = torch.rand(1, 3, 64, 64)
    given = {
        "released": (image - 0.45) / 0.225,
        "imagenet": (image - mean.view(1, 3, 1, 1)) / std.view(1, 3, 1, 1),
        "none": image,
    }
    with torch.no_grad():
        for key, network in networks.items():
            torch.testing.assert_close(network(image)[0], network.disparities(given[key])[0])


def test_both_images_of_a_pair_are_normalised():
    network = build_pose_network(NetworkConfig("posenet", {"backbone": "test_resnet", "normalisation": "imagenet"}))
    pair = torch.tensor([0.485, 0.456, 0.406] * 2).view(1, 6, 1, 1).expand(1, 6, 64, 64)
    torch.testing.assert_close(network.normalise(pair), torch.zeros(1, 6, 64, 64))


def test_operations_agree_with_a_forward_pass():
    network = build_network(NetworkConfig("lite_hrdepth")).eval()
    counted = 0

    def count(module, _, output):
        nonlocal counted
        if isinstance(module, nn.Conv2d):
            counted += 2 * output.numel() * module.weight[0].numel()
        elif isinstance(module, nn.Linear):
            counted += 2 * output.numel() * module.in_features

    for module in network.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        network(torch.rand(1, 3, 192, 640))
    assert summarise(NetworkConfig("lite_hrdepth")).gflops["640x192"] == pytest.approx(counted / 1e9, rel=1e-6)


def test_the_stored_costs_are_those_of_the_networks():
    """They are written by `make costs`."""
    assert stored_summaries() == summary.summaries()


def test_models_lists_every_network(capsys):
    assert main(["models", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert {one["name"] for one in listed} == set(NETWORKS)
    assert all(set(one["gflops"]) == {f"{width}x{height}" for height, width in SIZES} for one in listed)
    assert main(["models"]) == 0
    table = capsys.readouterr().out
    assert all(text in table for text in (*NETWORKS, "14.068M", "14.614M", "16.06M", "22.44", "Table 4"))


# Without ResNet-18's classifier and without reductions that nothing reads.
@pytest.mark.parametrize(
    ("name", "whole", "decoder"),
    [
        ("hrdepth", 14_068_308, 2_891_796),
        ("lite_hrdepth", 3_109_964, 293_532),
        ("monodepth2", 14_329_236, 3_152_724),
    ],
)
def test_parameters_are_as_many_as_published(name, whole, decoder):
    network = build_network(NetworkConfig(name))
    counted = [sum(parameter.numel() for parameter in part.parameters()) for part in (network, network.decoder)]
    assert counted == [whole, decoder]
