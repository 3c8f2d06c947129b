"""Encoders: an image in, five feature maps at strides 2 to 32 out."""

from __future__ import annotations

from typing import Any, cast

import timm
import torch
import torchvision
from torch import Tensor, nn

from hrdepth.errors import InputError, first_line
from hrdepth.networks.backbone_weights import load_local_weights
from hrdepth.networks.blocks import without_memory
from hrdepth.registry import lookup

__all__ = ["Backbone", "MobileNetV3", "build_backbone", "initial_weights"]

MOBILENETS = {"mobilenet_v3_large": False, "mobilenet_v3_large_authors": True}  # name: whether in the authors' order
# Lite's taps: after these blocks of MobileNetV3-Large; 16, 24, 40, 80, 160 channels at strides 2 to 32.
MOBILENET_TAPS = (0, 2, 4, 7, 15)
MOBILENET_CHANNELS = (16, 24, 40, 80, 160)
IMAGENET = "imagenet"  # alone or as imagenet:TAG: published weights
# Strides that a decoder needs. Networks that begin at stride 4, such as ConvNeXt, get a stem for stride 2.
STRIDES = (2, 4, 8, 16, 32)
# Networks of timm that were tried with a small image: name, channels of the input, whether its coarsest map is alone.
_CHECKED: set[tuple[str, int, bool]] = set()


class Backbone(nn.Module):
    """An encoder: maps a normalised image (B,C,H,W) to five feature maps, finest (stride 2) first.

    Attributes:
        channels: of each map.
        initial_weights: what it starts from, None for random weights.
    """

    channels: tuple[int, ...]
    initial_weights: str | None


def build_backbone(name: str, *, weights: str | None = None, in_channels: int = 3, coarsest: bool = False) -> Backbone:
    """Build an encoder by name.

    Args:
        name: `mobilenet_v3_large` (torchvision's order of layers), `mobilenet_v3_large_authors` (the order that
            the authors' Lite weights fit), or the name of a timm network with features at strides 2 or 4 to 32.
        weights: None for random weights; `"imagenet"` to download the library's default for this network, or
            `"imagenet:TAG"` those of a tag, such as `imagenet:tv_in1k` for timm's `resnet18.tv_in1k` (torchvision's
            first ones) or torchvision's `imagenet:IMAGENET1K_V1`; or a local file, see `load_local_weights`.
        in_channels: 3 for an image, 6 for a stacked pair.
        coarsest: only the map at stride 32 will be read; no stem is built for a level that is missing.

    Raises:
        InputError: an unknown name, features at other strides, or weights that cannot be loaded.
    """
    if name in MOBILENETS:
        if in_channels != 3:
            raise InputError(f"backbone '{name}' takes one image, not a stacked pair; for poses choose one of timm's")
        return MobileNetV3(authors_order=MOBILENETS[name], weights=weights)
    return _TimmBackbone(name, weights, in_channels, coarsest)


def initial_weights(network: nn.Module) -> str | None:
    """Return what a network, or its backbone, started from: published weights or a file; None for random weights."""
    return next(filter(None, (getattr(module, "initial_weights", None) for module in network.modules())), None)


