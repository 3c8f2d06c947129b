"""What a unit of a network's depth is in metres, from lengths that somebody knows."""

from hrdepth.scale.calibrate import calibrate_scale
from hrdepth.scale.measurements import Measurement, camera_height, known_depths, moved_ways

__all__ = ["Measurement", "calibrate_scale", "camera_height", "known_depths", "moved_ways"]
