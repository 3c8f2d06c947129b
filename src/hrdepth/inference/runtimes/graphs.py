"""From a network to a simpler one that predicts the same, and to the graphs of ONNX, OpenVINO and `torch.export`."""

from __future__ import annotations

import copy
import io
import json
import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from timm.layers.conv2d_same import Conv2dSame
from timm.layers.norm_act import BatchNormAct2d
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_eval

from hrdepth.camera import DepthScale
from hrdepth.inference.runtimes.openvino_core import shared_core
from hrdepth.inference.runtimes.source import FACTS_FILE
from hrdepth.networks.base import DepthNetwork
from hrdepth.networks.blocks import Pointwise
from hrdepth.networks.hrdepth import FeatureFusionSE

__all__ = [
    "Finest",
    "Graph",
    "onnx_content",
    "openvino_model",
    "simplify",
    "write_onnx",
    "write_openvino",
    "write_torch_export",
]

# Small enough to cost nothing, a multiple of every network's stride.
PROBE = (1, 3, 64, 96)
STRIDE = 32
NORMS = (nn.BatchNorm2d, BatchNormAct2d)  # not their subclasses, which may compute more
# Different from each other and from any number in the networks, so that no length is mistaken for a constant.
EXAMPLE = (128, 192)
OPSET = 18
_EXPORTING = threading.RLock()


class Finest(nn.Module):
    """Only the finest disparity of a network, `(B,3,H,W) -> (B,1,H,W)`; the caller has checked the size."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Predict; a graph traced from this has no other head."""
        if isinstance(self.network, DepthNetwork):
            return self.network.disparities(self.network.normalise(image))[0]
        disparity: Tensor = self.network(image)[0]
        return disparity


class Graph(nn.Module):
    """What an exported file computes.

    Args:
        finest: a network's finest disparity.
        normalisation: the graph normalises images in [0,1]; else the caller does.
        depth: None gives disparity; else depth = `depth` / (1/max_depth + (1/min_depth - 1/max_depth) disparity).
    """

    def __init__(self, finest: Finest, *, normalisation: bool = True, depth: float | None = None) -> None:
        super().__init__()
        network = finest.network
        self.finest = copy.deepcopy(finest)
        if not normalisation and isinstance(network, DepthNetwork):
            self.finest.network.normalise = nn.Identity()
        self.unit = depth
        scale = DepthScale.of(network)
        self.low = 1 / scale.max_depth
        self.range = 1 / scale.min_depth - self.low

    def forward(self, image: Tensor) -> Tensor:
        """Map an image (B,3,H,W) to disparity or depth (B,1,H,W)."""
        disparity: Tensor = self.finest(image)
        return disparity if self.unit is None else self.unit / (self.low + self.range * disparity)


def simplify(network: nn.Module, *, static: bool = False, fold: bool = True) -> Finest:
    """Copy a network and simplify the copy.

    Batch norm goes into the convolution before it, heads other than the finest are left out. The result is compared
    with the original on a small image; where it differs, the network is not simplified.

    Args:
        network: a depth network; it is not changed.
        static: keep gates out of the 1x1 weights, which other runtimes then pack once, and quantise.
        fold: fold batch norm; else convolutions keep their tensors as they are.
    """
    original = copy.deepcopy(network).to("cpu").eval()
    simplified = copy.deepcopy(original)
    heads = getattr(getattr(simplified, "decoder", None), "heads", None)
    if isinstance(heads, nn.ModuleList):  # listed by scale, finest first
        for scale in range(1, len(heads)):
            heads[scale] = nn.Identity()
    with torch.no_grad():
        if fold:
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
    outputs: dict[int, tuple[nn.Conv2d, Tensor]] = {}  # references to the tensors, so that no address is reused
    pairs: list[tuple[nn.Conv2d, nn.BatchNorm2d]] = []

    def made(module: nn.Module, _: tuple[Tensor, ...], output: Tensor) -> None:
        assert isinstance(module, nn.Conv2d)
        outputs[id(output)] = (module, output)

    def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        if id(inputs[0]) in outputs:
            assert isinstance(module, nn.BatchNorm2d)
            pairs.append((outputs[id(inputs[0])][0], module))

    hooks = [m.register_forward_hook(made) for m in network.modules() if isinstance(m, nn.Conv2d)]
    hooks += [m.register_forward_pre_hook(read) for m in network.modules() if type(m) in NORMS]
    Finest(network)(torch.zeros(PROBE))
    for hook in hooks:
        hook.remove()
    norms = {norm: conv for conv, norm in pairs}
    places = {child: (parent, name) for parent in network.modules() for name, child in parent.named_children()}
    for norm, conv in norms.items():
        parent, name = places[conv]
        setattr(parent, name, fuse_conv_bn_eval(conv, norm))
        parent, name = places[norm]
        setattr(parent, name, norm.act if isinstance(norm, BatchNormAct2d) else nn.Identity())


