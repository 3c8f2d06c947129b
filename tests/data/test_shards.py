"""Tests of data/shards.py, io/shards.py and prepare/shards.py: a packed training set is the training set."""

import hashlib
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from torch.utils.data import DataLoader

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import AugmentConfig, ObjectiveConfig, PrepareShardsConfig
from hrdepth.config.setting_files import plain_settings, read_train_config
from hrdepth.data import mix, mixing, open_data
from hrdepth.data.layers import Depth, Objects
from hrdepth.data.map_cache import DepthHints
from hrdepth.data.mixing import MixedSampler
from hrdepth.errors import InputError
from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance
from hrdepth.io.shards import open_shards
from hrdepth.prepare import shards
from hrdepth.prepare.shards import pack_shards
from hrdepth.teachers.labels import Confidence, Labels
from hrdepth.training import train
from hrdepth.training.identity import describe_data
from hrdepth.training.state import find_start
from tiny_training import split, tiny_training

FRAMES = [-1, 1, "s"]
TEACHER = {"name": "t", "meaning": "metric", "licence": None, "canonical_focal": None, "sha256": "0"}


@pytest.fixture
def files(tmp_path):
    """A training on two drives with all that can be packed: masks, objects, depth, hints, labels, confidence."""
    root = fake_datasets.objects(fake_datasets.drive(tmp_path / "files", frames=8), frames=8)
    fake_datasets.drive(root, "other.drive", frames=6)
    (root / "train.txt").write_text("".join(f"{d} {n:06d} {s}\n" for d, n, s in
                                            [("other.drive", 3, "r"), *(("drive", n, "l") for n in (5, 1, 2, 3, 4, 6)),
                                             ("other.drive", 2, "l"), ("other.drive", 3, "l")]))  # fmt: skip
    mask = Image.new("L", (96, 64), 255)
    mask.paste(0, (0, 50, 96, 64))
    mask.save(root / "drive" / "mask.png")
    part = replace(split(root), distances=[1, 2])
    maps = {"hints": tmp_path / "hints", "labels": tmp_path / "labels"}
    for folder in (*maps.values(), maps["labels"] / "confidence"):
        folder.mkdir()
    write_json(
        maps["hints"] / "hints.json", {"size": [64, 96], "canonical_focal": None, "offsets": [-1], **provenance()}
    )
    about = {"size": [32, 48], "teacher": TEACHER, "metres_per_unit": 1.0}
    write_json(maps["labels"] / "labels.json", {**about, **provenance()})
    hints, labels = DepthHints.open(maps["hints"]), Labels.open(maps["labels"])
    (data,) = open_data([part], FRAMES)
    random = np.random.default_rng(0)
    reader = data.neighbours.reader
    for number, line in enumerate(reader.targets):
        image = data.neighbours.target(line)
        if number % 2:
            hints.write(image, random.random((64, 96)), *hints.deciding(reader, line))
        labels.write(image, random.random(labels.size_of(image)))
        Confidence(labels).write(image, random.random(labels.size_of(image)))
    options = {name: str(folder) for name, folder in maps.items()}
    return tiny_training(tmp_path / "run", part, objective=ObjectiveConfig("distillation", FRAMES, options))


def pack(config, out, **options):
    pack_shards(PrepareShardsConfig(str(out), config, **{"megabytes": 0.05, "threads": 1, **options}))
    return read_train_config(Path(out) / "train.yaml")


def samples(config, augment=None, layers=None):
    sets = open_data(config.train, config.objective.frames)
    if layers is None:
        options = config.objective.options
        labels = Labels.open(options["labels"])
        layers = [DepthHints.open(options["hints"]), labels, labels.confidence,
                  Objects.of(part for data in sets for part in data.neighbours.targets())]  # fmt: skip
    return mix(sets, config.size, augment, layers=layers)


