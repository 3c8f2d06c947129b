"""Tests of data/cache.py.

A cache changes nothing but speed, goes on where it was interrupted, and finds what is wrong with it.
"""

import json
import logging
import os
import pickle
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import AugmentConfig, DatasetConfig, ObjectiveConfig, PrepareConfig, TrainConfig
from hrdepth.data import DATASETS, mix, open_data
from hrdepth.data.cache import ImageCache, cached_size, needed_images, open_cache
from hrdepth.errors import InputError
from hrdepth.io.image_files import _content_digest
from hrdepth.io.images import read_image
from hrdepth.prepare import cache as cache_module
from hrdepth.training import build_loaders

FRAMES = [-1, 1, "s"]
SIZE = (32, 64)


def make_config(name, root):
    fake_datasets.TREES[name].make(root)
    part = DatasetConfig(name, str(root), str(root / "train.txt"))
    return TrainConfig([part], [part], "run", objective=ObjectiveConfig(frames=FRAMES), size=SIZE)


@pytest.fixture
def config(tmp_path):
    return make_config("folder", tmp_path / "data")


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "cache"


def fill(config, folder):
    return cache_module.prepare(PrepareConfig(config, str(folder), threads=2))


def verify(folder):
    return cache_module.prepare(PrepareConfig(cache=str(folder), verify=True, threads=2))


def mixes(config, augment=None, cache=None):
    read = read_image if cache is None else cache.read
    train, validation = (open_data(part, FRAMES) for part in (config.train, config.validation))
    return [mix(train, config.size, augment, 1, read=read), mix(validation, SIZE, read=read)]


def sets(config):
    return [part.neighbours for part in open_data([*config.train, *config.validation], FRAMES)]


def replace_unnoticed(path, colour="red"):
    """Replace an image by another of the same number of bytes and the same time of change, as a copy may have."""
    status = path.stat()
    content = BytesIO()
    Image.new("RGB", fake_datasets.SIZE[::-1], colour).save(content, format="png")
    path.write_bytes(content.getvalue().ljust(status.st_size, b"\0"))
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    _content_digest.cache_clear()  # as in another process


