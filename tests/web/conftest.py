"""A page of the bundled network, and one of a small untrained one."""

import pytest

from hrdepth.cli import main
from hrdepth.config import ServeConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.web.onnxruntime_web import runtime_files
from hrdepth.web.serve import serve
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK


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
