"""Fixtures of tests in Chromium."""

from __future__ import annotations

import os
import shutil

import pytest

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
# WebGL without a graphics card; no name but the tests' own hosts is found, so that no other host can be asked.
FLAGS = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
FLAGS += ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
FLAGS += ["--host-resolver-rules=MAP plain.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]


def need_chromium():
    """Skip the test where there is no browser; return Playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
    if CHROMIUM is None:
        pytest.skip("needs Chromium, such as Debian's: apt-get install chromium")
    return sync_api


@pytest.fixture(scope="module")  # no longer: as long as it is open, tests that run an event loop fail in this process
def launch():
    """Start Chromium with more flags; all are closed at the end."""
    started = []
    with need_chromium().sync_playwright() as playwright:

        def launch(*flags):
            started.append(playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags]))
            return started[-1]

        yield launch
        for browser in started:
            browser.close()


@pytest.fixture(scope="module")
def browser(launch):
    return launch()
