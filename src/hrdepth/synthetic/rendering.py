"""Images and exact depth of a street, through Mitsuba 3.

Light does not depend on the camera: all surfaces are matte, the sun throws hard shadows, and the sky's light
depends on a face's direction alone. Only the place inside a pixel is random, so there is no noise.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError, require
from hrdepth.synthetic.mesh import Array, Mesh
from hrdepth.synthetic.street import Street
from hrdepth.synthetic.textures import Texture, noise
from hrdepth.synthetic.weather import SKY_LIGHT, SUN, Lights, Vector, clear_sky

__all__ = ["Scene", "encode_srgb", "load_mitsuba", "render_frame", "render_light"]

SKY_STEPS = 12  # levels of skylight between none and full
BLOCK = 32  # pixels, fixed: it would follow the number of cores, and the sampling with it
NEAR, FAR = 0.05, 2000.0  # metres
CAMERA_AXES = np.diag([-1.0, -1.0, 1.0, 1.0])  # Mitsuba looks along +z with x to the left and y up


def load_mitsuba() -> Any:
    """Import Mitsuba with the variant that needs neither LLVM nor a GPU.

    Raises:
        InputError: it is not installed.
    """
    mitsuba = require("mitsuba", "synthetic", "rendering the synthetic drive needs")
    if mitsuba.variant() != "scalar_rgb":
        mitsuba.set_variant("scalar_rgb")
    return mitsuba


class Scene:
    """A street made ready for rendering.

    Every face reflects the sun and, at the same time, glows as the sky would light it. The renderer looks for
    light in the sun alone (the glow has sampling weight 0, and is seen directly): that leaves no noise.

    Args:
        street: what to render.
        seed: of the clouds.
        lights: directions in which light goes (world axes) with their linear RGB irradiance.
        sky_light: linear RGB of the sky's light.

    Raises:
        InputError: Mitsuba is not installed.
    """

    def __init__(self, street: Street, seed: int = 0, *, lights: Lights = SUN, sky_light: Vector = SKY_LIGHT) -> None:
        mitsuba = load_mitsuba()
        self.sky_light = sky_light
        suns = {
            f"sun-{i}": {
                "type": "directional",
                "direction": list(direction),
                "irradiance": {"type": "rgb", "value": list(light)},
            }
            for i, (direction, light) in enumerate(lights)
        }
        self._standing = {"type": "scene", **suns, **_shapes(mitsuba, street, sky_light)}
        self.clouds = noise(np.random.default_rng([seed, 9]), (512, 512), 1.7, 4)

    @cached_property
    def world(self) -> Any:
        """Return Mitsuba's scene: what stands, until `show` adds what moves."""
        return load_mitsuba().load_dict(self._standing)

    def show(self, moving: Street) -> None:
        """Put what moves where it is now, in place of where it was."""
        mitsuba = load_mitsuba()
        self.world = mitsuba.load_dict({**self._standing, **_shapes(mitsuba, moving, self.sky_light, "moving-")})


