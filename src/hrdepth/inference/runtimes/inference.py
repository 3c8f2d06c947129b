"""A network made ready to predict: batch norm inside the convolutions, one disparity alone, nothing else changed."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import Pointwise
from hrdepth.networks.hrdepth import FeatureFusionSE

__all__ = ["Finest", "Graph", "for_inference"]

# Small enough to cost nothing, a multiple of every network's stride.
PROBE = (1, 3, 64, 96)


class Finest(nn.Module):
    """A network's finest disparity alone, `(B,3,H,W) -> (B,1,H,W)`; whoever calls it has checked the size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Predict; a graph that is traced from here holds no other head."""
        if isinstance(self.network, DepthNetwork):
            return self.network.disparities(self.network.normalise(image))[0]
        disparity: Tensor = self.network(image)[0]
        return disparity


class Graph(nn.Module):
    """What an exported file computes.

    Args:
        finest: a network's finest disparity.
        normalisation: the graph takes images in [0,1]; else images that the caller has normalised.
        depth: None gives disparity; else depth = `depth` / (1/max_depth + (1/min_depth - 1/max_depth) disparity).
    """

    def __init__(self, finest: Finest, *, normalisation: bool = True, depth: float | None = None) -> None:
        super().__init__()
        network = finest.network
        self.finest = copy.deepcopy(finest)
        if not normalisation and isinstance(network, DepthNetwork):
            self.finest.network.normalise = nn.Identity()
        self.unit = depth
        self.low = 1 / float(getattr(network, "max_depth", 100.0))
        self.range = 1 / float(getattr(network, "min_depth", 0.1)) - self.low

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B,3,H,W) to disparity or depth (B,1,H,W)."""
        disparity: Tensor = self.finest(image)
        return disparity if self.unit is None else self.unit / (self.low + self.range * disparity)


def for_inference(network: nn.Module, *, static: bool = False) -> Finest:
    """Copy a network and simplify the copy.

    Batch norm goes into the convolution before it, heads other than the finest are left out. The result is compared
    with the original on a small image; where it should differ, the network is taken as it is.

    Args:
        network: a depth network; it stays as it was.
        static: keep gates out of the 1x1 weights, which other runtimes then pack once, and quantise.
    """
    original = copy.deepcopy(network).to("cpu").eval()
    simplified = copy.deepcopy(original)
    heads = getattr(getattr(simplified, "decoder", None), "heads", None)
    if isinstance(heads, nn.ModuleList):  # listed by scale, finest first
        for scale in range(1, len(heads)):
            heads[scale] = nn.Identity()
    with torch.no_grad():
        _fold_batch_norm(simplified)
        if static:
            for module in simplified.modules():
                if isinstance(module, FeatureFusionSE) and isinstance(module.mix, Pointwise):
                    module.mix = StaticPointwise(module.mix)
        probe = torch.rand(PROBE, generator=torch.Generator().manual_seed(0))
        expected, found = original(probe)[0], Finest(simplified)(probe)
    if not torch.allclose(expected, found, atol=1e-4, rtol=1e-3):
        return Finest(original)
    return Finest(simplified)


class StaticPointwise(nn.Module):
    """`Pointwise` that multiplies the features with the gate, not its weights."""

    def __init__(self, pointwise: Pointwise) -> None:
        super().__init__()
        self.conv = nn.Conv2d(pointwise.in_channels, pointwise.out_channels, 1, bias=pointwise.bias is not None)
        self.conv.load_state_dict(pointwise.state_dict())

    def forward(self, features: Tensor, gate: Tensor | None = None) -> Tensor:
        """Mix the channels of every pixel."""
        mixed: Tensor = self.conv(features if gate is None else features * gate[:, :, None, None])
        return mixed


def _fold_batch_norm(network: nn.Module) -> None:
    """Fold each batch norm that reads a convolution's output, and is its only reader, into that convolution."""
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # the tensors are held, so that no address is used twice
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def made(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        outputs[id(output)] = (module, output)

    def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in outputs:
            assert isinstance(module, nn.BatchNorm2d)
            pairs.append((outputs[id(inputs[0])][0], module))

    hooks = [m.register_forward_hook(made) for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(read) for m in network.modules() if type(m) is nn.BatchNorm2d]
    Finest(network)(torch.zeros(PROBE))
    for hook in hooks:
        hook.remove()
    norms = {norm: conv for conv, norm in pairs}
    places = {child: (parent, name) for parent in network.modules() for name, child in parent.named_children()}
    for norm, conv in norms.items():
        parent, name = places[conv]
        setattr(parent, name, fuse_conv_bn_eval(conv, norm))
        parent, name = places[norm]
        setattr(parent, name, nn.Identity())
