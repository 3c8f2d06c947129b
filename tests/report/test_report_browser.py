"""Tests of report/render.py's page in a browser.

The page in a real browser: nothing is fetched, nothing fails, and the cloud turns.
"""

import io
from dataclasses import replace

import numpy as np
from PIL import Image


def test_the_page_works_in_chromium_without_requests(config, browser):
    from hrdepth.report import report

    path = report(replace(config, points=5000))
    page = browser.new_page(viewport={"width": 1100, "height": 900})
    page.set_default_timeout(60_000)
    asked, failed = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: failed.append(str(error)))
    page.goto(path.as_uri())
    page.wait_for_function("[...document.images].every(image => image.naturalWidth > 0)")
    assert page.locator("svg").count() == 2

    def cloud():
        image = Image.open(io.BytesIO(page.locator("#cloud").screenshot()))
        return np.asarray(image.convert("RGB")).astype(float)

    page.locator("#cloud").scroll_into_view_if_needed()
    page.wait_for_timeout(500)
    before = cloud()
    assert before.std() > 3, "there is something to see"
    box = page.locator("#cloud").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + 0.7 * box["width"], box["y"] + 0.6 * box["height"], steps=6)
    page.mouse.up()
    page.wait_for_timeout(300)
    assert np.abs(cloud() - before).mean() > 1
    page.mouse.dblclick(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.wait_for_timeout(300)
    np.testing.assert_allclose(cloud(), before, atol=1)
    wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
    assert wide <= 0, "nothing hangs over the side"
    page.close()
    assert not failed
    assert [url for url in asked if not url.startswith("data:")] == [path.as_uri()]
