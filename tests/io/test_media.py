"""Tests of io/media.py, io/images.py and io/video.py.

Images and videos: what comes in is upright RGB, what goes out opens again, what is bad is named.
"""

from __future__ import annotations

import math
import os
import struct
import wave
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.images import as_rgb, image_size, read_image, write_depth_png, write_image
from hrdepth.io.media import frames, probe
from hrdepth.io.video_writer import VideoWriter

QUADRANTS = np.kron(
    np.array([[[255, 0, 0], [0, 255, 0]], [[0, 0, 255], [255, 255, 255]]]), np.ones((32, 48, 1))
).astype(np.uint8)  # 64x96: red, green / blue, white


def write_video(path: Path, images: list[np.ndarray], fps: float = 10) -> Path:
    with VideoWriter(path, fps) as video:
        for image in images:
            video.write(image)
    return path


def corners(image: np.ndarray) -> list[str]:
    """Return the colour of the four quadrants' middles, clockwise from the top left."""
    height, width = image.shape[:2]
    names = {(1, 0, 0): "red", (0, 1, 0): "green", (0, 0, 1): "blue", (1, 1, 1): "white"}
    places = [(1, 1), (1, 3), (3, 3), (3, 1)]
    return [names[tuple((image[y * height // 4, x * width // 4] > 128).astype(int))] for y, x in places]


def rotate_by_flag(path: Path, quarter_turns: int) -> None:
    """Write the display matrix of the track header, as a phone does: a clockwise turn for the player."""
    cos, sin = round(math.cos(quarter_turns * math.pi / 2)), round(math.sin(quarter_turns * math.pi / 2))
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # version 0: 40 bytes of other fields
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", cos * one, sin * one, 0, -sin * one, cos * one, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))


class TestReadImage:
    def test_reads_rgb(self, tmp_path: Path) -> None:
        write_image(tmp_path / "a.png", QUADRANTS)
        assert np.array_equal(np.array(read_image(tmp_path / "a.png")), QUADRANTS)

    def test_exif_orientation_is_applied(self, tmp_path: Path) -> None:
        exif = Image.Exif()
        exif[0x0112] = 6  # the camera was turned: rotate clockwise to see it upright
        Image.fromarray(QUADRANTS).save(tmp_path / "a.jpg", exif=exif)
        image = np.array(read_image(tmp_path / "a.jpg"))
        assert image.shape == (96, 64, 3)
        assert corners(image) == ["blue", "red", "green", "white"]

    def test_grey_becomes_three_equal_channels(self, tmp_path: Path) -> None:
        grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
        write_image(tmp_path / "a.png", grey)
        assert np.array_equal(np.array(read_image(tmp_path / "a.png")), np.stack([grey] * 3, axis=2))

    def test_sixteen_bit_grey_is_scaled_not_cut(self, tmp_path: Path) -> None:
        values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
        Image.fromarray(values).save(tmp_path / "a.png")
        assert np.array(read_image(tmp_path / "a.png"))[0, :, 0].tolist() == [0, 1, 128, 255]

    def test_float_grey_images_are_read(self, tmp_path: Path) -> None:
        Image.fromarray(np.array([[0, 0.5, 1, np.nan]], dtype=np.float32)).save(tmp_path / "a.tif")
        assert np.array(read_image(tmp_path / "a.tif"))[0, :, 1].tolist() == [0, 128, 255, 0]

    def test_each_kind_of_grey_tiff_has_its_own_range(self, tmp_path: Path) -> None:
        values = np.array([[0, 257, 32896, 65535]], dtype=np.uint16)
        Image.fromarray(values).save(tmp_path / "white.tif", tiffinfo={0x0106: 0})  # 0 is white
        Image.fromarray(np.array([[0, 7, 128, 255]], dtype=np.int32)).save(tmp_path / "wide.tif")
        Image.fromarray(values.astype(np.float32)).save(tmp_path / "float.tif")
        found = [
            np.array(read_image(tmp_path / f"{name}.tif"))[0, :, 0].tolist() for name in ("white", "wide", "float")
        ]
        assert found == [[255, 254, 127, 0], [0, 7, 128, 255], [0, 1, 128, 255]]

    def test_colours_in_planes_of_sixteen_bits_are_refused(self, tmp_path: Path) -> None:
        entries = [(256, 3, 1, 2), (257, 3, 1, 1), (258, 3, 3, 134), (259, 3, 1, 1), (262, 3, 1, 2), (273, 4, 3, 140),
                   (277, 3, 1, 3), (278, 3, 1, 1), (279, 4, 3, 152), (284, 3, 1, 2)]  # fmt: skip
        content = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(struct.pack("<HHII", *e) for e in entries)
        content += bytes(4)
        content += struct.pack("<3H", 16, 16, 16) + struct.pack("<6I", 164, 168, 172, 4, 4, 4) + bytes(12)
        (tmp_path / "a.tif").write_bytes(content)
        with pytest.raises(InputError, match="a plane for each colour; save it with interleaved colours"):
            read_image(tmp_path / "a.tif")

    @pytest.mark.parametrize("suffix", ["jpg", "png", "webp", "tif"])
    @pytest.mark.parametrize("orientation", [1, 3, 6, 8])
    def test_the_size_is_that_of_the_upright_image(self, tmp_path: Path, suffix: str, orientation: int) -> None:
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(QUADRANTS).save(path := tmp_path / f"a.{suffix}", exif=exif)
        upright = (96, 64) if orientation >= 5 else (64, 96)
        assert image_size(path) == np.array(read_image(path)).shape[:2] == upright
        if suffix == "png":  # other programs write EXIF behind the pixels
            start, content = 8, path.read_bytes()
            parts = []
            while start < len(content):
                parts.append(content[start : start + 12 + int.from_bytes(content[start : start + 4], "big")])
                start += len(parts[-1])
            parts.sort(key=lambda part: (part[4:8] == b"IEND", part[4:8] == b"eXIf"))
            path.write_bytes(content[:8] + b"".join(parts))
            assert image_size(path) == np.array(read_image(path)).shape[:2] == upright

    @pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "CMYK"])
    def test_every_mode_becomes_rgb(self, mode: str) -> None:
        assert as_rgb(Image.new("L", (4, 4), 255).convert(mode)).getpixel((0, 0)) == (255, 255, 255)

    def test_transparent_parts_become_white(self, tmp_path: Path) -> None:
        rgba = np.zeros((1, 2, 4), dtype=np.uint8)
        rgba[0, 1] = (10, 20, 30, 255)
        Image.fromarray(rgba).save(tmp_path / "a.png")
        assert np.array(read_image(tmp_path / "a.png")).tolist() == [[[255, 255, 255], [10, 20, 30]]]

    @pytest.mark.parametrize("suffix", [".jpg", ".png"])
    def test_truncated_file_is_named(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"cut{suffix}"
        noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(noise).save(path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        with pytest.raises(InputError, match=rf"cut\{suffix} cannot be read"):
            read_image(path)

    @pytest.mark.parametrize("content", [b"", b"not an image", b"\x89PNG\r\n\x1a\nxx"])
    def test_other_content_is_named(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "a.png").write_bytes(content)
        with pytest.raises(InputError, match=r"a\.png is not an image"):
            read_image(tmp_path / "a.png")

    def test_a_missing_file_and_folder_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match=r"none\.png does not exist"):
            read_image(tmp_path / "none.png")
        with pytest.raises(InputError, match="is a folder"):
            read_image(tmp_path)


class TestFolder:
    def test_a_folder_lists_images_in_natural_order_only(self, tmp_path: Path) -> None:
        for name in ("10.png", "9.png", "b2.jpg", "b10.JPG", "100.png", "._9.png"):
            write_image(tmp_path / name, QUADRANTS)
        (tmp_path / "notes.txt").write_text("no image")
        (tmp_path / "sub.png").mkdir()
        found = list(frames(tmp_path))
        assert [frame.name for frame in found] == ["9", "10", "100", "b2", "b10"]
        assert [frame.index for frame in found] == [0, 1, 2, 3, 4]
        assert probe(tmp_path).kind == "folder"
        assert probe(tmp_path).count == 5

    def test_output_names_stay_distinct(self, tmp_path: Path) -> None:
        for name in ("a.png", "a.jpg", "b.png"):
            write_image(tmp_path / name, QUADRANTS)
        assert [frame.name for frame in frames(tmp_path)] == ["a.jpg", "a.png", "b"]

    def test_broken_image_is_raised_or_reported(self, tmp_path: Path) -> None:
        for name in ("1.png", "2.png", "3.png"):
            write_image(tmp_path / name, QUADRANTS)
        (tmp_path / "2.png").write_bytes(b"broken")
        with pytest.raises(InputError, match=r"2\.png"):
            list(frames(tmp_path))
        errors: list[InputError] = []
        assert [frame.name for frame in frames(tmp_path, errors.append)] == ["1", "3"]
        assert len(errors) == 1

    def test_folders_without_images_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="is empty"):
            frames(tmp_path)
        (tmp_path / "notes.txt").write_text("no image")
        with pytest.raises(InputError, match="contains no images"):
            frames(tmp_path)


class TestVideo:
    def test_a_written_video_reads_back(self, tmp_path: Path) -> None:
        shown = [np.full((48, 64, 3), (value, 255 - value, 40), dtype=np.uint8) for value in (0, 90, 180, 255)]
        path = write_video(tmp_path / "clip.mp4", shown, fps=30000 / 1001)
        info = probe(path)
        assert (info.kind, info.count) == ("video", 4)
        assert info.fps == pytest.approx(30000 / 1001, abs=1e-6)
        found = list(frames(path))
        assert [frame.name for frame in found] == [f"clip_{index:06d}" for index in range(4)]
        for frame, image in zip(found, shown, strict=True):
            assert frame.image.shape == image.shape
            # A wrong colour matrix (BT.601 for BT.709) would be off by 20 and more.
            assert np.abs(frame.image.astype(int) - image).max() <= 5
        with av.open(str(path)) as container:
            context = container.streams.video[0].codec_context
            assert (context.name, context.pix_fmt) == ("h264", "yuv420p")

    def test_odd_sizes_are_padded(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "odd.mp4", [QUADRANTS[:63, :95]] * 2)
        image = next(iter(frames(path))).image
        assert image.shape == (64, 96, 3)
        assert corners(image) == ["red", "green", "white", "blue"]

    @pytest.mark.parametrize(
        ("turns", "expected"),
        [
            (0, ["red", "green", "white", "blue"]),
            (1, ["blue", "red", "green", "white"]),
            (2, ["white", "blue", "red", "green"]),
            (3, ["green", "white", "blue", "red"]),
        ],
    )
    def test_rotation_flag_is_applied(self, tmp_path: Path, turns: int, expected: list[str]) -> None:
        path = write_video(tmp_path / "phone.mp4", [QUADRANTS] * 2)
        rotate_by_flag(path, turns)
        for frame in frames(path):
            assert frame.image.shape == ((64, 96, 3) if turns % 2 == 0 else (96, 64, 3))
            assert corners(frame.image) == expected

    def test_animated_gif_is_a_video(self, tmp_path: Path) -> None:
        images = [Image.fromarray(QUADRANTS[:, ::step]) for step in (1, -1)]
        images[0].save(tmp_path / "a.gif", save_all=True, append_images=images[1:])
        assert probe(tmp_path / "a.gif").kind == "video"
        assert len(list(frames(tmp_path / "a.gif"))) == 2

    def test_an_unknown_frame_rate_becomes_the_default(self, tmp_path: Path) -> None:
        for fps in (None, 0, -1, 1e-9, 1e9, math.nan, math.inf):
            assert VideoWriter(tmp_path / "a.mp4", fps).fps == 25

    def test_a_video_refuses_frames_of_another_size(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="one size"):
            write_video(tmp_path / "a.mp4", [QUADRANTS, QUADRANTS[:32]])
        assert list(tmp_path.iterdir()) == []

    def test_a_video_without_frames_writes_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="no frames"):
            write_video(tmp_path / "a.mp4", [])
        assert list(tmp_path.iterdir()) == []

    def test_an_interrupted_video_is_playable(self, tmp_path: Path) -> None:
        def stop_after_three() -> None:
            with VideoWriter(tmp_path / "a.mp4", 10) as video:
                for _ in range(3):
                    video.write(QUADRANTS)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            stop_after_three()
        assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
        assert len(list(frames(tmp_path / "a.mp4"))) == 3

    def test_a_failed_video_leaves_the_old_file(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "a.mp4", [QUADRANTS])
        before = path.read_bytes()

        def fail() -> None:
            with VideoWriter(path, 10) as video:
                video.write(QUADRANTS)
                raise RuntimeError

        with pytest.raises(RuntimeError):
            fail()
        assert path.read_bytes() == before
        assert list(tmp_path.iterdir()) == [path]

    def test_a_folder_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="cannot be written"):
            write_video(tmp_path / "missing" / "a.mp4", [QUADRANTS])


class TestBadInput:
    def test_a_missing_path_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="does not exist"):
            frames(tmp_path / "none.mp4")

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("notes.txt", b"a page of text\n" * 100),
            ("empty.mp4", b""),
            ("noise.bin", np.random.default_rng(0).bytes(20000)),
            ("subtitles.srt", b"1\n00:00:01,000 --> 00:00:02,000\nhello\n"),
            ("page.pdf", b"%PDF-1.4\n%%EOF\n"),
        ],
    )
    def test_a_file_that_is_neither_image_nor_video_is_refused(self, tmp_path: Path, name: str, content: bytes) -> None:
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name} is neither an image nor a video"):
            frames(tmp_path / name)

    def test_a_truncated_video_is_reported(self, tmp_path: Path) -> None:
        path = write_video(tmp_path / "cut.mp4", [QUADRANTS] * 5)
        path.write_bytes(path.read_bytes()[:400])
        with pytest.raises(InputError, match=r"cut\.mp4"):
            list(frames(path))

    @pytest.mark.parametrize(
        "playlist", ["ffconcat version 1.0\nfile a.mp4\n", "#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\na.mp4\n"]
    )
    @pytest.mark.parametrize("name", ["list.mp4", "list.ffconcat", "list.m3u8"])
    def test_a_playlist_does_not_open_the_video_beside_it(self, tmp_path: Path, playlist: str, name: str) -> None:
        write_video(tmp_path / "a.mp4", [QUADRANTS] * 5)
        (tmp_path / name).write_text(playlist)
        with pytest.raises(InputError, match=f"{name} is neither an image nor a video"):
            list(frames(tmp_path / name))

    def test_a_sound_file_is_refused(self, tmp_path: Path) -> None:
        with wave.open(str(tmp_path / "a.wav"), "wb") as sound:
            sound.setnchannels(1)
            sound.setsampwidth(2)
            sound.setframerate(8000)
            sound.writeframes(bytes(16000))
        with pytest.raises(InputError, match=r"a\.wav contains sound but no images"):
            frames(tmp_path / "a.wav")

    def test_a_sound_file_with_a_cover_image_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "song.m4a"
        with av.open(str(path), "w", format="mp4") as container:
            sound = container.add_stream("aac", rate=44100)
            cover = container.add_stream("mjpeg", rate=1)
            cover.width, cover.height, cover.pix_fmt = 64, 64, "yuvj420p"
            cover.disposition = av.stream.Disposition.attached_pic.value
            silence = av.AudioFrame.from_ndarray(np.zeros((2, 4410), np.float32), "fltp", "stereo")
            silence.rate = 44100
            container.mux(cover.encode(av.VideoFrame(64, 64, "yuvj420p")))
            container.mux([*sound.encode(silence), *sound.encode(None)])
        with pytest.raises(InputError, match="sound but no images"):
            frames(path)

    def test_a_video_without_frames_is_refused(self, tmp_path: Path) -> None:
        # A container that announces a video track into which nothing was written.
        path = tmp_path / "none.avi"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("mpeg4", rate=Fraction(10))
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
            container.start_encoding()
        with pytest.raises(InputError, match=r"none\.avi has no frames"):
            list(frames(path))

    def test_an_unknown_suffix_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="suffix"):
            write_image(tmp_path / "a.xyz", QUADRANTS)