def assert_equal(left, right):
    assert len(left) == len(right)
    for item in range(3 * len(left)):  # three draws of each
        a, b = left[item], right[item]
        assert a.keys() == b.keys()
        assert all(torch.equal(value, b[name]) for name, value in a.items()), (item, left.name(item))


def test_a_resumed_run_notices_packed_files_that_changed(files, tmp_path):
    """Maps in shards are known by their checksums."""

    def files_of(config, name):
        packed = pack(config, tmp_path / name)
        options = {key: str(tmp_path / name / key) for key in ("hints", "labels")}
        packed = replace(packed, objective=replace(packed.objective, options=options))
        loader = DataLoader(samples(packed))
        return describe_data({"train": loader}, {})["data"]["train 1"]["files"]

    first = files_of(files, "first")
    assert set(first) == {"mask", "hint", "teacher", "confidence", "objects"}
    assert files_of(files, "again") == first
    options = files.objective.options
    hint = sorted(Path(options["hints"]).rglob("*.npy"))[0]
    np.save(hint, np.load(hint) * np.float16(0.5))
    assert {name for name, digest in files_of(files, "other").items() if digest != first[name]} == {"hint"}


@pytest.mark.parametrize("images", ["source", "decoded"])
def test_packed_samples_are_the_samples(files, tmp_path, images):
    packed = pack(files, tmp_path / "packed", images=images)
    assert [part.dataset for part in packed.train] == ["shards"]
    assert len(list((tmp_path / "packed" / "train-1").glob("*.tar"))) > 1
    assert_equal(samples(files), samples(packed))
    assert_equal(samples(files, AugmentConfig()), samples(packed, AugmentConfig()))
    other = {"name": "distillation", "options": files.objective.options}
    supervised = replace(files, objective=ObjectiveConfig("supervised", FRAMES, {"other": other}))
    packed = pack(supervised, tmp_path / "supervised", images=images)
    assert_equal(samples(supervised, layers=[Depth(2.0)]), samples(packed, layers=[Depth(2.0)]))
    nested = packed.objective.options["other"]["options"]  # the other objective's maps are packed too
    assert nested == {name: str(tmp_path / "supervised" / name) for name in ("hints", "labels")}
    assert_equal(samples(files), samples(replace(packed, objective=ObjectiveConfig("distillation", FRAMES, nested))))


def assert_same_weights(*configs):
    one, two = (torch.load(Path(config.output) / "last.ckpt", weights_only=True)["state_dict"] for config in configs)
    assert one.keys() == two.keys()
    assert all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.slow
def test_the_same_weights_come_out_bit_equal(files, tmp_path):
    """From files, from shards, and from shards with workers after a stop in the middle of an epoch."""
    options = {**files.objective.options, "self_supervision": 1.0}
    config = replace(files, epochs=1, objective=ObjectiveConfig("distillation", FRAMES, options))
    packed = replace(pack(config, tmp_path / "packed"), output=str(tmp_path / "two"))
    train(config)
    train(packed)
    assert_same_weights(config, packed)
    stopped = replace(packed, output=str(tmp_path / "three"), workers=2, max_minutes=1e-6)
    train(stopped)
    ended = torch.load(tmp_path / "three" / "last.ckpt", weights_only=True)["hrdepth"]
    assert (ended["epoch"], ended["batch"]) == (0, 1)
    with pytest.raises(InputError, match=r"processes \(devices x nodes\) is 4, but .* with 1"):
        find_start(replace(stopped, devices=2, nodes=2, resume="last"))
    train(replace(stopped, max_minutes=None, resume="last", workers=1))
    assert_same_weights(config, stopped)


