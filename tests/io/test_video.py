"""Tests of io/video.py, video_writer.py and depth_video.py.

What players show is what is read, at the time at which they show it.
"""

from __future__ import annotations

import logging
import struct
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from clips import damage, timed
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.depth_video import DepthVideoWriter
from hrdepth.io.media import frames
from hrdepth.io.video import CutShort
from hrdepth.io.video_parts import VideoParts
from hrdepth.io.video_writer import VideoWriter
from hrdepth.prepare.calibration import _film_focal

SIZE = (64, 96)
CASES = Path(__file__).parents[2] / "../shared/cases"
MATRICES = {
    "mirrored": (-1, 0, 0, 1),
    "upside down, mirrored": (1, 0, 0, -1),
    "half a turn": (-1, 0, 0, -1),
    "clockwise": (0, 1, -1, 0),
    "counter-clockwise": (0, -1, 1, 0),
    "transposed": (0, 1, 1, 0),
    "transposed over the other diagonal": (0, -1, -1, 0),
}


def corners() -> np.ndarray:
    """Return an image (64,96,3): red upper left, green upper right, blue lower left, white lower right."""
    image = np.zeros((*SIZE, 3), np.uint8)
    image[:32, :48, 0] = image[:32, 48:, 1] = image[32:, :48, 2] = image[32:, 48:] = 255
    return image


def set_matrix(path: Path, a: int, b: int, c: int, d: int) -> Path:
    content = bytearray(path.read_bytes())
    matrix = content.index(b"tkhd") + 4 + 40  # version 0: 40 bytes of other fields
    one = 1 << 16
    content[matrix : matrix + 36] = struct.pack(">9i", a * one, b * one, 0, c * one, d * one, 0, 0, 0, 1 << 30)
    path.write_bytes(bytes(content))
    return path


def write(path: Path, count: int, times: list[float] | None = None, *, gop: int = 12, aspect: int = 1) -> Path:
    """Write frames whose brightness counts up, at ten a second or at the times given."""
    images = [np.full((*SIZE, 3), 20 + 4 * index, np.uint8) for index in range(count)]
    return timed(path, images, times, gop=gop, aspect=aspect)


@pytest.mark.parametrize("name", MATRICES)
def test_a_display_matrix_turns_and_mirrors(tmp_path: Path, name: str) -> None:
    """Each corner of the coded image comes where the matrix puts it."""
    with VideoWriter(tmp_path / "a.mp4", 10) as video:
        video.write(corners())
    a, b, c, d = MATRICES[name]
    shown = next(frames(set_matrix(tmp_path / "a.mp4", a, b, c, d))).image
    assert shown.shape[:2] == (SIZE if a else SIZE[::-1])
    height, width = shown.shape[:2]
    for y in (-1, 1):
        for x in (-1, 1):
            coded = corners()[32 + 20 * y, 48 + 20 * x]
            to = round(height * (0.5 + 0.3 * (b * x + d * y))), round(width * (0.5 + 0.3 * (a * x + c * y)))
            assert np.abs(shown[to].astype(int) - coded).max() < 40, (name, x, y)


@pytest.mark.parametrize(("aspect", "shape"), [(1, SIZE), (2, (64, 192)), (4, (64, 384))])
def test_pixels_that_are_not_square_are_stretched(tmp_path: Path, aspect: int, shape: tuple[int, int]) -> None:
    path = write(tmp_path / "a.mp4", 2, aspect=aspect)
    assert next(frames(path)).image.shape[:2] == shape
    plain = next(frames(path, square=False))
    assert (plain.image.shape[:2], plain.pixel_aspect) == (SIZE, aspect)
    turned = next(frames(set_matrix(path, 0, 1, -1, 0)))
    assert turned.image.shape[:2] == shape[::-1]
    assert next(frames(path, square=False)).pixel_aspect == 1 / aspect


