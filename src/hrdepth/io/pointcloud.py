"""From depth and an image to coloured points: lifted, cleared of flying pixels, written as PLY or GLB."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hrdepth.errors import InputError
from hrdepth.io.files import write_bytes

__all__ = ["KITTI_FOCAL", "PointCloud", "assumed_intrinsics", "point_cloud", "reliable", "write_glb", "write_ply"]

KITTI_FOCAL = 0.58
"""Focal length in image widths of KITTI's cameras, on which most weights were trained."""

GRAZING_DEGREES = 2.5
"""Surfaces at less than this angle to the ray count as interpolation across a depth edge."""

Float32 = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class PointCloud:
    """Coloured points in the camera's frame: x to the right, y down, z forward.

    Args:
        points: float32 (N,3), in the depth's unit.
        colours: uint8 (N,3), RGB.
    """

    points: Float32
    colours: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)


def assumed_intrinsics(size: tuple[int, int], focal: float = KITTI_FOCAL) -> NDArray[np.float64]:
    """Return K (3,3) in pixels for an image of `size` (height, width) whose camera is unknown.

    Args:
        size: of the image.
        focal: focal length in image widths; a wrong one stretches the cloud along the view, and no more.

    Example:
        >>> assumed_intrinsics((192, 640))[0].tolist()
        [371.2, 0.0, 319.5]
    """
    height, width = size
    fx = round(focal * width, 6)
    return np.array([[fx, 0.0, (width - 1) / 2], [0.0, fx, (height - 1) / 2], [0.0, 0.0, 1.0]])


def point_cloud(
    depth: NDArray[Any],
    image: NDArray[np.uint8],
    intrinsics: ArrayLike,
    *,
    far: float | None = None,
    grazing_degrees: float = GRAZING_DEGREES,
    most: int | None = None,
) -> PointCloud:
    """Lift every pixel with reliable depth to a point.

    Args:
        depth: (H,W) along the camera's z, any unit; NaN, infinity and values of 0 and below have no point.
        image: uint8 (H,W,3).
        intrinsics: (3,3) in pixels of the image.
        far: leave out what is farther, in the depth's unit; None leaves nothing out.
        grazing_degrees: see `reliable`; 0 includes flying pixels.
        most: thin the grid of pixels evenly until at most so many are looked at; None looks at all.

    Returns:
        The points, from the top left to the bottom right.

    Raises:
        InputError: the shapes do not fit each other, or no point is left.

    Source: paper, "Problem Formulation" (backprojection).

    Example:
        >>> len(point_cloud(np.ones((4, 6)), np.zeros((4, 6, 3), np.uint8), assumed_intrinsics((4, 6))))
        24
    """
    depth = np.asarray(depth, dtype=np.float32)
    matrix = np.asarray(intrinsics, dtype=np.float64)
    if depth.ndim != 2 or image.shape != (*depth.shape, 3) or matrix.shape != (3, 3):
        raise InputError(
            f"points need depth (H,W), an image (H,W,3) and K (3,3), "
            f"not {depth.shape}, {image.shape} and {matrix.shape}"
        )
    keep = reliable(depth, float(matrix[0, 0]), float(matrix[1, 1]), grazing_degrees)
    if far is not None:
        keep &= depth <= far
    if most is not None and (step := int(np.ceil(np.sqrt(depth.size / most)))) > 1:
        grid = np.zeros_like(keep)
        grid[::step, ::step] = True
        keep &= grid
    y, x = np.nonzero(keep)
    if not len(x):
        raise InputError("no point is left: depth is not finite, too far, or changes too steeply everywhere")
    z = depth[y, x]
    across, down = (x - matrix[0, 2]) / matrix[0, 0], (y - matrix[1, 2]) / matrix[1, 1]
    return PointCloud(np.stack([across * z, down * z, z], axis=1).astype(np.float32), image[y, x])


def reliable(depth: Float32, fx: float, fy: float, grazing_degrees: float = GRAZING_DEGREES) -> NDArray[np.bool_]:
    """Find pixels that lie on a surface, and do not float across a depth edge.

    A network's depth is smooth, and resizing makes it smoother: between a car and the street behind it lie pixels
    that belong to neither. A surface through them would be seen at a grazing angle, tan(angle) = 1 / (f |d ln z|),
    whatever the size of the image; real surfaces that lie so flat cannot be measured anyway.

    Args:
        depth: (H,W), any unit.
        fx: focal length in pixels.
        fy: vertical focal length in pixels.
        grazing_degrees: the smallest angle between ray and surface that is trusted.

    Returns:
        (H,W), False also where depth is not finite or not positive.
    """
    valid = np.isfinite(depth) & (depth > 0)
    if grazing_degrees <= 0:
        return valid
    logarithm = np.log(np.where(valid, depth, 1.0))
    steepest = 1 / np.tan(np.radians(grazing_degrees))
    for axis, focal in ((0, fy), (1, fx)):
        edge = focal * np.abs(np.diff(logarithm, axis=axis)) > steepest
        # Both sides of a step may have been mixed.
        before, after = [(0, 0), (0, 0)], [(0, 0), (0, 0)]
        before[axis], after[axis] = (1, 0), (0, 1)
        valid = valid & ~np.pad(edge, before) & ~np.pad(edge, after)
    return np.asarray(valid)


def write_ply(path: str | Path, cloud: PointCloud, about: Mapping[str, str] | None = None) -> None:
    """Write binary PLY in the camera's frame (x right, y down, z forward), atomically.

    Args:
        path: the file.
        cloud: what to write.
        about: comments of the header, such as the unit.

    Raises:
        InputError: the folder cannot be written.
    """
    import trimesh

    content: bytes = trimesh.PointCloud(cloud.points, colors=cloud.colours).export(file_type="ply")
    start, newline, rest = content.partition(b"1.0\n")
    comments = [f"comment {key}: {' '.join(value.split())}\n" for key, value in (about or {}).items()]
    write_bytes(path, start + newline + "".join(comments).encode("ascii", "replace") + rest)


def write_glb(path: str | Path, cloud: PointCloud, about: Mapping[str, str] | None = None) -> None:
    """Write a GLB for viewers, atomically: y up and the camera looking along -z, as glTF requires; no light needed.

    Args:
        path: the file.
        cloud: what to write.
        about: the scene's `extras`.

    Raises:
        InputError: the folder cannot be written.
    """
    import trimesh

    points = cloud.points * np.array([1, -1, -1], dtype=np.float32)
    scene = trimesh.Scene(trimesh.PointCloud(points, colors=_linear(cloud.colours)))
    scene.metadata.update(about or {})
    content = trimesh.exchange.gltf.export_glb(scene, tree_postprocessor=_unlit)
    write_bytes(path, content)


def _linear(colours: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo sRGB's curve: glTF's vertex colours are linear."""
    level = np.arange(256) / 255
    curve = np.where(level <= 0.04045, level / 12.92, ((level + 0.055) / 1.055) ** 2.4)
    return np.asarray(np.rint(curve * 255).astype(np.uint8)[colours])


def _unlit(tree: dict[str, Any]) -> None:
    tree["extensionsUsed"] = sorted({*tree.get("extensionsUsed", []), "KHR_materials_unlit"})
    for material in tree.get("materials", []):
        material["extensions"] = {"KHR_materials_unlit": {}}