def test_a_window_mixes_few_shards_at_a_time(monkeypatch):
    shard_of = [item // 4 for item in range(22)]  # six shards
    sampler = MixedSampler([22, 5], [1.0, 2.0], seed=3, shards=[(shard_of, 2), None])
    assert sorted(sampler)[:27] == [*range(27)]
    order = list(sampler)
    first = [item for item in order if item % 27 < 22]
    assert sorted(first) == list(range(22))
    opened = list(dict.fromkeys(shard_of[item] for item in first))
    for number in range(0, 6, 2):
        pair = opened[number : number + 2]
        size = sum(shard_of.count(shard) for shard in pair)
        window, first = first[:size], first[size:]
        assert sorted({shard_of[item] for item in window}) == sorted(pair)
        assert [shard_of[item] for item in window] != sorted(shard_of[item] for item in window)
    sampler.set_epoch(1)
    assert list(sampler) != order
    # Any number of processes: nothing is lost or doubled, and each resumes where it was.
    sampler.set_epoch(0)
    for processes in (2, 3):
        parts = []
        for rank in range(processes):
            monkeypatch.setattr(mixing, "_process", lambda rank=rank, n=processes: (rank, n))
            sampler.resume_at(0, 0)
            parts.append(list(sampler))
            sampler.resume_at(0, 4)
            assert list(sampler) == parts[-1][4:]
        sampler.resume_at(0, 0)
        whole = [item for items in zip(*parts, strict=True) for item in items]
        assert whole == order[: len(whole)]
        assert len(order) - len(whole) < processes


@pytest.mark.parametrize("workers", [0, 3])
def test_any_number_of_workers_gives_the_same_batches(files, tmp_path, workers):
    packed = pack(files, tmp_path / "packed")
    data = samples(packed)
    sampler = MixedSampler([len(data)], [1.0], seed=1)
    found = [batch["item"].tolist() for batch in DataLoader(data, 2, sampler=sampler, num_workers=workers)]
    assert [item for batch in found for item in batch] == list(sampler)


def test_shards_are_fetched_from_a_store_as_they_are_needed(files, tmp_path, bucket):
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(plain_settings(files)))
    command = ["prepare", "shards", "--config", str(tmp_path / "run.yaml"), "--megabytes", "0.05"]
    assert main([*command, "--out", f"{bucket}/packed"]) == 0
    options = {"cache": str(tmp_path / "few"), "window": 1, "cache_gb": 1e-4}
    packed = replace(files.train[0], dataset="shards", root=f"{bucket}/packed/train-1", split=None, options=options)
    assert yaml.safe_load(Path(main_cache(tmp_path, "train.yaml")).read_text())["train"][0]["dataset"] == "shards"
    found = samples(replace(files, train=[packed]), layers=[])
    tars = (tmp_path / "few").rglob("*.tar")
    assert not list(tars)  # the scan needs none
    assert_equal(samples(files, layers=[]), found)
    here = [tar.stat().st_size for tar in (tmp_path / "few").rglob("*.tar")]
    index = json.loads(next((tmp_path / "few").rglob("shards.json")).read_text())
    assert len(index["shards"]) > 2
    assert 0 < sum(here) <= max(1e5, max(shard["bytes"] for shard in index["shards"]))


def main_cache(tmp_path, name):
    return next((tmp_path / "cache").rglob(name))


def test_webdataset_reads_them(files, tmp_path):
    webdataset = pytest.importorskip("webdataset", reason="needs webdataset (extra dev)")
    pack(files, tmp_path / "packed")
    tars = sorted(map(str, (tmp_path / "packed" / "train-1").glob("*.tar")))
    found = {}
    for frame in webdataset.WebDataset(tars, shardshuffle=False):
        found.setdefault(frame["__key__"], {}).update(frame)  # at the border of two shards a frame is in both
    image = (tmp_path / "files" / "drive" / "left" / "000003.png").read_bytes()
    assert found["drive/l/0000000003"]["png"] == image
    assert {"png", "label.npy", "confidence.npy"} <= found["drive/l/0000000003"].keys()


