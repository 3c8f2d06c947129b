"""Tests of app/page.py in a browser.

The page in a real browser: upload, see, drag, click for depth, turn the cloud, download and check.
"""

import os
import re
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrdepth.inference.predictor import Predictor

PATIENCE = 120_000


@pytest.fixture
def page(browser, served):
    page = browser.new_page(viewport={"width": 1280, "height": 1000}, accept_downloads=True)
    page.set_default_timeout(PATIENCE)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(served)
    page.wait_for_selector("#upload")
    yield page
    page.close()
    foreign = [url for url in asked if not url.startswith((served, "data:", "blob:"))]
    assert not foreign, "the page sends requests only to its own server"


@pytest.fixture
def image(tmp_path):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (8, 24, 3), dtype=np.uint8))
    small.resize((480, 160), Image.Resampling.BICUBIC).save(tmp_path / "street.png")
    return tmp_path / "street.png"


def upload(page, path):
    page.locator("#upload input[type=file]").set_input_files(path)


def answered(page, path):
    upload(page, path)
    page.wait_for_selector("#comparison img")
    page.wait_for_function("[...document.querySelectorAll('#comparison img')].every(i => i.naturalWidth > 0)")
    return page.locator("#comparison img").first.bounding_box()


def test_an_uploaded_image_is_shown_compared_and_clicked_for_depth(page, image, weights):
    box = answered(page, image)
    expected = Predictor.from_file(weights)(image)
    middle = box["y"] + box["height"] / 2

    def divider():
        style = page.locator("#comparison img").nth(1).get_attribute("style")
        return float(re.search(r"inset\(0(?:px|%)? 0(?:px|%)? 0(?:px|%)? ([\d.]+)%", style)[1])

    assert divider() == pytest.approx(50, abs=2)
    page.mouse.move(box["x"] + box["width"] / 2, middle)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 4, middle, steps=8)
    page.mouse.up()
    assert divider() == pytest.approx(25, abs=3)
    assert page.locator("#comparison .place").count() == 0, "dragging is no click"
    page.mouse.click(box["x"] + 0.75 * box["width"], box["y"] + 0.25 * box["height"])
    page.wait_for_function("document.querySelector('#depth').innerText.includes('column')")
    shown = page.locator("#depth").inner_text()
    depth, column, row = (float(n) for n in re.search(r"([\d.]+) m at column (\d+), row (\d+)", shown).groups())
    assert (column, row) == (pytest.approx(360, abs=2), pytest.approx(40, abs=2))
    assert depth == pytest.approx(float(expected.depth_metres[int(row), int(column)]), abs=0.01)
    assert page.locator("#comparison .place").count() == 1


@pytest.mark.slow
def test_the_point_cloud_can_be_rotated(page, image):
    from images import still  # of the examples

    answered(page, image)
    before = still(page, "#cloud canvas", 1000).astype(float)
    assert before.std() > 3, "there is something to see"
    box = page.locator("#cloud canvas").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.8 * box["width"], box["y"] + box["height"] / 2, steps=10)
    page.mouse.up()
    assert np.abs(still(page, "#cloud canvas", 500) - before).mean() > 1


def test_downloads_contain_the_prediction(page, image, weights, tmp_path):
    answered(page, image)
    page.wait_for_selector("#download-3:not([disabled])")
    expected = Predictor.from_file(weights)(image)
    found = []
    for number in range(4):
        with page.expect_download() as download:
            page.locator(f"#download-{number}").click()
        found.append(tmp_path / download.value.suggested_filename)
        download.value.save_as(found[-1])
    assert [path.name for path in found] == ["street_disparity.png", "street_depth.png", "street.npz", "street.ply"]
    assert Image.open(found[0]).size == (480, 160)
    np.testing.assert_allclose(np.asarray(Image.open(found[1])) / 256, expected.depth_metres, atol=0.01)
    np.testing.assert_allclose(np.load(found[2])["depth"], expected.depth, rtol=1e-4)
    count = int(re.search(rb"element vertex (\d+)", found[3].read_bytes())[1])
    assert 0.3 * 480 * 160 < count <= 480 * 160


def test_an_example_works_and_a_hostile_file_is_refused(page, tmp_path):
    (tmp_path / "text.jpg").write_text("no image")
    upload(page, tmp_path / "text.jpg")
    page.wait_for_selector("text=neither an image nor a clip")
    page.locator("#examples button img").first.click()
    page.wait_for_selector("#comparison img")


def test_the_training_tab_follows_a_run(page):
    page.get_by_role("tab", name="Training").click()
    page.wait_for_selector("text=stopped by the guard")
    state = page.locator("#run-state").inner_text()
    assert "40 of 80" in state
    assert "training stopped at step 40" in state
    page.wait_for_selector("#run-panel img")
    page.wait_for_selector("#curves canvas, #curves svg")


@pytest.mark.slow  # test_visitors.py has the parts of it
def test_a_visitors_files_are_deleted_when_they_leave(browser, served, image):
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    before = set(folder.glob("session-*"))
    page = browser.new_page()
    page.set_default_timeout(PATIENCE)
    page.goto(served)
    page.wait_for_selector("#upload")
    answered(page, image)
    page.wait_for_selector("#download-3:not([disabled])")
    (mine,) = set(folder.glob("session-*")) - before
    page.close()
    for _ in range(150):
        if not mine.exists():
            break
        time.sleep(0.1)
    assert not mine.exists()
