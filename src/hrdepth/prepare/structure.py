"""Structure from motion by COLMAP: camera poses and points, up to scale."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import require

__all__ = ["Structure", "structure_from_motion"]

OVERLAP = 5  # images before and after with which an image is compared
FEATURES = 3000  # of an image, at most
LEAST_TRACK, LARGEST_ERROR = 3, 1.0  # least images that see a point, and largest error in pixels
SEED = 0


class Structure(NamedTuple):
    """Poses and points.

    Attributes:
        poses: (4,4) float64 by image, world to camera; an image that cannot be registered has none. Up to scale.
        points: (N,3) by image, the points that it saw: column, row in its pixels, and depth.
    """

    poses: dict[Path, NDArray[np.float64]]
    points: dict[Path, NDArray[np.float64]]


def structure_from_motion(images: Sequence[Path], intrinsics: NDArray[np.float64]) -> Structure:
    """Find poses and points of the images of one camera, in order of time.

    Args:
        images: of one folder.
        intrinsics: (3,3) in their pixels.

    Returns:
        See `Structure`; the largest connected part, empty if there is none.

    Raises:
        InputError: pycolmap is missing.

    Source: Schoenberger and Frahm, "Structure-from-Motion Revisited", CVPR 2016.
    """
    pycolmap = require("pycolmap", "hints", "structure from motion needs")
    pycolmap.logging.minloglevel = int(pycolmap.logging.Level.ERROR)
    pycolmap.set_random_seed(SEED)
    folder, names = images[0].parent, [image.name for image in images]
    with tempfile.TemporaryDirectory(prefix="hrdepth-structure-") as temporary:
        database = Path(temporary) / "database.db"
        _extract(pycolmap, database, folder, names, intrinsics)
        pairing = pycolmap.SequentialPairingOptions()
        pairing.overlap, pairing.quadratic_overlap, pairing.loop_detection = OVERLAP, False, False
        matching = pycolmap.FeatureMatchingOptions()
        matching.use_gpu = False
        pycolmap.match_sequential(
            database, matching_options=matching, pairing_options=pairing, device=pycolmap.Device.cpu
        )
        options = pycolmap.IncrementalPipelineOptions()
        options.ba_refine_focal_length = options.ba_refine_principal_point = options.ba_refine_extra_params = False
        options.min_model_size = LEAST_TRACK
        options.init_num_trials = 100
        options.mapper.abs_pose_min_num_inliers = 15
        options.mapper.init_min_tri_angle = 2.0  # degrees; driving ahead gives little parallax
        models = pycolmap.incremental_mapping(database, folder, temporary, options=options)
        if not models:
            return Structure({}, {})
        return _read(max(models.values(), key=lambda model: model.num_reg_images()), folder)


def _extract(pycolmap: Any, database: Path, folder: Path, names: list[str], intrinsics: NDArray[np.float64]) -> None:
    reading = pycolmap.ImageReaderOptions()
    reading.camera_model = "PINHOLE"
    fx, fy, cx, cy = intrinsics[[0, 1, 0, 1], [0, 1, 2, 2]]
    # Its pixels' centres lie at halves, ours at whole numbers.
    reading.camera_params = f"{fx},{fy},{cx + 0.5},{cy + 0.5}"
    extraction = pycolmap.FeatureExtractionOptions()
    extraction.use_gpu = False
    extraction.sift.max_num_features = FEATURES
    extraction.sift.peak_threshold = 0.003  # half its own: images are small
    pycolmap.extract_features(
        database,
        folder,
        image_names=names,
        camera_mode=pycolmap.CameraMode.SINGLE,
        reader_options=reading,
        extraction_options=extraction,
        device=pycolmap.Device.cpu,
    )


def _read(model: Any, folder: Path) -> Structure:
    poses, points = {}, {}
    for image in model.images.values():
        if not image.has_pose:
            continue
        pose = np.vstack([image.cam_from_world().matrix(), [0, 0, 0, 1]])
        seen = []
        for point2d in image.points2D:
            if not point2d.has_point3D():
                continue
            point = model.points3D[point2d.point3D_id]
            if point.error < LARGEST_ERROR and point.track.length() >= LEAST_TRACK:
                seen.append((*(point2d.xy - 0.5), pose[2, :3] @ point.xyz + pose[2, 3]))
        path = folder / image.name
        poses[path], points[path] = pose, np.array(seen).reshape(-1, 3)
    return Structure(poses, points)
