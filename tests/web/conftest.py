"""A page of the bundled network, one of a small untrained one, and a browser."""

import os
import shutil

import pytest

from hrdepth.cli import main
from hrdepth.config import ServeConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.web.runtime import runtime_files
from hrdepth.web.serve import serve
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
# WebGL without a graphics card; no name but the test's own hosts is found, so that no other host can be asked.
FLAGS = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"]
FLAGS += ["--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader"]
FLAGS += ["--host-resolver-rules=MAP plain.test 127.0.0.1, MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost"]


@pytest.fixture(scope="session")
def runtime():
    """ONNX Runtime Web is here, or the tests are skipped."""
    try:
        runtime_files()
    except InputError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session")
def street(runtime, tmp_path_factory):
    """The folder of a page of the bundled network."""
    folder = tmp_path_factory.mktemp("street") / "page"
    assert main(["pack", "street", "--web", str(folder)]) == 0
    return folder


@pytest.fixture(scope="session")
def small(runtime, tmp_path_factory):
    """The folder of a page of a small network without metres, and its weights."""
    folder = tmp_path_factory.mktemp("small")
    weights = folder / "small.safetensors"
    save_checkpoint(weights, build_network(NETWORK), NETWORK, size=(64, 192))
    assert main(["pack", str(weights), "--web", str(folder / "page")]) == 0
    return folder / "page", weights


@pytest.fixture(scope="session")
def address(street):
    with serve(ServeConfig(str(street), host="127.0.0.1", port=0, https=False)) as (address,):
        yield address


@pytest.fixture(scope="session")
def small_address(small):
    with serve(ServeConfig(str(small[0]), host="127.0.0.1", port=0, https=False)) as (address,):
        yield address


@pytest.fixture(scope="session")
def playwright():
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs playwright (extra dev)")
    if CHROMIUM is None:
        pytest.skip("needs Chromium, such as Debian's: apt-get install chromium")
    with sync_api.sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="session")
def launch(playwright):
    """Start Chromium with more flags; all are closed at the end."""
    started = []

    def launch(*flags):
        started.append(playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, *flags]))
        return started[-1]

    yield launch
    for browser in started:
        browser.close()


@pytest.fixture(scope="session")
def browser(launch):
    return launch()
