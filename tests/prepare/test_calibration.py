"""Tests of prepare/calibration.py.

Calibration files of four tools, EXIF, fields of view.
"""

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("cv2", reason="preparing videos needs OpenCV")

import cv2

from hrdepth.errors import InputError
from hrdepth.prepare.calibration import choose_camera, read_calibration

K = np.array([[500.0, 0, 321.5], [0, 510.0, 239.5], [0, 0, 1]])
ROS = """
image_width: 640
image_height: 480
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [500, 0, 321.5, 0, 510, 239.5, 0, 0, 1]}
distortion_model: %s
distortion_coefficients: {rows: 1, cols: %d, data: %s}
"""
FILES = {
    "calib_cam_to_cam.txt": ("S_rect_02: 6.4e+02 4.8e+02\nP_rect_02: 500 0 321.5 4 0 510 239.5 0 0 0 1 0\n",
                             "pinhole", ()),
    "cameras.txt": ("# Camera list\n1 OPENCV 640 480 500 510 322 240 -0.2 0.05 0.001 0.002\n", "brown",
                    (-0.2, 0.05, 0.001, 0.002)),
    "simple.txt": ("1 SIMPLE_RADIAL 640 480 500 322 240 -0.1\n", "brown", (-0.1, 0, 0, 0)),
    "camera_info.yaml": (ROS % ("plumb_bob", 5, "[-0.2, 0.05, 0.001, 0.002, 0]"), "brown",
                         (-0.2, 0.05, 0.001, 0.002, 0.0)),
    "fisheye.yaml": (ROS % ("equidistant", 4, "[0.01, 0.02, 0, 0]"), "fisheye", (0.01, 0.02, 0.0, 0.0)),
    "camera.yaml": ("width: 640\nheight: 480\nfx: 500\nfy: 510\ncx: 321.5\ncy: 239.5\n", "pinhole", ()),
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_each_format_is_recognised(name, tmp_path):
    text, model, distortion = FILES[name]
    (tmp_path / name).write_text(text)
    lens = read_calibration(tmp_path / name)
    square = name == "simple.txt"
    np.testing.assert_allclose(
        lens.intrinsics, K if not square else np.array([[500, 0, 321.5], [0, 500, 239.5], [0, 0, 1]])
    )
    assert (lens.size, lens.model, lens.distortion) == ((480, 640), model, distortion)


def test_an_opencv_calibration_is_read(tmp_path):
    storage = cv2.FileStorage(str(tmp_path / "c.yml"), cv2.FILE_STORAGE_WRITE)
    for key, value in (("image_width", 640), ("image_height", 480), ("camera_matrix", K),
                       ("distortion_coefficients", np.array([[-0.2, 0.05, 0, 0, 0.01]]))):  # fmt: skip
        storage.write(key, value)
    storage.release()
    lens = read_calibration(tmp_path / "c.yml")
    np.testing.assert_allclose(lens.intrinsics, K)
    assert (lens.size, lens.distortion) == ((480, 640), (-0.2, 0.05, 0, 0, 0.01))


def test_odometry_calibration_has_no_size_and_several_cameras(tmp_path):
    (tmp_path / "calib.txt").write_text("P0: 400 0 300 0 0 400 90 0 0 0 1 0\nP2: 500 0 300 0 0 510 90 0 0 0 1 0\n")
    assert read_calibration(tmp_path / "calib.txt").intrinsics[1, 1] == 510
    assert read_calibration(tmp_path / "calib.txt", "0").size is None
    with pytest.raises(InputError, match="no camera 3"):
        read_calibration(tmp_path / "calib.txt", "3")


@pytest.mark.parametrize("text", ["hello\n", "{}", "camera_matrix: [1, 2]\n", "a: [\n", ROS % ("omni", 4, "[1,2,3,4]")])
def test_unknown_calibration_files_are_refused(text, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=r"x\.yaml"):
        read_calibration(tmp_path / "x.yaml")


def test_a_calibration_scales_to_the_image_size_but_not_to_another_shape(tmp_path):
    (tmp_path / "c.yaml").write_text(FILES["camera.yaml"][0])
    half = choose_camera(tmp_path, (240, 320), str(tmp_path / "c.yaml"), None)
    np.testing.assert_allclose(half.intrinsics[[0, 1], [0, 1]], (250, 255))
    with pytest.raises(InputError, match="held upright as in the video"):
        choose_camera(tmp_path, (640, 480), str(tmp_path / "c.yaml"), None)


def test_the_focal_length_is_read_from_exif(tmp_path):
    image = Image.new("RGB", (360, 240))
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA405] = 36  # on 35 mm film, 36 mm wide, that is as long as the image is wide
    image.save(tmp_path / "a.jpg", exif=exif)
    lens = choose_camera(tmp_path, (240, 360), "auto", None)
    assert lens.intrinsics[0, 0] == pytest.approx(360)
    assert not lens.learn
