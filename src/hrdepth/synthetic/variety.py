"""A drive whose road, traffic, weather and camera its seed draws, to train networks that meet other streets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hrdepth.synthetic.camera import Sensor, develop, draw_sensor, draw_view
from hrdepth.synthetic.layouts import draw_layout, plan_course
from hrdepth.synthetic.rendering import Scene, render_light
from hrdepth.synthetic.scenery import build_scenery
from hrdepth.synthetic.textures import Array
from hrdepth.synthetic.traffic import Traffic
from hrdepth.synthetic.weather import Shot, draw_conditions, haze_over, reflect_in_road, sample_clouds, sky_colour

__all__ = ["Camera", "VariedDrive"]

MIDDLE = 0.14  # linear light that a well exposed view has on average, in stops
Frame = tuple[NDArray[np.uint8], NDArray[np.float32]]
Camera = Callable[[int, int, Array], Frame]  # of frame, side (0 left, 1 right) and its pose


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
        rng = np.random.default_rng([seed, 26])
        phases, strength = rng.uniform(0, 6, 2), float(np.radians(rng.uniform(0.0, 0.5)))
        waves = [
            strength * np.sin(np.arange(frames) / length + phase)
            for length, phase in zip((1.7, 2.3), phases, strict=True)
        ]
        self.poses = np.stack(
            [self.view.pose(self.course, stop, nod, lean) for stop, nod, lean in zip(self.stops, *waves, strict=True)]
        )
        self.intrinsics = self.view.intrinsics(size)

    def open(self, samples_per_pixel: int) -> Camera:
        """Build the scene and return what renders (frame, side, pose of that side): image and depth.

        Raises:
            InputError: Mitsuba is not installed.
        """
        conditions, aside = self.conditions, abs(self.view.yaw) > 25
        street = build_scenery(self.layout, self.course, self.stops, self.seed, conditions.wet)
        scene = Scene(street, self.seed, lights=conditions.lights, sky_light=conditions.sky_light)
        rng = np.random.default_rng([self.seed, 27])
        traffic = Traffic(rng, self.layout, self.course, self.stops, aside=aside)
        sensor = self._expose(scene)

        def shoot(frame: int, side: int, pose: Array) -> Frame:
            if side == 0:
                moving = traffic.at(frame, street.textures["palette"])
                if moving is not None:
                    scene.show(moving)
            shot, cover = self._render(scene, pose, self.size, samples_per_pixel, 2 * frame + side)
            surface = shot.light
            if conditions.wet:
                surface = reflect_in_road(shot, self._sky(scene, shot.rays * [1, -1, 1]), scene.clouds, conditions.wet)
            colour = cover * haze_over(conditions, surface, shot.depth) + (1 - cover) * self._sky(scene, shot.rays)
            rng = np.random.default_rng([self.seed, 28, frame, side])
            return develop(colour, sensor, rng), shot.depth.astype(np.float32)

        return shoot

    def _render(
        self, scene: Scene, pose: Array, size: tuple[int, int], samples_per_pixel: int, seed: int
    ) -> tuple[Shot, Array]:
        """Return the surfaces' light and depth, and what share of each pixel they cover, (H,W,1)."""
        intrinsics = self.view.intrinsics(size)
        light, depth, rays = render_light(scene, pose, intrinsics, size, samples_per_pixel=samples_per_pixel, seed=seed)
        cover = np.clip(light[..., 3:4], 0, 1)
        return Shot(light[..., :3] / np.maximum(cover, 1e-3), depth, rays, pose, intrinsics), cover

    def _expose(self, scene: Scene) -> Sensor:
        """Return the sensor with its gain corrected for how light or dark the first view is."""
        shot, cover = self._render(scene, self.poses[0], (24, 80), 2, 0)
        surface = haze_over(self.conditions, shot.light, shot.depth)
        seen = (cover * surface + (1 - cover) * self._sky(scene, shot.rays)).mean(-1) * self.sensor.gain
        middle = float(np.exp(np.log(np.maximum(seen, 0.01)).mean()))
        return replace(self.sensor, gain=self.sensor.gain * (MIDDLE / middle) ** 0.7)

    def _sky(self, scene: Scene, rays: Array) -> Array:
        """Return the sky's linear colour in world directions (H,W,3)."""
        unit = rays / np.linalg.norm(rays, axis=-1, keepdims=True)
        return sky_colour(self.conditions, sample_clouds(scene.clouds, unit), rays)
