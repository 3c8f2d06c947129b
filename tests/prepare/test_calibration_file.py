"""Tests of prepare/calibration_file.py.

Calibration files of four tools: each entry is used, irrelevant, or refused by its name.
"""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("cv2", reason="preparing videos needs OpenCV")

import cv2

from hrdepth.errors import InputError
from hrdepth.prepare.calibration_file import read_calibration
from hrdepth.prepare.framing import Framing

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


@pytest.mark.parametrize("size", ["0 0", "-640 480"])
def test_a_size_that_is_not_positive_is_refused(size, tmp_path):
    (tmp_path / "calib.txt").write_text(f"S_rect_02: {size}\nP_rect_02: 500 0 321.5 4 0 510 239.5 0 0 0 1 0\n")
    with pytest.raises(InputError, match="of its images must be positive"):
        read_calibration(tmp_path / "calib.txt")


@pytest.mark.parametrize("text", ["hello\n", "{}", "camera_matrix: [1, 2]\n", "a: [\n", ROS % ("omni", 4, "[1,2,3,4]")])
def test_unknown_calibration_files_are_refused(text, tmp_path):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(InputError, match=r"x\.yaml"):
        read_calibration(tmp_path / "x.yaml")


PLAIN = "image_width: 640\nimage_height: 480\ncamera_matrix: [[500, 0, 321.5], [0, 510, 239.5], [0, 0, 1]]\n"
ALONE = FILES["camera.yaml"][0]


