"""Encoders: a picture in, five feature maps at strides 2 to 32 out."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol, cast

import timm
import torch
import torchvision
from safetensors.torch import load_file
from torch import Tensor, nn

from hrdepth.errors import InputError
from hrdepth.files import existing_file

__all__ = ["Backbone", "MobileNetV3", "build_backbone"]

MOBILENETS = {"mobilenet_v3_large": False, "mobilenet_v3_large_authors": True}  # name: the authors' order
# Lite's taps: after these blocks of MobileNetV3-Large; 16, 24, 40, 80, 160 channels at strides 2 to 32.
MOBILENET_TAPS = (0, 2, 4, 7, 15)
MOBILENET_CHANNELS = (16, 24, 40, 80, 160)


class Backbone(Protocol):
    """What a decoder asks of an encoder."""

    channels: tuple[int, ...]

    def __call__(self, image: Tensor) -> list[Tensor]:
        """Map a normalised picture (B,C,H,W) to five feature maps, finest (stride 2) first."""


def build_backbone(name: str, *, weights: str | None = None, in_channels: int = 3) -> nn.Module:
    """Build an encoder by name.

    Args:
        name: `mobilenet_v3_large` (torchvision's order of layers), `mobilenet_v3_large_authors` (the order that
            the authors' Lite weights fit), or the name of a timm network with features at strides 2 to 32.
        weights: None for random weights, `"imagenet"` to download them, or a local file with a state dict.
        in_channels: 3 for a picture, 6 for a stacked pair.

    Returns:
        A module that keeps `Backbone`.

    Raises:
        InputError: unknown name, features at other strides, or weights that cannot be had.
    """
    if name in MOBILENETS:
        if in_channels != 3:
            raise InputError(f"backbone '{name}' takes one picture, not a stacked pair; for poses name one of timm's")
        return MobileNetV3(authors_order=MOBILENETS[name], weights=weights)
    return _TimmBackbone(name, weights, in_channels)


class _TimmBackbone(nn.Module):
    """Any timm network that has features at strides 2, 4, 8, 16 and 32."""

    def __init__(self, name: str, weights: str | None, in_channels: int) -> None:
        super().__init__()
        if name not in timm.list_models():
            near = timm.list_models(f"{name[:6]}*")[:5]
            raise InputError(
                f"unknown backbone '{name}'; give the name of a timm network, such as {', '.join(near) or 'resnet18'}"
            )
        try:
            self.network = timm.create_model(
                name, pretrained=weights == "imagenet", features_only=True, in_chans=in_channels
            )
        except (OSError, RuntimeError) as error:
            if weights == "imagenet":
                raise _not_downloaded(name) from error
            raise
        self.channels: tuple[int, ...] = tuple(self.network.feature_info.channels())
        strides = tuple(self.network.feature_info.reduction())
        if strides != (2, 4, 8, 16, 32):
            raise InputError(f"backbone '{name}' has features at strides {strides}; a decoder needs 2, 4, 8, 16, 32")
        if weights is not None and weights != "imagenet":
            _load_local(self.network, weights)

    def forward(self, image: Tensor) -> list[Tensor]:
        return cast("list[Tensor]", self.network(image))


class MobileNetV3(nn.Module):
    """MobileNetV3-Large up to its last bottleneck, tapped at strides 2 to 32; 2,816,432 parameters.

    Source: Howard et al. 2019, Table 1; paper, section "Lite-HR-Depth".

    Note:
        The authors' release squeezes and excites before the activation and keeps PyTorch's default batch-norm
        epsilon; torchvision activates first and uses 1e-3. `authors_order` builds what the released weights fit.
    """

    channels = MOBILENET_CHANNELS

    def __init__(self, *, authors_order: bool = False, weights: str | None = None) -> None:
        super().__init__()
        pretrained = "DEFAULT" if weights == "imagenet" else None
        if pretrained and authors_order:
            raise InputError("ImageNet weights exist for backbone 'mobilenet_v3_large' only, not for '..._authors'")
        try:
            network = torchvision.models.mobilenet_v3_large(weights=pretrained)
        except OSError as error:
            raise _not_downloaded("mobilenet_v3_large") from error
        self.features = network.features[: MOBILENET_TAPS[-1] + 1]
        for module in self.features.modules():
            if isinstance(module, nn.BatchNorm2d):
                # torchvision's 0.01 needs some 500 steps before evaluation sees what training saw.
                module.momentum = 0.1
        if authors_order:
            _excite_before_activation(self.features)
        if weights is not None and weights != "imagenet":
            _load_local(self, weights)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the five tapped feature maps of a normalised picture (B,3,H,W)."""
        taps = []
        for index, block in enumerate(self.features):
            image = block(image)
            if index in MOBILENET_TAPS:
                taps.append(image)
        return taps


def _excite_before_activation(features: nn.Sequential) -> None:
    """Reorder every block from (convolve, activate, excite) to (convolve, excite, activate), in place."""
    for module in features.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-5
    for bottleneck in features[1:]:
        layers = list(cast(nn.Sequential, bottleneck.block))
        if isinstance(layers[-2], torchvision.ops.SqueezeExcitation):
            *expand, depthwise, excite, project = layers
            convolution, normalisation, activation = cast(nn.Sequential, depthwise)
            bottleneck.block = nn.Sequential(
                *expand, nn.Sequential(convolution, normalisation), excite, activation, project
            )


def _load_local(module: nn.Module, path: str) -> None:
    file = existing_file(path, "the backbone's weights file")
    tensors = _read_state_dict(file)
    wanted = module.state_dict()
    fitting = {key: value for key, value in tensors.items() if key in wanted and value.shape == wanted[key].shape}
    missing = [key for key in wanted if key not in fitting and not key.endswith("num_batches_tracked")]
    if missing:
        raise InputError(
            f"the backbone's weights file {path} does not fit: {len(missing)} tensors are missing or misshaped, "
            f"the first is '{missing[0]}'"
        )
    module.load_state_dict(fitting, strict=False)


def _read_state_dict(file: Path) -> dict[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return cast("dict[str, Tensor]", load_file(file))
        return cast("dict[str, Tensor]", torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:
        raise InputError(f"the weights file {file} cannot be read: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]


def _not_downloaded(name: str) -> InputError:
    return InputError(
        f"the ImageNet weights of '{name}' could not be downloaded; connect to the network, give a local file as "
        "weights, or train from scratch with weights null"
    )
