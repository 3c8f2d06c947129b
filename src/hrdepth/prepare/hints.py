"""Depth hints for the images of a training: `hrdepth prepare hints`.

The two images of a stereo pair are compared. Without pairs structure from motion finds the camera's path through each
recording, and neighbours in time are compared; that depth is known up to one factor a recording, which is the median
ratio of a network's depth to that of the points. A pixel has a hint where the depths of several views agree, and where
the unwarped neighbour explains it less well: what moves along with the camera has none.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from rich.progress import track
from torch import Tensor

from hrdepth.camera import Camera
from hrdepth.config import PrepareHintsConfig
from hrdepth.data import build_reader
from hrdepth.data.map_cache import DepthHints
from hrdepth.data.reader import FrameReader, SplitLine
from hrdepth.data.sample import load_image, resized_intrinsics, stereo_pose
from hrdepth.errors import InputError
from hrdepth.geometry import disparity_to_depth, invert_pose
from hrdepth.io.files import begin, resume, write_bytes, write_text
from hrdepth.io.images import image_size
from hrdepth.io.locks import claim, is_void, refreshed
from hrdepth.io.parallel import parallel_map
from hrdepth.io.provenance import provenance
from hrdepth.io.shards import Member
from hrdepth.prepare.multiview import Sweep, View, consistent, normalised, plane_sweep
from hrdepth.prepare.structure import structure_from_motion
from hrdepth.weights.checkpoint import Checkpoint, read_checkpoint
from hrdepth.weights.find import locate_weights

__all__ = ["prepare_hints"]

log = logging.getLogger(__name__)

FORMAT = 2  # 1 did not depend on the camera
POLL = 2.0  # seconds between looks at what other processes do
SHORTEST = 6  # frames that structure from motion needs
GAP = 3  # frames that may be missing within a recording
SCALE_IMAGES = 30  # images that determine the scale of a recording
NEAR = 8.0  # network units; a network's far depth is too uncertain for the scale
WORST = 0.6  # cost of a match that is accepted
NONE = ".none"  # in place of .npy: an empty file for a frame whose pose cannot be found
FEW = 0.02  # of the points are nearer than the nearest plane


Item = TypeVar("Item")


def prepare_hints(config: PrepareHintsConfig) -> DepthHints:
    """Write a hint for the images of a training config that have none yet; it resumes when called again.

    `train-1.txt`, ..., `validation-1.txt`, ... list the frames of each data set that have one, as splits.

    Raises:
        InputError: data that cannot be read, a folder of other things, a network that gives no depth, or pycolmap is
            missing.
    """
    start = read_checkpoint(locate_weights(config.weights))
    start.scale.check_depth()
    hints = _open_or_create(config, start)
    maker, made = _HintMaker(config, hints, start), 0
    parts = {f"train-{number}": part for number, part in enumerate(config.config.train, 1)}
    parts |= {f"validation-{number}": part for number, part in enumerate(config.config.validation, 1)}
    for name, part in parts.items():
        reader = build_reader(part)
        images = [(line, path) for line in reader.targets if (path := reader.image(line, 0))]
        targets = {path for _, path in images}
        for lines in _claimed(_runs(reader), hints.folder / "claims", name):
            made += maker.hint(reader, lines, targets)
        hinted = [line for line, path in images if hints.file(path, *hints.deciding(reader, line)).is_file()]
        write_text(hints.folder / f"{name}.txt", "".join(f"{line.name}\n" for line in hinted))
        level = logging.INFO if hinted else logging.WARNING
        log.log(level, "%s: %d of %d frames have hints", part.root, len(hinted), len(reader.targets))
    log.info("%d new hints", made)
    return hints


def _open_or_create(config: PrepareHintsConfig, start: Checkpoint) -> DepthHints:
    folder, size = Path(config.out), config.config.size
    settings = {
        "format": FORMAT,
        "size": list(size),
        "canonical_focal": start.scale.canonical_focal,
        "metres_per_unit": start.scale.metres_per_unit,
        "offsets": list(config.offsets),
        "planes": config.planes,
        "nearest": config.nearest,
        "every": config.every,
        "weights": start.sha256,
    }
    about = folder / DepthHints.ABOUT
    refusal = f"{folder} is not empty and contains no hints; choose another folder"
    if not begin(about, {**settings, **provenance(seed=0)}, refusal):
        DepthHints.open(folder)
        resume(about, settings, overwrite=None)
    return DepthHints(folder, size, start.scale.canonical_focal, config.offsets)


def _claimed(runs: Iterable[list[SplitLine]], claims: Path, name: str) -> Iterator[list[SplitLine]]:
    """Yield the recordings that no other process or machine has claimed, and wait until the others are done.

    What a killed process has claimed is yielded too.

    Args:
        runs: see `_runs`.
        claims: the folder of claims.
        name: of the data set.
    """
    claims.mkdir(exist_ok=True)
    todo = {}
    for lines in runs:
        recording = f"{name} {lines[0].folder} {lines[0].side} {lines[0].frame}"
        todo[claims / hashlib.sha256(recording.encode()).hexdigest()[:32]] = lines
    while todo:
        for file, lines in list(todo.items()):
            if claim(file):
                try:
                    with refreshed([file]):
                        yield lines
                finally:
                    file.unlink(missing_ok=True)
                del todo[file]
        while any(file.exists() and not is_void(file) for file in todo):
            time.sleep(POLL)
        todo = {file: lines for file, lines in todo.items() if file.exists()}


def _runs(reader: FrameReader) -> Iterator[list[SplitLine]]:
    """Yield the target frames of each recording and camera in order, cut where frames are missing."""
    lines = sorted(reader.targets, key=lambda line: (line.folder, line.side, line.frame))
    run: list[SplitLine] = []
    for line in lines:
        if run and ((line.folder, line.side) != (run[-1].folder, run[-1].side) or line.frame - run[-1].frame > GAP):
            yield run
            run = []
        run.append(line)
    if run:
        yield run


class _HintMaker:
    """Writes the hints of recordings, in units of the network of `start`."""

    def __init__(self, config: PrepareHintsConfig, hints: DepthHints, start: Checkpoint) -> None:
        self.config, self.hints, self.start = config, hints, start
        self._deciding: dict[Path, tuple[Any, ...]] = {}

    def hint(self, reader: FrameReader, lines: list[SplitLine], targets: Container[Path]) -> int:
        """Write the hints of one recording that are missing; return how many were written.

        Raises:
            InputError: it has no stereo pairs, and lies in shards.
        """
        camera = reader.camera(lines[0])
        images = [reader.image(line, 0) for line in lines]
        found = [(line, image) for line, image in zip(lines, images, strict=True) if image is not None]
        self._deciding = {image: self.hints.deciding(reader, line) for line, image in found}
        others = {image: reader.image(line, "s") for line, image in found}
        for line, image in found:
            if (other := others[image]) is not None:
                self._deciding[other] = self.hints.deciding(reader, line._replace(side=line.at("s")[1]))
        stereo = camera.baseline is not None and all(others.values())
        wanted = [image for _, image in found[:: 1 if stereo else self.config.every]]
        if all(self._is_there(image) for image in wanted):
            return 0
        k = resized_intrinsics(camera, self.hints.size)
        log.info("%s: %d frames%s", lines[0].folder, len(found), ", in stereo pairs" if stereo else "")
        if stereo:
            pairs = [(line, image, other) for line, image in found if (other := others[image])]
            return self._compare_pairs(camera, k, pairs, targets)
        if isinstance(images[0], Member):
            raise InputError(
                f"'{lines[0].folder}' lies in shards, where structure from motion finds no files; make hints of the "
                "data sets before hrdepth prepare shards packs them"
            )
        if len(found) < SHORTEST:
            log.info("%s: too short for hints", lines[0].folder)
            return 0
        return self._compare_neighbours(camera, k, [image for _, image in found], wanted)

    def _compare_pairs(
        self, camera: Camera, k: Tensor, pairs: Sequence[tuple[SplitLine, Path, Path]], targets: Container[Path]
    ) -> int:
        """Compare the images of pairs, whose baseline gives the scale; both have hints if both are targets."""
        factor = self.start.scale.focal_factor(camera.intrinsics, camera.size[1])
        planes = torch.linspace(0, 1 / self.config.nearest, self.config.planes)
        step = float(planes[1])

        def hint(pair: tuple[SplitLine, Path, Path]) -> int:
            line, image, other = pair
            if self._is_there(image):
                return 0
            pose = stereo_pose(camera, line.side)
            pose[0, 3] /= factor
            back = invert_pose(pose[None])[0]
            views = [_view(path, self.hints.size) for path in (image, other)]
            here = plane_sweep(views[0], views[1:], k, [pose], planes)
            there = plane_sweep(views[1], views[:1], k, [back], planes)
            agreed = consistent(here.inverse_depth, there.inverse_depth, k, pose, 1.5 * step)
            self._write(image, here, agreed, step, moving=False)
            if other not in targets or self._is_there(other):
                return 1
            agreed = consistent(there.inverse_depth, here.inverse_depth, k, back, 1.5 * step)
            self._write(other, there, agreed, step, moving=False)
            return 2

        return _count(hint, pairs, "pairs")

    def _compare_neighbours(self, camera: Camera, k: Tensor, images: list[Path], wanted: list[Path]) -> int:
        """Compare neighbours in time."""
        # The calibration may be that of larger images.
        shape = image_size(images[0])
        structure = structure_from_motion(images, resized_intrinsics(camera, shape).double().numpy())
        located = [image for image in images if image in structure.poses]
        if len(located) < SHORTEST:
            log.info("%s: structure from motion finds no camera poses; no hints", images[0].parent)
            return self._give_up(wanted)
        scale = self._scale(located, structure.points, shape)
        if scale is None:
            log.info("%s: too few points for its scale; no hints", images[0].parent)
            return self._give_up(wanted)
        self._give_up([image for image in wanted if image not in structure.poses])
        poses = {}
        for image in located:
            pose = structure.poses[image].copy()
            pose[:3, 3] *= scale
            poses[image] = torch.from_numpy(pose).float()
        depths = np.concatenate([structure.points[image][:, 2] for image in located]) * scale
        planes = torch.linspace(
            0, 1 / max(0.7 * float(np.quantile(depths, FEW)), self.config.nearest), self.config.planes
        )
        step = float(planes[1])
        position = {image: number for number, image in enumerate(located)}
        targets = [image for image in wanted if image in position]
        view = lru_cache(maxsize=64)(lambda image: _view(image, self.hints.size))

        def sweep(number: int) -> Sweep:
            image = targets[number]
            near = [position[image] + offset for offset in self.config.offsets]
            sources = [located[number] for number in near if 0 <= number < len(located)]
            relative = [poses[source] @ invert_pose(poses[image][None])[0] for source in sources]
            found = plane_sweep(view(image), [view(source) for source in sources], k, relative, planes)
            return Sweep(*(part.half() for part in found))

        there = [self.hints.file(image, *self._deciding[image]).is_file() for image in targets]
        missing = [number for number, is_there in enumerate(there) if not is_there]
        compared = {number: range(max(0, number - 2), min(len(targets), number + 3)) for number in missing}
        needed = sorted({other for others in compared.values() for other in others})
        found = track(parallel_map(sweep, needed), "views", len(needed), disable=len(needed) < 16)
        coming = zip(needed, found, strict=True)
        sweeps: dict[int, Sweep] = {}  # of a few frames: those of a long recording would fill the memory
        for number in missing:
            while compared[number][-1] not in sweeps:
                sweeps.update([next(coming)])
            sweeps = {other: sweep for other, sweep in sweeps.items() if other >= compared[number][0]}
            here = sweeps[number].inverse_depth.float()
            agreed = torch.zeros_like(here, dtype=torch.bool)
            for other in compared[number]:
                if other != number:
                    moved = poses[targets[other]] @ invert_pose(poses[targets[number]][None])[0]
                    agreed |= consistent(here, sweeps[other].inverse_depth.float(), k, moved, 1.5 * step)
            self._write(targets[number], sweeps[number], agreed, step, moving=True)
        return len(missing)

    def _give_up(self, images: Sequence[Path]) -> int:
        """Note that images can have no hint, or each later call would look for their poses again; return 0."""
        for image in images:
            file = self.hints.file(image, *self._deciding[image]).with_suffix(NONE)
            file.parent.mkdir(exist_ok=True)
            write_bytes(file, b"")
        return 0

    def _write(self, image: Path, sweep: Sweep, agreed: Tensor, step: float, *, moving: bool) -> None:
        cost, unmoved = sweep.cost.float(), sweep.unmoved.float()
        accepted = agreed & (cost < WORST)
        if moving:
            accepted &= cost < unmoved
        # Beyond the first plane, depth is uncertain but far.
        inverse = sweep.inverse_depth.float().clamp(min=step)
        self.hints.write(image, torch.where(accepted, inverse, 0.0).numpy(), *self._deciding[image])

    def _is_there(self, image: Path) -> bool:
        file = self.hints.file(image, *self._deciding[image])
        return file.is_file() or file.with_suffix(NONE).is_file()

    def _scale(
        self, images: list[Path], points: dict[Path, NDArray[np.float64]], shape: tuple[int, int]
    ) -> float | None:
        """Return the network's depth over that of the points, the median of the images' medians."""
        network, (height, width) = self.start.network, self.start.size
        ratios = []
        for image in images[:: max(1, len(images) // SCALE_IMAGES)]:
            column, row, depth = points[image].T
            with torch.inference_mode():
                disparity = network(load_image(image, self.start.size)[None])[0]
            seen = disparity_to_depth(disparity, network.min_depth, network.max_depth)[0, 0].numpy()
            there = seen[
                np.clip((row * height / shape[0]).astype(int), 0, height - 1),
                np.clip((column * width / shape[1]).astype(int), 0, width - 1),
            ]
            near = (there < NEAR) & (depth > 0)
            if near.sum() >= 20:
                ratios.append(float(np.median(there[near] / depth[near])))
        return float(np.median(ratios)) if ratios else None


def _view(image: Path, size: tuple[int, int]) -> View:
    return normalised(load_image(image, size).mean(0, keepdim=True))


def _count(work: Callable[[Item], int], items: Sequence[Item], name: str) -> int:
    """Do `work` with each item in as many threads as there are cores; return the sum of its results."""
    # One thread per item: torch's own threads would wait for each other.
    return sum(track(parallel_map(work, items), name, len(items), disable=len(items) < 16))
