"""A synthetic drive along a textured street: images with exact depth, poses, intrinsics and a second, right image.

    trajectory    where the camera drives
    street        what stands there: houses, cars, furniture, with textures, as meshes
    rendering     images and depth of it, through Mitsuba 3
    drive         all of it on disk

Importing this needs no Mitsuba; rendering does.

Example:
    >>> from hrdepth.synthetic import plan_trajectory
    >>> plan_trajectory(100, seed=1).poses.shape
    (100, 4, 4)
"""

from hrdepth.io.pointcloud import assumed_intrinsics as default_intrinsics
from hrdepth.synthetic.drive import BASELINE, render_drive
from hrdepth.synthetic.rendering import Scene, render_frame
from hrdepth.synthetic.street import Street, build_street
from hrdepth.synthetic.trajectory import CAMERA_HEIGHT, Course, Trajectory, plan_trajectory

__all__ = [
    "BASELINE",
    "CAMERA_HEIGHT",
    "Course",
    "Scene",
    "Street",
    "Trajectory",
    "build_street",
    "default_intrinsics",
    "plan_trajectory",
    "render_drive",
    "render_frame",
]
