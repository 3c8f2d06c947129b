"""CityScapes: sequences of 30 frames, cameras, disparities."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from hrdepth.config import PrepareCityscapesConfig
from hrdepth.data.cityscapes import SEQUENCES, Cityscapes, numbered_files, read_rig
from hrdepth.errors import InputError
from hrdepth.io.image_files import SUFFIXES
from hrdepth.prepare.published.layout import Layout, Missing, Splits, such_as
from hrdepth.truth.cityscapes import annotated_frames, read_disparity

__all__ = ["CityscapesLayout"]

PAGE = "https://www.cityscapes-dataset.com/downloads/, after registration"
# Snippets of 30 frames as published.
SNIPPETS = {"train": 2975, "val": 500, "test": 1525}
FRAMES = 30


class CityscapesLayout(Layout):
    """`ROOT/leftImg8bit_sequence`, `rightImg8bit_sequence`, `camera` and `disparity`, each `PART/CITY/`."""

    def __init__(self, config: PrepareCityscapesConfig) -> None:
        super().__init__(config.root)
        self._parts = list(config.parts)
        self._stereo = config.stereo

    def found(self) -> str:
        """See `Layout.found`."""
        counts = [f"{len(self._left[p])} of {FRAMES * SNIPPETS[p]} left images of {p}" for p in self._parts]
        return f"CityScapes: {', '.join(counts)}"

    def missing(self) -> list[Missing]:
        """See `Layout.missing`."""
        found: dict[str, list[str]] = {}
        for part in self._parts:
            left = self._left[part]
            if len(left) < FRAMES * SNIPPETS[part]:
                sentence = f"{FRAMES * SNIPPETS[part] - len(left)} left images of {part} not there"
                found.setdefault("leftImg8bit_sequence_trainvaltest.zip", []).append(sentence)
            rights = {self._right_of(path) for path in left} if self._stereo else set()
            if lost := sorted(rights - {path.relative_to(self.root).with_suffix("") for path in self._right[part]}):
                found.setdefault("rightImg8bit_sequence_trainvaltest.zip", []).append(such_as(lost, f"{part} image"))
            if blind := self._snippets_without("camera", part, ".json"):
                found.setdefault("camera_trainvaltest.zip", []).append(blind)
        if "val" in self._parts:
            some = annotated_frames(self.root, "val")
            without = self._snippets_without("disparity", "val", ".png") if some else "the disparities of val"
            if without:
                found["disparity_trainvaltest.zip"] = [f"{without}, which evaluation needs"]
        return [Missing(archive, "; ".join(sentences), PAGE) for archive, sentences in found.items()]

    def images(self) -> Iterator[Path]:
        """See `Layout.images`."""
        for part in self._parts:
            yield from self._left[part]
            yield from self._right[part] if self._stereo else ()

    def faults(self) -> Iterator[str]:
        """See `Layout.faults`."""
        for part in self._parts:
            for file in self._files("camera", part, ".json"):
                try:
                    read_rig(file)
                except InputError as error:
                    yield str(error)
            for line in annotated_frames(self.root, part):
                try:
                    read_disparity(Path(line.origin))
                except InputError as error:
                    yield str(error)

    def companions(self) -> Iterator[Path]:
        """See `Layout.companions`."""
        for part in self._parts:
            yield from self._files("camera", part, ".json")
            yield from self._files("disparity", part, ".png")

    def splits(self) -> Splits:
        """See `Layout.splits`: of `val` and `test` the annotated frames, those of a camera file."""
        lists: Splits = {}
        for part in self._parts:
            try:
                lists[part] = list(Cityscapes(str(self.root), part).targets)
            except InputError as error:
                lists[part] = str(error)
        return lists

    @cached_property
    def _left(self) -> dict[str, list[Path]]:
        return {part: self._files(SEQUENCES["l"], part, *SUFFIXES) for part in self._parts}

    @cached_property
    def _right(self) -> dict[str, list[Path]]:
        return {part: self._files(SEQUENCES["r"], part, *SUFFIXES) for part in self._parts}

    def _snippets_without(self, kind: str, part: str, suffix: str) -> str | None:
        """Return how many snippets of a part have no file of a kind, in words; None if all have."""
        frames = self._frames(SEQUENCES["l"], part, "leftImg8bit", SUFFIXES)
        there = self._frames(kind, part, kind, (suffix,))
        snippets = [(sequence, *ends) for sequence, numbers in frames.items() for ends in _snippets(numbers)]
        # Of a snippet that is not complete, the file's frame may lie beyond the frames there.
        lost = [
            f"{sequence} from frame {first} to {last}"
            for sequence, first, last in snippets
            if not any(last - FRAMES < number < first + FRAMES for number in there.get(sequence, ()))
        ]
        if not lost:
            return None
        return f"{len(lost)} of {len(snippets)} snippets of {part} without a {kind}, such as {lost[0]}"

    def _frames(self, kind: str, part: str, ending: str, suffixes: tuple[str, ...]) -> dict[str, list[int]]:
        """Return the frames of each `CITY/CITY_000000` that have a file, in order."""
        return {
            f"{city.name}/{sequence}": sorted(files)
            for city in sorted(path for path in (self.root / kind / part).glob("*") if path.is_dir())
            for sequence, files in numbered_files(city, ending, suffixes).items()
        }

    def _files(self, kind: str, part: str, *suffixes: str) -> list[Path]:
        """Return files, of an image's PNG and JPEG the one that is read, in order of their names."""
        found: dict[Path, Path] = {}
        for path in sorted((self.root / kind / part).glob("*/*")):
            known = found.get(path.with_suffix(""))
            if path.suffix in suffixes and (
                known is None or suffixes.index(path.suffix) < suffixes.index(known.suffix)
            ):
                found[path.with_suffix("")] = path
        return list(found.values())

    def _right_of(self, left: Path) -> Path:
        relative = left.relative_to(self.root).with_suffix("")
        name = relative.name.replace("leftImg8bit", "rightImg8bit")
        return Path(SEQUENCES["r"], *relative.parts[1:-1], name)


def _snippets(frames: list[int]) -> list[tuple[int, int]]:
    """Return the first and the last frame of each snippet of a sequence; in some cities a sequence has several."""
    ends: list[tuple[int, int]] = []
    for frame in frames:
        if ends and frame - ends[-1][0] < FRAMES:
            ends[-1] = (ends[-1][0], frame)
        else:
            ends.append((frame, frame))
    return ends
