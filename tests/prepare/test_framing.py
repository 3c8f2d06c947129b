"""Tests of prepare/framing.py.

Framing undoes distortion, crops or letterboxes, and K follows.
"""

import numpy as np
import pytest

pytest.importorskip("cv2", reason="preparing videos needs OpenCV")

import cv2

from hrdepth.errors import InputError
from hrdepth.prepare.framing import Framing
from hrdepth.prepare.lens import Lens

K = np.array([[500.0, 0, 321.5], [0, 510.0, 239.5], [0, 0, 1]])


@pytest.mark.parametrize("k1", [-0.6, -1.5])
def test_a_distortion_that_folds_the_image_is_refused(k1):
    """Such a polynomial turns back before the image's border."""
    with pytest.raises(InputError, match="the camera: its distortion folds .*% of the image"):
        Framing(
            Lens(np.array([[371.5, 0, 319.5], [0, 371.5, 95.5], [0, 0, 1]]), (192, 640), "brown", (k1, 0, 0, 0)), None
        )


@pytest.mark.parametrize(
    ("model", "distortion"), [("brown", (-0.25, 0.06, 0.001, 0.0, 0.0)), ("fisheye", (0.05, 0.01, 0, 0))]
)
@pytest.mark.parametrize(("size", "fit"), [((320, 640), "crop"), ((480, 480), "letterbox"), (None, "crop")])
def test_a_point_lies_where_the_new_k_says(model, distortion, size, fit):
    """Dots drawn through lens and distortion are found, in the frame, where a pinhole with its K puts them."""
    lens = Lens(K, (480, 640), model, distortion)
    framing = Framing(lens, size, fit)
    rays = np.array([[[0.1, 0.12], [-0.2, -0.1], [0.25, -0.12]]])
    coefficients = np.array(distortion)
    if model == "fisheye":
        seen = cv2.fisheye.distortPoints(rays, K, coefficients)[0]
    else:
        points = np.concatenate([rays[0], np.ones((3, 1))], axis=1)
        seen = cv2.projectPoints(points, np.zeros(3), np.zeros(3), K, coefficients)[0][:, 0]
    for ray, (x, y) in zip(rays[0], seen, strict=True):
        rows, columns = np.mgrid[:480, :640]
        dot = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * 4.0**2))
        frame = framing.apply(np.repeat((255 * dot).astype(np.uint8)[..., None], 3, axis=2))[..., 0].astype(float)
        rows, columns = np.mgrid[: frame.shape[0], : frame.shape[1]]
        found = np.array([(columns * frame).sum(), (rows * frame).sum()]) / frame.sum()
        expected = (framing.intrinsics @ [*ray, 1])[:2]
        np.testing.assert_allclose(found, expected, atol=0.7)
    assert framing.intrinsics[0, 0] / framing.intrinsics[1, 1] == pytest.approx(500 / 510, rel=0.01)
