"""Losses as pure functions of maps (B,C,H,W); those of images return maps, those of depth and disparity scalars."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "SSIM_WEIGHT",
    "Windows",
    "affine_invariant_error",
    "align_affine",
    "edge_aware_smoothness",
    "gradient_loss",
    "log_ratio_loss",
    "minimum_reprojection",
    "photometric_error",
    "ssim",
    "windows",
]

SSIM_WEIGHT = 0.85  # alpha of the paper's eq. 1
C1, C2 = 0.01**2, 0.03**2
GRADIENT_SCALES = 4


class Windows(NamedTuple):
    """What SSIM needs of one image: computed once for a target that is compared with several sources.

    Attributes:
        padded: the image with a reflected border, (B,C,H+2,W+2).
        mean: over each 3x3 window, (B,C,H,W).
        variance: over each 3x3 window, (B,C,H,W).
    """

    padded: Tensor
    mean: Tensor
    variance: Tensor


def windows(image: Tensor) -> Windows:
    """Compute mean and variance of all 3x3 windows of (B,C,H,W), with reflection at the border."""
    padded = F.pad(image, (1, 1, 1, 1), mode="reflect")
    mean = _box(padded)
    return Windows(padded, mean, _box(padded * padded) - mean * mean)


def ssim(first: Tensor | Windows, second: Tensor | Windows) -> Tensor:
    """Compare structure in 3x3 windows with reflection at the border.

    Args:
        first: (B,C,H,W) in [0,1], or its windows.
        second: as `first`.

    Returns:
        The index per pixel and channel (B,C,H,W), at most 1.

    Source: Wang et al. 2004, eq. 13, with a box window.

    Example:
        >>> image = torch.rand(1, 3, 8, 8)
        >>> torch.allclose(ssim(image, windows(image)), torch.ones(1, 3, 8, 8), atol=1e-4)
        True
    """
    padded_1, mean_1, variance_1 = first if isinstance(first, Windows) else windows(first)
    padded_2, mean_2, variance_2 = second if isinstance(second, Windows) else windows(second)
    product = mean_1 * mean_2
    covariance = _box(padded_1 * padded_2) - product
    similar = (2 * product + C1) * (2 * covariance + C2)
    return similar / ((mean_1 * mean_1 + mean_2 * mean_2 + C1) * (variance_1 + variance_2 + C2))


def photometric_error(
    synthesised: Tensor, target: Tensor, ssim_weight: float = SSIM_WEIGHT, target_windows: Windows | None = None
) -> Tensor:
    """Compare a synthesised view with the target, per pixel.

    Args:
        synthesised: (B,3,H,W) in [0,1].
        target: (B,3,H,W) in [0,1].
        ssim_weight: alpha; 0 gives the L1 norm alone.
        target_windows: `windows(target)`, if it was computed before.

    Returns:
        (B,1,H,W).

    Source: paper, eq. 1.
    """
    error = (synthesised - target).abs().mean(dim=1, keepdim=True)
    if ssim_weight == 0:
        return error
    structure = ssim(synthesised, windows(target) if target_windows is None else target_windows)
    dissimilarity = ((1 - structure) / 2).clamp(0, 1).mean(dim=1, keepdim=True)
    return ssim_weight * dissimilarity + (1 - ssim_weight) * error


def minimum_reprojection(errors: Tensor, identity_errors: Tensor | None = None) -> Tensor:
    """Return each pixel's smallest error over the sources, auto-masked if identity errors are given.

    Args:
        errors: (B,S,H,W), the photometric error of each synthesised view.
        identity_errors: (B,S,H,W), the error of each source without warping. They mask pixels that move with the
            camera, and frames without motion. None for no auto-mask.

    Returns:
        (B,1,H,W). Where an identity error is the smallest, it is returned, and no gradient flows.

    Source: paper, eq. 2; Godard et al. 2019, eq. 4 and 5.

    Example:
        >>> minimum_reprojection(torch.tensor([0.3, 0.2]).view(1, 2, 1, 1)).item()
        0.20000000298023224
    """
    candidates = errors if identity_errors is None else torch.cat([identity_errors, errors], dim=1)
    return candidates.amin(dim=1, keepdim=True)


def edge_aware_smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """Penalise disparity gradients, less where the image has edges.

    Args:
        disparity: (B,1,H,W), normalised by its mean here, so that shrinking it does not lower the loss.
        image: (B,3,H,W) in [0,1].

    Returns:
        A scalar.

    Source: paper, eq. 3.

    Note:
        The paper smooths depth; the release smooths mean-normalised disparity.
    """
    disparity = disparity / (disparity.mean(dim=(2, 3), keepdim=True) + 1e-7)
    across = disparity.diff(dim=3).abs() * torch.exp(-image.diff(dim=3).abs().mean(dim=1, keepdim=True))
    down = disparity.diff(dim=2).abs() * torch.exp(-image.diff(dim=2).abs().mean(dim=1, keepdim=True))
    return across.mean() + down.mean()


def _box(padded: Tensor) -> Tensor:
    """Return the mean over 3x3 windows; as two 1D sums it is three times as fast as pooling on a CPU."""
    across = padded[..., :-2] + padded[..., 1:-1] + padded[..., 2:]
    return (across[..., :-2, :] + across[..., 1:-1, :] + across[..., 2:, :]) / 9


def log_ratio_loss(difference: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return how log depths differ: up to scale, and in scale.

    Args:
        difference: of log depths, (B,1,H,W).
        known: where the true one is known, bool (B,1,H,W).

    Returns:
        The mean absolute deviation from each image's median, and the mean absolute median; 0 where nothing is known.
    """
    deviations, medians = [], []
    for image, where in zip(difference, known, strict=True):
        values = image[where]
        if len(values):
            median = values.median()
            deviations.append((values - median).abs().mean())
            medians.append(median.abs())
    if not deviations:
        return difference.sum() * 0.0, difference.sum() * 0.0
    return torch.stack(deviations).mean(), torch.stack(medians).mean()