@pytest.mark.parametrize(("writer", "suffix"), [(VideoWriter, "mp4"), (DepthVideoWriter, "mkv")])
def test_uneven_times_are_kept(tmp_path: Path, writer: type[VideoWriter], suffix: str) -> None:
    times = [0.0, 0.1, 0.2, 1.0, 1.1, 4.0, 4.1, 4.3]
    found = list(frames(write(tmp_path / "a.mkv", len(times), times)))
    assert [frame.seconds for frame in found] == pytest.approx(times)
    with writer(tmp_path / f"b.{suffix}", 10) as video:
        for frame in found:
            video.write(frame.image if suffix == "mp4" else np.ones(SIZE), frame.seconds)
    with av.open(str(tmp_path / f"b.{suffix}")) as container:
        again = [float(frame.time) for frame in container.decode(video=0)]
        assert container.duration / av.time_base == pytest.approx(4.4, abs=0.15)
        stated = container.streams.video[0].duration
        assert stated is None or stated * container.streams.video[0].time_base == pytest.approx(4.4, abs=0.02)
    assert again == pytest.approx(times, abs=0.002)


@pytest.mark.parametrize("name", ["12:30.mp4", "file:a.mp4", "cache:%03d.mp4"])
def test_names_are_no_addresses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """To FFmpeg, what precedes a colon is a protocol."""
    monkeypatch.chdir(tmp_path)
    write(Path("a.mp4"), 1)
    with VideoWriter(name, 10) as video:
        for _ in range(3):
            video.write(corners())
    assert len(list(frames(name))) == 3
    parts = VideoParts(VideoWriter, Path(f"b{name}"), 10, tmp_path)
    parts.write(corners(), None)
    parts.end_part()
    parts.join()
    assert len(list(frames(f"b{name}"))) == 1


