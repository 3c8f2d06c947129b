"""A drive whose road, traffic, weather and camera its seed draws, to train networks that meet other streets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from hrdepth.synthetic.conditions import draw_conditions, haze_over, sky_colour
from hrdepth.synthetic.layouts import draw_layout, plan_course
from hrdepth.synthetic.reflection import Shot, reflect_in_road
from hrdepth.synthetic.rendering import Scene, render_light
from hrdepth.synthetic.scenery import build_scenery
from hrdepth.synthetic.sensor import Sensor, develop, draw_sensor
from hrdepth.synthetic.sky import sample_clouds
from hrdepth.synthetic.textures import Array
from hrdepth.synthetic.traffic import Traffic
from hrdepth.synthetic.trajectory import Course

__all__ = ["Camera", "VariedDrive", "View", "draw_view"]

MIDDLE = 0.14  # linear light that a well exposed view has on average, in stops
Frame = tuple[NDArray[np.uint8], NDArray[np.float32]]
Camera = Callable[[int, int, Array], Frame]  # of frame, eye and that eye's pose


@dataclass(frozen=True)
class View:
    """How the camera is mounted and what it sees.

    Attributes:
        height: metres above the road.
        shift: metres to the right of the lane's middle.
        yaw: degrees to the right of the direction of travel.
        pitch: degrees upwards.
        roll: degrees clockwise.
        focal: focal length in image widths.
        centre: principal point off the image's middle, in widths to the right and heights down.
    """

    height: float
    shift: float
    yaw: float
    pitch: float
    roll: float
    focal: float
    centre: tuple[float, float]

    def intrinsics(self, size: tuple[int, int]) -> Array:
        """Return K (3,3) in pixels for `size` (height, width); pixel centres have integer coordinates."""
        height, width = size
        focal = round(self.focal * width, 6)
        right = round((width - 1) / 2 + self.centre[0] * width, 6)
        down = round((height - 1) / 2 + self.centre[1] * height, 6)
        return np.array([[focal, 0, right], [0, focal, down], [0, 0, 1]])

    def pose(self, course: Course, along: float, nod: float, lean: float) -> Array:
        """Return camera to world (4,4) at `along` metres; `nod` and `lean` in radians are the car's own."""
        heading = float(course.heading(along))
        place = course.place(along, self.shift)
        pose = np.eye(4)
        mount = _about_y(np.radians(self.yaw)) @ _about_x(np.radians(self.pitch)) @ _about_z(np.radians(self.roll))
        pose[:3, :3] = _about_y(heading) @ _about_x(nod) @ _about_z(lean) @ mount
        pose[:3, 3] = [place[0], -self.height, place[1]]
        return pose


def _about_y(angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


def _about_x(angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[1, 0, 0], [0, cos, -sin], [0, sin, cos]])


def _about_z(angle: float) -> Array:
    cos, sin = np.cos(angle), np.sin(angle)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def draw_view(rng: np.random.Generator) -> View:
    """Draw a camera: most look ahead, some to a side or backwards."""
    aim = rng.random()
    if aim < 0.68:
        yaw = float(np.clip(rng.normal(0, 3), -12, 12))
    elif aim < 0.93:
        yaw = float(rng.choice([-1, 1]) * rng.uniform(30, 150))
    else:
        yaw = float(180 + rng.uniform(-10, 10))
    return View(
        height=float(np.clip(rng.normal(1.55, 0.38), 0.9, 2.6)),
        shift=float(rng.uniform(-0.35, 0.35)),
        yaw=yaw,
        pitch=float(np.clip(rng.normal(-0.4, 2.4), -6, 6)),
        roll=float(np.clip(rng.normal(0, 0.8), -3, 3)),
        focal=float(np.exp(rng.uniform(np.log(0.45), np.log(1.4)))),
        centre=(float(np.clip(rng.normal(0, 0.015), -0.04, 0.04)), float(np.clip(rng.normal(0, 0.04), -0.1, 0.1))),
    )


