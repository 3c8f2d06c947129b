"""Any folder of images: no order in time, no second eye, no camera. Enough to learn from a teacher."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from hrdepth.camera import Camera
from hrdepth.data.splits import SplitLine
from hrdepth.errors import InputError
from hrdepth.io.files import existing_file
from hrdepth.io.images import image_size
from hrdepth.io.media import IMAGE_SUFFIXES

__all__ = ["Images"]


class Images:
    """Images of any names, sizes and cameras, in a folder and those below it.

    Each is a recording of one frame, named by its path below the folder.

    Args:
        root: the folder.
        split: a text file with a path below `root` in each line; blank lines and lines that begin with `#` are
            skipped. None takes every image, in order of the paths, without hidden files and folders.

    Raises:
        InputError: the folder, the split or an image is missing.
    """

    def __init__(self, root: str, split: str | None = None) -> None:
        self.root = Path(root)
        if not self.root.is_dir():
            raise InputError(f"the data folder {root} does not exist")
        self.targets = self._all() if split is None else self._listed(Path(split))

    def image(self, line: SplitLine, frame: int | str) -> Path | None:
        """See `FrameReader.image`."""
        path = self.root / line.folder
        return path if frame == 0 and path.is_file() else None

    def camera(self, line: SplitLine) -> Camera:
        """Return a camera of the image's size with a guessed K: what learns from a teacher asks for none."""
        path = self.root / line.folder
        height, width = image_size(path)
        focal = float(max(height, width))
        intrinsics = np.array([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]])
        return Camera(intrinsics, (height, width), source=str(path))

    def _all(self) -> list[SplitLine]:
        images = (path for path in self.root.rglob("*") if path.suffix.lower() in IMAGE_SUFFIXES)
        found = (path.relative_to(self.root) for path in images)
        visible = sorted(path.as_posix() for path in found if not any(part.startswith(".") for part in path.parts))
        if not visible:
            raise InputError(f"{self.root} holds no images")
        return [SplitLine(name, 0, "l", origin=str(self.root / name)) for name in visible]

    def _listed(self, split: Path) -> list[SplitLine]:
        existing_file(split, "the list of images")
        try:
            text = split.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"the list of images {split} cannot be read as a text file ({error})") from error
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), start=1)]
        listed = [SplitLine(name, 0, "l", origin=f"{split}:{n}") for n, name in lines if name and name[0] != "#"]
        if missing := [line for line in listed if not (self.root / line.folder).is_file()]:
            raise InputError.several([f"{line.origin}: {self.root} holds no '{line.folder}'" for line in missing])
        if not listed:
            raise InputError(f"the list of images {split} is empty; it needs a path below {self.root} in each line")
        return listed
