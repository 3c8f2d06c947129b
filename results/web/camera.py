"""Measure the camera view by the clock, with Chromium's fake camera of 640x480, on an otherwise idle machine.

hrdepth pack street --web page/
python results/web/camera.py page/ --threads 2 --size half
"""

import argparse
import io
import os
import shutil
import tempfile
import time
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

from hrdepth.config import ServeConfig
from hrdepth.web.pack import EXAMPLES, STREETS
from hrdepth.web.serve import serve

FLAGS = ["--no-first-run", "--no-sandbox", "--disable-background-networking", "--use-fake-ui-for-media-stream"]
STATE = "(await import('./page.js')).state"
PAINT = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? 0"


def main():
    """Open the page, let the camera run, count frames over some seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", default="half", help="half, three quarters, as trained")
    parser.add_argument("--warm", type=float, default=10)
    parser.add_argument("--seconds", type=float, default=10)
    given = parser.parse_args()
    content = io.BytesIO()
    Image.open(STREETS / EXAMPLES[0]).resize((640, 480)).save(content, "JPEG", quality=95, subsampling=2)
    with (
        tempfile.TemporaryDirectory() as folder,
        serve(ServeConfig(given.folder, host="127.0.0.1", port=0, https=False)) as (address,),
        sync_playwright() as playwright,
    ):
        film = Path(folder) / "street.mjpeg"
        film.write_bytes(content.getvalue() * 3)
        flags = [*FLAGS, "--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={film}"]
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=flags)
        page = browser.new_page()
        page.goto(f"{address}?threads={given.threads}")
        paint = page.evaluate(PAINT)
        page.wait_for_selector("body[data-ready]", timeout=300_000)
        page.locator("#camera").click()
        page.wait_for_selector("#views:not([hidden])", timeout=300_000)
        page.locator("#size").select_option(given.size)
        page.wait_for_timeout(1000 * given.warm)
        shown, started = page.evaluate(f"(async () => {STATE}.shown)()"), time.perf_counter()
        page.wait_for_timeout(1000 * given.seconds)
        shown = page.evaluate(f"(async () => {STATE}.shown)()") - shown
        rate = shown / (time.perf_counter() - started)
        said = page.locator("#rate").inner_text()
        print(f"{rate:.1f} frames a second over {given.seconds:g} s; the page says: {said}")
        print(
            f"{page.locator('#status').inner_text()}; first paint after {paint:.0f} ms; load {os.getloadavg()[0]:.0f}"
        )
        browser.close()


if __name__ == "__main__":
    main()
