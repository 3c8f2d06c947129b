"""Visitors: uploads, checked before they are decoded, and sessions, removed when visitors leave."""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Literal

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hrdepth.app.uploads import KEPT_SECONDS
from hrdepth.config import UploadLimits
from hrdepth.errors import InputError
from hrdepth.inference.prediction import Prediction
from hrdepth.io.arrays import map_array
from hrdepth.io.files import write_array
from hrdepth.io.images import image_size, read_image
from hrdepth.io.video import CutShort, open_video, read_video

__all__ = ["ClipFrame", "Session", "Sessions", "clip_frames", "kind_of", "read_upload"]

log = logging.getLogger(__name__)

MOST_SESSIONS = 256
"""Their images and predictions are on the disk, so that many cost little memory."""
IDLE_SECONDS = KEPT_SECONDS
PURGE_SECONDS = 240.0
# No camera is faster; a higher rate means that the header is wrong.
MOST_FPS = 120

# FFmpeg would also open playlists, which name other files and addresses, so containers are named by their first bytes.
_CONTAINERS = {
    4: (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"),
    0: (b"\x1a\x45\xdf\xa3", b"\x00\x00\x01\xba"),
}
_IMAGES = (
    b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8", b"BM", b"II*\x00", b"MM\x00*",
    b"P1", b"P2", b"P3", b"P4", b"P5", b"P6",
    b"\x00\x00\x00\x0cjP  ", b"\xff\x4f\xff\x51",
)  # fmt: skip
_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")


@dataclass(frozen=True, eq=False)
class ClipFrame:
    """A frame of a clip: uint8 (H,W,3) upright, the clip's frames a second, and when it is shown, if that is known."""

    image: NDArray[np.uint8]
    fps: float
    seconds: float | None = None


def kind_of(path: Path, limits: UploadLimits) -> Literal["image", "clip"]:
    """Tell an image from a clip by its first bytes, not its name.

    Raises:
        InputError: it is neither, empty, or of too many bytes.
    """
    size = path.stat().st_size if path.is_file() else 0
    if size > limits.megabytes * 1e6:
        raise InputError(f"{path.name} has {size / 1e6:.0f} MB; at most {limits.megabytes:g} MB are accepted")
    if not size:
        raise InputError(f"{path.name} is empty")
    with path.open("rb") as file:
        head = file.read(512)
    if head.startswith(_IMAGES) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "image"
    if head[4:8] == b"ftyp" and head[8:12] in _BRANDS:
        return "image"
    if any(head[at : at + 4] in marks for at, marks in _CONTAINERS.items()):
        return "clip"
    # AVI, and MPEG transport streams, whose packets of 188 bytes begin with G.
    if (head[:4] == b"RIFF" and head[8:12] == b"AVI ") or (head[:1] == b"G" and head[188:189] == b"G"):
        return "clip"
    what = "a vector drawing (SVG)" if b"<svg" in head.lower() else "neither an image nor a clip"
    raise InputError(f"{path.name} is {what}, despite its name; send a JPEG, PNG or WebP image, an MP4 or WebM clip")


def read_upload(path: Path, limits: UploadLimits) -> Image.Image:
    """Read an uploaded image as RGB, upright; its size is checked before a pixel is decoded.

    Raises:
        InputError: it is damaged, cut short, or has too many pixels.
    """
    with _named(path):
        _check_size(path.name, *image_size(path), limits)
        return read_image(path)


def clip_frames(path: Path, limits: UploadLimits) -> Iterator[ClipFrame]:
    """Yield an uploaded clip's frames; check size and length in the header first, and again while decoding.

    Raises:
        InputError: it is damaged, too long, or too large, by its header or in fact.
    """
    index, start = 0, None

    def check(frame: Any) -> None:
        nonlocal start
        start = float(frame.time or 0) if start is None else start
        _check_size(path.name, frame.height, frame.width, limits)
        _check_seconds(path.name, max(float(frame.time or 0) - start, index / MOST_FPS), limits)

    def cut_short() -> InputError:
        return InputError(
            f"the clip {path.name} is damaged after frame {index}, as an incomplete copy is; send the whole file, or "
            "use hrdepth predict, which goes as far as it can"
        )

    def on_damage(error: InputError) -> None:
        if isinstance(error, CutShort):
            raise cut_short() from error
        log.warning("%s", error)

    with _named(path):
        with open_video(path) as (container, stream):
            context = stream.codec_context
            if context.width and context.height:
                _check_size(path.name, context.height, context.width, limits)
            rate = float(stream.average_rate or stream.guessed_rate or 0)
            fps = rate if 0 < rate <= MOST_FPS else 25.0
            _check_seconds(path.name, float(container.duration or 0) / av.time_base, limits)
        try:
            for frame in read_video(path, on_damage, check=check, most_pixels=int(limits.megapixels * 1e6)):
                yield ClipFrame(frame.image, fps, frame.seconds)
                index += 1
        except MemoryError as error:
            raise cut_short() from error


@dataclass(eq=False)
class Session:
    """One visitor.

    Args:
        folder: of the files made for them.
        owner: the visitor, who may have several sessions.
        name: of the upload, without suffix.
        image: the image, or a clip's first frame, uint8 (H,W,3), mapped from the disk.
        clip: the clip, moved into the folder.
        prediction: the last prediction, its arrays mapped from the disk.
        answers: how many there were.
        used: when it was last used, by the monotonic clock.
    """

    folder: Path
    owner: str = ""
    name: str = "image"
    image: NDArray[np.uint8] | None = None
    clip: Path | None = None
    prediction: Prediction | None = None
    answers: int = 0
    used: float = 0.0

    def fresh(self, suffix: str) -> Path:
        """Return the path of a file of this answer: `name` and `suffix`, in a folder that no other answer has."""
        folder = self.folder / f"{self.answers:04d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{self.name}{suffix}"

    def begin(self) -> None:
        """Forget the last answer's files."""
        shutil.rmtree(self.folder / f"{self.answers:04d}", ignore_errors=True)
        self.answers += 1

    @property
    def answered(self) -> Prediction:
        """The last prediction.

        Raises:
            InputError: there is none yet.
        """
        if self.prediction is None:
            raise InputError("there is no image yet; send one first")
        return replace(self.prediction)  # what it computes from its arrays ends with the request

    def store(self, image: NDArray[np.uint8]) -> None:
        """Make an image (H,W,3) the session's; it is kept on the disk."""
        self.image, self.prediction = self._mapped("image.npy", image), None

    def clear(self) -> None:
        """Forget the image and its prediction."""
        self.image = self.prediction = self.clip = None

    def answer(self, prediction: Prediction) -> None:
        """Remember the prediction for the session's image; it is kept on the disk."""
        assert self.image is not None
        disparity = self._mapped("disparity.npy", prediction.disparity)
        self.prediction = replace(prediction, image=self.image, disparity=disparity)

    def _mapped(self, name: str, array: NDArray[Any]) -> NDArray[Any]:
        path = self.folder / name
        write_array(path, array)
        return map_array(path)


class Sessions:
    """Sessions by the page's key; some are removed when there are too many, and those that were not used for an hour.

    Of too many, the longest unused one of the visitor who has most: nobody can evict others by opening many.

    Args:
        root: folder of their folders.
        max_sessions: sessions that are remembered.
    """

    def __init__(self, root: Path, max_sessions: int = MOST_SESSIONS) -> None:
        self.root = root
        self.max_sessions = max_sessions
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = Lock()

    def of(self, key: str | None, owner: str = "") -> Session:
        """Return a session of a visitor, a new one on the first call."""
        key = key or ""
        gone = []
        with self._lock:
            if key not in self._sessions:
                # A random name, since anyone with a file's path can fetch it.
                folder = Path(tempfile.mkdtemp(prefix="session-", dir=self.root))
                self._sessions[key] = Session(folder, owner)
            session = self._sessions[key]
            session.used = monotonic()
            self._sessions.move_to_end(key)
            while len(self._sessions) > self.max_sessions:
                gone.append(self._sessions.pop(self._superfluous(but=key)))
        for old in gone:
            shutil.rmtree(old.folder, ignore_errors=True)
        self.purge()
        return session

    def _superfluous(self, but: str) -> str:
        """Return the key of the longest unused session of the visitor who has most."""
        counts = Counter(session.owner for session in self._sessions.values())
        return max((key for key in self._sessions if key != but), key=lambda key: counts[self._sessions[key].owner])

    def purge(self) -> None:
        """Remove sessions that were not used for an hour."""
        with self._lock:
            old = [key for key, session in self._sessions.items() if monotonic() - session.used > IDLE_SECONDS]
            gone = [self._sessions.pop(key) for key in old]
        for session in gone:
            shutil.rmtree(session.folder, ignore_errors=True)

    def close(self, key: str | None) -> None:
        """Forget a visitor and remove their files."""
        with self._lock:
            session = self._sessions.pop(key or "", None)
        if session is not None:
            shutil.rmtree(session.folder, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._sessions)


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Replace the server's path in error messages by the upload's name."""
    try:
        yield
    except InputError as error:
        raise InputError(str(error).replace(str(path), path.name)) from None


def _check_size(name: str, height: int, width: int, limits: UploadLimits) -> None:
    if max(height, width) > limits.side or height * width > limits.megapixels * 1e6:
        raise InputError(
            f"{name} has {width}x{height} pixels; at most {limits.megapixels:g} million are accepted, "
            f"{limits.side} per side"
        )


def _check_seconds(name: str, seconds: float, limits: UploadLimits) -> None:
    if seconds > limits.seconds:
        raise InputError(f"{name} is longer than {limits.seconds:g} s; cut it, or use hrdepth predict for long videos")
