"""What a data set gives and an objective takes."""

from __future__ import annotations

from typing import TypedDict

from torch import Tensor

__all__ = ["Batch"]


class _Tensors(TypedDict):
    target: Tensor
    sources: Tensor
    target_augmented: Tensor
    sources_augmented: Tensor
    intrinsics: Tensor
    stereo_pose: Tensor
    source_valid: Tensor


class Batch(_Tensors, total=False):
    """Plain tensors; B samples, S sources in the order of the objective's `frames`.

    Attributes:
        target: (B,3,H,W) in [0,1].
        sources: (B,S,3,H,W); zeros where a sample lacks the source.
        target_augmented: the target with colours changed, blurred or noisy; what the networks see.
        sources_augmented: likewise.
        intrinsics: (B,3,3), pixels of this size; a zoomed sample's principal point may lie outside.
        stereo_pose: (B,4,4), target to the other eye; the identity where there is none.
        source_valid: (B,S) bool, false where a sample lacks the source.
        item: (B,) int64, what the data set was asked for; its `name(item)` says which frame that is. A batch that
            comes from no data set does without.
    """

    item: Tensor