class VariedDrive:
    """A drive drawn by its seed.

    Args:
        frames: how many.
        size: (height, width) in pixels.
        seed: of everything.

    Attributes:
        poses: (N,4,4) camera to world, metres; x right, y down, z forward; the road is the plane y = 0.
        intrinsics: (3,3) in pixels.
    """

    def __init__(self, frames: int, size: tuple[int, int], seed: int) -> None:
        self.size, self.seed = size, seed
        self.view = draw_view(np.random.default_rng([seed, 21]))
        self.conditions = draw_conditions(np.random.default_rng([seed, 22]))
        self.sensor = draw_sensor(np.random.default_rng([seed, 23]), self.conditions.brightness)
        self.layout = draw_layout(np.random.default_rng([seed, 24]))
        self.course, self.stops = plan_course(np.random.default_rng([seed, 25]), self.layout, frames)
        phases, strength = _nods(np.random.default_rng([seed, 26]))
        waves = [
            strength * np.sin(np.arange(frames) / length + phase)
            for length, phase in zip((1.7, 2.3), phases, strict=True)
        ]
        self.poses = np.stack(
            [self.view.pose(self.course, stop, nod, lean) for stop, nod, lean in zip(self.stops, *waves, strict=True)]
        )
        self.intrinsics = self.view.intrinsics(size)

    def open(self, samples_per_pixel: int) -> Camera:
        """Build the scene and return what renders (frame, eye, pose of that eye): image and depth.

        Raises:
            InputError: Mitsuba is not installed.
        """
        conditions = self.conditions
        street = build_scenery(self.layout, self.course, self.stops, self.seed, conditions.wet)
        scene = Scene(street, self.seed, lights=conditions.lights, sky_light=conditions.sky_light)
        traffic = Traffic(
            np.random.default_rng([self.seed, 27]), self.layout, self.course, self.stops, aside=abs(self.view.yaw) > 25
        )

        sensor = self._expose(scene)

        def shoot(frame: int, eye: int, pose: Array) -> Frame:
            if eye == 0:
                moving = traffic.at(frame, street.textures["palette"])
                if moving is not None:
                    scene.show(moving)
            light, depth, rays = render_light(
                scene,
                pose,
                self.intrinsics,
                self.size,
                samples_per_pixel=samples_per_pixel,
                seed=2 * frame + eye,
                with_depth=True,
            )
            cover = np.clip(light[..., 3:4], 0, 1)
            surface = light[..., :3] / np.maximum(cover, 1e-3)
            if conditions.wet:
                shot = Shot(surface, depth, rays, pose, self.intrinsics)
                surface = reflect_in_road(shot, self._sky(scene, rays * [1, -1, 1]), scene.clouds, conditions.wet)
            colour = cover * haze_over(conditions, surface, depth) + (1 - cover) * self._sky(scene, rays)
            rng = np.random.default_rng([self.seed, 28, frame, eye])
            return develop(colour, sensor, rng), depth.astype(np.float32)

        return shoot

    def _expose(self, scene: Scene) -> Sensor:
        """Return the sensor with its gain corrected for how light or dark the first view is."""
        size = (24, 80)
        intrinsics = self.view.intrinsics(size)
        light, depth, rays = render_light(
            scene, self.poses[0], intrinsics, size, samples_per_pixel=2, seed=0, with_depth=True
        )
        cover = np.clip(light[..., 3:4], 0, 1)
        surface = haze_over(self.conditions, light[..., :3] / np.maximum(cover, 1e-3), depth)
        seen = (cover * surface + (1 - cover) * self._sky(scene, rays)).mean(-1) * self.sensor.gain
        middle = float(np.exp(np.log(np.maximum(seen, 0.01)).mean()))
        return replace(self.sensor, gain=self.sensor.gain * (MIDDLE / middle) ** 0.7)

    def _sky(self, scene: Scene, rays: Array) -> Array:
        """Return the sky's linear colour in world directions (H,W,3)."""
        unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        return sky_colour(self.conditions, sample_clouds(scene.clouds, unit), rays)


def _nods(rng: np.random.Generator) -> tuple[tuple[float, float], float]:
    """Return phases and strength in radians of the car's nodding."""
    return (float(rng.uniform(0, 6)), float(rng.uniform(0, 6))), float(np.radians(rng.uniform(0.0, 0.5)))
