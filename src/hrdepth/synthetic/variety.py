"""A drive whose road, traffic, weather and camera its seed draws, to train networks that meet other streets."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.synthetic.layouts import draw_layout, plan_course
from hrdepth.synthetic.mesh import Array
from hrdepth.synthetic.rendering import Scene, encode_srgb, render_light
from hrdepth.synthetic.scenery import build_scenery
from hrdepth.synthetic.traffic import Traffic
from hrdepth.synthetic.trajectory import Course, rotation
from hrdepth.synthetic.weather import Shot, draw_conditions, haze_over, reflect_in_road, sample_clouds, sky_colour

__all__ = ["Camera", "CameraMount", "Sensor", "VariedDrive", "develop", "draw_sensor", "draw_view"]

MIDDLE = 0.14  # linear light that a well exposed view has on average, in stops
Frame = tuple[NDArray[np.uint8], NDArray[np.float32]]
Camera = Callable[[int, int, Array], Frame]  # of frame, side (0 left, 1 right) and its pose


@dataclass(frozen=True)
class CameraMount:
    """How the camera is mounted and what it sees."""

    height: float  # metres above the road
    shift: float  # metres to the right of the lane's middle
    yaw: float  # degrees to the right of the direction of travel
    pitch: float  # degrees upwards
    roll: float  # degrees clockwise
    focal: float  # focal length in image widths
    centre: tuple[float, float]  # principal point off the image's middle, widths to the right and heights down

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
        mount = rotation(*np.radians([self.yaw, self.pitch, self.roll]))
        pose[:3, :3] = rotation(heading, nod, lean) @ mount
        pose[:3, 3] = [place[0], -self.height, place[1]]
        return pose


def draw_view(rng: np.random.Generator) -> CameraMount:
    """Draw a camera: most look ahead, some to a side or backwards."""
    aim = rng.random()
    if aim < 0.68:
        yaw = float(np.clip(rng.normal(0, 3), -12, 12))
    elif aim < 0.93:
        yaw = float(rng.choice([-1, 1]) * rng.uniform(30, 150))
    else:
        yaw = float(180 + rng.uniform(-10, 10))
    return CameraMount(
        height=float(np.clip(rng.normal(1.55, 0.38), 0.9, 2.6)),
        shift=float(rng.uniform(-0.35, 0.35)),
        yaw=yaw,
        pitch=float(np.clip(rng.normal(-0.4, 2.4), -6, 6)),
        roll=float(np.clip(rng.normal(0, 0.8), -3, 3)),
        focal=float(np.exp(rng.uniform(np.log(0.45), np.log(1.4)))),
        centre=(float(np.clip(rng.normal(0, 0.015), -0.04, 0.04)), float(np.clip(rng.normal(0, 0.04), -0.1, 0.1))),
    )


@dataclass(frozen=True)
class Sensor:
    """A camera's processing."""

    gain: float  # factor on the light
    balance: tuple[float, float, float]  # factors on red, green and blue
    gamma: float  # exponent on the encoded image; below 1 lifts the shadows
    saturation: float  # 0 is grey, 1 leaves colours as they are
    blur: float  # standard deviation in pixels
    vignetting: float  # share of light lost in the corners
    read_noise: float  # standard deviation in grey levels of 255, in the dark
    shot_noise: float  # the same at white; grows with the root of the light
    quality: int | None  # of JPEG compression, None for none


def draw_sensor(rng: np.random.Generator, brightness: float) -> Sensor:
    """Draw a camera whose exposure suits a scene of that `brightness`, a little off now and then."""
    exposure = 2.0 ** float(np.clip(rng.normal(0, 0.45), -1.1, 1.0))
    red, blue = (float(value) for value in np.exp(rng.normal(0, 0.07, 2)))
    noisy = rng.random() < 0.5
    return Sensor(
        gain=1.25 / brightness * exposure,
        balance=(red, 1.0, blue),
        gamma=float(rng.uniform(0.82, 1.2)),
        saturation=float(rng.uniform(0.55, 1.15)),
        blur=float(rng.uniform(0.3, 0.85)) if rng.random() < 0.45 else 0.0,
        vignetting=float(rng.uniform(0, 0.45)) if rng.random() < 0.5 else 0.0,
        read_noise=float(rng.uniform(0.5, 3.0)) if noisy else 0.3,
        shot_noise=float(rng.uniform(0.5, 4.0)) if noisy else 0.3,
        quality=int(rng.integers(45, 95)) if rng.random() < 0.5 else None,
    )


def develop(light: Array, sensor: Sensor, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Turn linear light (H,W,3) into sRGB bytes.

    Args:
        light: linear RGB, about 1 for white.
        sensor: the camera.
        rng: of the noise.
    """
    height, width = light.shape[:2]
    light = _blur(np.maximum(light, 0) * sensor.gain * np.array(sensor.balance), sensor.blur)
    rows, columns = np.mgrid[:height, :width]
    radius = np.hypot(columns - (width - 1) / 2, rows - (height - 1) / 2) / np.hypot(width / 2, height / 2)
    light = light * (1 - sensor.vignetting * radius**2)[..., None]
    grey = light.mean(-1, keepdims=True)
    light = np.maximum(grey + sensor.saturation * (light - grey), 0)
    level = 255 * np.clip(encode_srgb(light), 0, 1) ** sensor.gamma
    spread = sensor.read_noise + sensor.shot_noise * np.sqrt(level / 255)
    level = level + spread * rng.standard_normal(level.shape)
    image = np.clip(np.rint(level), 0, 255).astype(np.uint8)
    return image if sensor.quality is None else _compress(image, sensor.quality)


def _blur(light: Array, deviation: float) -> Array:
    """Blur by a Gaussian, its edge pixels repeated outwards."""
    if deviation <= 0:
        return light
    reach = int(np.ceil(3 * deviation))
    kernel = np.exp(-0.5 * (np.arange(-reach, reach + 1) / deviation) ** 2)
    kernel /= kernel.sum()
    for axis in (0, 1):
        padding = [(reach, reach) if i == axis else (0, 0) for i in range(3)]
        padded = np.pad(light, padding, mode="edge")
        length = light.shape[axis]
        light = sum(
            (weight * np.take(padded, np.arange(i, i + length), axis) for i, weight in enumerate(kernel)),
            start=np.zeros_like(light),
        )
    return light


def _compress(image: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    """Write as JPEG into memory and read it again."""
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, format="JPEG", quality=quality)
    return np.asarray(Image.open(stream).convert("RGB"))


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
