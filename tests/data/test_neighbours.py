"""Tests of data/neighbours.py."""

import logging
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import fake_datasets
from hrdepth.config import AugmentConfig, DatasetConfig
from hrdepth.data import build_mix
from hrdepth.data.neighbours import MOTION_SIZE, motion
from hrdepth.data.sample import load_image
from hrdepth.errors import InputError
from hrdepth.io.images import small_grey

CALM = AugmentConfig(flip=0, jitter=0)


@pytest.fixture
def part(tmp_path):
    """Twenty frames; 3 to 9 and 12 to 16 are the split, 10 and 11 are held out."""
    root = fake_datasets.drive(tmp_path, frames=20)
    (root / "train.txt").write_text("".join(f"drive {n} l\n" for n in (*range(3, 10), *range(12, 17))))
    return DatasetConfig("folder", str(root), str(root / "train.txt"), distances=[1, 2, 3])


def left(part, number):
    return Path(part.root) / "drive" / "left" / f"{number:06d}.png"


def distances(mix, index, draws=60):
    """Return how often each distance is drawn for sample `index`, recognised in the images."""
    data = mix.datasets[0]
    frame = data.reader.targets[index].frame
    drawn = Counter()
    for draw in range(draws):
        before, after = data.neighbours.sources(data.reader.targets[index], (0, index + draw * len(mix)))[:2]
        numbers = int(before.stem) - frame, int(after.stem) - frame
        assert numbers[0] == -numbers[1]
        drawn[numbers[1]] += 1
    return drawn


def test_each_draw_of_a_sample_uses_one_neighbour_distance(part):
    mix = build_mix([part], [-1, 1], (64, 96), CALM)
    middle = distances(mix, 3)
    assert set(middle) == {1, 2, 3}
    assert min(middle.values()) > 8
    # The batch holds the images of that distance, the same each time it is asked for.
    again = build_mix([part], [-1, 1], (64, 96), CALM)
    for draw in range(6):
        item = 3 + draw * len(mix)
        sources = mix[item]["sources"]
        before, after = mix.datasets[0].neighbours.sources(mix.datasets[0].reader.targets[3], (0, item))
        assert torch.equal(sources[0], load_image(before, (64, 96)))
        assert torch.equal(sources[1], load_image(after, (64, 96)))
        assert torch.equal(sources, again[item]["sources"])


def test_neighbours_stay_inside_the_split(part):
    mix = build_mix([part], [-1, 1], (64, 96), CALM)
    frames = [line.frame for line in mix.datasets[0].reader.targets]
    # 9 ends a stretch: its direct neighbour 10 serves, 11 is held out, 12 is beyond the gap with 6 on its other side.
    allowed = {frame: set(distances(mix, frames.index(frame))) for frame in (3, 4, 5, 8, 9)}
    assert allowed == {3: {1}, 4: {1}, 5: {1, 2}, 8: {1}, 9: {1, 3}}


def test_validation_uses_the_smallest_distance(part):
    mix = build_mix([replace(part, distances=[2, 1])], [-1, 1], (64, 96))
    plain = build_mix([replace(part, distances=[1])], [-1, 1], (64, 96))
    for item in range(3 * len(mix)):
        assert torch.equal(mix[item]["sources"], plain[item]["sources"])


def test_distances_do_not_change_the_augmentation(part):
    strong = AugmentConfig(flip=0.5, jitter=1)
    mix, plain = (build_mix([replace(part, distances=d)], [-1, 1], (64, 96), strong) for d in ([1, 2, 3], [1]))
    for item in range(20):
        assert torch.equal(mix[item]["target_augmented"], plain[item]["target_augmented"])


def test_without_distance_1_the_split_must_reach_far_enough(part):
    with pytest.raises(InputError, match=r"train\.txt:1: the split holds no neighbour of frame 3 .* at -2; add 1"):
        build_mix([replace(part, distances=[2])], [-1, 1], (64, 96))
    data = build_mix([replace(part, distances=[2], missing="skip")], [-1, 1], (64, 96))
    assert data[0]["source_valid"].tolist() == [False, True]


@pytest.mark.parametrize("wrong", [[], [0], [1, -2]])
def test_invalid_distances_are_refused(part, wrong):
    with pytest.raises(InputError, match="distances .* must be whole numbers from 1"):
        build_mix([replace(part, distances=wrong)], [-1, 1], (64, 96))


