"""Tests of io/visualize.py.

Colours: near is bright, nothing is black or NaN by accident, a video does not flicker.
"""

from __future__ import annotations

import numpy as np
import pytest

from hrdepth.errors import InputError
from hrdepth.io.visualize import (
    COLOUR_MAPS,
    NO_VALUE,
    StableRange,
    colorize_disparity,
    colorize_error,
    disparity_range,
    panel,
    side_by_side,
)


def brightness(image: np.ndarray) -> np.ndarray:
    return image.astype(float) @ [0.2126, 0.7152, 0.0722]


def test_near_is_bright() -> None:
    disparity = np.tile(np.linspace(0.01, 0.5, 64), (8, 1))  # near at the right
    rows = brightness(colorize_disparity(disparity))
    assert (np.diff(rows[0]) >= -1).all()
    assert rows[0, -1] > 220
    assert rows[0, 0] < 10


@pytest.mark.parametrize("cmap", [*COLOUR_MAPS, "hot"])  # stored ones, and one that matplotlib alone has
def test_colours_are_matplotlibs(cmap: str) -> None:
    from matplotlib import colormaps

    image = colorize_disparity(np.linspace(0.0, 1.0, 256)[None], vmin=0, vmax=1, cmap=cmap)
    expected = [colormaps[cmap](index, bytes=True)[:3] for index in range(256)]
    assert image[0].tolist() == [list(map(int, colour)) for colour in expected]


@pytest.mark.parametrize("value", [0.0, 0.5, 1.0, 1e-8, -3.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_constant_disparity_has_the_middle_colour(value: float, dtype: type) -> None:
    with np.errstate(all="raise"):
        image = colorize_disparity(np.full((4, 5), value, dtype=dtype))
    assert image.dtype == np.uint8
    assert (image == image[0, 0]).all()
    assert 30 < brightness(image)[0, 0] < 200


def test_rounding_noise_is_not_stretched() -> None:
    noisy = np.float32(0.5) + np.finfo(np.float32).eps * np.random.default_rng(0).integers(0, 3, (8, 8))
    assert len(np.unique(colorize_disparity(noisy).reshape(-1, 3), axis=0)) == 1


def test_a_few_near_pixels_do_not_darken_the_rest() -> None:
    disparity = np.tile(np.linspace(0, 0.1, 100), (100, 1))
    spiked = disparity.copy()
    spiked[0, :10] = 1.0
    calm, robust = (brightness(colorize_disparity(d))[50] for d in (disparity, spiked))
    assert np.abs(calm - robust).max() < 5
    assert brightness(colorize_disparity(spiked, vmax=1.0))[50].max() < 20  # what it would be without


def test_no_value_is_grey() -> None:
    disparity = np.array([[0.1, np.nan, np.inf, 0.9]])
    assert disparity_range(disparity) == (0.1, pytest.approx(0.86))
    with np.errstate(all="raise"):
        image = colorize_disparity(disparity)
        nothing = colorize_disparity(np.full((2, 2), np.nan))
    assert image[0, 1].tolist() == image[0, 2].tolist() == list(NO_VALUE)
    assert image[0, 0].tolist() != list(NO_VALUE)
    assert (nothing == NO_VALUE).all()


def test_an_unknown_colour_map_is_refused() -> None:
    with pytest.raises(InputError, match="magmaa"):
        colorize_disparity(np.ones((2, 2)), cmap="magmaa")


def test_error_grows_brighter_from_zero() -> None:
    error = np.array([[0.0, 1.0, 2.0, np.nan]])
    rows = brightness(colorize_error(error, vmax=2.0))[0]
    assert rows[0] < rows[1] < rows[2]
    # The colours start at zero, not at the smallest error of the image.
    assert colorize_error(error + 1, vmax=2.0)[0, 0].tolist() == colorize_error(error, vmax=2.0)[0, 1].tolist()
    assert colorize_error(error)[0, 3].tolist() == list(NO_VALUE)
    assert colorize_error(np.zeros((2, 2)))[0, 0].tolist() == colorize_error(error)[0, 0].tolist()


def test_panel_has_the_image_and_its_disparity() -> None:
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    disparity = np.random.default_rng(1).random((48, 64))
    plain = panel(image, disparity, labels=None)
    assert plain.shape == (48, 128, 3)
    assert np.array_equal(plain[:, :64], image)
    assert np.array_equal(plain[:, 64:], colorize_disparity(disparity))
    labelled = panel(image, disparity)
    assert np.array_equal(labelled[-48:], plain)
    title = labelled[:-48]
    assert title[:, :64].min() < 100 < 200 < title.max()  # there is writing above
    assert title[:, 64:].min() < 100


def test_side_by_side_scales_to_the_first() -> None:
    row = side_by_side([np.zeros((10, 20, 3), np.uint8), np.full((20, 20), 255, np.uint8)])
    assert row.shape == (10, 30, 3)
    assert (row[:, 20:] == 255).all()
    with pytest.raises(ValueError, match="labels"):
        side_by_side([row], ["one", "two"])
    with pytest.raises(ValueError, match="0 images"):
        side_by_side([])


def test_stable_range_reduces_flicker() -> None:
    generator = np.random.default_rng(0)
    frames = [generator.random((20, 20)) * generator.uniform(0.5, 1.0) for _ in range(60)]
    raw = np.array([disparity_range(frame)[1] for frame in frames])
    colours = StableRange(momentum=0.9)
    smooth = np.array([colours.update(frame)[1] for frame in frames])
    assert smooth[0] == raw[0]
    assert np.abs(np.diff(smooth)).mean() < 0.2 * np.abs(np.diff(raw)).mean()
    assert smooth[30:].mean() == pytest.approx(raw.mean(), rel=0.1)  # and stays where the values are


def test_stable_range_survives_a_frame_without_values() -> None:
    colours = StableRange()
    first = colours.update(np.array([[0.1, 0.4]]))
    assert colours.update(np.full((1, 2), np.nan)) == first
    with pytest.raises(ValueError, match="momentum"):
        StableRange(1.0)
