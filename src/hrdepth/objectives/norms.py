"""How a student's disparity is compared with a teacher's map."""

from __future__ import annotations

import logging
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional as F

from hrdepth.camera import DepthScale
from hrdepth.errors import InputError
from hrdepth.geometry import scaled_disparity
from hrdepth.losses import affine_invariant_error, gradient_loss, log_ratio_loss
from hrdepth.teachers.base import Meaning
from hrdepth.teachers.labels import Labels

__all__ = ["NORMS", "distance", "learned_scale", "norm_for", "scaled"]

log = logging.getLogger(__name__)

NORMS = {
    "l1": "mean absolute difference of disparities",
    "l2": "mean squared difference of disparities",
    "log-l1": "mean absolute difference of the logarithms of 1/depth",
    "scale": "the same up to a factor of each image, and its gradients",
    "affine": "difference of 1/depth up to a factor and an offset of each image, and its gradients",
}
# By what labels mean: norms that can be used, the default first.
NORMS_FOR = {Meaning.METRIC: tuple(NORMS), Meaning.SCALE: ("scale", "affine"), Meaning.AFFINE: ("affine",)}
UNKNOWN = {Meaning.SCALE: "a factor of each image", Meaning.AFFINE: "a factor and an offset of each image"}
GRADIENTS = 0.5  # weight of the gradients in `scale` and `affine`


def norm_for(labels: Labels, scale: DepthScale, norm: str | None) -> str:
    """Return the norm for labels: the given one, or the default for what they mean to a student of this scale.

    Raises:
        InputError: the labels leave open what the norm compares.
    """
    meaning = labels.meaning_for(scale)
    possible = NORMS_FOR[meaning]
    if norm is not None and norm not in possible:
        raise InputError(
            f"norm '{norm}' cannot compare the labels in {labels.folder}, whose maps are known up to "
            f"{UNKNOWN[meaning]}; use {' or '.join(possible)}"
        )
    return norm or possible[0]


def learned_scale(norm: str, scale: DepthScale) -> DepthScale:
    """Return the scale of a student that learns by this norm alone: it leaves open what the norm does."""
    meaning = {"scale": Meaning.SCALE, "affine": Meaning.AFFINE}.get(norm, Meaning.METRIC)
    if meaning == Meaning.METRIC:
        return scale
    if scale.metres_per_unit is not None:
        log.warning(
            "warning: metres_per_unit %g is left out: depth is learned up to %s, and nothing else ties it to metres",
            scale.metres_per_unit, UNKNOWN[meaning],
        )  # fmt: skip
    return replace(scale, metres_per_unit=None, shift=None if meaning == Meaning.AFFINE else scale.shift)


def distance(
    norm: str,
    disparity: Tensor,
    target: Tensor,
    weights: Tensor | None,
    scale: DepthScale,
    block: int = 1,
    *,
    relative: bool = False,
) -> Tensor:
    """Compare a disparity with a target at the target's size.

    Args:
        norm: a key of `NORMS`.
        disparity: of the student, (B,1,H/2^s,W/2^s).
        target: disparity (B,1,H,W); for `affine` a map of any scale.
        weights: (B,1,H,W), or None.
        scale: of the student's disparity.
        block: compare means over blocks of so many pixels a side; not for `scale` and `affine`.
        relative: of `affine`, see `affine_invariant_error`.

    Returns:
        A scalar.
    """
    disparity = F.interpolate(disparity, target.shape[-2:], mode="bilinear", align_corners=False)
    if norm in ("scale", "affine"):
        known = torch.ones_like(target) if weights is None else weights
        if norm == "affine":
            error, gradients = affine_invariant_error(scaled(disparity, scale), target, known, relative=relative)
        else:
            difference = scaled(disparity, scale).log() - scaled(target, scale).log()
            error, gradients = log_ratio_loss(difference, known > 0)[0], gradient_loss(difference, known > 0)
        return error + GRADIENTS * gradients
    if norm == "log-l1":
        difference = scaled(disparity, scale).log() - scaled(target, scale).log()
    else:
        difference = disparity - target
    if block > 1:
        difference, weights = _block_means(difference, weights, block)
    error = difference.square() if norm == "l2" else difference.abs()
    return (error if weights is None else weights * error).mean()


def scaled(disparity: Tensor, scale: DepthScale) -> Tensor:
    """Return 1/depth, in 1/units."""
    return scaled_disparity(disparity, scale.min_depth, scale.max_depth)


def _block_means(difference: Tensor, weights: Tensor | None, block: int) -> tuple[Tensor, Tensor | None]:
    """Return weighted means over blocks, and the blocks' weights."""

    def mean(values: Tensor) -> Tensor:
        return F.avg_pool2d(values, block, ceil_mode=True)

    if weights is None:
        return mean(difference), None
    block_weights = mean(weights)
    tiny = torch.finfo(torch.float32).tiny
    return mean(difference * weights) / block_weights.clamp(min=tiny), block_weights
