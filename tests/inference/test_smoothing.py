"""Tests of inference/smoothing.py.

Smoothing over time, and the flicker figure.
"""

from __future__ import annotations

import numpy as np
import pytest

from hrdepth.errors import InputError
from hrdepth.inference.smoothing import Flicker, Smoother

SIZE = (64, 128)


def texture(seed=0):
    """A wide image with structure that flow can follow."""
    coarse = np.random.default_rng(seed).integers(0, 255, (16, 64), dtype=np.uint8)
    grey = np.kron(coarse, np.ones((4, 4), dtype=np.uint8))
    for axis in (0, 1):
        for _ in range(2):
            grey = ((grey.astype(int) + np.roll(grey, 1, axis)) // 2).astype(np.uint8)
    return np.repeat(grey[..., None], 3, axis=2)


def panning(count=8, step=3, noise=0.05):
    """A camera that pans over a scene: images, true disparity, trembling disparity."""
    scene, random = texture(), np.random.default_rng(1)
    truth = np.where((np.arange(scene.shape[1]) // 32) % 2, 0.6, 0.2).astype(np.float32)
    for index in range(count):
        window = slice(index * step, index * step + SIZE[1])
        true = np.tile(truth[window], (SIZE[0], 1))
        trembling = true * np.float32(1 + random.normal(0, noise))
        yield scene[:, window], true, trembling


def error(mode):
    smooth = Smoother(mode, weight=0.3)
    return np.mean([np.abs(smooth(image, trembling) - true).mean() for image, true, trembling in panning()])


def test_flow_follows_what_moves():
    pytest.importorskip("cv2", reason="needs opencv: pip install 'hrdepth[video]'")
    raw = np.mean([np.abs(trembling - true).mean() for _, true, trembling in panning()])
    assert error("flow") < 0.75 * raw
    # Each pixel with its past instead: the edges that pan through leave trails.
    assert error("exponential") > raw


def test_flicker_falls_with_smoothing():
    pytest.importorskip("cv2", reason="needs opencv: pip install 'hrdepth[video]'")
    plain, smoothed, still, smooth = Flicker(), Flicker(), Flicker(), Smoother("flow", weight=0.3)
    for image, true, trembling in panning():
        plain.update(image, trembling)
        smoothed.update(image, smooth(image, trembling))
        still.update(image, true)
    assert smoothed.value < 0.6 * plain.value
    assert still.value < 0.2 * plain.value
    assert plain.pairs == 7
    assert np.isnan(Flicker().value)


@pytest.mark.parametrize("mode", ["exponential", "flow"])
def test_smoothing_restarts_at_a_cut(mode):
    if mode == "flow":
        pytest.importorskip("cv2", reason="needs opencv: pip install 'hrdepth[video]'")
    smooth = Smoother(mode, weight=0.3)
    bright, dark = np.full((*SIZE, 3), 230, np.uint8), np.full((*SIZE, 3), 20, np.uint8)
    smooth(bright, np.zeros(SIZE, np.float32))
    assert smooth(dark, np.ones(SIZE, np.float32)).min() == 1


def test_smoothing_restarts_at_another_size():
    smooth = Smoother("exponential", weight=0.5)
    smooth(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8), np.float32))
    assert smooth(np.zeros((4, 8, 3), np.uint8), np.ones((4, 8), np.float32)).min() == 1


def test_a_weight_of_one_does_not_smooth():
    smooth = Smoother("exponential", weight=1)
    for image, _, trembling in panning(3):
        assert np.array_equal(smooth(image, trembling), trembling)


@pytest.mark.parametrize(("mode", "weight"), [("median", 0.5), ("flow", 0), ("exponential", 1.5)])
def test_wrong_settings_are_refused(mode, weight):
    with pytest.raises(InputError, match="smoothing|weight"):
        Smoother(mode, weight)
