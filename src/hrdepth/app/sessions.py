"""What the page remembers of a visitor: the last image and its depth, and files in a folder that goes with them."""

from __future__ import annotations

import shutil
import tempfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic

import numpy as np
from numpy.typing import NDArray

from hrdepth.errors import InputError
from hrdepth.inference.predictor import Prediction

__all__ = ["Session", "Sessions"]

MOST = 32
IDLE_SECONDS = 3600.0


@dataclass(eq=False)
class Session:
    """One visitor.

    Args:
        folder: of the files made for them.
        name: of what was sent, without suffix.
        image: the image, or a clip's first frame, uint8 (H,W,3).
        clip: the clip, moved into the folder.
        prediction: the last prediction.
        answers: how many there were.
        used: when it was last asked for, by the monotonic clock.
    """

    folder: Path
    name: str = "picture"
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
        return self.prediction


class Sessions:
    """Visitors by the page's key; the longest silent ones go when there are too many, or after an hour.

    Args:
        root: folder of their folders.
        most: visitors that are remembered.
    """

    def __init__(self, root: Path, most: int = MOST) -> None:
        self.root = root
        self.most = most
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._lock = Lock()

    def of(self, key: str | None) -> Session:
        """Return a visitor's session, a new one on the first call."""
        key = key or ""
        with self._lock:
            if key not in self._sessions:
                # A name that cannot be guessed: whoever knows a file's path may fetch it.
                self._sessions[key] = Session(Path(tempfile.mkdtemp(prefix="session-", dir=self.root)))
            session = self._sessions[key]
            session.used = now = monotonic()
            self._sessions.move_to_end(key)
            gone = []
            for other, old in list(self._sessions.items()):  # the longest silent first
                if len(self._sessions) <= self.most and now - old.used <= IDLE_SECONDS:
                    break
                gone.append(self._sessions.pop(other))
        for old in gone:
            shutil.rmtree(old.folder, ignore_errors=True)
        return session

    def close(self, key: str | None) -> None:
        """Forget a visitor and remove their files."""
        with self._lock:
            session = self._sessions.pop(key or "", None)
        if session is not None:
            shutil.rmtree(session.folder, ignore_errors=True)

    def __len__(self) -> int:
        return len(self._sessions)