@pytest.mark.parametrize(
    "text",
    [
        *(f"{PLAIN}{key}: [[-0.28, 0.07, 0, 0, 0]]\n" for key in ("dist_coeff", "dist_coefs", "dist", "distCoeffs",
                                                                        "distortion", "DistCoeff", "d", "D")),
        ALONE + "k1: -0.28\nk2: 0.07\n",
        ALONE + "distortion_coefficients: [-0.28, 0.07, 0, 0]\n",
        ALONE + "distortion: {k1: -0.28, k2: 0.07}\n",
        PLAIN + "k1: -0.28\nk2: 0.07\np1: 0\np2: 0\nk3: 0\n",
        PLAIN.replace("camera_matrix", "mtx") + "ret: 0.3\ndist: [-0.28, 0.07, 0, 0, 0]\nrvecs: [1]\ntvecs: [2]\n",
    ],
)  # fmt: skip
def test_distortion_is_found_under_every_usual_key(text, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    lens = read_calibration(tmp_path / "c.yaml")
    assert lens.model == "brown"
    assert lens.distortion[:2] == (-0.28, 0.07)
    assert not any(lens.distortion[2:])
    assert len(lens.distortion) in (4, 5)
    np.testing.assert_allclose(lens.intrinsics, K)


def test_python_and_opencv_spellings_give_the_same_frames(shared):
    lenses = [read_calibration(shared / "cases" / name) for name in ("opencv.yml", "tutorial_dist_coeff.yaml")]
    for lens in lenses:
        framing = Framing(replace(lens, size=(192, 320)), None)
        assert framing.intrinsics[0, 0] == pytest.approx(186.2, abs=0.05)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        (PLAIN + "radial: [-0.28, 0.07]\n", "'radial'"),
        (PLAIN + "RadialDistortion: [-0.28, 0.07]\n", "'RadialDistortion'"),
        (ALONE + "w1: 0.9\n", "'w1'"),
        (ALONE + "K1: 0.1\n", "'K1'"),
        (ALONE + "P1: 0.01\nP2: 0.02\n", "'P1', 'P2'"),
        (ALONE.replace("500", ".nan"), "positive numbers"),
        (ALONE + "distortion: {omega: 0.9}\n", "'distortion.omega'"),
        (ALONE + "distortion_model: equidistant\nk1: 0.1\np1: 0.1\n", "'p1'"),
        (ALONE + "crop: [0, 0, 320, 240]\n", "'crop'"),
        (ALONE + "roi: {x_offset: 1, y_offset: 1, width: 320, height: 240, angle: 1}\n", r"'roi\.angle'"),
        (ALONE + "k1: 0.1\nk2: 0.1\nk3: 0.1\nk4: 0.1\n", "has k4"),
        (ALONE + "fx: 400\n", "'fx' is given twice"),
        (PLAIN + "fx: 400\nfy: 510\ncx: 321.5\ncy: 239.5\n", "'camera_matrix' and fx, fy, cx, cy differ"),
        (PLAIN + "dist: [0.1, 0, 0, 0]\nD: [0.2, 0, 0, 0]\n", "dist and D differ"),
        (PLAIN + "dist: [0.1, 0, 0, 0]\nk1: 0.2\n", "dist and k1 both"),
        (PLAIN + "dist: [0.1, 0]\n", "'dist' has 2 numbers"),
        (PLAIN + "dist: [.nan, 0, 0, 0]\n", "must be finite"),
        (PLAIN + "dist: [0.1, 0, 0, 0]\ndistortion_model: none\n", "'none'"),
        (PLAIN + "distortion_model: inverse_brown_conrady\n", "inverse_brown_conrady"),
        (PLAIN + "distortion_model: equidistant\nD: []\n", "has 0 numbers, where there are 4"),
        (PLAIN + "height: 240\nwidth: 320\n", "different sizes"),
        (PLAIN.replace("image_width: 640", ""), "height and width"),
        (PLAIN.replace("500, 0,", "500, 20,"), "without skew"),
        (PLAIN.replace("0, 0, 1]]", "0, 0, 0]]"), "camera matrix must be"),
        (PLAIN.replace("500", "0").replace("510", "0"), "not calibrated"),
        (PLAIN.replace("500", ".nan"), "positive numbers"),
        (ALONE + "roi: {x_offset: 400, y_offset: 1, width: 320, height: 240}\n", "beyond the 640x480"),
        ("1 PINHOLE 640 480 500 510 322 240\n2 FOV 640 480 500 510 322 240 0.9\n", "set --camera"),
        ("2 FOV 640 480 500 510 322 240 0.9\n", "FOV"),
        ("P2: 500 0 300 0 0 510 90 0 0 0 1 0\nD_rect_02: 0.1 0 0 0 0\n", "D_rect_02"),
        ("P2: 0 0 0 0 0 0 0 0 0 0 0 0\n", "positive numbers"),
        (ALONE.replace("cx: 321.5", "cx: .nan"), "principal point"),
        (ALONE.replace("500", "true"), "true is no number"),
        (ALONE.replace("640", "640.5"), "'width' must be a whole number"),
        (ALONE + "binning_x: -2\nbinning_y: -2\n", "binning -2x-2"),
        (ALONE + "image_size: [480, 640, 3]\n", "must be .width, height."),
        (ALONE + "image_size: 1280x960\n", "different sizes"),
        (ALONE.replace("500", "8:20"), "8:20"),
    ],
)
def test_an_entry_that_is_not_understood_is_refused_by_its_name(text, key, tmp_path):
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises(InputError, match=key) as caught:
        read_calibration(tmp_path / "c.yaml")
    assert "c.yaml" in str(caught.value)