class FixedConv(nn.Module):
    """timm's `Conv2dSame` for inputs whose sizes are multiples of its stride, where its padding is constant."""

    def __init__(self, conv: Conv2dSame) -> None:
        super().__init__()
        self.conv = conv
        sides = zip(conv.kernel_size, conv.stride, conv.dilation, strict=True)
        rows, columns = (max(dilation * (kernel - 1) + 1 - stride, 0) for kernel, stride, dilation in sides)
        self.padding = (columns // 2, columns - columns // 2, rows // 2, rows - rows // 2)

    def forward(self, features: Tensor) -> Tensor:
        """Pad and convolve."""
        return nn.Conv2d.forward(self.conv, F.pad(features, self.padding))


def _with_fixed_padding(graph: Graph) -> Graph:
    """Copy a graph for any size; the padding of its convolutions no longer depends on the size.

    A convolution stays as it is where its input is not always a multiple of its stride.
    """
    fixed = copy.deepcopy(graph)
    fits: dict[Conv2dSame, bool] = {}

    def read(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        assert isinstance(module, Conv2dSame)
        whole = not any(length % step for length, step in zip(inputs[0].shape[2:], module.stride, strict=True))
        fits[module] = fits.get(module, True) and whole

    hooks = [m.register_forward_pre_hook(read) for m in fixed.modules() if type(m) is Conv2dSame]
    if not hooks:
        return fixed
    # Odd multiples of the network's stride: a map that is not a multiple at some size is not at this one.
    stride = int(getattr(fixed.finest.network, "stride", STRIDE))
    with torch.no_grad():
        fixed(torch.zeros(1, 3, 3 * stride, 5 * stride))
    for hook in hooks:
        hook.remove()
    places = [(parent, name, child) for parent in fixed.modules() for name, child in parent.named_children()]
    for parent, name, child in places:
        if isinstance(child, Conv2dSame) and fits.get(child, False):
            setattr(parent, name, FixedConv(child))
    return fixed


def write_onnx(
    graph: Graph, path: Path, *, size: tuple[int, int] | None, metadata: dict[str, str], half: bool = False
) -> None:
    """Write an ONNX file, input `image`, output `output`.

    Args:
        graph: what the file computes.
        path: the file.
        size: (height, width) of its only size; None for any, and any batch.
        metadata: goes into the file's metadata.
        half: keep batch norm as it is, and kernels in float16, which runtimes convert when they load the file.
    """
    import onnx

    model = onnx.load_from_string(_onnx(graph, size, keep_norms=half))
    if half:
        _halve_kernels(model.graph)
    onnx.helper.set_model_props(model, metadata)
    onnx.save_model(model, path)


def _halve_kernels(graph: Any) -> None:
    """Store kernels that float16 holds exactly in float16, each with a cast to float32 before its readers."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.ndim < 2 or values.dtype != np.float32 or not np.array_equal(values.astype(np.float16), values):
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_float16"))
        casts.append(helper.make_node("Cast", [f"{name}_float16"], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)


def write_torch_export(graph: Graph, path: Path, *, size: tuple[int, int] | None, metadata: dict[str, str]) -> None:
    """Write a file of `torch.export`; arguments as `write_onnx`."""
    content = io.BytesIO()  # torch's own writer ends the process where the disk is full
    with _quiet():
        torch.export.save(_exported(graph, size), content, extra_files={FACTS_FILE: json.dumps(metadata)})
    path.write_bytes(content.getvalue())


def write_openvino(model: Any, path: Path, *, metadata: dict[str, str]) -> None:
    """Write `path`, an .xml, and the .bin beside it."""
    import openvino

    for key, value in metadata.items():
        model.set_rt_info(value, ["hrdepth", key])
    try:
        openvino.save_model(model, path, compress_to_fp16=False)
    except RuntimeError as error:  # such as a full disk
        raise OSError(f"OpenVINO cannot write it ({str(error).splitlines()[-1]})") from error


def openvino_model(graph: Graph, size: tuple[int, int] | None = None) -> Any:
    """Make an OpenVINO model, of one size or for any."""
    # Through ONNX, in a tenth of the time of OpenVINO's own reader of PyTorch modules.
    return shared_core().read_model(_onnx(graph, size), b"")


def onnx_content(network: nn.Module) -> bytes:
    """Return the content of an ONNX file of a network, for any size and any batch."""
    return _onnx(Graph(simplify(network, static=True)), None)


def _onnx(graph: Graph, size: tuple[int, int] | None, *, keep_norms: bool = False) -> bytes:
    """Make an ONNX file's content."""
    content = io.BytesIO()
    # With TorchScript: the exporter based on torch.export takes a hundred times as long for the same graph.
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            graph,
            (torch.zeros(1, 3, *(size or EXAMPLE)),),
            content,  # type: ignore[arg-type]  # not in the annotation
            input_names=["image"],
            output_names=["output"],
            dynamic_axes=None
            if size
            else {name: {0: "batch", 2: "height", 3: "width"} for name in ("image", "output")},
            opset_version=OPSET,
            dynamo=False,
            # The exporter folds batch norm unless it is to keep the module as it is, which is in eval mode.
            training=torch.onnx.TrainingMode.PRESERVE if keep_norms else torch.onnx.TrainingMode.EVAL,
        )
    return content.getvalue()


def _exported(graph: Graph, size: tuple[int, int] | None) -> torch.export.ExportedProgram:
    shapes = None
    if size is None:
        graph = _with_fixed_padding(graph)
        height, width = STRIDE * torch.export.Dim("height_32"), STRIDE * torch.export.Dim("width_32")
        shapes = ({0: torch.export.Dim("batch"), 2: height, 3: width},)
    # Not 1: a batch of one would become a constant.
    example = torch.zeros(1, 3, *size) if size else torch.zeros(2, 3, *EXAMPLE)
    return torch.export.export(graph, (example,), dynamic_shapes=shapes)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress the exporters' messages; their failures are exceptions.

    One thread at a time, as filters of warnings are the process's. Levels of loggers are not changed: code that
    saves and restores one meanwhile would restore the wrong level.
    """
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "torch.export", "onnxscript", "nncf", "root")]
    here = threading.get_ident()

    def grave(record: logging.LogRecord) -> bool:
        return record.levelno >= logging.ERROR or record.thread != here

    with _EXPORTING, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.addFilter(grave)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(grave)
