"""Tests of inference/runtimes/graphs.py: padding that does not depend on the size of the image."""

from __future__ import annotations

import itertools

import pytest
import torch
from timm.layers.conv2d_same import Conv2dSame
from torch import nn

from hrdepth.inference.runtimes.graphs import Finest, FixedConv, Graph, _with_fixed_padding


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, (3, 5)])
@pytest.mark.parametrize("stride", [1, 2, 3, (2, 1)])
@pytest.mark.parametrize("dilation", [1, 2, (1, 3)])
def test_fixed_padding_is_that_of_multiples_of_the_stride(kernel, stride, dilation):
    torch.manual_seed(0)
    conv = Conv2dSame(4, 6, kernel, stride, dilation=dilation, groups=2)
    fixed = FixedConv(conv)
    for rows, columns in itertools.product((1, 3, 4), (2, 5)):
        features = torch.rand(2, 4, rows * conv.stride[0], columns * conv.stride[1])
        assert torch.equal(fixed(features), conv(features))


class Halving(nn.Module):
    """Halves three times, though a multiple of its stride need not be one of eight."""

    stride = 4

    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(*(Conv2dSame(3, 3, 3, 2) for _ in range(3)))

    def forward(self, image):
        return {0: self.layers(image).sigmoid()}


def test_a_convolution_whose_input_may_be_odd_keeps_its_padding():
    torch.manual_seed(0)
    network = Halving().eval()
    graph = Graph(Finest(network))
    fixed = _with_fixed_padding(graph)
    assert [type(layer) for layer in fixed.finest.network.layers] == [FixedConv, FixedConv, Conv2dSame]
    assert [type(layer) for layer in graph.finest.network.layers] == [Conv2dSame] * 3
    for size in ((16, 24), (20, 28)):
        image = torch.rand(1, 3, *size)
        with torch.no_grad():
            assert torch.equal(fixed(image), network(image)[0])
