"""Live images: a camera of this machine, or a stream on the network; frames that come too fast are dropped."""

from __future__ import annotations

import logging
import platform
import re
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Condition, Event, Thread
from typing import Any
from urllib.parse import urlsplit

from hrdepth.errors import InputError
from hrdepth.io.provenance import hide_password
from hrdepth.io.video import VideoFrame, decode, moving_images, pixel_aspect, show_frame

__all__ = ["check_camera", "is_live", "live_name", "read_live"]

log = logging.getLogger(__name__)

CAMERA = "camera:"
SCHEMES = ("rtsp", "rtsps", "http", "https", "rtmp", "rtmps", "rtp", "srt", "tcp", "udp")
PROTOCOLS = "crypto,data,http,httpproxy,https,rtmp,rtmps,rtmpt,rtp,rtsp,rtsps,srt,srtp,tcp,tls,udp"
"""A playlist on the network can name no file of this machine."""
ANSWER_SECONDS = 10.0
"""Until a source must answer, and until the next frame of one that does."""
PATIENCE_SECONDS = 30.0
"""How long an interrupted source is tried again."""
RETRY_SECONDS = 1.0


def is_live(source: object) -> bool:
    """Return whether this names a camera, such as `camera:0`, or a stream, such as `rtsp://host/stream`."""
    return str(source).startswith((CAMERA, *(f"{scheme}://" for scheme in SCHEMES)))


def live_name(source: str) -> str:
    """Return a name for the files of a live source, without its password and what comes after `?`.

    Example:
        >>> live_name("rtsp://user:secret@10.0.0.5:554/street"), live_name("camera:0")
        ('10-0-0-5-554-street', 'camera-0')
    """
    parts = urlsplit(hide_password(source))
    text = source if source.startswith(CAMERA) else f"{parts.netloc}{parts.path}"
    return re.sub(r"[^0-9A-Za-z]+", "-", text).strip("-")[:80] or "live"


def check_camera(source: str) -> None:
    """Check that a camera is there; streams are not asked.

    Raises:
        InputError: it is not.
    """
    if source.startswith(CAMERA):
        _camera(source.removeprefix(CAMERA))


def read_live(source: str) -> Iterator[VideoFrame]:
    """Yield the newest frame whenever one is asked for, without end; `seconds` counts from the first.

    Frames that come while the last one is in use are dropped. A source that breaks off is opened again.

    Args:
        source: see `is_live`.

    Raises:
        InputError: nothing answers, it sends no moving images or is a finished file, frames change their size, or
            nothing came for `PATIENCE_SECONDS` after it broke off.
    """
    reader = _Reader(source)
    thread = Thread(target=reader.run, name="read live", daemon=True)
    thread.start()
    size = None
    try:
        while True:
            frame = reader.newest()
            size = size or frame.image.shape
            if frame.image.shape != size:
                was, now = (f"{shape[1]}x{shape[0]}" for shape in (size, frame.image.shape))
                raise InputError(f"the frames of {reader.name} changed their size from {was} to {now}")
            reader.used += 1
            yield frame
    finally:
        reader.unwanted.set()
        thread.join(RETRY_SECONDS)  # one that waits for an answer ends with the process
        log.info("%s: %d frames came, %d were used", reader.name, reader.came, reader.used)


class _Reader:
    """Reads a source in a thread and keeps its newest frame."""

    def __init__(self, source: str) -> None:
        self.source, self.name = source, hide_password(source)
        self.came = self.used = 0
        self.unwanted = Event()
        self._change = Condition()
        self._frame: tuple[Any, float, float] | None = None
        self._error: BaseException | None = None
        self._start = self._last = time.monotonic()

    def newest(self) -> VideoFrame:
        """Wait for a frame that was not returned yet."""
        with self._change:
            while self._frame is None:
                if self._error is not None:
                    raise self._error
                self._change.wait(0.1)  # Windows handles Ctrl-C in between
            (frame, aspect, seconds), self._frame = self._frame, None
        image = show_frame(frame, aspect).image
        return VideoFrame(image, seconds)

    def run(self) -> None:
        """Read until nobody wants frames, or none comes any more."""
        try:
            while not self.unwanted.is_set():
                cause = self._read()
                if not self.came:
                    raise InputError(f"no images from {self.name}: {cause}; check the address, and that it sends")
                if time.monotonic() - self._last > PATIENCE_SECONDS:
                    raise InputError(f"no images from {self.name} for {PATIENCE_SECONDS:.0f} s: {cause}")
                log.info("%s broke off (%s); trying again", self.name, cause)
                self.unwanted.wait(RETRY_SECONDS)
        except BaseException as error:  # for the other thread to raise
            with self._change:
                self._error = error
                self._change.notify_all()

    def _read(self) -> str:
        """Read until the source breaks off, and return why."""
        import av

        damage: list[bool] = []
        cause = "it ended"
        began = time.monotonic()
        try:
            with open_stream(self.source) as container:
                stream = moving_images(container, self.name)
                if self.source.startswith("http") and container.duration is not None:
                    raise InputError(f"{self.name} is a finished file, no live stream; download it and give the file")
                aspect = pixel_aspect(stream, self.name)
                for frame in decode(container, stream, damage):
                    if self.unwanted.is_set():
                        return "it is not wanted any more"
                    self._put(frame, aspect)
                    damage.clear()
        except (av.FFmpegError, OSError) as error:
            cause = error.strerror or str(error)
        if time.monotonic() - max(began, self._last) >= ANSWER_SECONDS:  # PyAV stopped FFmpeg, which may say anything
            return f"no answer within {ANSWER_SECONDS:g} s"
        return cause

    def _put(self, frame: Any, aspect: float) -> None:
        self._last = time.monotonic()
        self._start = self._start if self.came else self._last
        self.came += 1
        with self._change:
            self._frame = frame, aspect, self._last - self._start
            self._change.notify_all()


def open_stream(source: str) -> Any:
    """Open a camera or stream and return PyAV's container."""
    import av

    if not source.startswith(CAMERA):
        options = {"protocol_whitelist": PROTOCOLS}
        if source.startswith("rtsp"):
            options["rtsp_transport"] = "tcp"  # UDP loses packets, and many routers drop it
        return av.open(source, options=options, timeout=(ANSWER_SECONDS, ANSWER_SECONDS))
    kind, file = _camera(source.removeprefix(CAMERA))
    return av.open(file, format=kind, timeout=(ANSWER_SECONDS, ANSWER_SECONDS))


def _camera(name: str) -> tuple[str, str]:
    """Return FFmpeg's input device for cameras, and this camera's name there."""
    system = platform.system()
    if system == "Darwin":
        return "avfoundation", name
    if system == "Windows":
        return "dshow", f"video={_windows_camera(int(name)) if name.isdigit() else name}"
    file = f"/dev/video{name}" if name.isdigit() else name
    if not Path(file).exists():
        raise InputError(f"there is no camera {name}: {file} does not exist")
    return "v4l2", file


def _windows_camera(number: int) -> str:
    import av

    names: list[str] = [device.description for device in av.enumerate_input_devices("dshow")]
    if number >= len(names):
        raise InputError(f"there is no camera {number}; cameras here: {', '.join(names) or 'none'}")
    return names[number]
