"""Tests of networks/blocks.py.

What blocks do for speed changes neither numbers nor, under autocast, types.
"""

import pytest
import torch
from torch.nn import functional as F

from hrdepth.networks.blocks import Pointwise, ReflectionConv3x3, concatenate
from hrdepth.networks.hrdepth import FeatureFusionSE

LAYOUTS = [torch.contiguous_format, torch.channels_last]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_concatenate_gives_each_part_a_gradient_of_its_own(layout):
    torch.manual_seed(0)
    parts = [torch.randn(2, n, 4, 6).contiguous(memory_format=layout).requires_grad_() for n in (4, 3, 2)]
    once = [part * 1 for part in parts]  # what a decoder concatenates is no leaf
    seen = []
    once[0].grad_fn.register_prehook(lambda gradients: seen.append(gradients[0]))
    joined = concatenate(once)
    weight = torch.randn_like(joined)
    (joined * weight).sum().backward()
    assert torch.equal(joined, torch.cat(parts, dim=1))
    assert all(torch.equal(p.grad, w) for p, w in zip(parts, weight.split([4, 3, 2], dim=1), strict=True))
    assert seen[0].is_contiguous(memory_format=layout)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_reflection_stays_in_bfloat16(layout):
    torch.manual_seed(0)
    conv = ReflectionConv3x3(3, 2)
    image = torch.randn(2, 3, 6, 5).contiguous(memory_format=layout)
    plain = F.conv2d(F.pad(image, (1, 1, 1, 1), mode="reflect"), conv.weight, conv.bias)
    assert torch.equal(conv(image), plain)
    saved = []
    with torch.autocast("cpu", torch.bfloat16), torch.autograd.graph.saved_tensors_hooks(_save(saved), lambda t: t):
        out = conv(image.bfloat16())
    assert out.dtype == torch.bfloat16
    assert {tensor.dtype for tensor in saved if tensor.dim() == 4 and tensor.shape[-1] == 7} == {torch.bfloat16}
    assert (out.float() - plain).abs().max() < 0.02


def _save(saved):
    def pack(tensor):
        saved.append(tensor)
        return tensor

    return pack


@pytest.mark.parametrize("layout", LAYOUTS)
def test_fusion_stays_in_bfloat16_and_in_its_layout(layout):
    torch.manual_seed(0)
    block = FeatureFusionSE(16, 4)
    features = torch.randn(2, 16, 6, 5).contiguous(memory_format=layout).requires_grad_()
    exact = block(features)
    with torch.autocast("cpu", torch.bfloat16):
        fused = block(features.bfloat16())
    assert fused.dtype == torch.bfloat16
    assert fused.is_contiguous(memory_format=layout)
    assert (fused.float() - exact).abs().max() < 0.02 * exact.abs().max()
    gradient = torch.autograd.grad(exact.square().sum(), features)[0]
    assert gradient.is_contiguous(memory_format=layout)


def test_a_gate_goes_into_the_weights():
    torch.manual_seed(0)
    mix, features, gate = Pointwise(5, 3), torch.randn(2, 5, 4, 4), torch.rand(2, 5)
    for layout in LAYOUTS:
        gated = F.conv2d(features * gate[:, :, None, None], mix.weight, mix.bias)
        assert torch.allclose(mix(features.contiguous(memory_format=layout), gate), gated, atol=1e-6)
