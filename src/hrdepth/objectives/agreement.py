"""How far a teacher's depth explains what the sources show, as each pixel's weight."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from hrdepth.data.sample import Batch
from hrdepth.losses import align_affine
from hrdepth.objectives.base import Output
from hrdepth.objectives.norms import scaled
from hrdepth.objectives.view_synthesis import ViewSynthesis

__all__ = ["photometric_agreement"]

TOLERANCE = 0.1  # of photometric errors


@torch.no_grad()
def photometric_agreement(
    synthesis: ViewSynthesis, output: Output, batch: Batch, target: Tensor, norm: str, known: Tensor | None = None
) -> Tensor:
    """Return how well a teacher's depth explains the sources, beside the student's: (B,1,H,W), 0 to 1.

    It is 1 where the view synthesised through the teacher's depth matches the target as well as that through the
    student's, and falls with the excess of its error. Where neither matches better than the unwarped source does, or no
    source shows the pixel, view synthesis cannot judge: things that move as the camera does, and surfaces without
    texture. There it is 1 too.

    Args:
        synthesis: with the losses' options.
        output: of the student.
        batch: the same batch.
        target: the teacher's disparity, as the norm compares it, (B,1,H,W).
        norm: `scale` leaves the scale open, `affine` scale and shift; the teacher's map is then aligned with the
            student's.
        known: pixels where the teacher's map has a value, bool (B,1,H,W); None for all.
    """
    scale, own = synthesis.network.scale, output.disparities[0].float()
    if norm == "affine":
        aligned = align_affine(target, scaled(own, scale), known=known)
    elif norm == "scale":
        difference = scaled(own, scale).log() - scaled(target, scale).log()
        difference = difference if known is None else difference.where(known, torch.nan)
        ratio = difference.flatten(1).nanmedian(1).values.nan_to_num().exp()
        aligned = scaled(target, scale) * ratio[:, None, None, None]
    else:
        aligned = scaled(target, scale)
    low, high = 1 / scale.max_depth, 1 / scale.min_depth
    taught = ((aligned - low) / (high - low)).clamp(0, 1)
    errors = [
        synthesis.synthesis_errors(replace(output, disparities={0: disparity}), batch).amin(1, keepdim=True)
        for disparity in (taught, own)
    ]
    excess = (errors[0] - errors[1]).clamp(min=0)
    judged = torch.minimum(errors[0], errors[1]) < synthesis.identity_errors(batch).amin(1, keepdim=True)
    return torch.where(judged & excess.isfinite(), torch.exp(-excess / TOLERANCE), 1.0)
