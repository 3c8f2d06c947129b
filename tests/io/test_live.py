"""Tests of io/live.py: cameras and streams, read from servers on this machine and from FFmpeg's test image."""

import functools
import http.server
import logging
import socket
import sys
import threading
import time
from itertools import islice

import av
import numpy as np
import pytest

from hrdepth.errors import InputError
from hrdepth.io import live
from hrdepth.io.live import is_live, live_name, read_live
from hrdepth.io.media import frames, probe, shown_intrinsics
from hrdepth.io.provenance import provenance
from hrdepth.io.video_writer import VideoWriter
from live_streams import served, transport_stream


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    """Shorter times."""
    for name, seconds in (("RETRY_SECONDS", 0.05), ("PATIENCE_SECONDS", 1.0), ("ANSWER_SECONDS", 2.0)):
        monkeypatch.setattr(live, name, seconds)


@pytest.fixture
def camera(monkeypatch):
    """FFmpeg's test image in place of a camera."""
    if "lavfi" not in av.formats_available:
        pytest.skip("FFmpeg has no test image here")
    monkeypatch.setattr(live, "_camera", lambda name: ("lavfi", "testsrc=size=96x64:rate=100,realtime"))
    return "camera:0"


def level(frame):
    return float(frame.image.mean())


@pytest.mark.parametrize("kind", ["tcp", "http", "rtsp"])
def test_frames_of_a_stream_arrive_in_order(kind):
    with served(transport_stream(300), kind=kind) as server:
        found = list(islice(read_live(server.address), 5))
    assert all(frame.image.shape == (64, 96, 3) for frame in found)
    seconds = [frame.seconds for frame in found]
    assert seconds[0] >= 0
    assert sorted(set(seconds)) == seconds
    levels = list(map(level, found))
    assert sorted(levels) == levels
    assert levels[0] < levels[-1]


def test_frames_that_come_while_one_is_used_are_dropped(camera, caplog):
    caplog.set_level(logging.INFO)
    found = []
    for frame in islice(read_live(camera), 3):
        found.append(frame)
        time.sleep(0.3)
    assert found[2].seconds - found[0].seconds > 0.3  # the newest, not the next
    came, used = (int(word) for word in caplog.messages[-1].split() if word.isdigit())
    assert used == 3
    assert came > 10


def test_a_stream_that_breaks_off_is_opened_again(caplog):
    caplog.set_level(logging.INFO)
    with served(transport_stream(20), transport_stream(300)) as server:
        reader = read_live(server.address)
        next(frame for frame in reader if server.connections == 2)
        reader.close()
    assert any("broke off" in message and "trying again" in message for message in caplog.messages)


def test_a_stream_that_does_not_come_back_ends_with_a_sentence():
    with served(transport_stream(20)) as server:
        reader = read_live(server.address)
        next(reader)
        server.socket.close()
        with pytest.raises(InputError, match=r"no images from tcp://127\.0\.0\.1:\d+ for 1 s"):
            list(reader)


def test_where_nothing_listens_the_sentence_says_so():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"rtsp://user:secret@127.0.0.1:{port}/street?key=1"
    with pytest.raises(InputError, match=rf"no images from rtsp://127\.0\.0\.1:{port}/street: .*refused") as caught:
        next(read_live(address))
    assert "check the address" in str(caught.value)
    assert "secret" not in str(caught.value)
    assert "key" not in str(caught.value)


@pytest.mark.parametrize("kind", ["tcp", "http", "rtsp"])
def test_a_server_that_stays_silent_is_given_up(kind, monkeypatch):
    monkeypatch.setattr(live, "ANSWER_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"{kind}://127.0.0.1:{silent.getsockname()[1]}/street"
        with pytest.raises(InputError, match=r"no images from .*no answer within"):
            next(read_live(address))


def test_frames_of_another_size_end_the_stream():
    with (
        served(transport_stream(20), transport_stream(300, (32, 64))) as server,
        pytest.raises(InputError, match="changed their size from 96x64 to 64x32"),
    ):
        for _ in read_live(server.address):
            pass


def test_a_finished_file_is_no_live_stream(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 10) as video:
        for _ in range(3):
            video.write(np.zeros((64, 96, 3), np.uint8))
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="finished file, no live stream; download it"):
            next(read_live(f"http://127.0.0.1:{server.server_port}/a.mp4"))
        server.shutdown()


def test_a_camera_that_is_not_there_is_named(monkeypatch):
    monkeypatch.setattr(live.platform, "system", lambda: "Linux")
    with pytest.raises(InputError, match="there is no camera 77: /dev/video77 does not exist"):
        next(read_live("camera:77"))


@pytest.mark.parametrize(
    ("system", "name", "expected"),
    [("Darwin", "0", ("avfoundation", "0")), ("Windows", "Webcam", ("dshow", "video=Webcam"))],
)
def test_cameras_are_named_as_each_system_does(system, name, expected, monkeypatch):
    monkeypatch.setattr(live.platform, "system", lambda: system)
    assert live._camera(name) == expected


def test_a_live_source_is_known_by_its_address():
    assert all(map(is_live, ["camera:0", "camera:/dev/video2", "rtsp://host/a", "https://host/live.m3u8"]))
    assert not any(map(is_live, ["street.jpg", "http", "./camera:0", "C:/street.jpg"]))
    info = probe("rtsp://user:secret@host:554/a/b.sdp?token=7", live=True)
    assert (info.kind, info.count, info.path.name) == ("video", None, "host-554-a-b-sdp")
    assert live_name("camera:/dev/video2") == "camera-dev-video2"
    with pytest.raises(InputError, match="rtsp://host/a is live, which only hrdepth predict reads"):
        probe("rtsp://host/a?token=7")


def test_media_reads_live_frames(camera):
    found = list(islice(frames(probe(camera, live=True)), 2))
    assert [frame.name for frame in found] == ["camera-0_000000", "camera-0_000001"]


def test_intrinsics_of_a_live_source_do_not_open_it():
    info = probe("rtsp://nowhere.invalid/a", live=True)
    assert np.array_equal(shown_intrinsics(info, np.diag([60.0, 30.0, 1.0])), np.diag([60.0, 30.0, 1.0]))


def test_a_result_does_not_record_the_password_of_a_stream(monkeypatch):
    source = "rtsp://user:secret@10.0.0.5/street?key=hidden"
    monkeypatch.setattr(sys, "argv", ["hrdepth", "predict", source, "--weights", "/a/b/c/net.safetensors"])
    assert provenance()["command"] == "hrdepth predict rtsp://10.0.0.5/street --weights c/net.safetensors"
