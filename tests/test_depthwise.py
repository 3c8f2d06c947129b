"""Gradients of depthwise convolutions under autocast: float32's, from what bfloat16 kept."""

import pytest
import torch
from torch import nn

from hrdepth.config import DatasetConfig, NetworkConfig, TrainConfig
from hrdepth.depthwise import fast_depthwise, has_depthwise
from hrdepth.networks import build_network
from hrdepth.training import build_training_objective


def gradients(layer, image, forward, autocast=True):
    image = image.clone().requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
        out = forward(image)
    # Not the same everywhere, or errors of the image's gradient would cancel.
    (out.float() * torch.linspace(-1, 1, out.numel()).reshape(out.shape)).sum().backward()
    return out, image.grad, *[parameter.grad.clone() for parameter in layer.parameters()]


@pytest.mark.parametrize("kernel", [3, 5])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("settings", [{"padding": 1}, {"padding": 2, "dilation": 2}, {"padding": 0, "bias": False}])
def test_gradients_are_those_of_float32(kernel, stride, settings):
    torch.manual_seed(0)
    layer = nn.Conv2d(8, 8, kernel, stride, groups=8, **settings).to(memory_format=torch.channels_last)
    image = torch.randn(2, 8, 13, 18)
    fast = gradients(layer, image, fast_depthwise(layer.forward))
    plain = gradients(layer, image, layer.forward)
    exact = gradients(layer, image, layer.forward, autocast=False)
    assert fast[0].dtype == plain[0].dtype == torch.bfloat16
    for ours, theirs, true in zip(fast, plain, exact, strict=True):
        scale = true.abs().max()
        assert (ours.float() - true).abs().max() <= 0.01 * scale
        assert (ours.float() - true).abs().max() <= (theirs.float() - true).abs().max() + 0.004 * scale


def test_other_convolutions_and_float32_are_left_alone():
    torch.manual_seed(0)
    image = torch.randn(1, 8, 9, 9)
    for layer, autocast in (
        (nn.Conv2d(8, 4, 3), True),
        (nn.Conv2d(8, 8, 3, groups=2), True),
        (nn.Conv2d(8, 16, 3, groups=8), True),
        (nn.Conv2d(8, 8, 3, padding="same", groups=8), True),
        (nn.Conv2d(8, 8, 3, groups=8), False),
    ):
        fast = gradients(layer, image, fast_depthwise(layer.forward), autocast)
        plain = gradients(layer, image, layer.forward, autocast)
        assert all(torch.equal(ours, theirs) for ours, theirs in zip(fast, plain, strict=True))


@pytest.mark.parametrize(
    ("name", "options"), [("lite_hrdepth", {}), ("hrdepth", {"backbone": "tf_efficientnet_lite0"})]
)
def test_a_network_trains_on_the_same_gradients(name, options):
    """Only the networks that have such layers are touched, and only in a run with bfloat16."""
    data = [DatasetConfig("folder", "nowhere")]
    settings = {"train": data, "validation": data, "output": "nowhere", "network": NetworkConfig(name, options)}
    objective = build_training_objective(TrainConfig(**settings, precision="bf16-mixed"))
    assert "forward" in vars(objective.network)
    assert "forward" not in vars(objective.pose_network)
    assert "forward" not in vars(build_training_objective(TrainConfig(**settings)).network)

    network, image = objective.network.eval(), torch.rand(1, 3, 64, 96)
    network.requires_grad_()
    results = []
    for forward in (network.forward, type(network).forward.__get__(network)):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            disparities = forward(image)
        torch.stack([value.float().square().mean() for value in disparities.values()]).sum().backward()
        results.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    fast, plain = results
    assert torch.nn.functional.cosine_similarity(fast, plain, dim=0) > 0.995


def test_networks_without_such_layers():
    assert not has_depthwise(build_network(NetworkConfig("hrdepth")))
    assert has_depthwise(build_network(NetworkConfig("lite_hrdepth")))
