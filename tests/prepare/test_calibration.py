"""Tests of prepare/calibration.py.

Sizes of calibrations, EXIF, fields of view.
"""

import numpy as np
import pytest
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.prepare.calibration import find_lens

CAMERA = "width: 640\nheight: 480\nfx: 500\nfy: 510\ncx: 321.5\ncy: 239.5\n"


def test_a_calibration_scales_to_the_image_size_but_not_to_another_shape(tmp_path):
    (tmp_path / "c.yaml").write_text(CAMERA)
    half = find_lens(tmp_path, (240, 320), str(tmp_path / "c.yaml"), None)
    np.testing.assert_allclose(half.intrinsics[[0, 1], [0, 1]], (250, 255))
    with pytest.raises(InputError, match="held upright as in the video"):
        find_lens(tmp_path, (640, 480), str(tmp_path / "c.yaml"), None)


def test_the_focal_length_is_read_from_exif(tmp_path):
    image = Image.new("RGB", (360, 240))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 36  # on 35 mm film, 36 mm wide, that is as long as the image is wide
    image.save(tmp_path / "a.jpg", exif=exif)
    lens = find_lens(tmp_path, (240, 360), "auto", None)
    assert lens.intrinsics[0, 0] == pytest.approx(360)
    assert not lens.learn


def test_a_matrix_that_cannot_be_of_the_images_is_refused(tmp_path):
    (tmp_path / "c.yaml").write_text("fx: 0.8\nfy: 1.0\ncx: 0.5\ncy: 0.5\n")
    with pytest.raises(InputError, match="cannot be pixels of a 640x480 image"):
        find_lens(tmp_path, (480, 640), str(tmp_path / "c.yaml"), None)
    (tmp_path / "c.yaml").write_text(CAMERA.replace("cx: 321.5", "cx: 900"))
    with pytest.raises(InputError, match="principal point"):
        find_lens(tmp_path, (480, 640), str(tmp_path / "c.yaml"), None)


def test_a_matrix_without_a_size_is_taken_for_these_images_with_a_warning(tmp_path, caplog):
    (tmp_path / "c.yaml").write_text("fx: 500\nfy: 510\ncx: 321.5\ncy: 239.5\n")
    lens = find_lens(tmp_path, (480, 640), str(tmp_path / "c.yaml"), None)
    assert lens.intrinsics[0, 2] == 321.5
    assert "names no size of images; K is taken to be in pixels of those of" in caplog.text
    for size in ((960, 1280), (280, 640)):
        with pytest.raises(InputError, match=r"principal point \(321.5, 239.5\) is not near the middle"):
            find_lens(tmp_path, size, str(tmp_path / "c.yaml"), None)


@pytest.mark.parametrize("value", [(36, 50), 0])
def test_exif_without_one_focal_length_is_no_calibration(tmp_path, value):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = value
    Image.new("RGB", (36, 24)).save(tmp_path / "a.jpg", exif=exif)
    assert find_lens(tmp_path, (24, 36), "auto", None).learn


def test_a_region_of_interest_is_no_smaller_image(tmp_path):
    """The window of 320x192 in a sensor of 640x384 has the sensor's focal length; other sizes tell nothing."""
    text = "height: 384\nwidth: 640\nK: [200, 0, 320, 0, 200, 192, 0, 0, 1]\nD: []\n%s\n"
    roi = "roi: {x_offset: 160, y_offset: 96, height: 192, width: 320, do_rectify: false}"
    (tmp_path / "c.yaml").write_text(text % roi)
    lens = find_lens(tmp_path, (192, 320), str(tmp_path / "c.yaml"), None)
    np.testing.assert_allclose(lens.intrinsics, [[200, 0, 160], [0, 200, 96], [0, 0, 1]])
    with pytest.raises(InputError, match="roi"):
        find_lens(tmp_path, (384, 640), str(tmp_path / "c.yaml"), None)
    (tmp_path / "c.yaml").write_text(text % f"{roi}\nbinning_x: 2\nbinning_y: 2")
    lens = find_lens(tmp_path, (96, 160), str(tmp_path / "c.yaml"), None)
    np.testing.assert_allclose(lens.intrinsics, [[100, 0, 80], [0, 100, 48], [0, 0, 1]])
    (tmp_path / "c.yaml").write_text(text % "binning_x: 2\nbinning_y: 1")
    lens = find_lens(tmp_path, (384, 320), str(tmp_path / "c.yaml"), None)
    np.testing.assert_allclose(lens.intrinsics, [[100, 0, 160], [0, 200, 192], [0, 0, 1]])
    (tmp_path / "c.yaml").write_text(text % "roi: {x_offset: 0, y_offset: 0, height: 0, width: 0, do_rectify: false}")
    assert find_lens(tmp_path, (192, 320), str(tmp_path / "c.yaml"), None).intrinsics[0, 0] == 100


@pytest.mark.parametrize("aspect", [0.5, 1.0, 16 / 15, 2.0])
def test_pixels_that_are_not_square_are_in_k(tmp_path, aspect):
    """The same view: as many degrees across and down, whatever the pixels' shape."""
    size = (96, 160)
    for intrinsics, fov in (("auto", 70.0), ("learn", 70.0)):
        k = find_lens(tmp_path, size, intrinsics, fov, pixel_aspect=aspect).intrinsics
        assert k[0, 0] == pytest.approx(80 / np.tan(np.radians(35)))
        assert k[1, 1] == pytest.approx(aspect * k[0, 0])
