"""Feature maps at the first level, before and after fusion (paper, Figure 5)."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor, nn

from hrdepth.errors import InputError
from hrdepth.io.plotting import PAGE_WIDTH, new_figure

__all__ = ["draw_features", "first_level_maps"]

TITLE_LETTERS = 80  # of a page's width


def first_level_maps(network: nn.Module, image: Tensor) -> dict[str, NDArray[np.float32]]:
    """Return what the decoder's last fusion at the first level (half resolution) reads and makes.

    Args:
        network: HR-Depth with any of its tables, or Monodepth2.
        image: (1,3,H,W).

    Returns:
        For each map, in the order of the network, the root mean square over its channels (H/2,W/2).

    Raises:
        InputError: the network has no such fusion.
    """
    decoder: Any = getattr(network, "decoder", None)
    if hasattr(decoder, "nodes"):
        fusion, between = decoder.nodes["04"], [name for name in ("01", "02", "03") if name in decoder.nodes]
    elif hasattr(decoder, "fuse"):
        fusion, between = decoder.fuse[1], []
    else:
        raise InputError(f"{type(network).__name__} has no fusion at the first level; give HR-Depth or Monodepth2")
    found: dict[str, Tensor] = {}
    hooks = [fusion.register_forward_hook(lambda _, given, made: found.update(read=given[0], made=made))]
    encoder: Any = network.encoder
    hooks.append(encoder.register_forward_hook(lambda _, __, made: found.update(encoder=made[0])))
    try:
        with torch.inference_mode():
            network(image)
    finally:
        for hook in hooks:
            hook.remove()
    # The fusion reads, one behind the other: the map from below, the encoder's, and the nodes between.
    nodes = [found["encoder"].shape[1], *[found["made"].shape[1]] * len(between)]
    raised, *skips = torch.split(found["read"], [found["read"].shape[1] - sum(nodes), *nodes], 1)
    labels = ["encoder's map", *(f"node {name}" for name in between)]
    maps = dict(zip(labels, skips, strict=True)) | {"from below, raised": raised, "after fusion": found["made"]}
    return {label: np.asarray((value[0] ** 2).mean(0).sqrt().float().cpu().numpy()) for label, value in maps.items()}


def draw_features(image: NDArray[np.uint8], maps: Mapping[str, Mapping[str, NDArray[np.float32]]]) -> Figure:
    """Draw the maps of several networks in columns, each map in its own range of colours.

    Args:
        image: uint8 (H,W,3), on top.
        maps: for each network's name what `first_level_maps` returns.

    Source: paper, Figure 5.
    """
    height, width = image.shape[:2]
    rows = 1 + max(len(own) for own in maps.values())
    figure = new_figure(rows * PAGE_WIDTH / len(maps) * height / width + 0.14 * rows)
    grid = figure.subplots(rows, len(maps), squeeze=False)
    for column, (name, own) in zip(grid.T, maps.items(), strict=True):
        column[0].imshow(image)
        column[0].set_title(fill(name, TITLE_LETTERS // len(maps)))
        for axis, (label, values) in zip(column[1:], own.items(), strict=False):
            # Networks of other sizes see the image at other ratios of its sides.
            axis.imshow(values, cmap="viridis", extent=(-0.5, width - 0.5, height - 0.5, -0.5))
            axis.set_title(label, fontsize=6)
        for axis in column:
            axis.axis("off")
    return figure
