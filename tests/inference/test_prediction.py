"""Tests of inference/prediction.py.

How a prediction shows itself: in a notebook, and on the terminal.
"""

import io

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from hrdepth.inference.prediction import SHOWN_WIDTH, Prediction
from hrdepth.inference.predictor import Predictor
from hrdepth.io.visualize import panel


def prediction(height=20, width=30, **more):
    disparity = np.linspace(0, 1, height * width, dtype=np.float32).reshape(height, width)
    return Prediction(disparity, np.full((height, width, 3), 90, np.uint8), **more)


def terminal_text(made):
    console = Console(record=True, width=120, file=io.StringIO())
    console.print(made)
    return console.export_text()


def test_a_notebook_shows_image_and_disparity():
    made = prediction()
    shown = np.asarray(Image.open(io.BytesIO(made._repr_png_())))
    np.testing.assert_array_equal(shown, panel(made.image, made.scaled_disparity))


def test_a_large_image_is_made_smaller_for_a_notebook():
    with Image.open(io.BytesIO(prediction(300, 1200)._repr_png_())) as image:
        assert image.format == "PNG"
        assert image.width == SHOWN_WIDTH


def test_the_table_shows_size_depth_unit_runtime_and_time():
    made = prediction(metres_per_unit=2.0, runtime="openvino, int8", seconds=0.0421)
    low, middle, high = 2 * np.percentile(made.depth, (5, 50, 95))
    text = terminal_text(made)
    assert "30 x 20" in text
    assert f"{low:.3g} to {high:.3g} m, median {middle:.3g} m" in text
    assert "metres = depth x 2" in text
    assert "openvino, int8" in text
    assert "42 ms" in text


def test_unknown_values_are_left_out_of_the_table():
    text = terminal_text(prediction())
    assert "up to scale" in text
    assert "runtime" not in text
    assert "time" not in text


def test_a_prediction_has_its_runtime_and_time():
    made = Predictor(lambda image: {0: image[:, :1]}, size=(32, 64))(np.zeros((50, 80, 3), np.uint8))
    assert made.runtime == "pytorch, float32"
    assert 0 < made.seconds < 60
    assert "80 x 50" in terminal_text(made)


@pytest.mark.parametrize("name", ["disparity", "depth", "scaled_disparity"])
def test_arrays_have_the_images_size(name):
    assert getattr(prediction(), name).shape == (20, 30)
