"""Tests of data/map_cache.py.

Depth hints on disk: written, cut like the image, distinguished by image, and refused when damaged.
"""

import hashlib
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import fake_datasets
from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data import build_mix, open_data
from hrdepth.data.map_cache import DepthHints
from hrdepth.data.sample import Window
from hrdepth.errors import InputError
from hrdepth.io.image_files import content_digest

SIZE = (64, 96)


@pytest.fixture
def hints(tmp_path):
    folder = tmp_path / "hints"
    folder.mkdir()
    (folder / DepthHints.ABOUT).write_text(json.dumps({"size": SIZE, "canonical_focal": 0.58}))
    return DepthHints.open(folder)


@pytest.fixture
def part(tmp_path):
    return DatasetConfig("images", str(fake_datasets.images(tmp_path / "images")))


def reader_of(part):
    return open_data([part], [])[0].neighbours.reader


def targets(part):
    return open_data([part], [])[0].neighbours.targets()


def ramp():
    """Nearer and nearer to the right; the lower half is unknown."""
    map_ = np.linspace(0.1, 1, SIZE[1], dtype=np.float32)[None].repeat(SIZE[0], 0)
    map_[SIZE[0] // 2 :] = 0
    return map_


def test_a_written_hint_is_read_back(hints, part):
    image = next(targets(part))
    assert not hints.resized(image, SIZE).any(), "an image without a hint has none"
    hints.write(image, ramp())
    assert torch.allclose(hints.resized(image, SIZE)[0], torch.from_numpy(ramp()), rtol=1e-3)
    small = hints.resized(image, (32, 48))
    assert set(small[0, 16:].unique().tolist()) == {0.0}
    assert (small[0, :16] > 0).all(), "no value between one and none"


def test_a_zoom_makes_a_hint_nearer(hints, part):
    image = next(targets(part))
    hints.write(image, ramp())
    right = hints.resized(image, SIZE, Window(0.5, 0.0, 0.5))
    assert right[0, 0, -1] == pytest.approx(2.0, rel=0.02)
    assert right[0, 0, 0] == pytest.approx(2 * ramp()[0, 48], rel=0.02)


def test_samples_have_hints_that_are_flipped_with_them(hints, part):
    reader = reader_of(part)
    for line in reader.targets:
        hints.write(reader.image(line, 0), ramp(), *hints.deciding(reader, line))
    hints.check([reader], 0.58)
    plain, flipped = (
        build_mix([part], [], SIZE, AugmentConfig(flip=flip, jitter=0), layers=[hints]) for flip in (0.0, 1.0)
    )
    assert torch.equal(plain[0]["hint"].flip(-1), flipped[0]["hint"])
    assert plain[0]["hint"].shape == (1, *SIZE)


def test_a_changed_image_has_no_hint(hints, part):
    reader = reader_of(part)
    line = reader.targets[0]
    image, deciding = reader.image(line, 0), hints.deciding(reader, line)
    hints.write(image, ramp(), *deciding)
    assert hints.resized(image, SIZE, Window(0, 0, 1), *deciding).any()
    image.write_bytes(image.read_bytes() + b"\0")
    assert not hints.resized(image, SIZE, Window(0, 0, 1), *deciding).any()
    with pytest.raises(InputError, match="no image of the training has a depth hint"):
        hints.check([reader], 0.58)
    with pytest.raises(InputError, match=r"hold for canonical_focal 0\.58, the run has None"):
        hints.check([reader], None)


def test_moved_images_have_their_hints(hints, part, tmp_path):
    """A copy elsewhere has another path and time of change; what an earlier version wrote is found where it lies."""
    reader = reader_of(part)
    line = reader.targets[0]
    hints.write(reader.image(line, 0), ramp(), *hints.deciding(reader, line))
    moved = replace(part, root=str(shutil.copytree(part.root, tmp_path / "moved", copy_function=shutil.copyfile)))
    copies = reader_of(moved)
    assert hints.load(copies.image(line, 0), *hints.deciding(copies, line)) is not None
    image = reader.image(reader.targets[1], 0)
    status = image.stat()
    key = json.dumps([f"../{image.relative_to(tmp_path).as_posix()}", status.st_size, status.st_mtime_ns, [1.0]])
    digest = hashlib.sha256(key.encode()).hexdigest()[:32]
    assert hints.load(image, [1.0]) is None
    earlier = hints.folder / digest[:2] / f"{digest}.npy"
    earlier.parent.mkdir(exist_ok=True)
    np.save(earlier, ramp().astype(np.float16))
    assert hints.load(image, [1.0]) is not None


@pytest.mark.parametrize("suffix", ["bmp", "ppm", "tif", "png", "jpg", "webp"])
def test_any_change_of_an_image_changes_its_digest(tmp_path, suffix):
    pixels = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    found = []
    for row, column in ((0, 0), (40, 50), (90, 10), (150, 290), (60, 60)):
        changed = pixels.copy()
        changed[row, column] ^= 128
        for name in ("a", "b"):
            Image.fromarray(changed).save(tmp_path / f"{name}.{suffix}")
        assert content_digest(tmp_path / f"a.{suffix}") == content_digest(tmp_path / f"b.{suffix}")
        found.append(content_digest(tmp_path / f"a.{suffix}"))
    assert len(set(found)) == 5


def test_a_damaged_hint_is_refused(hints, part, tmp_path):
    image = next(targets(part))
    hints.write(image, ramp())
    hints.file(image).write_bytes(hints.file(image).read_bytes()[:200])
    with pytest.raises(InputError, match="is damaged"):
        hints.resized(image, SIZE)
    hints.write(image, ramp()[:32])
    with pytest.raises(InputError, match="is damaged"):
        hints.resized(image, SIZE)
    with pytest.raises(InputError, match="is no folder of depth hints"):
        DepthHints.open(tmp_path)
