"""Tests of data/cityscapes.py.

CityScapes: cameras from JSON, the hood cropped, depth from disparity.
"""

import dataclasses
import json

import numpy as np
import pytest
import torch

import fake_datasets
from hrdepth.config import AugmentConfig, DatasetConfig, DepthProtocol, GroundTruthConfig, TrainConfig
from hrdepth.data import build_mix, build_reader, open_data
from hrdepth.data.cache import cached_size
from hrdepth.data.sample import Window
from hrdepth.errors import InputError
from hrdepth.evaluation.evaluate import evaluate_network
from hrdepth.io.images import read_image
from hrdepth.truth import build_ground_truth


@pytest.fixture
def root(tmp_path):
    return fake_datasets.cityscapes(tmp_path)


def test_parts_of_the_archive_are_splits(root):
    train, val = (build_reader(DatasetConfig("cityscapes", str(root), part)).targets for part in ("train", "val"))
    assert [line.name for line in train] == ["train/ulm/ulm_000000 000001 l", "train/ulm/ulm_000000 000002 l"]
    assert [line.name for line in val] == ["val/lindau/lindau_000000 000002 l"]  # the one with a camera file
    with pytest.raises(InputError, match=r"leftImg8bit_sequence.test holds no frame"):
        build_reader(DatasetConfig("cityscapes", str(root), "test"))


def test_the_hood_is_cropped_from_every_image(root):
    """Samples are the upper three quarters, also where a zoom cuts."""
    for file in root.glob("leftImg8bit_sequence/train/ulm/*.png"):
        image = read_image(file)
        image.paste((255, 0, 0), (0, 36, 96, 48))
        image.save(file)
    config = DatasetConfig("cityscapes", str(root), "train", options={"keep": 0.75})
    expected = read_image(root / "leftImg8bit_sequence/train/ulm/ulm_000000_000001_leftImg8bit.png")
    sample = build_mix([config], [-1, 1], (36, 96))[0]
    upper = torch.from_numpy(np.array(expected)[:36]).permute(2, 0, 1) / 255
    # Lanczos reaches over the edge of the crop by nothing: the box is cut first.
    torch.testing.assert_close(sample["target"], upper, atol=2e-3, rtol=0)
    zoomed = build_mix([config], [-1, 1], (36, 96), AugmentConfig(zoom=3.0, jitter=0))
    for draw in range(6):
        target = zoomed[draw * len(zoomed)]["target"]
        assert not ((target[0] > 0.95) & (target[1:] < 0.05).all(0)).any()
    whole = dataclasses.replace(config, options={"keep": 1.0})
    assert (build_mix([whole], [-1, 1], (48, 96))[0]["target"][0, 40:] > 0.95).all()


def test_a_window_is_read_from_the_part_above_the_hood():
    assert Window().above(1) == Window()
    assert Window().above(0.75).box((100, 200)) == (0, 0, 200, 75)
    assert Window(0.5, 0.5, 0.5).above(0.5).box((100, 200)) == (100, 25, 200, 50)


def test_a_frame_without_a_camera_uses_the_nearest_of_its_sequence(root):
    folder = root / "camera" / "train" / "ulm"
    rig = json.loads((folder / "ulm_000000_000002_camera.json").read_text())
    rig["intrinsic"]["fx"] = 2000.0
    (folder / "ulm_000000_000040_camera.json").write_text(json.dumps(rig))
    (folder / "ulm_000001_000003_camera.json").write_text(json.dumps(rig))
    reader = build_reader(DatasetConfig("cityscapes", str(root), "train"))
    line = reader.targets[0]
    focal = [reader.camera(line._replace(frame=frame)).intrinsics[0, 0] for frame in (0, 20, 22, 90)]
    assert focal == [pytest.approx(55 * 2048 / 96)] * 2 + [2000.0] * 2
    with pytest.raises(InputError, match=r"no camera of ulm_000007; unpack camera_trainvaltest\.zip"):
        reader.camera(line._replace(folder="train/ulm/ulm_000007"))


def test_bad_cameras_are_named(root):
    file = root / "camera" / "train" / "ulm" / "ulm_000000_000002_camera.json"
    file.write_text('{"intrinsic": {"fx": 1}}')
    reader = build_reader(DatasetConfig("cityscapes", str(root), "train"))
    with pytest.raises(InputError, match=r"camera\.json must give intrinsic"):
        reader.camera(reader.targets[0])
    rig = {"intrinsic": {"fx": 2262, "fy": 2265, "u0": 1096, "v0": 513}, "extrinsic": {"baseline": 0}}
    file.write_text(json.dumps(rig))
    with pytest.raises(InputError, match=r"camera\.json: all numbers must be finite, .*, baseline 0\); unpack"):
        reader.camera(reader.targets[0])
    with pytest.raises(InputError, match="share of the height"):
        build_reader(DatasetConfig("cityscapes", str(root), "train", options={"keep": 75}))


def test_a_cache_of_cropped_images_keeps_their_size(root):
    data = [DatasetConfig("cityscapes", str(root), "train")]
    config = TrainConfig(data, data, "run", size=(32, 64))
    assert cached_size(config, [part.neighbours for part in open_data(data, [-1, 1])]) is None
    whole = [dataclasses.replace(data[0], options={"keep": 1.0})]
    assert cached_size(config, [part.neighbours for part in open_data(whole, [-1, 1])]) == (32, 64)


def test_depth_is_computed_from_the_disparity_file(root):
    truths = build_ground_truth(GroundTruthConfig("cityscapes", str(root)))
    assert len(truths) == 1
    truth = truths[0]
    assert truth.name == "val/lindau/lindau_000000 000002 l"
    assert truth.depth.shape == (36, 96)
    assert (truth.depth[0] == 0).all()  # none
    disparity = np.floor(256 * np.linspace(0, 20, 48)[10]) / 256
    assert truth.depth[10, 5] == pytest.approx(0.5 * 55 / disparity, rel=1e-6)
    np.testing.assert_allclose(truth.intrinsics[:2, :2], [[55, 0], [0, 720 * 48 / 1024]])
    seen = []
    evaluate_network(
        lambda image: seen.append(image.size) or np.full((9, 24), 0.1, np.float32),
        truths,
        DepthProtocol(crop="none"),
        progress=False,
    )
    assert seen == [(96, 36)]  # the network sees no hood either


def test_impossible_true_depth_is_refused(root):
    with pytest.raises(InputError, match=r"disparity_trainvaltest\.zip"):
        build_ground_truth(GroundTruthConfig("cityscapes", str(root), "test"))
    (root / "split.txt").write_text("val/lindau/lindau_000000 2 r\n")
    with pytest.raises(InputError, match="left frames only"):
        build_ground_truth(GroundTruthConfig("cityscapes", str(root), str(root / "split.txt")))[0]
    with pytest.raises(InputError, match="needs root"):
        build_ground_truth(GroundTruthConfig("cityscapes"))
    (root / "disparity/val/lindau/lindau_000000_000002_disparity.png").write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match="cannot be read"):
        build_ground_truth(GroundTruthConfig("cityscapes", str(root)))[0]
