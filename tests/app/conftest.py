"""A page that is served, once for all tests of this folder, with an untrained network and a run to follow."""

import pytest

from fake_run import run_folder
from hrdepth.config import AppConfig, UploadLimits
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

LIMITS = UploadLimits(megabytes=4, megapixels=2, side=4000, seconds=2)


@pytest.fixture(scope="session")
def weights(tmp_path_factory):
    """A small network with a factor to metres."""
    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, build_network(NETWORK), NETWORK, size=(64, 96), metres_per_unit=5.4)
    return path


@pytest.fixture(scope="session")
def web(tmp_path_factory):
    """A folder such as `hrdepth pack --web` writes, beside a file that is not served."""
    folder = tmp_path_factory.mktemp("web")
    (folder / "secret.txt").write_text("secret")
    (folder / "page").mkdir()
    (folder / "page" / "index.html").write_text("<title>computed in the browser</title>")
    (folder / "page" / "page.js").write_text("export {};")
    return folder / "page"


@pytest.fixture(scope="session")
def served(tmp_path_factory, weights, web):
    """The address of a page."""
    gradio = pytest.importorskip("gradio", reason="needs gradio (extra app)")
    pytest.importorskip("trimesh", reason="needs trimesh (extra app)")
    if int(gradio.__version__.split(".")[0]) != 6:
        pytest.skip(f"needs gradio 6, not {gradio.__version__}")
    from hrdepth.app import serve

    run = run_folder(tmp_path_factory.mktemp("runs") / "first", message="training stopped at step 40: the disparity")
    config = AppConfig(weights=(str(weights),), runs=(str(run),), port=0, limits=LIMITS, web=str(web))
    with serve(config) as (_, address):
        yield address