@pytest.mark.parametrize("suffix", ["webp", "png", "tif"])
def test_of_several_images_in_a_file_the_first_is_read_aloud(
    tmp_path: Path, suffix: str, caplog: pytest.LogCaptureFixture
) -> None:
    path, more = tmp_path / f"a.{suffix}", [Image.fromarray(255 - QUADRANTS)] * 2
    Image.fromarray(QUADRANTS).save(path, save_all=True, append_images=more)
    assert probe(path).kind == "image"
    for source in (path, tmp_path):  # alone, and in a folder
        caplog.clear()
        with caplog.at_level("WARNING"):
            assert corners(next(frames(source)).image) == ["red", "green", "white", "blue"]
        assert caplog.text.count("the first of its") == 1


def test_depth_pngs_follow_kittis_format(tmp_path: Path) -> None:
    depth = np.array([[0, 1, 80.5, 300, np.nan, np.inf, -1, 1e-4]], dtype=np.float32)
    write_depth_png(tmp_path / "d.png", depth)
    with Image.open(tmp_path / "d.png") as image:
        assert image.mode.startswith("I;16")
        assert np.array(image)[0].tolist() == [0, 256, 20608, 65535, 0, 65535, 0, 1]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="pipes are of POSIX")
def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.mp4")
    for path in (tmp_path / "pipe.mp4", "/dev/zero"):
        with pytest.raises(InputError, match="is no file"):
            probe(path)
