"""Tests of inference/predictor.py.

From an image to a Prediction: sizes, formats, the depth formula, flip blending, bad input.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from hrdepth.errors import InputError
from hrdepth.inference.predictor import Prediction, Predictor, blend_flipped
from tiny_networks import NETWORK

RAMP = np.tile(np.linspace(0, 255, 96).astype(np.uint8)[None, :, None], (64, 1, 3))  # bright at the right


class Brightness(nn.Module):
    """A network whose disparity is the image's red channel, with a parameter that has a device."""

    stride = 32

    def __init__(self, min_depth: float = 0.1, max_depth: float = 100.0) -> None:
        super().__init__()
        self.min_depth, self.max_depth = min_depth, max_depth
        self.gain = nn.Parameter(torch.ones(()))
        self.seen: Tensor = torch.empty(0)

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        self.seen = image
        assert not torch.is_grad_enabled()
        assert not self.training
        return {0: image[:, :1] * self.gain, 1: image[:, :1, ::2, ::2]}


class LeftBlind(Brightness):
    """A network that sees nothing in the leftmost quarter."""

    def forward(self, image: Tensor) -> dict[int, Tensor]:
        disparity = super().forward(image)[0].clone()
        disparity[..., : disparity.shape[-1] // 4] = 0
        return {0: disparity}


@pytest.fixture
def network() -> Brightness:
    return Brightness()


def test_prediction_has_the_images_size(network: Brightness) -> None:
    prediction = Predictor(network, (32, 64), device="cpu")(RAMP)
    assert network.seen.shape == (1, 3, 32, 64)
    assert 0 <= network.seen.min() < network.seen.max() <= 1
    assert prediction.disparity.shape == prediction.depth.shape == prediction.image.shape[:2] == (64, 96)
    assert prediction.disparity.dtype == prediction.depth.dtype == np.float32
    assert prediction.image.dtype == np.uint8
    assert np.array_equal(prediction.image, RAMP)
    # Resizing there and back moves nothing: the ramp stays where it was, to a part of a pixel.
    assert np.abs(prediction.disparity - RAMP[:, :, 0] / 255).max() < 0.01


def test_disparity_is_resized_about_pixel_centres() -> None:
    columns = torch.arange(64.0).expand(1, 1, 32, 64) / 64
    prediction = Predictor(lambda _: {0: columns}, (32, 64))(RAMP)
    expected = np.clip((np.arange(96) + 0.5) * 64 / 96 - 0.5, 0, 63) / 64
    np.testing.assert_allclose(prediction.disparity, np.tile(expected, (64, 1)), atol=1e-6)


def test_depth_follows_the_disparity_formula(network: Brightness) -> None:
    prediction = Predictor(network, (32, 64), device="cpu")(RAMP)
    expected = 1 / (0.01 + 9.99 * prediction.disparity.astype(np.float64))
    np.testing.assert_allclose(prediction.depth, expected, rtol=1e-6)
    np.testing.assert_allclose(prediction.scaled_disparity, 1 / expected, rtol=1e-6)
    ends = Prediction(np.array([[0, 1]], np.float32), RAMP[:1, :2], min_depth=2, max_depth=50)
    np.testing.assert_allclose(ends.depth, [[50, 2]], rtol=1e-6)


def test_range_comes_from_the_network() -> None:
    assert Predictor(Brightness(1, 80), (32, 32), device="cpu")(RAMP).max_depth == 80
    given = Predictor(Brightness(1, 80), (32, 32), 0.5, 40, device="cpu")
    assert (given.min_depth, given.max_depth) == (0.5, 40)
    plain = Predictor(lambda image: {0: image[:, :1]}, (32, 32))
    assert (plain.min_depth, plain.max_depth) == (0.1, 100)


def test_depth_in_metres_needs_a_known_factor(network: Brightness) -> None:
    unknown = Predictor(network, (32, 64), device="cpu")(RAMP)
    assert unknown.metres_per_unit is None
    assert "up to scale" in unknown.scale
    with pytest.raises(InputError, match="up to scale"):
        _ = unknown.depth_metres
    known = Predictor(network, (32, 64), metres_per_unit=5.4, device="cpu")(RAMP)
    np.testing.assert_allclose(known.depth_metres, 5.4 * known.depth, rtol=1e-6)
    assert known.scale == "metres = depth x 5.4"
    assert Predictor(network, (32, 64), metres_per_unit=1.0, device="cpu")(RAMP).scale == "metres"


def test_every_kind_of_image_gives_the_same(network: Brightness, tmp_path: Path) -> None:
    Image.fromarray(RAMP).save(tmp_path / "a.png")
    predict = Predictor(network, (32, 64), device="cpu")
    expected = predict(RAMP).disparity
    opaque = np.concatenate([RAMP, np.full_like(RAMP[:, :, :1], 255)], axis=2)
    kinds = {
        "path": tmp_path / "a.png",
        "text": str(tmp_path / "a.png"),
        "Pillow": Image.fromarray(RAMP),
        "Pillow, grey": Image.fromarray(RAMP[:, :, 0]),
        "float": RAMP.astype(np.float32) / 255,
        "grey": RAMP[:, :, 0],
        "grey with an axis": RAMP[:, :, :1],
        "16-bit": RAMP.astype(np.uint16) * 257,
        "with alpha": opaque,
        "not contiguous": np.asfortranarray(RAMP),
    }
    for name, image in kinds.items():
        assert np.array_equal(predict(image).disparity, expected), name


def test_the_prediction_has_the_given_intrinsics(network: Brightness) -> None:
    predict = Predictor(network, (32, 64), device="cpu")
    matrix = [[100, 0, 48], [0, 100, 32], [0, 0, 1]]
    assert predict(RAMP).intrinsics is None
    assert predict(RAMP, intrinsics=matrix).intrinsics.tolist() == matrix
    for bad, sentence in (
        (np.eye(4), "must be a \\(3,3\\) matrix"),
        (np.full((3, 3), np.nan), "must be finite"),
        ("K", "must be a \\(3,3\\) matrix of numbers"),
        (np.transpose(matrix), "are they transposed"),
        (2 * np.array(matrix), "must read"),
        ([[100, 0, 5000], [0, 100, 32], [0, 0, 1]], "principal point .* far outside the 96x64 image"),
    ):
        with pytest.raises(InputError, match=sentence):
            predict(RAMP, bad)
    with pytest.raises(InputError, match="2 images need as many intrinsics, not 1"):
        predict.predict_batch([RAMP, RAMP], [None])


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (lambda image: image[:, :1], "a mapping"),
        (lambda image: {0: image[:, 0]}, r"must be \(B,1,h,w\), not of shape \(1, 32, 64\)"),
        (lambda image: {0: image}, r"must be \(B,1,h,w\)"),
        (lambda image: {0: image[:, :1] * 9 - 4}, r"must lie in \[0,1\], after a sigmoid; it has -4 to 4.9"),
    ],
)
def test_what_a_callable_returns_is_checked(output, sentence: str) -> None:
    with pytest.raises(InputError, match=sentence):
        Predictor(output, (32, 64), device="cpu")(RAMP)