@pytest.mark.parametrize("default", [None, 0, 1])
def test_the_stream_that_players_show_is_read(tmp_path: Path, default: int | None) -> None:
    """That is the default one, else the largest."""
    with av.open(str(tmp_path / "two.mkv"), "w") as container:
        for index, (height, width) in enumerate([(64, 96), (96, 128)]):
            stream = container.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            stream.disposition = av.stream.Disposition.default if index == default else av.stream.Disposition(0)
        for stream in container.streams:
            frame = av.VideoFrame.from_ndarray(np.zeros((stream.height, stream.width, 3), np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    assert next(frames(tmp_path / "two.mkv")).image.shape[:2] == ((64, 96) if default == 0 else (96, 128))


@pytest.mark.parametrize("rate", [10, 12, 24, 25, 30000 / 1001, 60, 120])
def test_a_constant_rate_stays_exact(tmp_path: Path, rate: float) -> None:
    """Clocks of milliseconds, and frames without or with repeated times, make no uneven video."""
    times: list[float | None] = [7 + round(index / rate, 3) for index in range(20)]
    times[5], times[8] = None, times[7]
    with VideoWriter(tmp_path / "a.mp4", rate) as video:
        for time in times:
            video.write(corners(), time)
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        shown = [frame.time for frame in container.decode(stream)]
        assert float(stream.average_rate) == pytest.approx(rate, rel=1e-4)
    assert np.diff(shown) == pytest.approx(1 / rate, abs=1e-4)


@pytest.mark.parametrize("rate", [1 / 86400, 1 / 2000.5, 0.3, 0.999, 1500.4, 2000, 90000])
@pytest.mark.parametrize(("writer", "suffix"), [(VideoWriter, "mp4"), (DepthVideoWriter, "mkv")])
def test_slow_and_fast_videos_keep_their_times(
    tmp_path: Path, rate: float, writer: type[VideoWriter], suffix: str
) -> None:
    """Also where the video is joined from parts; a Matroska file counts milliseconds."""
    times = [index / rate for index in range(20)]
    for given in (times, [None] * 20):
        parts = VideoParts(writer, tmp_path / f"a.{suffix}", rate, tmp_path)
        for index, time in enumerate(given):
            parts.write(corners() if suffix == "mp4" else np.ones(SIZE), time)
            if index == 7:
                parts.end_part()
        parts.end_part()
        parts.join()
        with av.open(str(tmp_path / f"a.{suffix}")) as container:
            shown = [frame.time for frame in container.decode(video=0)]
        assert shown == pytest.approx(times, rel=1e-3, abs=0.0011 if suffix == "mkv" else 1 / rate / 20)


def test_a_slow_video_of_uneven_times_keeps_them(tmp_path: Path) -> None:
    times = [0.0, 2900.0, 6020.5, 6020.6, 12000.0]
    with VideoWriter(tmp_path / "a.mp4", 1 / 3000) as video:
        for time in times:
            video.write(corners(), time)
    assert [frame.seconds for frame in frames(tmp_path / "a.mp4")] == pytest.approx(times, abs=0.002)


def test_times_that_a_coarse_clock_repeats_do_not_add_up(tmp_path: Path) -> None:
    """Of 2000 frames a second on a clock of milliseconds."""
    with VideoWriter(tmp_path / "a.mp4", 2000) as video:
        for index in range(13):
            video.write(corners(), round(index / 2000, 3))
    shown = [frame.seconds for frame in frames(tmp_path / "a.mp4")]
    assert shown == pytest.approx([index / 2000 for index in range(13)], abs=0.0006)


@pytest.mark.parametrize(
    ("rate", "ticks"), [(1, 1000), (10, 1000), (12, 1008), (25, 1000), (30000 / 1001, "1020000/1001"), (60, 1020),
                        (120, 1080), (1000, 1000)],
)  # fmt: skip
def test_the_clock_of_ordinary_videos(tmp_path: Path, rate: float, ticks: int | str) -> None:
    assert 1 / VideoWriter(tmp_path / "a.mp4", rate).time_base == Fraction(ticks)


@pytest.mark.parametrize(("number", "least"), [(0, 24), (12, 24), (17, 28), (30, 30)])
def test_decoding_goes_on_behind_damage(
    tmp_path: Path, number: int, least: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "a.mp4", 36)
    damage(path, number)
    reported: list[InputError] = []
    found = list(frames(path, reported.append))
    assert least <= len(found) <= 36
    assert [str(error) for error in reported] == [
        f"the video {path} is damaged: 1 of its packets left out, {len(found)} frames read"
    ]
    for frame in (found[0], found[-1]):
        assert frame.seconds is not None
        if number < 24:
            assert frame.image.mean() == pytest.approx(20 + 40 * frame.seconds, abs=3)
    assert len(found) + sum(frame.missing for frame in found) == 36
    assert found[0].missing == round(10 * found[0].seconds)
    with caplog.at_level(logging.WARNING):
        assert len(list(frames(path))) == len(found)
    assert "1 of its packets" in caplog.text


def test_gaps_are_steps_that_stand_out(tmp_path: Path) -> None:
    """By numbers, by damage; a variable frame rate has none."""
    for number in [*range(10, 130, 10), 160, 170]:
        Image.new("RGB", (64, 64)).save(tmp_path / f"frame{number}.png")
    assert [frame.missing for frame in frames(tmp_path)] == [0] * 12 + [3, 0]
    (tmp_path / "frame40.png").write_bytes(b"no image")
    assert [frame.missing for frame in frames(tmp_path, print)] == [0] * 3 + [1] + [0] * 7 + [3, 0]
    times = [0.0, 0.1, 0.2, 1.0, 1.1, 4.0, 4.1, 4.3, 6.0, 6.1, 6.2, 9.0]
    assert not any(frame.missing for frame in frames(write(tmp_path / "a.mkv", len(times), times)))


def test_a_video_that_ends_within_a_packet_is_told_from_a_damaged_one(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (10, *SIZE, 3), dtype=np.uint8)
    path, found = tmp_path / "a.mp4", list[InputError]()
    with VideoWriter(path, 10) as video:
        for image in noise:
            video.write(image)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(0.7 * len(whole))])
    count = len(list(frames(path, found.append)))
    assert 1 < count < 10
    assert isinstance(found[0], CutShort)
    path.write_bytes(whole)
    list(frames(damage(path, 4), found.append))
    assert len(found) == 2
    assert not isinstance(found[1], CutShort)


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "webm"])
def test_a_video_that_ends_between_two_packets_is_told_from_a_whole_one(tmp_path: Path, suffix: str) -> None:
    """Where the container reports no error, by the length that it states."""
    path, found = tmp_path / f"a.{suffix}", list[InputError]()
    for name in (f"b.{suffix}", path.name):
        index_first = {"movflags": "faststart"} if suffix == "mp4" else {}
        with av.open(str(tmp_path / name), "w", options=index_first) as container:
            stream = container.add_stream("libvpx" if suffix == "webm" else "libx264", rate=10)
            stream.height, stream.width = SIZE
            for noise in np.random.default_rng(0).integers(0, 255, (20, *SIZE, 3), dtype=np.uint8):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
            container.mux(stream.encode(None))
    assert len(list(frames(path, found.append))) == 20
    assert found == []
    with av.open(str(path)) as container:
        ends = sorted(packet.pos + packet.size for packet in container.demux(video=0) if packet.size)
    path.write_bytes(path.read_bytes()[: ends[11]])
    count = len(list(frames(path, found.append)))
    assert 8 <= count <= 12
    assert [str(error) for error in found] == [
        f"the video {path} is damaged: it ends after {count / 10:g} of 2 s, {count} frames read"
    ]
    assert isinstance(found[0], CutShort)


