"""Make the images of the README: rendered streets above their disparity, and the page with one of them.

    python examples/images.py             # both, in docs/images; the page needs Chromium and playwright
    python examples/images.py --no-page   # only the first

The streets are the rendered examples of the page, the network is the bundled one.
"""

from __future__ import annotations

import argparse
import io
import os
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

import hrdepth.app
from hrdepth.config import AppConfig
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import atomic_path
from hrdepth.io.visualize import colorize_disparity

if TYPE_CHECKING:
    from playwright.sync_api import Page

IMAGES = Path(__file__).resolve().parents[1] / "docs" / "images"
EXAMPLES = Path(hrdepth.app.__file__).parent / "examples"
# WebGL without a graphics card.
FLAGS = ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
VIEW = {"width": 1280, "height": 1000}
PATIENCE = 120_000
PAUSE = 2_000
WEIGHTS: str | None = None
"""The network; None is the bundled one."""
EDGE = 4
"""Pixels of white between images."""


def main() -> None:
    """Make the images."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--out", type=Path, default=IMAGES, help="the folder of the images")
    arguments.add_argument("--no-page", dest="page", action="store_false", help="do not make the image of the page")
    given = arguments.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    with atomic_path(given.out / "street.jpg") as path:
        street().save(path, format="JPEG", quality=90)
    print(given.out / "street.jpg")
    if given.page:
        photograph(given.out / "app.png")
        print(given.out / "app.png")


def street() -> Image.Image:
    """Each rendered street above the disparity that the bundled network predicts for it."""
    predictor = Predictor.from_pretrained(WEIGHTS)
    columns = []
    for path in sorted(EXAMPLES.glob("*.jpg")):
        prediction = predictor(path)
        gap = np.full((EDGE, prediction.image.shape[1], 3), 255, dtype=np.uint8)
        columns.append(np.concatenate([prediction.image, gap, colorize_disparity(prediction.disparity)]))
    side = np.full((columns[0].shape[0], EDGE, 3), 255, dtype=np.uint8)
    parts = [part for column in columns for part in (column, side)][:-1]
    return Image.fromarray(np.concatenate(parts, axis=1))


def photograph(path: Path) -> None:
    """Open the page in Chromium, click an example and a point, wait for the cloud, and save a screenshot."""
    try:
        from playwright.sync_api import sync_playwright
    except ModuleNotFoundError:
        sys.exit("the image of the page needs playwright; install it with pip install playwright, or give --no-page")
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        sys.exit("the image of the page needs Chromium; install it, name it in CHROMIUM, or give --no-page")
    config = AppConfig(weights=(WEIGHTS,) if WEIGHTS else (), port=0)
    with hrdepth.app.serve(config) as (_, address), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        page = browser.new_page(viewport=VIEW)
        page.set_default_timeout(PATIENCE)
        page.goto(address)
        page.locator("#examples button").first.click()
        page.wait_for_selector("#comparison img")
        page.wait_for_selector("#download-3:not([disabled])")
        box = page.locator("#comparison img").first.bounding_box()
        assert box is not None  # it has been waited for
        page.mouse.click(box["x"] + 0.2 * box["width"], box["y"] + 0.7 * box["height"])
        page.wait_for_selector("#depth b")
        still(page, "#cloud canvas", PAUSE)
        with atomic_path(path) as made:
            page.screenshot(path=str(made), type="png")
        browser.close()


def still(page: Page, selector: str, pause: int) -> NDArray[np.uint8]:
    """Wait until something is drawn there that changes no more: the cloud is drawn after it has come, then framed.

    Args:
        page: the page.
        selector: of what is drawn.
        pause: milliseconds between two looks; three that are alike are enough.

    Returns:
        What is seen, (H,W,3).
    """
    page.wait_for_selector(selector)
    before, same = np.empty(0, np.uint8), 0
    for _ in range(PATIENCE // pause):
        page.wait_for_timeout(pause)
        shot = page.locator(selector).first.screenshot()
        now = np.asarray(Image.open(io.BytesIO(shot)).convert("RGB"))
        same = same + 1 if now.std() > 3 and np.array_equal(now, before) else 0
        if same == 2:
            return now
        before = now
    sys.exit("the point cloud was not drawn")


if __name__ == "__main__":
    main()