def test_damage_is_found_named_and_mended(files, tmp_path):
    out = tmp_path / "packed"
    packed = pack(files, out)
    before = {tar: tar.read_bytes() for tar in (out / "train-1").glob("*.tar")}
    tar = min(before)
    content = bytearray(before[tar])
    place = content.index(b"IDAT") + 20
    content[place] ^= 1
    tar.write_bytes(content)
    with pytest.raises(InputError, match=r"shard-000000.tar is damaged; run hrdepth prepare shards with --verify"):
        list(map(samples(packed, layers=[]).__getitem__, range(9)))
    with pytest.raises(InputError, match=r"1 shards were damaged .*shard-000000.tar"):
        pack_shards(PrepareShardsConfig(str(out), verify=True))
    with pytest.raises(InputError, match="unfinished"):
        samples(packed, layers=[])
    pack(files, out)
    assert {tar: tar.read_bytes() for tar in (out / "train-1").glob("*.tar")} == before
    assert pack_shards(PrepareShardsConfig(str(out), verify=True)) == [out / "train-1", out / "validation-1"]


@pytest.mark.parametrize(
    ("shard", "mask"),
    [
        ("../../kept", "masks/0.png"), ("/kept", "masks/0.png"), (5, "masks/0.png"),
        ("shard-000000", "../../kept.png"), ("shard-000000", "/kept.png"),
    ],
)  # fmt: skip
def test_an_index_that_names_files_outside_is_refused(tmp_path, shard, mask):
    """Of a set that is opened from a URL they would be written, by --verify removed."""
    folder = tmp_path / "out" / "train-1"
    folder.mkdir(parents=True)
    kept = [tmp_path / f"kept.{ending}" for ending in ("tar", "json", "png")]
    for file in kept:
        file.write_text("mine")
    write_json(folder / "shards.json", {"format": 1, "shards": [{"name": shard, "sha256": "0"}], "masks": [mask]})
    with pytest.raises(InputError, match=r"shards\.json is damaged"):
        pack_shards(PrepareShardsConfig(str(tmp_path / "out"), verify=True))
    with pytest.raises(InputError, match=r"shards\.json is damaged"):
        open_shards(folder)
    assert all(file.read_text() == "mine" for file in kept)


def test_packing_resumes(files, tmp_path, monkeypatch):
    out, write, count = tmp_path / "packed", shards.write_shard, 0

    def broken_off(*arguments):
        nonlocal count
        count += 1
        if count == 3:
            raise KeyboardInterrupt
        return write(*arguments)

    monkeypatch.setattr(shards, "write_shard", broken_off)
    with pytest.raises(KeyboardInterrupt):
        pack(files, out)
    there = {tar: tar.stat().st_mtime_ns for tar in (out / "train-1").glob("*.tar")}
    assert len(there) == 2
    monkeypatch.undo()
    packed = pack(files, out)
    assert {tar: tar.stat().st_mtime_ns for tar in there} == there
    assert_equal(samples(files), samples(packed))
    with pytest.raises(InputError, match="images"):
        pack(files, out, images="decoded")


def test_what_changed_is_packed_again_and_nothing_else(files, tmp_path):
    out = tmp_path / "packed"
    pack(files, out)
    before = {tar: tar.stat().st_mtime_ns for tar in (out / "train-1").glob("*.tar")}
    index = (out / "train-1" / "shards.json").read_bytes()
    image = tmp_path / "files" / "other.drive" / "left" / "000002.png"
    os.utime(image)  # its content is the same
    pack(files, out)
    assert (out / "train-1" / "shards.json").read_bytes() == index
    Image.new("RGB", (96, 64), "red").save(image)
    os.utime(image, ns=(1, 1))
    packed = pack(files, out)
    assert_equal(samples(files, layers=[]), samples(packed, layers=[]))
    assert 0 < sum(tar.stat().st_mtime_ns != time for tar, time in before.items()) < len(before)
    drive = tmp_path / "files" / "drive" / "camera.yaml"
    drive.write_text(drive.read_text().replace("baseline: ", "baseline: 1"))
    assert_equal(samples(files, layers=[]), samples(pack(files, out), layers=[]))