def gradient_loss(difference: Tensor, known: Tensor) -> Tensor:
    """Return the sum over four scales of the mean absolute steps of a difference (B,1,H,W) between known neighbours.

    Args:
        difference: of log depths.
        known: bool (B,1,H,W).

    Source: Li and Snavely, MegaDepth, CVPR 2018, section 4.2.
    """
    total = difference.sum() * 0.0
    for scale in range(GRADIENT_SCALES):
        step = 2**scale
        part, where = difference[..., ::step, ::step], known[..., ::step, ::step]
        for axis in (-1, -2):
            length = part.shape[axis] - 1
            both = where.narrow(axis, 1, length) & where.narrow(axis, 0, length)
            total = total + (part.diff(dim=axis).abs() * both).sum() / both.sum().clamp(min=1)
    return total


def affine_invariant_error(
    predicted: Tensor, target: Tensor, known: Tensor, trim: float = 0.2, *, relative: bool = False
) -> tuple[Tensor, Tensor]:
    """Compare disparities up to an unknown scale and shift of each image.

    Both are brought to median 0 and mean absolute deviation 1, in closed form; of the absolute differences the largest
    share `trim` is left out, since they are mostly faults of the target.

    Args:
        predicted: (B,1,H,W).
        target: (B,1,H,W), with any scale and shift.
        known: weights (B,1,H,W), 0 where the target is unknown.
        trim: share of the pixels.
        relative: multiply each image's difference with the prediction's contrast (deviation over median, without
            gradient). Then a flat prediction is pulled no harder than another one, and a loss beside this one, which
            settles scale and shift, is not outweighed at the start of a training.

    Returns:
        The mean absolute difference, and the gradients of the difference at four scales (see `gradient_loss`).

    Source: Ranftl et al., Towards Robust Monocular Depth Estimation, TPAMI 2020, section 5 (L_ssitrim, L_reg).
    """
    errors, differences = [], []
    for one, other, weight in zip(predicted, target, known, strict=True):
        where = weight > 0
        if not where.any():
            differences.append(one * 0.0)
            continue
        difference = _aligned(one, where) - _aligned(other, where)
        if relative:
            inside = one.detach()[where]
            difference = difference * (inside - inside.median()).abs().mean() / inside.median()
        absolute, weights = difference[where].abs(), weight[where]
        kept = max(1, round((1 - trim) * len(absolute)))
        order = absolute.detach().argsort()[:kept]
        errors.append((absolute[order] * weights[order]).sum() / weights[order].sum())
        differences.append(difference)
    error = torch.stack(errors).mean() if errors else predicted.sum() * 0.0
    return error, gradient_loss(torch.stack(differences), known > 0)


def align_affine(values: Tensor, reference: Tensor, trim: float = 0.2, known: Tensor | None = None) -> Tensor:
    """Bring each image of `values` (B,1,H,W) to `reference` (B,1,H,W) by scale and shift, whatever a part of it does.

    First by medians and median absolute deviations, then twice by least squares without the share `trim` of the pixels
    that fit worst. Only pixels where `known` (B,1,H,W) is true count; an image without any stays as it is.
    """
    found = []
    for number, (one, other) in enumerate(zip(values, reference, strict=True)):
        x, y = (each.flatten() if known is None else each[known[number]] for each in (one, other))
        if not len(x):
            found.append(one)
            continue
        tiny = torch.finfo(x.dtype).tiny
        x0, y0 = x.median(), y.median()
        scale = (y - y0).abs().median() / (x - x0).abs().median().clamp(min=tiny)
        shift = y0 - scale * x0
        for _ in range(2):
            residual = (scale * x + shift - y).abs()
            kept = residual <= residual.sort().values[max(0, round((1 - trim) * len(x)) - 1)]
            x0, y0 = x[kept].mean(), y[kept].mean()
            scale = ((x[kept] - x0) * (y[kept] - y0)).sum() / (x[kept] - x0).square().sum().clamp(min=tiny)
            shift = y0 - scale * x0
        found.append(scale * one + shift)
    return torch.stack(found)


def _aligned(values: Tensor, where: Tensor) -> Tensor:
    """Bring the median of values where (1,H,W) bool is true to 0, their mean absolute deviation to 1."""
    inside = values[where]
    shifted = values - inside.median()
    return shifted / shifted[where].abs().mean().clamp(min=1e-6)