@pytest.mark.parametrize("text", [
    ROS % ("equidistant", 4, "[0, 0, 0, 0]"),
    PLAIN + "fisheye_model: 1\ndist: [0, 0, 0, 0]\n",
    ALONE + "camera_model: OPENCV_FISHEYE\nk1: 0\nk2: 0\nk3: 0\nk4: 0\n",
    "1 OPENCV_FISHEYE 640 480 500 510 322 240 0 0 0 0\n",
])  # fmt: skip
def test_a_fisheye_without_coefficients_is_no_pinhole(text, tmp_path):
    """At zero coefficients a point lies at fx x angle, and 40 degrees off axis at 0.698 fx instead of 0.839 fx."""
    (tmp_path / "c.yaml").write_text(text)
    lens = read_calibration(tmp_path / "c.yaml")
    assert (lens.model, lens.distortion) == ("fisheye", (0, 0, 0, 0))
    framing = Framing(lens, None)
    # Of an equidistant image, the view in which all was seen has a shorter focal length in its middle.
    angle = np.radians(25)
    image = np.zeros((480, 640, 3), np.uint8)
    column = round(321.5 + 500 * angle)
    image[:, column - 1 : column + 2] = 255
    frame = framing.apply(image)[240, :, 0].astype(float)
    found = (frame * np.arange(len(frame))).sum() / frame.sum()
    expected = framing.intrinsics[0, 2] + framing.intrinsics[0, 0] * np.tan(angle)
    assert found == pytest.approx(expected, abs=1.5)


def test_echoed_messages_are_read(tmp_path):
    """`rostopic echo` ends each message with ---; equal ones are one camera."""
    message = (
        'header: \n  seq: %d\n  frame_id: "cam"\nheight: 480\nwidth: 640\ndistortion_model: "plumb_bob"\n'
        "D: [-0.2, 0.05, 0.001, 0.002, 0.0]\nK: [500.0, 0.0, %s, 0.0, 510.0, 239.5, 0.0, 0.0, 1.0]\n"
        "R: [1.0, 0, 0, 0, 1, 0, 0, 0, 1]\nbinning_x: 0\nbinning_y: 0\n---\n"
    )
    for text in (message % (1, 321.5), message % (1, 321.5) + message % (2, 321.5)):
        (tmp_path / "c.yaml").write_text(text)
        lens = read_calibration(tmp_path / "c.yaml")
        np.testing.assert_allclose(lens.intrinsics, K)
        assert lens.distortion == (-0.2, 0.05, 0.001, 0.002, 0)
    (tmp_path / "c.yaml").write_text(message % (1, 321.5) + message % (2, 300))
    with pytest.raises(InputError, match="2 messages of different cameras"):
        read_calibration(tmp_path / "c.yaml")


@pytest.mark.parametrize(
    ("entry", "same"), [("width: 640", "width: 0640"), ("fx: 500", "fx: 0500"), ("cx: 321.5", "cx: '321.5'"),
                        ("height: 480\n", "height: 480\nimage_size: 640x480\n")]
)  # fmt: skip
def test_numbers_are_decimal_and_may_be_text(entry, same, tmp_path):
    """YAML 1.1 reads 0640 as 416."""
    assert entry in ALONE
    (tmp_path / "c.yaml").write_text(ALONE.replace(entry, same))
    lens = read_calibration(tmp_path / "c.yaml")
    assert lens.size == (480, 640)
    assert lens.intrinsics.tolist() == [[500, 0, 321.5], [0, 510, 239.5], [0, 0, 1]]


def test_a_stereo_file_has_two_cameras(tmp_path):
    (tmp_path / "c.yml").write_text(
        "%YAML:1.0\n---\nM1: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n"
        "   data: [500, 0, 321.5, 0, 510, 239.5, 0, 0, 1]\nD1: [0.1, 0, 0, 0, 0]\n"
        "M2: [400, 0, 321.5, 0, 410, 239.5, 0, 0, 1]\nD2: [0.2, 0, 0, 0, 0]\nP1: !!opencv-matrix\n   data: [1]\n"
    )
    assert read_calibration(tmp_path / "c.yml").intrinsics[0, 0] == 500
    second = read_calibration(tmp_path / "c.yml", "2")
    assert (second.intrinsics[0, 0], second.distortion[0]) == (400, 0.2)
    with pytest.raises(InputError, match="no camera 3"):
        read_calibration(tmp_path / "c.yml", "3")


def test_a_camera_to_be_learned_stays_one(tmp_path):
    (tmp_path / "camera.yaml").write_text(ALONE + "learn: true\nsource: a phone\nbaseline: 0.5\n")
    assert read_calibration(tmp_path / "camera.yaml").learn