def test_labels_of_another_teacher_are_not_packed_over_those_there(files, tmp_path):
    out, about = tmp_path / "packed", tmp_path / "labels" / "labels.json"
    pack(files, out)
    content = json.loads(about.read_text())
    write_json(about, {**content, "date": "later"})
    pack(files, out)
    write_json(about, {**content, "teacher": {**TEACHER, "name": "other"}})
    with pytest.raises(InputError, match=r"labels.json was written with other settings \(teacher.name"):
        pack(files, out)
    assert json.loads((out / "labels" / "labels.json").read_text())["teacher"] == TEACHER


@pytest.mark.parametrize("content", ["{", '{"bytes": 1, "sha256": "0", "files": {}}'])
def test_a_damaged_description_of_a_shard_is_found_and_written_again(files, tmp_path, content):
    out = tmp_path / "packed"
    pack(files, out)
    about = out / "train-1" / "shard-000000.json"
    whole = about.read_bytes()
    about.write_text(content)
    with pytest.raises(InputError, match="1 shards were damaged"):
        pack_shards(PrepareShardsConfig(str(out), verify=True))
    about.write_text(content)  # also without --verify
    pack(files, out)
    assert about.read_bytes() == whole


def test_a_split_with_a_frame_that_was_not_packed_is_refused(files, tmp_path):
    packed = pack(files, tmp_path / "packed")
    (tmp_path / "some.txt").write_text("drive 000003 l\nelsewhere 000001 l\n")
    with pytest.raises(InputError, match=r"some.txt:2: frame 1 of 'elsewhere', side l, is not in the shards"):
        open_data([replace(packed.train[0], split=str(tmp_path / "some.txt"))], FRAMES)


def test_an_image_that_cannot_be_read_is_not_packed(files, tmp_path):
    image = tmp_path / "files" / "drive" / "left" / "000003.png"
    image.write_bytes(image.read_bytes()[:200])
    os.utime(image)
    config = replace(files, objective=ObjectiveConfig(frames=FRAMES))
    with pytest.raises(InputError, match=r"000003.png"):
        pack(config, tmp_path / "packed")
    assert not (tmp_path / "packed" / "train-1" / "shards.json").exists()


def test_a_root_that_is_called_like_a_shard_is_read(files, tmp_path):
    packed = pack(files, tmp_path / "shard-v2")
    assert_equal(samples(files), samples(packed))


def test_members_are_like_files(files, tmp_path):
    packed = pack(files, tmp_path / "packed")
    (left,), (right,) = open_data(files.train, FRAMES), open_data(packed.train, FRAMES)
    for line in left.neighbours.reader.targets:
        for a, b in zip(left.neighbours.existing(line), right.neighbours.existing(line), strict=True):
            assert a.read_bytes() == b.read_bytes() == b.open("rb").read()
            assert (a.stat().st_size, a.stat().st_mtime_ns) == (b.stat().st_size, b.stat().st_mtime_ns)
            assert hashlib.sha256(a.read_bytes()).digest() == hashlib.sha256(Path.read_bytes(b)).digest()


def test_frames_that_are_kept_for_their_depth_are_packed(tmp_path):
    root = fake_datasets.drive(tmp_path / "files", frames=8, stereo=False)
    for number in (1, 3, 5, 7):
        (root / "drive" / "left" / f"{number:06d}.png").unlink()
    (root / "drive" / "depth" / "000004.npy").unlink()
    (root / "train.txt").write_text("drive 2 l\ndrive 4 l\ndrive 6 l\n")
    objective = ObjectiveConfig("supervised", [-1, 1], {"other": {"name": "view_synthesis"}})
    config = tiny_training(tmp_path / "run", replace(split(root), missing="skip"), objective=objective)
    packed = pack(config, tmp_path / "out")
    for part in (config.train[0], packed.train[0]):
        (data,) = open_data([part], [-1, 1], depth_suffices=True)
        reader = data.neighbours.reader
        assert [line.frame for line in reader.targets] == [2, 6]
        assert all(reader.has_depth_of(line) and reader.depth(line) is not None for line in reader.targets)