def render_frame(
    scene: Scene,
    pose: Array,
    intrinsics: Array,
    size: tuple[int, int],
    *,
    samples_per_pixel: int = 8,
    seed: int = 0,
    with_depth: bool = True,
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Render one image and its depth.

    Args:
        scene: the street.
        pose: (4,4) camera to world, metres; x right, y down, z forward.
        intrinsics: (3,3) in pixels of `size`, pixel centres at integer coordinates, square pixels.
        size: (height, width).
        samples_per_pixel: rays a pixel for the image; depth takes one through each pixel's centre.
        seed: of the places inside the pixels.
        with_depth: False leaves depth zero and saves its time.

    Returns:
        The image, sRGB uint8 (H,W,3), and depth, float32 (H,W): metres along the camera's z at the pixel's
        centre, 0 where there is sky.

    Raises:
        InputError: the intrinsics have pixels that are not square.
    """
    light, depth, rays = render_light(
        scene, pose, intrinsics, size, samples_per_pixel=samples_per_pixel, seed=seed, with_depth=with_depth
    )
    sky = clear_sky(scene.clouds, rays)
    colour = light[..., :3] + (1 - np.clip(light[..., 3:4], 0, 1)) * sky
    image = np.clip(np.rint(encode_srgb(colour) * 255), 0, 255).astype(np.uint8)
    return image, depth.astype(np.float32)


def render_light(
    scene: Scene,
    pose: Array,
    intrinsics: Array,
    size: tuple[int, int],
    *,
    samples_per_pixel: int,
    seed: int,
    with_depth: bool = True,
) -> tuple[Array, Array, Array]:
    """Render as `render_frame` does, up to the sky and the display.

    Returns:
        Linear RGB and cover (H,W,4), depth (H,W) in metres, and the pixels' rays (H,W,3) in world axes.

    Raises:
        InputError: the intrinsics have pixels that are not square.
    """
    mitsuba = load_mitsuba()
    if not np.isclose(intrinsics[0, 0], intrinsics[1, 1], rtol=1e-6) or intrinsics[0, 1] != 0:
        raise InputError("the synthetic drive is rendered with square pixels; make fx and fy equal and the skew zero")
    height, width = size

    def render(integrator: dict[str, Any], sampler: dict[str, Any]) -> Array:
        sensor = _sensor(mitsuba, pose, intrinsics, size, sampler)
        image = mitsuba.render(
            scene.world, sensor=sensor, integrator=mitsuba.load_dict({**integrator, "block_size": BLOCK}), seed=seed
        )
        return np.asarray(image, np.float64)

    inside = {"type": "independent", "sample_count": samples_per_pixel}
    light = render({"type": "direct", "emitter_samples": 1, "bsdf_samples": 0}, inside)
    centres = {"type": "stratified", "sample_count": 1, "jitter": False}
    rays = _pixel_rays(intrinsics, size)
    depth = np.zeros((height, width))
    if with_depth:
        # Mitsuba measures along the ray, from the near plane on; the rays are scaled to z = 1.
        along = render({"type": "depth"}, centres)[..., 0]
        depth = np.where(along > 0, along / np.linalg.norm(rays, axis=-1) + NEAR, 0.0)
    return light, depth, rays @ pose[:3, :3].T


def _linear(texture: Texture) -> NDArray[np.float32]:
    """Turn sRGB bytes into linear reflectance."""
    value = np.arange(256).astype(np.float32) / 255  # that each byte stands for
    linear = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4).astype(np.float32)
    return linear[texture]


def encode_srgb(light: Array) -> Array:
    """Return linear light (...,3) as sRGB values, white being 1, rolling off what is brighter."""
    light = np.maximum(light, 0)
    light = light * (1 + light / 2.6**2) / (1 + light) * 1.55
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def _bitmap(mitsuba: Any, linear: NDArray[np.float32]) -> dict[str, Any]:
    pixels = np.ascontiguousarray(linear.astype(np.float16))
    return {"type": "bitmap", "bitmap": mitsuba.Bitmap(pixels), "raw": True, "wrap_mode": "repeat"}


def _shapes(mitsuba: Any, street: Street, sky_light: Vector, prefix: str = "") -> dict[str, Any]:
    """Make a shape of each material and level of skylight."""
    shapes = {}
    for name, mesh in street.meshes.items():
        colours = _linear(street.textures[name])
        matte = {"type": "diffuse", "reflectance": _bitmap(mitsuba, colours)}
        surface = mitsuba.load_dict({"type": "twosided", "nested": matte})
        levels = _sky_levels(mesh)
        for level in np.unique(levels):
            faces = levels == level
            glow = _bitmap(mitsuba, colours * (np.float32(level / SKY_STEPS) * np.array(sky_light, np.float32)))
            emitter = mitsuba.load_dict({"type": "area", "radiance": glow, "sampling_weight": 0.0})
            properties = mitsuba.Properties()
            properties["surface"], properties["emitter"] = surface, emitter
            count = int(faces.sum())
            shape = mitsuba.Mesh(name, 3 * count, count, has_vertex_texcoords=True, props=properties)
            parameters = mitsuba.traverse(shape)
            parameters["vertex_positions"] = mesh.vertices[faces].astype(np.float32).ravel()
            parameters["vertex_texcoords"] = mesh.uv[faces].astype(np.float32).ravel()
            parameters["faces"] = np.arange(3 * count, dtype=np.uint32)
            parameters.update()
            shapes[f"{prefix}{name}-{level}"] = shape
    return shapes


def _sky_levels(mesh: Mesh) -> NDArray[np.int64]:
    """Return the sky's light on each face, (F,) of SKY_STEPS: most from above, little from below."""
    normals = mesh.normals
    level = 0.62 - 0.33 * normals[:, 1] - 0.1 * (normals[:, 0] + 0.6 * normals[:, 2])
    return np.rint(level * SKY_STEPS).astype(np.int64)


def _sensor(mitsuba: Any, pose: Array, intrinsics: Array, size: tuple[int, int], sampler: dict[str, Any]) -> Any:
    """Make a pinhole camera; Mitsuba's pixel centres are at halves, those of `intrinsics` at integers."""
    height, width = size
    film = {"type": "hdrfilm", "width": width, "height": height, "rfilter": {"type": "box"}, "pixel_format": "rgba"}
    return mitsuba.load_dict(
        {
            "type": "perspective",
            "fov": float(np.degrees(2 * np.arctan(width / 2 / intrinsics[0, 0]))),
            "fov_axis": "x",
            "near_clip": NEAR,
            "far_clip": FAR,
            "principal_point_offset_x": float(0.5 - (intrinsics[0, 2] + 0.5) / width),
            "principal_point_offset_y": float(0.5 - (intrinsics[1, 2] + 0.5) / height),
            "to_world": mitsuba.ScalarTransform4f((pose @ CAMERA_AXES).tolist()),
            "film": film,
            "sampler": sampler,
        }
    )


def _pixel_rays(intrinsics: Array, size: tuple[int, int]) -> Array:
    """Return the ray through each pixel's centre in camera axes, (H,W,3) with z = 1."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(float)
    x = (columns - intrinsics[0, 2]) / intrinsics[0, 0]
    y = (rows - intrinsics[1, 2]) / intrinsics[1, 1]
    return np.stack([x, y, np.ones(size)], -1)
