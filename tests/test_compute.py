"""Tests of compute.py.

Devices, compilation where it works, and depthwise convolutions whose gradients are those of float32.
"""

import copy
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from hrdepth.compute import Compiled, choose_device, compile_module, has_depthwise, use_fast_depthwise
from hrdepth.config import DatasetConfig, NetworkConfig, TrainConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.training import build_training_objective

SCRIPT = """
import logging, torch
logging.basicConfig(level=logging.INFO, format="%(message)s")
from hrdepth.compute import Compiled
x = torch.ones(64, requires_grad=True)
twice = Compiled(lambda x: torch.sin(x) * 2, "the sine")
for _ in range(2):
    twice(x).sum().backward()
print("gradient", x.grad[0].item())
"""


def run(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "TORCHINDUCTOR_CACHE_DIR": str(tmp_path), **environment}
    return subprocess.run(
        [sys.executable, "-c", SCRIPT], env=environment, capture_output=True, text=True, check=True, timeout=300
    )


@pytest.mark.slow
def test_without_a_compiler_the_function_runs_uncompiled(tmp_path):
    done = run(tmp_path, CXX="/nonexistent/c++")
    assert "the sine cannot be compiled here and runs uncompiled" in done.stderr
    assert f"gradient {4 * torch.cos(torch.tensor(1.0)).item():.4f}" in done.stdout[:15]


def test_compilation_is_announced_once(monkeypatch, caplog):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    caplog.set_level("INFO")
    double = Compiled(lambda x: 2 * x, "the double")
    assert double(torch.ones(1)).item() == double(torch.ones(1)).item() == 2
    assert [record.message for record in caplog.records] == [
        "compiling the double; the first step takes a minute or two longer"
    ]


def test_a_function_that_cannot_be_compiled_runs_uncompiled_from_then_on(monkeypatch, caplog):
    def failing(*_):
        raise torch._dynamo.exc.TorchDynamoException("no compiler\nhere")

    monkeypatch.setattr(torch, "compile", lambda function, **_: failing)
    double = Compiled(lambda x: 2 * x, "the double")
    assert double(torch.ones(1)).item() == double(torch.ones(1)).item() == 2
    [record] = [record for record in caplog.records if record.levelname == "WARNING"]
    assert record.message == "the double cannot be compiled here and runs uncompiled: no compiler"


def test_without_gradients_nothing_is_compiled(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: pytest.fail)
    with torch.no_grad():
        assert Compiled(lambda x: 2 * x, "the double")(torch.ones(1)).item() == 2


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
    use_fast_depthwise(layer)
    fast = gradients(layer, image, layer)
    plain = gradients(layer, image, layer.forward)
    exact = gradients(layer, image, layer.forward, autocast=False)
    assert fast[0].dtype == plain[0].dtype == torch.bfloat16
    for ours, reference, true in zip(fast, plain, exact, strict=True):
        scale = true.abs().max()
        assert (ours.float() - true).abs().max() <= 0.01 * scale
        assert (ours.float() - true).abs().max() <= (reference.float() - true).abs().max() + 0.004 * scale


def test_other_convolutions_and_float32_are_unchanged():
    torch.manual_seed(0)
    image = torch.randn(1, 8, 9, 9)
    for layer, autocast in (
        (nn.Conv2d(8, 4, 3), True),
        (nn.Conv2d(8, 8, 3, groups=2), True),
        (nn.Conv2d(8, 16, 3, groups=8), True),
        (nn.Conv2d(8, 8, 3, padding="same", groups=8), True),
        (nn.Conv2d(8, 8, 3, groups=8), False),
    ):
        use_fast_depthwise(layer)
        fast = gradients(layer, image, layer, autocast)
        plain = gradients(layer, image, layer.forward, autocast)
        assert all(torch.equal(ours, reference) for ours, reference in zip(fast, plain, strict=True))


@pytest.mark.parametrize(
    ("name", "options"), [("lite_hrdepth", {}), ("hrdepth", {"backbone": "tf_efficientnet_lite0"})]
)
def test_a_network_trains_on_the_same_gradients(name, options):
    """Only the networks that have such layers are touched, and only in a run with bfloat16."""
    data = [DatasetConfig("folder", "nowhere")]
    settings = {"train": data, "validation": data, "output": "nowhere", "network": NetworkConfig(name, options)}
    objective = build_training_objective(TrainConfig(**settings, precision="bf16-mixed"))
    assert objective.network._compiled_call_impl is not None
    assert objective.pose_network._compiled_call_impl is None
    assert build_training_objective(TrainConfig(**settings)).network._compiled_call_impl is None

    network, image = objective.network.eval(), torch.rand(1, 3, 64, 96)
    network.requires_grad_()
    results = []
    for forward in (network, network.forward):
        network.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            disparities = forward(image)
        torch.stack([value.float().square().mean() for value in disparities.values()]).sum().backward()
        results.append(torch.cat([parameter.grad.flatten() for parameter in network.parameters()]))
    fast, plain = results
    assert torch.nn.functional.cosine_similarity(fast, plain, dim=0) > 0.995


def test_networks_without_depthwise_layers_are_unchanged():
    assert not has_depthwise(build_network(NetworkConfig("hrdepth")))
    assert has_depthwise(build_network(NetworkConfig("lite_hrdepth")))


def test_auto_chooses_cuda_if_available():
    with pytest.raises(InputError, match="unknown device"):
        choose_device("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="not available"):
            choose_device("cuda")
    for other in ("meta", "hpu", *(() if torch.xpu.is_available() else ("xpu",))):
        with pytest.raises(InputError, match=f"the device '{other}' is not available here"):
            choose_device(other)
    assert choose_device("cpu").type == "cpu"
    assert choose_device() == choose_device("auto") == choose_device(None)


def test_a_copy_of_a_compiled_module_uses_its_own_weights(monkeypatch):
    """As the moving average of the weights needs it."""
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    layer = nn.Linear(1, 1, bias=False)
    compile_module(layer, "the layer")
    layer(torch.ones(1))
    again = copy.deepcopy(layer)
    with torch.no_grad():
        layer.weight.fill_(2.0)
        again.weight.fill_(3.0)
    assert (layer(torch.ones(1)).item(), again(torch.ones(1)).item()) == (2.0, 3.0)


class Doubling:
    def __init__(self, factor):
        self.factor = factor
        self.compiled = Compiled(self.times, "the product")

    def times(self, x):
        return self.factor * x


def test_a_copy_of_a_compiled_method_belongs_to_the_copy(monkeypatch):
    monkeypatch.setattr(torch, "compile", lambda function, **_: function)
    one = Doubling(2.0)
    one.compiled(torch.ones(1))
    again = copy.deepcopy(one)
    again.factor = 3.0
    assert (one.compiled(torch.ones(1)).item(), again.compiled(torch.ones(1)).item()) == (2.0, 3.0)
