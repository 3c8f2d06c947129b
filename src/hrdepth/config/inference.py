"""Predicting, and converting weights."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ImportConfig", "PredictConfig"]


@dataclass(frozen=True)
class PredictConfig:
    """A prediction.

    Attributes:
        input: an image, a folder of images or a video.
        weights: a weights file of this package, or one that `hrdepth export` wrote; the name of a network on board;
            `hf://OWNER/REPO` on the Hugging Face Hub; null for the network on board.
        out: the folder to write into; null for NAME_depth here, after the input's name.
        size: (height, width) that the network works at; null for that of its training.
        flip: blend with the prediction for the mirrored image.
        npz: write NAME.npz with disparity and depth; null means for images and folders, not for videos.
        depth_png: write NAME_depth.png, 16 bits, depth x 256.
        panel: put image and disparity side by side in one more image.
        depth_video: of a video, write NAME_depth.mkv: 16-bit FFV1 without loss, depth x 256.
        ply: write NAME.ply, a point cloud for tools; without `intrinsics` for a camera like KITTI's.
        glb: write NAME.glb, a point cloud for viewers, likewise.
        smooth: `exponential` or `flow`: smooth disparity over time, each pixel with its past, or along what moves.
        flicker: measure how much disparity trembles, and write it into predict.json.
        intrinsics: fx, fy, cx, cy in pixels of the images, where they are known: kept in the .npz files, and what
            weights with a `canonical_focal` need for depth in their units.
        camera: which of the learned cameras of the weights took the images, where there are several and `intrinsics`
            is not given; the only one is taken by itself.
        device: `cuda`, `mps` or `cpu`; null takes the best that is there.
        runtime: `pytorch`, `onnxruntime`, `openvino` or `tensorrt`; null takes the fastest that is there.
        precision: `float32`, `bfloat16` or `int8`, as far as the runtime has it; null takes float32, or an exported
            file's own.
        threads: cores to compute with; null for all.
        calibration: for int8 from weights: a folder of images such as the network will see.
        overwrite: replace results in `out`.
        resume: go on with what a stopped run of the same settings left in `out`.
        show: open a window with what came out, where there is one.
    """

    input: str
    weights: str | None = None
    out: str | None = None
    size: tuple[int, int] | None = None
    flip: bool = False
    npz: bool | None = None
    depth_png: bool = False
    panel: bool = True
    depth_video: bool = False
    ply: bool = False
    glb: bool = False
    smooth: str | None = None
    flicker: bool = False
    intrinsics: tuple[float, float, float, float] | None = None
    camera: str | None = None
    device: str | None = None
    runtime: str | None = None
    precision: str | None = None
    threads: int | None = None
    calibration: str | None = None
    overwrite: bool = False
    resume: bool = False
    show: bool = False


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