def test_frames_with_errors_are_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "a.mp4"
    images = list(np.random.default_rng(0).integers(0, 255, (12, *SIZE, 3), dtype=np.uint8))
    with av.open(str(timed(path, images))) as container:
        places = [packet.pos + packet.size // 2 for packet in container.demux(video=0) if packet.size]
    content = bytearray(path.read_bytes())
    content[places[5] : places[5] + 64] = bytes(64)
    path.write_bytes(bytes(content))
    with caplog.at_level(logging.WARNING):
        assert len(list(frames(path))) == 12
    assert "1 of its 12 frames are damaged, and shown as far as they can be" in caplog.text


def test_a_title_in_another_encoding_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as container:
        container.metadata["title"] = "Xtrasse"
        stream = container.add_stream("h264", rate=10)
        stream.height, stream.width = SIZE
        container.mux(stream.encode(av.VideoFrame.from_ndarray(corners(), format="rgb24")))
        container.mux(stream.encode(None))
    content = path.read_bytes()
    assert b"Xtrasse" in content
    path.write_bytes(content.replace(b"Xtrasse", "Stra\u00dfe".encode("latin-1") + b" "))
    assert len(list(frames(path))) == 1
    assert _film_focal(path) is None


def test_a_video_of_damage_alone_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "a.mp4", 3)
    damage(path, 0, 1, 2)
    with pytest.raises(InputError, match=r"a\.mp4 has no frames that can be decoded"):
        list(frames(path))


@pytest.mark.skipif(not CASES.is_dir(), reason="the shared cases are not here")
def test_times_and_orientation_of_damaged_and_uneven_videos() -> None:
    found = list(frames(CASES / "bad_first.mp4"))
    assert len(found) == 50
    assert found[0].seconds == 1.0
    times = [frame.seconds for frame in frames(CASES / "vfr.mkv")]
    assert times[-1] == 4.3
    coded, mirrored = (next(frames(CASES / f"{name}.mp4")).image for name in ("id", "hflip"))
    assert np.abs(mirrored.astype(int) - coded).max() < 30
    assert next(frames(CASES / "sar.mp4")).image.shape == (96, 320, 3)
