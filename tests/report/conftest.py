"""A run to report on, once for all tests of this folder."""

import pytest

import fake_datasets
from fake_run import run_folder
from hrdepth.config import DepthProtocol, ReportConfig
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

LOADED = {}


@pytest.fixture(autouse=True)
def networks_are_loaded_once(monkeypatch):
    """Every report loads the run's network, which takes longer than what most tests look at."""
    load = Predictor.from_file

    def load_once(path, **settings):
        key = (str(path), file_sha256(path), repr(settings))
        if key not in LOADED:
            LOADED[key] = load(path, **settings)  # or raises
        return LOADED[key]

    monkeypatch.setattr(Predictor, "from_file", load_once)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run on a drive with true depth, with the weights of an untrained network."""
    root = tmp_path_factory.mktemp("report")
    folder = run_folder(root / "run", data=fake_datasets.drive(root / "data", frames=7))
    save_checkpoint(folder / "best.safetensors", build_network(NETWORK), NETWORK, size=(64, 96), metres_per_unit=5.4)
    return folder


@pytest.fixture
def config(run, tmp_path):
    return ReportConfig(str(run), out=str(tmp_path / "page.html"), protocol=DepthProtocol(crop="none"), points=500)
