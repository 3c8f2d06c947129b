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
        mask: (B,1,H,W) float, 1 where the pixel shows the scene; 0 on overlays, the car's own hood and letterbox bars,
            which lie at the same place in all frames. Only where a data set of the mix has masks.
        camera: (B,) int64, the row of the table of learned cameras; -1 where `intrinsics` is known. Only where any
            camera is learned.
        view: (B,3,3), from the camera's image, (0,0) to (1,1), to pixels of this size, through crop, resize and
            flip. Comes with `camera`.
        teacher: (B,1,H,W), 1/depth by a teacher, in 1/units of the teacher, for its canonical camera; where it has
            looked at the images before (`objectives.teacher_cache`).
        hint: (B,1,H,W), 1/depth likewise, where geometry knows it without a network, else 0; see `data.hints`.
        objects: (B,1+S,H,W) int64, which object each pixel of the target and of the sources shows, 0 for none; the
            same number is the same object. Only where the objective asks for it, see `data.objects`.
    """

    item: Tensor
    mask: Tensor
    camera: Tensor
    view: Tensor
    teacher: Tensor
    hint: Tensor
    objects: Tensor
