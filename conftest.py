"""Gives the snippets in Markdown files what a reader has in the working folder: weights, an image, drives, a run."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

# Tests keep what OpenVINO compiles here, not in the user's cache folder.
os.environ.setdefault("HRDEPTH_CACHE", str(Path(__file__).parent / ".pytest_cache" / "compiled"))

# Tests raise these signals; a parent such as nohup or a shell's background job leaves them ignored.
for _name in ("SIGINT", "SIGTERM", "SIGHUP"):
    if hasattr(signal, _name) and signal.getsignal(getattr(signal, _name)) == signal.SIG_IGN:
        signal.signal(getattr(signal, _name), signal.default_int_handler if _name == "SIGINT" else signal.SIG_DFL)


@pytest.fixture(autouse=True)
def readers_folder(request: pytest.FixtureRequest) -> None:
    """Run each Markdown file's snippets in a folder of its own."""
    if request.path.suffix != ".md":
        return
    folder = request.getfixturevalue("tmp_path")
    request.getfixturevalue("monkeypatch").chdir(folder)
    from PIL import Image

    import fake_datasets
    from fake_run import run_folder
    from hrdepth.config import NetworkConfig
    from hrdepth.networks import build_network
    from hrdepth.weights.checkpoint import save_checkpoint

    config = NetworkConfig("lite_hrdepth")
    save_checkpoint(folder / "net.safetensors", build_network(config), config, size=(192, 640))
    Image.linear_gradient("L").resize((1242, 375)).save(folder / "street.jpg")
    fake_datasets.drive(folder / "drives")
    run = run_folder(folder / "run", data=folder / "drives")
    save_checkpoint(run / "best.safetensors", build_network(config), config, size=(64, 96))
