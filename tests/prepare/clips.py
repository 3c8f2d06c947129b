"""Videos of a camera that moves along a wall of smooth noise, a few pixels a frame, small enough for tests."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from hrdepth.io.video_writer import VideoWriter

SIZE = (96, 128)


def wall(seed=0, size=SIZE, length=1200) -> np.ndarray:
    random = np.random.default_rng(seed)
    fine = random.integers(30, 225, (size[0] // 4, length // 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(fine).resize((length, size[0]), Image.Resampling.BICUBIC))


def frames(places, seed=0, size=SIZE) -> list[np.ndarray]:
    """The wall seen from each place, in pixels."""
    whole = wall(seed, size)
    return [whole[:, int(place) : int(place) + size[1]].copy() for place in places]


def video(path: Path, images, fps=10) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps) as writer:
        for image in images:
            writer.write(image)
    return path


def timed(path: Path, images, times=None, *, gop=12, aspect=1) -> Path:
    """Write a video at ten frames a second, or with each frame at its time in seconds."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("h264", rate=10, options={"g": str(gop), "bf": "0", "crf": "18"})
        (stream.height, stream.width), stream.pix_fmt = images[0].shape[:2], "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        for index, image in enumerate(images):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round(1000 * (index / 10 if times is None else times[index]))
            frame.time_base = Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def damage(path: Path, *numbers: int) -> Path:
    """Overwrite the video's packets of these numbers."""
    with av.open(str(path)) as container:
        packets = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    for start, size in (packets[number] for number in numbers):
        content[start : start + size] = b"\xff" * size
    path.write_bytes(bytes(content))
    return path


def with_hood_and_overlay(images) -> list[np.ndarray]:
    drawn = []
    for image in images:
        image = image.copy()
        image[-20:] = 20
        for column in range(8, 40, 6):  # letters
            image[8:16, column : column + 3] = 255
        drawn.append(image)
    return drawn