def same(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


# The images of shards are no files, and have been decoded before.
@pytest.mark.parametrize("name", [name for name, kind in DATASETS.items() if kind.has_neighbours and name != "shards"])
@pytest.mark.parametrize("original", [False, True])
def test_cached_samples_are_bit_equal_and_do_not_read_the_sources(name, original, tmp_path, folder, monkeypatch):
    config = make_config(name, tmp_path / "data")
    if original:
        monkeypatch.setattr(cache_module, "cached_size", lambda config, sets: None)
    cache = fill(config, folder)
    assert cache.size == (None if original or name == "cityscapes" else SIZE)  # whose crop is cut from the source
    plain = mixes(config, AugmentConfig())
    expected = [part[item] for part in plain for item in range(3 * len(part))]
    cached = mixes(config, AugmentConfig(), open_cache(str(folder), config, sets(config)))
    for path in needed_images(sets(config)):
        with Image.open(path) as image:
            size = image.size
        Image.new("RGB", size).save(path)  # after the matching: whoever reads a source now sees black
    assert not plain[0][0]["target"].any()
    got = [part[item] for part in cached for item in range(3 * len(part))]
    assert len(got) == len(expected) > 0
    assert all(map(same, expected, got))
    # Workers that are spawned get the data set as a pickle.
    assert same(pickle.loads(pickle.dumps(cached[0]))[0], expected[0])


def test_training_and_validation_load_from_the_cache(config, folder):
    config = replace(config, batch_size=2, workers=0, cache=str(folder))
    fill(config, folder)
    plain, cached = build_loaders(replace(config, cache=None)), build_loaders(config)
    expected = {name: next(iter(loader)) for name, loader in plain.items()}
    for path in needed_images(sets(config)):
        Image.new("RGB", fake_datasets.SIZE[::-1]).save(path)
    assert all(same(next(iter(cached[name])), batch) for name, batch in expected.items())


def test_an_interrupted_preparation_is_resumed(config, folder, monkeypatch):
    written = []
    write = cache_module._write_image

    def interrupted(cache, source):
        if len(written) == 4:
            raise KeyboardInterrupt
        written.append(source)
        return write(cache, source)

    monkeypatch.setattr(cache_module, "_write_image", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cache_module.prepare(PrepareConfig(config, str(folder), threads=1))
    assert len(ImageCache.open(folder).entries) == 4
    first = list(written)
    monkeypatch.setattr(
        cache_module, "_write_image", lambda cache, source: written.append(source) or write(cache, source)
    )
    fill(config, folder)
    assert not set(first) & set(written[4:])
    assert sorted(written) == needed_images(sets(config))
    assert not list(folder.rglob("*.partial"))
    verify(folder)


def test_a_changed_source_is_read_again(config, folder, caplog):
    fill(config, folder)
    source = needed_images(sets(config))[2]
    Image.new("RGB", fake_datasets.SIZE[::-1], "red").save(source)
    with caplog.at_level(logging.WARNING):
        cached = mixes(config, cache=open_cache(str(folder), config, sets(config)))
    assert [record.message[:8] for record in caplog.records] == ["1 of 10 "]
    plain = mixes(config)
    assert all(same(plain[0][item], cached[0][item]) for item in range(len(plain[0])))
    # Preparing again makes this one alone.
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*.npy")}
    cache = fill(config, folder)
    changed = [path for path, time in before.items() if path.stat().st_mtime_ns != time]
    assert changed == [cache.file(cache.name(source))]


def test_a_source_is_known_by_its_content(config, folder, caplog):
    """Not by its time of change: one that is replaced with that kept is read again, one that is copied is not."""
    fill(config, folder)
    replaced, copied = needed_images(sets(config))[:2]
    replace_unnoticed(replaced)
    os.utime(copied, ns=(0, 0))
    cache = open_cache(str(folder), config, sets(config))
    assert "1 of 10 images are not in the cache" in caplog.text
    assert np.array_equal(np.asarray(cache.read(replaced)), np.asarray(read_image(replaced)))
    assert [path for path in needed_images(sets(config)) if not cache.up_to_date(path)] == [replaced]


def test_a_cache_of_an_earlier_version_is_completed(config, folder):
    """It says of no source what it held; nothing of it is used before it is made again."""
    cache = fill(config, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for name, entry in manifest["pictures"].items():
        status = cache.source(name).stat()
        manifest["pictures"][name] = {
            "bytes": status.st_size,
            "mtime_ns": status.st_mtime_ns,
            "sha256": entry["sha256"],
        }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    assert ImageCache.open(folder).match(needed_images(sets(config))) == 10
    fill(config, folder)
    assert ImageCache.open(folder).match(needed_images(sets(config))) == 0


def test_verify_finds_a_flipped_byte_a_changed_and_a_lost_source(config, folder, capsys):
    cache = fill(config, folder)
    assert main(["prepare", "--cache", str(folder), "--verify"]) == 0
    flipped, changed, lost, cut = needed_images(sets(config))[:4]
    content = bytearray(cache.file(cache.name(flipped)).read_bytes())
    content[-1] ^= 1
    cache.file(cache.name(flipped)).write_bytes(content)
    cut_file = cache.file(cache.name(cut))
    cut_file.write_bytes(cut_file.read_bytes()[:-1])
    replace_unnoticed(changed)
    lost_content = lost.read_bytes()
    lost.unlink()
    capsys.readouterr()
    assert main(["prepare", "--cache", str(folder), "--verify"]) == 2
    stderr = capsys.readouterr().err
    assert stderr.startswith("hrdepth: 4 of 10 images")
    for path, fault in ((flipped, "damaged"), (cut, "damaged"), (changed, "changed"), (lost, "gone")):
        assert fault in stderr.split(str(path))[1].split(")")[0]
    # They are struck from the manifest, so preparing again mends the cache.
    lost.write_bytes(lost_content)
    assert len(fill(config, folder).entries) == 10
    verify(folder)


def test_a_damaged_image_is_named_in_training(config, folder):
    cache = fill(config, folder)
    cached = mixes(config, cache=open_cache(str(folder), config, sets(config)))
    file = cache.file(cache.name(needed_images(sets(config))[0]))
    file.write_bytes(file.read_bytes()[:40])
    with pytest.raises(InputError, match=f"{file.name} is damaged.*--verify"):
        [cached[0][item] for item in range(len(cached[0]))]


def test_a_cache_of_another_size_is_refused(config, folder):
    fill(config, folder)
    other = replace(config, size=(64, 64))
    with pytest.raises(InputError, match="32x64.*64x64"):
        fill(other, folder)
    with pytest.raises(InputError, match="32x64.*64x64"):
        open_cache(str(folder), other, sets(other))


def test_a_zoom_needs_images_at_their_original_size(config, folder):
    class Zooming:
        zoom = 1.5

    fill(config, folder)
    zooming = replace(config, augment=Zooming())
    assert cached_size(zooming) is None
    with pytest.raises(InputError, match="zoom"):
        open_cache(str(folder), zooming, sets(config))


def test_the_cache_may_be_a_symbolic_link_and_may_be_moved(config, folder, tmp_path):
    (tmp_path / "deep" / "er").mkdir(parents=True)
    link = tmp_path / "deep" / "er" / "link"
    folder.mkdir()
    link.symlink_to(folder)
    fill(config, link)
    assert ImageCache.open(folder).match(needed_images(sets(config))) == 0


def test_too_little_disk_space_is_detected_before_and_while_writing(config, folder, monkeypatch):
    usage = cache_module.shutil.disk_usage(config.train[0].root)
    with monkeypatch.context() as patch:
        patch.setattr(cache_module.shutil, "disk_usage", lambda path: usage._replace(free=1000))
        with pytest.raises(InputError, match="GiB left; choose a folder on another disk"):
            fill(config, folder)
    assert not list(folder.rglob("*.npy"))

    def full(*arguments, **settings):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", full)
        with pytest.raises(InputError, match="the disk is full"):
            fill(config, folder)
    assert not list(folder.rglob("*.partial"))


def test_a_folder_that_is_not_a_cache_is_left_unchanged(config, folder, tmp_path):
    folder.mkdir()
    (folder / "thesis.txt").write_text("precious")
    with pytest.raises(InputError, match="holds no cache"):
        fill(config, folder)
    (folder / "manifest.json").write_text("{")
    with pytest.raises(InputError, match="manifest.json is damaged"):
        fill(config, folder)
    (folder / "manifest.json").write_text(json.dumps({"format": 99, "size": None, "pictures": {}}))
    with pytest.raises(InputError, match="format 99"):
        open_cache(str(folder), config, [])
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "thesis.txt"]


def test_missing_settings_of_prepare_are_named(config, folder):
    with pytest.raises(InputError, match="--cache"):
        cache_module.prepare(PrepareConfig(config))
    with pytest.raises(InputError, match="--config"):
        cache_module.prepare(PrepareConfig(cache=str(folder)))
    with pytest.raises(InputError, match="threads 0"):
        cache_module.prepare(PrepareConfig(config, str(folder), threads=0))
