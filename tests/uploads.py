"""Files that visitors of the page upload: clips, and hostile or damaged ones with what each is refused for."""

import struct
import zlib

import numpy as np

from hrdepth.io.video_writer import VideoWriter


def png_header(width, height):
    """A PNG that claims a size and holds next to nothing."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def clip(path, frames=8, size=(48, 64), fps=25):
    with VideoWriter(path, fps) as video:
        for number in range(frames):
            video.write(np.full((*size, 3), 20 * number % 255, np.uint8))
    return path


HOSTILE = {
    "text.jpg": (b"just a text\n" * 50, "neither an image nor a clip"),
    "drawing.png": (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "vector drawing"),
    "list.mp4": (b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile:///etc/passwd\n", "neither an image nor a clip"),
    "concat.mp4": (b"ffconcat version 1.0\nfile /etc/passwd\n", "neither an image nor a clip"),
    "page.jpg": (b"%!PS-Adobe-3.0 EPSF-3.0\n", "neither an image nor a clip"),
    "empty.png": (b"", "is empty"),
    "bomb.png": (png_header(60000, 60000), "exceeds limit|at most 0.5 million"),
    "wide.png": (png_header(30000, 1), "30000x1 pixels"),
    "large.png": (png_header(1500, 1500), "1500x1500 pixels"),
    "hollow.png": (png_header(300, 300), "cannot be read"),
    "heavy.jpg": (b"\xff\xd8\xff" + b"\0" * 2_100_000, "at most 2 MB"),
}


def claim(path, length=None, each=None, size=None):
    """Let an MP4's header claim another length, of all or of each frame, in its own unit, or (height, width)."""
    content = bytearray(path.read_bytes())

    def put(box, place, form, *values):
        at = content.find(box)
        assert at > 0
        struct.pack_into(form, content, at + place, *values)

    if length is not None:
        for box, place in ((b"mvhd", 20), (b"tkhd", 24), (b"mdhd", 20)):  # every place that says how long it is
            put(box, place, ">I", length)
    if each is not None:
        put(b"stts", 16, ">I", each)
        put(b"elst", 12, ">I", 2**31 - 1)  # or the player would leave out what comes later
    if size is not None:
        height, width = size
        put(b"tkhd", 80, ">II", width << 16, height << 16)
        put(b"avc1", 28, ">HH", width, height)
    path.write_bytes(bytes(content))
    return path
