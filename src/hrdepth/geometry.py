"""From disparity to a synthesised view: pure functions, in the order in which they are applied.

Cameras look along +z, x points right, y down. Pixel centres have integer coordinates: the first is (0, 0), the last
(W-1, H-1). A pose is a 4x4 matrix that takes points from the target camera to the source camera.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from hrdepth.camera import focal_factor, pinhole

__all__ = [
    "backproject",
    "crop_intrinsics",
    "depth_to_disparity",
    "disparity_to_depth",
    "flip_intrinsics",
    "focal_factors",
    "invert_pose",
    "pinhole",
    "pose_matrix",
    "project",
    "sample",
    "scale_intrinsics",
    "scaled_disparity",
    "view_synthesis",
]

# Smallest z in the source camera, in network units: nearer points, and those behind it, are projected from this depth.
NEAREST = 1e-3


def scaled_disparity(disparity: Tensor, min_depth: float = 0.1, max_depth: float = 100.0) -> Tensor:
    """Map the network's sigmoid output to 1/depth, any shape.

    Example:
        >>> scaled_disparity(torch.tensor([0.0, 1.0])).tolist()
        [0.009999999776482582, 10.0]
    """
    return 1 / max_depth + (1 / min_depth - 1 / max_depth) * disparity


def disparity_to_depth(disparity: Tensor, min_depth: float = 0.1, max_depth: float = 100.0) -> Tensor:
    """Map the network's sigmoid output to depth in network units, any shape.

    Source: Godard et al. 2017; as released, depth = 1 / (0.01 + 9.99 disparity) by default.

    Example:
        >>> disparity_to_depth(torch.tensor([0.0, 1.0]))
        tensor([100.0000,   0.1000])
    """
    return 1 / scaled_disparity(disparity, min_depth, max_depth)


def focal_factors(intrinsics: Tensor, width: int, canonical_focal: float | None) -> Tensor | float:
    """Return `camera.focal_factor` (B,1,1,1) for K (B,3,3), images `width` wide; 1 without a canonical focal length."""
    return 1.0 if canonical_focal is None else focal_factor(intrinsics[:, :1, :1, None], width, canonical_focal)


def depth_to_disparity(depth: Tensor, min_depth: float = 0.1, max_depth: float = 100.0) -> Tensor:
    """Invert `disparity_to_depth`.

    Example:
        >>> depth_to_disparity(disparity_to_depth(torch.tensor(0.25)))
        tensor(0.2500)
    """
    return (1 / depth - 1 / max_depth) / (1 / min_depth - 1 / max_depth)


def crop_intrinsics(intrinsics: Tensor, left: float, top: float) -> Tensor:
    """Adapt intrinsics (...,3,3) to a crop whose upper left corner is (left, top), in pixels."""
    cropped = intrinsics.clone()
    cropped[..., 0, 2] -= left
    cropped[..., 1, 2] -= top
    return cropped


def scale_intrinsics(intrinsics: Tensor, width_factor: float, height_factor: float) -> Tensor:
    """Adapt intrinsics (...,3,3) to a resize: the first row times the width's factor, the second times the height's.

    Example:
        >>> scale_intrinsics(torch.eye(3), 0.5, 0.25).diagonal()
        tensor([0.5000, 0.2500, 1.0000])
    """
    factors = torch.tensor([[width_factor], [height_factor], [1.0]], dtype=intrinsics.dtype, device=intrinsics.device)
    return intrinsics * factors


def flip_intrinsics(intrinsics: Tensor, width: int) -> Tensor:
    """Adapt intrinsics (...,3,3) to a left-right flip of an image `width` pixels wide: cx becomes width - 1 - cx."""
    flipped = intrinsics.clone()
    flipped[..., 0, 2] = width - 1 - intrinsics[..., 0, 2]
    return flipped


def pose_matrix(axis_angle: Tensor, translation: Tensor) -> Tensor:
    """Build a rigid transform: rotate, then translate.

    Args:
        axis_angle: (B,3), radians times the unit axis.
        translation: (B,3), network units.

    Returns:
        (B,4,4).

    Source: Rodrigues' formula.

    Example:
        >>> pose_matrix(torch.zeros(1, 3), torch.ones(1, 3))[0, :3]
        tensor([[1., 0., 0., 1.],
                [0., 1., 0., 1.],
                [0., 0., 1., 1.]])
    """
    # The square root's gradient is infinite at 0, where every training starts: a small constant avoids that.
    angle = torch.sqrt((axis_angle * axis_angle).sum(dim=1, keepdim=True) + 1e-14)[..., None]  # (B,1,1)
    x, y, z = (axis_angle / angle[..., 0]).unbind(dim=1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    identity = torch.eye(3, dtype=x.dtype, device=x.device)
    rotation = identity + torch.sin(angle) * cross + (1 - torch.cos(angle)) * (cross @ cross)
    top = torch.cat([rotation, translation[:, :, None]], dim=2)  # (B,3,4)
    bottom = torch.tensor([0, 0, 0, 1], dtype=top.dtype, device=top.device).expand(len(top), 1, 4)
    return torch.cat([top, bottom], dim=1)


def invert_pose(pose: Tensor) -> Tensor:
    """Invert a rigid transform (...,4,4)."""
    rotation = pose[..., :3, :3].transpose(-1, -2)
    inverse = torch.zeros_like(pose)
    inverse[..., :3, :3] = rotation
    inverse[..., :3, 3:] = -rotation @ pose[..., :3, 3:]
    inverse[..., 3, 3] = 1
    return inverse


def backproject(depth: Tensor, intrinsics: Tensor) -> Tensor:
    """Lift every pixel to a 3D point in front of the camera.

    Args:
        depth: (B,1,H,W) along the camera's z, network units.
        intrinsics: (B,3,3), pixels of this size.

    Returns:
        Points (B,3,H,W), network units.

    Source: paper, "Problem Formulation"; Zhou et al. 2017, eq. 2.
    """
    height, width = depth.shape[-2:]
    x = torch.arange(width, dtype=depth.dtype, device=depth.device)
    y = torch.arange(height, dtype=depth.dtype, device=depth.device)
    fx, fy, cx, cy = (intrinsics[:, i, j, None, None] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    ray_x = ((x - cx) / fx).expand(-1, height, width)
    ray_y = ((y[:, None] - cy) / fy).expand(-1, height, width)
    return torch.stack([ray_x, ray_y, torch.ones_like(ray_x)], dim=1) * depth


def project(points: Tensor, intrinsics: Tensor, pose: Tensor) -> Tensor:
    """Project points into a camera that has moved.

    Args:
        points: (B,3,H,W) in the target camera's frame.
        intrinsics: (B,3,3) of the source camera, pixels.
        pose: (B,4,4), target to source.

    Returns:
        Pixel coordinates (B,2,H,W), x before y. A point behind the camera is projected as if its depth were `NEAREST`.
    """
    camera = intrinsics @ pose[:, :3]  # (B,3,4)
    # Written out, since three sums fuse when compiled and a batched product of 3x3 matrices does not.
    x, y, z = ((camera[:, row, :3, None, None] * points).sum(dim=1) + camera[:, row, 3, None, None] for row in range(3))
    return torch.stack([x, y], dim=1) / z.clamp(min=NEAREST)[:, None]


def sample(image: Tensor, pixels: Tensor) -> Tensor:
    """Sample an image bilinearly at pixel coordinates; outside the image, its border is repeated.

    Args:
        image: (B,C,H,W).
        pixels: (B,2,H',W'), x before y.

    Returns:
        (B,C,H',W').

    Note:
        The release samples with align_corners=False on a grid made for True, so that its identity warp changes the
        image. Here the identity warp returns the image.
    """
    height, width = image.shape[-2:]
    # With a NaN among the coordinates, torch's backward on the CPU reads outside its memory and the process dies.
    pixels = pixels.nan_to_num()
    # Border padding clamps anyway; clamping first keeps far outliers from overflowing.
    x = pixels[:, 0].clamp(-width, 2 * width) * (2 / (width - 1)) - 1
    y = pixels[:, 1].clamp(-height, 2 * height) * (2 / (height - 1)) - 1
    grid = torch.stack([x, y], dim=-1)  # (B,H',W',2)
    return F.grid_sample(image, grid, mode="bilinear", padding_mode="border", align_corners=True)


def view_synthesis(source: Tensor, depth: Tensor, intrinsics: Tensor, pose: Tensor) -> Tensor:
    """Synthesise the target view from a source view: the paper's I_t'.

    Args:
        source: (B,3,H,W).
        depth: (B,1,H,W) of the target, network units.
        intrinsics: (B,3,3), pixels, of both.
        pose: (B,4,4), target to source.

    Returns:
        (B,3,H,W).

    Example:
        >>> image, depth = torch.rand(1, 3, 8, 8), torch.full((1, 1, 8, 8), 5.0)
        >>> K = torch.tensor([[[8.0, 0, 4], [0, 8, 4], [0, 0, 1]]])
        >>> torch.allclose(view_synthesis(image, depth, K, torch.eye(4)[None]), image, atol=1e-5)
        True
    """
    return sample(source, project(backproject(depth, intrinsics), intrinsics, pose))
