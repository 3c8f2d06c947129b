"""Tests of synthetic/drive.py with a car ahead.

A car that keeps the camera's speed stays where it is in the image, while the street moves past.
"""

import json

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("mitsuba", reason="rendering needs mitsuba")

from hrdepth.errors import InputError
from hrdepth.synthetic import drive, render_drive

SMALL = {"frames": 3, "size": (32, 64), "stereo": False, "samples_per_pixel": 1, "progress": False}


def _once(make):
    made = []

    def first(*arguments):
        if not made:
            made.append(make(*arguments))
        return made[0]

    return first


@pytest.fixture
def one_street(monkeypatch):
    """Drives of one seed and length share their street, which takes seconds to build."""
    for name in ("build_street", "Scene"):
        monkeypatch.setattr(drive, name, _once(getattr(drive, name)))


@pytest.mark.slow
def test_a_car_ahead_stays_in_place_in_the_image(tmp_path, one_street):
    without = render_drive(tmp_path / "none", **SMALL)  # first, as the other puts a car into the scene
    with_car = render_drive(tmp_path / "car", car_ahead=10.0, **SMALL)
    there = []
    for number in range(3):
        near, far = (np.load(folder / "depth" / f"{number:06d}.npy") for folder in (with_car, without))
        car = near != far
        assert (near[car] > 0).all()
        assert ((near[car] < far[car]) | (far[car] == 0)).all()
        assert 0.01 < car.mean() < 0.2
        assert 7.5 < near[car].min() < 8.5  # its rear; it is 4 m long
        there.append(car)
    assert (there[0] & there[-1]).sum() > 0.6 * there[0].sum()
    seen, bare = (np.asarray(Image.open(folder / "left" / "000002.png")).astype(int) for folder in (with_car, without))
    change = np.abs(seen - bare).mean(axis=2)
    assert change[there[-1]].mean() > 5 * change[~there[-1]].mean()  # a shadow at most
    assert json.loads((with_car / "manifest.json").read_text())["render"]["car_ahead"] == 10
    assert "car_ahead" not in json.loads((without / "manifest.json").read_text())["render"]


def test_a_car_at_the_camera_is_refused(tmp_path):
    with pytest.raises(InputError, match="car_ahead 1 metres"):
        render_drive(tmp_path, car_ahead=1.0, **SMALL)
