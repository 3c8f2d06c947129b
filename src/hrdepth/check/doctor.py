"""Find what is wrong with a training set, before any training: `hrdepth doctor data/`.

`scan` finds what is missing or cannot be read; then `camera` and `recording` examine the images that are left.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
from rich.progress import track

from hrdepth.camera import BaselineError
from hrdepth.check.camera_faults import examine_camera
from hrdepth.check.doctor_page import write_page
from hrdepth.check.finding import KINDS, Finding
from hrdepth.check.recording_faults import Recording, examine_sequence, examine_stereo
from hrdepth.check.scan import scan_data
from hrdepth.config import DatasetConfig, DoctorConfig, TrainConfig
from hrdepth.data.camera_file import find_cameras, read_camera
from hrdepth.data.folder import MASK, numbered_images
from hrdepth.errors import InputError
from hrdepth.io.files import existing_folder, output_file
from hrdepth.io.images import image_size, is_readable, read_image
from hrdepth.prepare.recording import read_manifest, verify_drive
from hrdepth.prepare.selection import runs
from hrdepth.registry import lookup

__all__ = ["Examination", "examine"]

PAIRS = 8  # of left and right images that are measured a recording
LEFT_OVER = 0.3  # share of an image that a mask must leave


@dataclass(frozen=True)
class Examination:
    """What the doctor found.

    Attributes:
        findings: all of them.
        counted: those whose kind is not ignored.
        recordings: those that were examined.
        page: the written page.
    """

    findings: list[Finding]
    counted: list[Finding]
    recordings: list[Recording]
    page: Path

    @property
    def verdict(self) -> str:
        """One line."""
        count = len(self.counted)
        return f"{count} problem{'s' if count != 1 else ''} to fix" if count else "fit for training"


def examine(config: DoctorConfig) -> Examination:
    """Look through a folder of drives on disk, and write a page about it.

    Raises:
        InputError: there is no such folder, it holds no drive, or the page cannot be written, or is another file than
            the set's doctor.html that exists and `overwrite` is false.
    """
    for kind in config.ignore:
        lookup(KINDS, kind, "kind of finding")
    root = existing_folder(config.data)
    own = root / "doctor.html"
    page = own if config.page is None else Path(config.page)
    if page.resolve() != own.resolve():
        output_file(page, overwrite=config.overwrite)
    findings = list(_scan(root))
    recordings = [part for part in _recordings(root) if part.numbers]
    if not recordings and not findings:
        raise InputError(f"{root} holds no drive on disk (DRIVE/camera.yaml, DRIVE/left/000000.png)")
    for part in track(recordings, "examining", transient=True):
        found = [replace(finding, where=part.name) for finding in _examine(root, part)]
        findings += [finding for finding in found if not _is_reported(finding, findings)]
    counted = [finding for finding in findings if finding.kind not in config.ignore]
    examination = Examination(findings, counted, recordings, page)
    write_page(examination.verdict, findings, counted, recordings, page, root)
    return examination


def _scan(root: Path) -> Iterator[Finding]:
    """Yield what `scan` finds with the set's own splits, every image decoded."""
    splits = {use: root / f"{use}.txt" for use in ("train", "val")}
    train, val = (
        [DatasetConfig("folder", str(root), str(file) if file.is_file() else None)] for file in splits.values()
    )
    alone = not splits["val"].is_file()
    report = scan_data(TrainConfig(train, train if alone else val, "", scan="full"))
    for finding in [*report.errors, *([] if alone else report.warnings)]:
        yield replace(finding, where=root.name)
    for drive in sorted(root.iterdir()):
        manifest = read_manifest(drive) if drive.is_dir() else None
        if manifest is not None and "chosen" in manifest:
            for sentence in verify_drive(drive)[:5]:
                advice = "run hrdepth prepare again with --overwrite true"
                yield Finding("missing", f"{sentence}; {advice}", where=drive.name)


def _is_reported(finding: Finding, before: list[Finding]) -> bool:
    return any(finding.kind == other.kind and finding.sentence in other.sentence for other in before)


def _recordings(root: Path) -> Iterator[Recording]:
    for file in find_cameras(root):
        left = file.parent / "left"
        images = numbered_images(left if left.is_dir() else file.parent)
        # The scan reports the others.
        readable = {number: path for number, path in sorted(images.items()) if is_readable(path)}
        yield Recording(str(file.parent.relative_to(root)), list(readable), readable)


def _examine(root: Path, part: Recording) -> Iterator[Finding]:
    folder = root / part.name
    size = image_size(part.images[part.numbers[0]])
    part.facts |= {"frames": str(len(part.numbers)), "size": f"{size[1]}x{size[0]}"}
    part.thumbnails = [part.images[number] for number in part.numbers[:: max(1, len(part.numbers) // 4)]][:4]
    try:
        camera = read_camera(folder / "camera.yaml")
        k = camera.intrinsics
        part.facts["K"] = ", ".join(f"{value:.1f}" for value in (k[0, 0], k[1, 1], k[0, 2], k[1, 2]))
        yield from examine_camera(camera, size)
    except BaselineError as error:
        yield Finding("baseline", str(error))
    except InputError as error:
        yield Finding("camera", str(error))
    yield from _gaps(root, part)
    yield from examine_sequence(part)
    right = numbered_images(folder / "right")
    pairs = [(path, right[number]) for number, path in part.images.items() if number in right]
    if pairs:
        part.facts["right images"] = f"{100 * len(pairs) / len(part.numbers):.0f} %"
        yield from examine_stereo(pairs[:: max(1, len(pairs) // PAIRS)][:PAIRS])
    if (folder / MASK).is_file():
        yield from _examine_mask(folder / MASK, size, part)


def _gaps(root: Path, part: Recording) -> Iterator[Finding]:
    """Yield numbers that are missing within a recording; one that `hrdepth prepare` made leaves some out on purpose."""
    manifest = read_manifest(root / part.name)
    if manifest is not None and "chosen" in manifest:
        return
    stretches = list(runs(part.numbers))
    gaps = [(last + 1, first - 1) for (_, last), (first, _) in pairwise(stretches)]
    if gaps:
        listed = ", ".join(f"{first} to {last}" if last > first else f"{first}" for first, last in gaps[:5])
        yield Finding(
            "missing",
            f"no frames {listed}{', ...' if len(gaps) > 5 else ''} between {part.numbers[0]} and {part.numbers[-1]}; "
            "complete the recording, or make each stretch a separate drive",
        )  # fmt: skip


def _examine_mask(file: Path, size: tuple[int, int], part: Recording) -> Iterator[Finding]:
    keep = np.asarray(read_image(file).convert("L")) > 250
    part.mask = file.with_suffix(".jpg") if file.with_suffix(".jpg").is_file() else file
    part.facts["masked"] = f"{100 * (1 - keep.mean()):.1f} %"
    if abs(keep.shape[1] * size[0] / (keep.shape[0] * size[1]) - 1) > 0.02:
        yield Finding("mask", f"{file.name} is {keep.shape[1]}x{keep.shape[0]}, the images are "
                      f"{size[1]}x{size[0]}; make it again", [file])  # fmt: skip
    elif keep.mean() < LEFT_OVER:
        yield Finding("mask", f"{file.name} leaves {100 * keep.mean():.0f} % of the image; white is learned from",
                      [file])  # fmt: skip