@pytest.mark.parametrize("size", [64, (64,), "64x96", (64.5, 96)])
def test_a_size_has_two_whole_numbers(network: Brightness, size) -> None:
    with pytest.raises(InputError, match="must be two whole numbers"):
        Predictor(network, size)


def test_factors_and_images_of_other_numeric_types_are_taken(network: Brightness) -> None:
    predict = Predictor(network, (32, 64), metres_per_unit=np.float32(5.5), device="cpu")
    assert type(predict.metres_per_unit) is float
    wide = RAMP.astype(">u2") * 257
    np.testing.assert_array_equal(predict(wide).disparity, predict(RAMP).disparity)


def test_scaled_disparity_is_returned_at_network_size(network: Brightness) -> None:
    predict = Predictor(network, (32, 64), device="cpu")
    scaled = predict.scaled_disparity(RAMP)
    assert (scaled.shape, scaled.dtype) == ((32, 64), np.float32)
    np.testing.assert_allclose(scaled, 0.01 + 9.99 * network.seen[0, 0].numpy(), rtol=1e-6)


def test_flip_fills_the_blind_border() -> None:
    white = np.full((64, 96, 3), 255, np.uint8)
    left, right = Predictor(LeftBlind(), (32, 64), device="cpu").disparities_with_flip(white)
    assert left.shape == right.shape == (32, 64)
    assert (left[:, :16] == 0).all()
    assert (left[:, 16:] == 1).all()
    assert np.array_equal(right, left[:, ::-1])
    plain = Predictor(LeftBlind(), (32, 64), device="cpu").scaled_disparity(white)
    blended = Predictor(LeftBlind(), (32, 64), device="cpu", flip=True).scaled_disparity(white)
    assert plain[:, 0].max() < 0.02
    assert blended[:, 0].min() > 9.9
    assert np.array_equal(blended, np.float32(0.01) + np.float32(10 - 0.01) * blend_flipped(left, right))