class _TimmBackbone(Backbone):
    """Any timm network that has features at strides 4, 8, 16 and 32; a small stem supplies a missing stride 2."""

    def __init__(self, name: str, weights: str | None, in_channels: int, coarsest: bool) -> None:
        super().__init__()
        published, tag = _published(weights)
        if published and tag is not None:
            name = f"{name.partition('.')[0]}.{tag}"
        self.name, self.in_channels = name, in_channels
        self.network = _timm_features(name, published, in_channels)
        strides = tuple(self.network.feature_info.reduction())
        channels = tuple(self.network.feature_info.channels())
        # VGG also has a map at full size, which is ignored.
        self.levels = tuple(level for level, stride in enumerate(strides) if stride in STRIDES)
        self.channels = tuple(channels[level] for level in self.levels)
        self.stem: nn.Module | None = None
        found = tuple(strides[level] for level in self.levels)
        if found == STRIDES[1:] and not coarsest:
            self.stem = _stem(in_channels, self.channels[0] // 2)
            self.channels = (self.channels[0] // 2, *self.channels)
        elif found not in (STRIDES, STRIDES[1:]):
            raise InputError(f"backbone '{name}' has features at strides {strides}; a decoder needs 2, 4, 8, 16, 32")
        if (network := (name, in_channels, coarsest)) not in _CHECKED:
            self._check_sizes()
            _CHECKED.add(network)
        self.initial_weights = None
        if published:
            found = timm.get_pretrained_cfg(name)
            self.initial_weights = f"timm {name}" if found is None else f"timm {found.architecture}.{found.tag}"
        elif weights is not None:
            self.initial_weights = load_local_weights(self.network, weights, lambda: _timm_body(name))

    def forward(self, image: Tensor) -> list[Tensor]:
        features = self.network(image)
        chosen = [features[level] for level in self.levels]
        return chosen if self.stem is None else [self.stem(image), *chosen]

    def unread_parameters(self) -> int:
        """Count the parameters of timm's whole network that feature maps do not need, such as its classifier's."""
        with without_memory():
            whole: nn.Module = timm.create_model(self.name, in_chans=self.in_channels)
        return _count(whole) - _count(self.network)

    @torch.no_grad()
    def _check_sizes(self) -> None:
        """Try a small image: some networks accept one size only, crop borders, or return channels last."""
        self.eval()
        try:
            sizes = [tuple(feature.shape[1:]) for feature in self(torch.zeros(1, self.in_channels, 64, 96))]
        except Exception as error:
            raise InputError(
                f"backbone '{self.name}' cannot read an image of 64x96 ({first_line(error)}); choose one that "
                "accepts any image size"
            ) from error
        strides = STRIDES[-len(sizes) :]
        if sizes != [(width, 64 // s, 96 // s) for width, s in zip(self.channels, strides, strict=True)]:
            raise InputError(
                f"backbone '{self.name}' returns for an image of 64x96 feature maps (channels, height, width) of "
                f"{sizes}, not of 1/{', 1/'.join(map(str, strides))} of its size; choose another"
            )
        self.train()


def _published(weights: str | None) -> tuple[bool, str | None]:
    """Return whether published ImageNet weights are wanted, and their tag, None for the library's default."""
    kind, _, tag = (weights or "").partition(":")
    return kind == IMAGENET, tag or None


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _timm_features(name: str, pretrained: bool, in_channels: int) -> Any:
    if not timm.is_model(name):
        near = timm.list_models(f"{name[:6]}*")[:5]
        raise InputError(
            f"unknown backbone '{name[:60]}'; give the name of a timm network, such as {', '.join(near) or 'resnet18'}"
        )
    if pretrained and not timm.is_model_pretrained(name):
        known = timm.list_pretrained(f"{name.partition('.')[0]}.*")
        raise InputError(
            f"timm has no ImageNet weights for backbone '{name}'; "
            + (f"there are {', '.join(known)}" if known else "train it from scratch with weights null")
        )
    try:
        return timm.create_model(name, pretrained=pretrained, features_only=True, in_chans=in_channels)
    except Exception as error:  # of the download, or of timm if a network has no feature maps
        if pretrained:
            raise _not_downloaded(name) from error
        raise InputError(f"backbone '{name}' has no feature maps: {first_line(error)}; choose another") from error


def _timm_body(name: str) -> nn.Module:
    """Build the network that the features are taken from, without classifier, on the meta device."""
    with without_memory():
        return cast(nn.Module, timm.create_model(name, num_classes=0))


def _stem(in_channels: int, out_channels: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


class MobileNetV3(Backbone):
    """MobileNetV3-Large up to its last bottleneck, tapped at strides 2 to 32; 2,816,432 parameters.

    Source: Howard et al. 2019, Table 1; paper, section "Lite-HR-Depth".

    Note:
        The authors' release squeezes and excites before the activation and keeps PyTorch's default batch-norm
        epsilon; torchvision activates first and uses 1e-3. `authors_order` builds the network of the released weights.
    """

    channels = MOBILENET_CHANNELS

    def __init__(self, *, authors_order: bool = False, weights: str | None = None) -> None:
        super().__init__()
        published, tag = _published(weights)
        if published and authors_order:
            raise InputError("ImageNet weights exist for backbone 'mobilenet_v3_large' only, not for '..._authors'")
        tags = torchvision.models.MobileNet_V3_Large_Weights
        chosen = lookup(tags.__members__, tag or "DEFAULT", "tag of ImageNet weights") if published else None
        self.initial_weights = None if chosen is None else f"torchvision mobilenet_v3_large.{chosen.name}"
        try:
            network = torchvision.models.mobilenet_v3_large(weights=chosen)
        except OSError as error:
            raise _not_downloaded("mobilenet_v3_large") from error
        self.features = network.features[: MOBILENET_TAPS[-1] + 1]
        for module in self.features.modules():
            if isinstance(module, nn.BatchNorm2d):
                # With torchvision's 0.01, running statistics need some 500 steps to match those of training.
                module.momentum = 0.1
        if authors_order:
            _excite_before_activation(self.features)
        if weights is not None and not published:
            self.initial_weights = load_local_weights(self, weights)

    def forward(self, image: Tensor) -> list[Tensor]:
        """Return the five tapped feature maps of a normalised image (B,3,H,W)."""
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


def _not_downloaded(name: str) -> InputError:
    return InputError(
        f"the ImageNet weights of '{name}' could not be downloaded; connect to the internet, give a local file as "
        "weights, or train from scratch with weights null"
    )
