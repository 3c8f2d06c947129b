"""Hostile and damaged uploads: each gets one sentence, and nothing large is decoded."""

import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from hrdepth.app.uploads import clip_frames, kind_of, load_image
from hrdepth.config import UploadLimits
from hrdepth.errors import InputError
from hrdepth.io.video import VideoWriter

LIMITS = UploadLimits(megabytes=2, megapixels=0.5, side=2000, seconds=1)


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


def taken(path):
    if kind_of(path, LIMITS) == "picture":
        return load_image(path, LIMITS)
    return list(clip_frames(path, LIMITS))


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".bmp", ".tif", ".gif", ".ppm"])
def test_images_are_told_by_content(tmp_path, suffix):
    Image.linear_gradient("L").convert("RGB").save(tmp_path / f"a{suffix}")
    renamed = (tmp_path / f"a{suffix}").rename(tmp_path / "a.mp4")
    assert kind_of(renamed, LIMITS) == "picture"
    assert load_image(renamed, LIMITS).size == (256, 256)


def test_a_clip_is_told_by_content(tmp_path):
    renamed = clip(tmp_path / "a.mp4").rename(tmp_path / "a.jpg")
    frames = taken(renamed)
    assert len(frames) == 8
    assert frames[0].image.shape == (48, 64, 3)
    assert frames[0].fps == pytest.approx(25)


HOSTILE = {
    "text.jpg": (b"just a text\n" * 50, "neither an image nor a clip"),
    "drawing.png": (b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'/>", "drawing of vectors"),
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


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_get_a_sentence(tmp_path, name):
    content, sentence = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=sentence) as caught:
        taken(tmp_path / name)
    assert name in str(caught.value)
    assert str(tmp_path) not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("share", [0.3, 0.9])
@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_a_truncated_image_gets_a_sentence(tmp_path, suffix, share):
    path = tmp_path / f"a{suffix}"
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (200, 300, 3), dtype=np.uint8)).save(path)
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(InputError, match="cannot be read"):
        taken(path)


def test_a_truncated_clip_gets_a_sentence(tmp_path):
    path = clip(tmp_path / "a.mp4")
    path.write_bytes(path.read_bytes()[:-300])
    with pytest.raises(InputError):
        taken(path)


def test_a_clip_that_was_cut_between_frames_gets_a_sentence(tmp_path):
    path = tmp_path / "a.mp4"
    rng = np.random.default_rng(0)
    with VideoWriter(path, 25) as video:
        for _ in range(10):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    path.write_bytes(path.read_bytes()[: int(0.7 * path.stat().st_size)])
    with pytest.raises(InputError, match=r"damaged after frame \d"):
        taken(path)


def test_a_long_clip_is_refused_by_its_header(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=40)
    with pytest.raises(InputError, match="longer than 1 s"):
        next(iter(clip_frames(path, LIMITS)))


def test_a_large_clip_is_refused_by_its_header(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=2, size=(720, 1280))
    with pytest.raises(InputError, match="1280x720 pixels"):
        next(iter(clip_frames(path, LIMITS)))


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


def test_a_clip_whose_header_claims_less_is_stopped(tmp_path):
    path = claim(clip(tmp_path / "a.mp4", frames=40), length=1)
    seen = []
    with pytest.raises(InputError, match="longer than 1 s"):
        seen.extend(clip_frames(path, LIMITS))
    assert len(seen) <= 26


def test_a_clip_that_claims_a_thousand_frames_a_second_is_bounded(tmp_path):
    path = clip(tmp_path / "a.mp4", frames=150, size=(16, 16), fps=1000)
    with pytest.raises(InputError, match="longer than 1 s"):
        taken(path)
