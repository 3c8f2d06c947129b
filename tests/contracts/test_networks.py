"""Tests of every depth network that networks/__init__.py registers.

Every depth network in the registry keeps contract 1.
"""

import copy
import functools
import inspect

import pytest
import torch

from hrdepth import geometry
from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.inference.runtimes import load_runtime
from hrdepth.networks import NETWORKS, build_network, build_pose_network
from hrdepth.networks.blocks import channels_last, without_memory
from hrdepth.weights.checkpoint import load_network, save_checkpoint
from tiny_networks import narrow

pytestmark = pytest.mark.parametrize("name", NETWORKS)


@functools.cache
def made(name):
    """Return a network that is built once: the drawing of its weights takes longer than most tests."""
    torch.manual_seed(0)
    return build_network(narrow(name)).eval()


@pytest.fixture
def unchanged(name):
    """A network in eval mode, the same for all tests, which only look at it."""
    network = made(name)
    torch.manual_seed(0)
    return network


@pytest.fixture
def network(unchanged):
    """A network of one's own, in training mode."""
    return copy.deepcopy(unchanged).train()


def test_disparities_of_four_scales_lie_between_0_and_1(network):
    with torch.no_grad():
        disparities = network(torch.rand(2, 3, 64, 96))
    assert {scale: tuple(d.shape) for scale, d in disparities.items()} == {
        s: (2, 1, 64 >> s, 96 >> s) for s in range(4)
    }
    assert all(d.min() > 0 and d.max() < 1 for d in disparities.values())


def test_gradients_reach_every_parameter(network):
    # In eval mode, so that batch norm at 2x4 does not cancel a gradient by accident; and away from the start, where
    # timm's residual branches are switched off by a weight of 0.
    network.eval()
    with torch.no_grad():
        for key, parameter in network.named_parameters():
            if parameter.ndim == 1 and key.endswith("weight"):
                parameter.fill_(0.5)
    sum(d.square().sum() for d in network(torch.rand(2, 3, 64, 128)).values()).backward()
    assert [key for key, p in network.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_evaluation_is_deterministic_and_independent_of_the_batch(unchanged):
    images = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        both, again, alone = unchanged(images)[0], unchanged(images)[0], unchanged(images[:1])[0]
    assert torch.equal(both, again)
    torch.testing.assert_close(both[:1], alone, atol=1e-5, rtol=1e-5)


def test_the_disparity_depends_on_the_image(unchanged):
    with torch.no_grad():
        assert not torch.allclose(unchanged(torch.rand(1, 3, 64, 96))[0], unchanged(torch.rand(1, 3, 64, 96))[0])


def test_a_size_that_does_not_fit_names_one_that_does(unchanged):
    step = unchanged.stride
    for size in ((2 * step + 1, 3 * step), (2 * step, 3 * step + 1), (step, 3 * step)):
        with pytest.raises(InputError, match=f"{2 * step}x{3 * step}"):
            unchanged(torch.rand(1, 3, *size))


def test_a_saved_network_loads_with_equal_outputs(unchanged, name, tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(path, unchanged, narrow(name), size=(64, 96))
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        assert torch.equal(load_network(path)(images)[0], unchanged(images)[0])


def test_channels_last_changes_nothing(network):
    network.eval()
    image = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        expected = network(image)[0]
        served = load_runtime(network, "pytorch")
        torch.testing.assert_close(torch.from_numpy(served(image.numpy())), expected, atol=1e-4, rtol=1e-4)
    channels_last(network)
    disparity = network(image.to(memory_format=torch.channels_last))[0]
    torch.testing.assert_close(disparity, expected, atol=1e-4, rtol=1e-4)
    disparity.sum().backward()
    assert any(p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last) for p in network.parameters())


def test_options_are_checked_and_the_depth_range_is_carried(name):
    with without_memory():
        assert build_network(narrow(name, min_depth=0.5, max_depth=50.0)).max_depth == 50.0
    with pytest.raises(InputError, match=f"'{name}' has no option 'widht'"):
        build_network(narrow(name, widht=3))
    with pytest.raises(InputError, match="depth range"):
        build_network(narrow(name, min_depth=5.0, max_depth=1.0))


def test_running_statistics_follow_within_a_short_training(unchanged):
    momenta = {m.momentum for m in unchanged.modules() if isinstance(m, torch.nn.BatchNorm2d)}
    assert momenta <= {0.1}  # or none: group normalisation, or no normalisation at all


def test_the_initial_depth_can_be_chosen(network):
    network.start_at(3.0)
    with torch.no_grad():
        disparity = network.eval()(torch.rand(1, 3, 64, 96))[0]
    depth = geometry.disparity_to_depth(disparity, network.min_depth, network.max_depth)
    assert 2 < depth.median() < 4.5
    with pytest.raises(InputError, match="outside the network's range"):
        network.start_at(200.0)


def test_bfloat16_stays_near_float32(unchanged):
    images = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        exact = unchanged(images)[0]
        with torch.autocast("cpu", dtype=torch.bfloat16):
            rough = unchanged(images)[0]
    assert rough.dtype == torch.float32
    assert (rough - exact).abs().mean() < 0.02


def test_unsuitable_backbones_are_named_in_the_error(name):
    if "backbone" not in inspect.signature(NETWORKS[name]).parameters:
        pytest.skip("a whole network, without a backbone to choose")
    with pytest.raises(InputError, match="unknown backbone 'mobilenet_v3_large_auhtors'"):
        build_network(NetworkConfig(name, {"backbone": "mobilenet_v3_large_auhtors"}))
    with pytest.raises(InputError, match="stacked pair"):
        build_pose_network(NetworkConfig("posenet", {"backbone": "mobilenet_v3_large"}))