def test_a_missing_side_is_masked_by_skip(part, caplog):
    left(part, 4).unlink()
    left(part, 2).unlink()
    part = replace(part, distances=[1])
    (Path(part.root) / "train.txt").write_text("drive 3 l\ndrive 5 l\ndrive 6 l\n")
    with pytest.raises(InputError) as error:
        build_mix([part], [-1, 1], (64, 96))
    first, second = str(error.value).splitlines()  # each missing image once
    assert "train.txt:1: frame 3 of 'drive' misses its neighbour at -1" in first
    assert "train.txt:1: frame 3 of 'drive' misses its neighbour at +1" in second
    assert second.endswith("(and 1 more line)")
    with caplog.at_level(logging.INFO):
        mix = build_mix([replace(part, missing="skip")], [-1, 1], (64, 96))
    # Frame 3 has no source at all; 5 has the later one; 6 both.
    assert [line.frame for line in mix.datasets[0].reader.targets] == [5, 6]
    assert [sample["source_valid"].tolist() for sample in (mix[0], mix[1])] == [[False, True], [True, True]]
    assert mix[0]["sources"][0].abs().max() == 0
    assert "1 of 3 frames left out: 1 without a source, 0 still" in caplog.text
    # The right image is a source too.
    assert len(build_mix([replace(part, missing="skip")], [-1, 1, "s"], (64, 96))) == 3


def test_true_depth_suffices_where_the_objective_learns_from_it(part, caplog):
    for number in (2, 4, 11, 13, 15, 17):
        left(part, number).unlink()
    (Path(part.root) / "drive" / "depth" / "000014.npy").unlink()
    (Path(part.root) / "train.txt").write_text("".join(f"drive {n} l\n" for n in (3, 6, 12, 14, 16)))
    part = replace(part, distances=[1], missing="skip", min_motion=0.001)

    def kept(**options):
        caplog.clear()
        with caplog.at_level(logging.INFO):
            mix = build_mix([part], [-1, 1], (64, 96), **options)
        return [line.frame for line in mix.datasets[0].reader.targets], mix

    assert kept()[0] == [6]
    assert "4 of 5 frames left out: 4 without a source" in caplog.text
    frames, mix = kept(depth_suffices=True)
    assert frames == [3, 6, 12, 16]
    assert "1 of 5 frames left out: 1 without a source" in caplog.text
    assert [sample["source_valid"].any().item() for sample in map(mix.__getitem__, range(4))] == [
        False,
        True,
        False,
        False,
    ]


def test_skip_does_not_excuse_the_target_itself(part):
    left(part, 5).unlink()
    with pytest.raises(InputError, match="frame 5 of 'drive' misses its image"):
        build_mix([replace(part, missing="skip")], [-1, 1], (64, 96))


def test_still_frames_are_left_out(part, caplog):
    random = np.random.default_rng(0)
    for number in (6, 7, 8):  # the camera stands from 5 to 8: sensor noise, another exposure
        noisy = 0.97 * np.asarray(Image.open(left(part, 5)), dtype=np.float32) + random.normal(
            0, 3, (*fake_datasets.SIZE, 3)
        )
        Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8)).save(left(part, number))
    with caplog.at_level(logging.INFO):
        mix = build_mix([replace(part, min_motion=0.012)], [-1, 1], (64, 96))
    assert [line.frame for line in mix.datasets[0].reader.targets] == [3, 4, 9, 12, 13, 14, 15, 16]
    assert "4 of 12 frames left out: 0 without a source, 4 still" in caplog.text
    assert torch.equal(mix[2]["target"], load_image(left(part, 9), (64, 96)))
    # Stereo alone learns from a standing camera, too.
    assert len(build_mix([replace(part, min_motion=0.012)], ["s"], (64, 96))) == 12
    with pytest.raises(InputError, match="none of 12 frames is left, 0 have no source, 12 differ"):
        build_mix([replace(part, min_motion=1.0)], [-1, 1], (64, 96))


def test_the_threshold_separates_slow_motion_from_standing_still(shared, tmp_path):
    folder = shared / "kitti-mini" / "odometry" / "sequences" / "03" / "image_0"
    files = sorted(folder.iterdir())[-15:]  # 4 to 10 cm a frame
    grey = [small_grey(file, MOTION_SIZE) for file in files]
    assert min(map(motion, grey, grey[1:])) > 0.024
    random, again = np.random.default_rng(0), tmp_path / "again.jpg"
    for file, first in zip(files, grey, strict=True):
        noisy = np.asarray(Image.open(file), dtype=np.float32) * 1.05
        Image.fromarray(np.clip(noisy + random.normal(0, 5, noisy.shape), 0, 255).astype(np.uint8)).save(again)
        assert motion(first, small_grey(again, MOTION_SIZE)) < 0.008