def test_flip_blending_does_not_change_a_symmetric_network(network: Brightness) -> None:
    plain = Predictor(network, (32, 64), device="cpu")(RAMP).disparity
    flipped = Predictor(network, (32, 64), device="cpu", flip=True)(RAMP).disparity
    np.testing.assert_allclose(flipped, plain, atol=1e-6)


def test_blend_agrees_with_the_reference(shared: Path) -> None:
    with np.load(shared / "parity" / "eigen_metrics.npz") as reference:
        blend = blend_flipped(reference["flip_left"], reference["flip_right"])
        assert blend.dtype == np.float32
        np.testing.assert_allclose(blend, reference["flip_blend"], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("size", [(33, 64), (32, 100), (0, 64), (16, 64)])
def test_size_must_fit_the_network(network: Brightness, size: tuple[int, int]) -> None:
    with pytest.raises(InputError, match="multiples of 32"):
        Predictor(network, size)


def test_size_error_suggests_the_nearest(network: Brightness) -> None:
    with pytest.raises(InputError, match="such as 192x640"):
        Predictor(network, (190, 650))


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((3, 64, 96), np.uint8), "shape"),
        (np.zeros((64,), np.uint8), "shape"),
        (np.zeros((0, 64, 3), np.uint8), "shape"),
        (np.full((64, 96, 3), 255.0), "divide"),
        (np.full((64, 96, 3), np.nan), "must lie in"),
        (np.zeros((64, 96, 3), np.int64), "int64"),
    ],
)
def test_bad_images_are_refused(network: Brightness, image: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Predictor(network, (32, 64), device="cpu")(image)


def test_bad_path_is_named(network: Brightness, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.jpg"):
        Predictor(network, (32, 64), device="cpu")(tmp_path / "none.jpg")


def test_a_network_that_outputs_nan_is_named() -> None:
    with pytest.raises(InputError, match="not finite"):
        Predictor(lambda image: {0: image[:, :1] * float("nan")}, (32, 64))(RAMP)


def test_an_invalid_depth_range_is_refused(network: Brightness) -> None:
    with pytest.raises(InputError, match="depth range"):
        Predictor(network, (32, 64), min_depth=10, max_depth=1)


def test_from_file_restores_size_and_scale(tmp_path: Path) -> None:
    from hrdepth.networks import build_network
    from hrdepth.weights.checkpoint import save_checkpoint

    torch.manual_seed(0)
    network = build_network(NETWORK).eval()
    save_checkpoint(tmp_path / "net.safetensors", network, NETWORK, size=(64, 96), metres_per_unit=5.4)
    predict = Predictor.from_file(tmp_path / "net.safetensors", device="cpu")
    assert predict.size == (64, 96)
    assert predict(RAMP).metres_per_unit == 5.4
    expected = Predictor(network, (64, 96), device="cpu")(RAMP)
    np.testing.assert_allclose(predict(RAMP).disparity, expected.disparity, atol=1e-6)
    assert Predictor.from_file(tmp_path / "net.safetensors", size=(96, 64), device="cpu").size == (96, 64)
    with pytest.raises(InputError, match="multiples"):
        Predictor.from_file(tmp_path / "net.safetensors", size=(50, 96))
