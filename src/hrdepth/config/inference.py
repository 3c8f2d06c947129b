"""Predicting, and converting weights."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ImportConfig", "PredictConfig"]


@dataclass(frozen=True)
class PredictConfig:
    """A prediction.

    Attributes:
        input: a picture, a folder of pictures or a video.
        weights: a weights file of this package.
        out: the folder to write into.
        size: (height, width) that the network works at; null for that of its training.
        flip: blend with the prediction for the mirrored picture.
        npz: write NAME.npz with disparity and depth; null means for pictures and folders, not for videos.
        depth_png: write NAME_depth.png, 16 bits, depth x 256.
        panel: put picture and disparity side by side in one more picture.
        intrinsics: fx, fy, cx, cy in pixels of the pictures, where they are known: kept in the .npz files, and what
            weights with a `canonical_focal` need for depth in their units.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        overwrite: replace results in `out`.
    """

    input: str
    weights: str
    out: str
    size: tuple[int, int] | None = None
    flip: bool = False
    npz: bool | None = None
    depth_png: bool = False
    panel: bool = True
    intrinsics: tuple[float, float, float, float] | None = None
    device: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class ImportConfig:
    """Published weight files to convert.

    Attributes:
        network: `hrdepth`, `lite_hrdepth` or `monodepth2`.
        encoder: encoder.pth.
        depth: depth.pth.
        out: the file to write, ends in .safetensors.
        pose_encoder: pose_encoder.pth, together with `pose`.
        pose: pose.pth.
        size: (height, width) of training, where the encoder file does not carry it.
        overwrite: replace `out`.
    """

    network: str
    encoder: str
    depth: str
    out: str
    pose_encoder: str | None = None
    pose: str | None = None
    size: tuple[int, int] = (192, 640)
    overwrite: bool = False
