"""Lanczos resampling as Pillow does it, but by products of small matrices: in less than half the time."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

__all__ = ["lanczos"]

LOBES = 3
BLOCK = 32
"""Pixels of the result per product: more multiply more zeros, fewer need more products."""


def lanczos(image: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize an image.

    Args:
        image: uint8 (H,W,3).
        size: (h, w).

    Returns:
        float32 (3,h,w), whole numbers of 0 to 255; like `PIL.Image.resize` with LANCZOS first along the rows, then
        along the columns, rounded after each. A few in a thousand differ from Pillow's by one: it rounds its weights.
    """
    height, width = size
    rows = image.permute(2, 0, 1).to(torch.float32, memory_format=torch.contiguous_format)
    if width != rows.shape[2]:
        bands = _bands(rows.shape[2], width, image.device)
        rows = _rounded([rows[:, :, taken] @ weights.mT for taken, weights in bands], 2)
    if height != rows.shape[1]:
        bands = _bands(rows.shape[1], height, image.device)
        rows = _rounded([weights @ rows[:, taken] for taken, weights in bands], 1)
    return rows


def _rounded(parts: list[Tensor], dimension: int) -> Tensor:
    return torch.cat(parts, dim=dimension).round_().clamp_(0, 255)


@lru_cache(maxsize=8)
def _bands(length: int, wanted: int, device: torch.device) -> list[tuple[slice, Tensor]]:
    """Return, for each `BLOCK` pixels of the result, which pixels they are made of, and the weights (block, pixels)."""
    step = length / wanted
    stretch = max(step, 1.0)
    centres = (torch.arange(wanted, dtype=torch.float64) + 0.5) * step
    first = (centres - LOBES * stretch + 0.5).long().clamp(min=0)
    last = (centres + LOBES * stretch + 0.5).long().clamp(max=length)
    bands = []
    for block in torch.split(torch.arange(wanted), BLOCK):
        low, high = int(first[block[0]]), int(last[block[-1]])
        pixels = torch.arange(low, high)
        distance = (pixels + 0.5 - centres[block, None]) / stretch
        weights = torch.sinc(distance) * torch.sinc(distance / LOBES)
        weights[(pixels < first[block, None]) | (pixels >= last[block, None]) | (distance.abs() >= LOBES)] = 0
        weights /= weights.sum(dim=1, keepdim=True)
        bands.append((slice(low, high), weights.float().to(device)))
    return bands
