"""What works without the extras: every command of the core, in a process where PyTorch and others are not installed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrdepth.errors import InputError
from hrdepth.io.video import read_video
from hrdepth.io.video_writer import VideoWriter
from hrdepth.web.onnxruntime_web import runtime_files
from live_streams import served, transport_stream
from weights_files import save
from without_extras import HIDE, python, run

IMAGE = np.random.default_rng(0).integers(0, 255, (60, 90, 3), dtype=np.uint8)


def run_all(*commands: list[str]) -> None:
    for command, (status, _, error) in zip(commands, run(*commands), strict=True):
        assert status == 0, (command, error)


@pytest.fixture
def media(tmp_path: Path) -> Path:
    """An image, a folder of two, and a video."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in "ab":
        Image.fromarray(IMAGE).save(folder / f"{name}.png")
    with VideoWriter(tmp_path / "clip.mp4", 10) as video:
        for _ in range(3):
            video.write(IMAGE)
    return tmp_path


def test_predict_writes_every_output(media: Path) -> None:
    image, folder, video = media / "images" / "a.png", media / "images", media / "clip.mp4"
    of_frames = ["--npz=true", "--smooth", "exponential"]
    clouds = ["--depth-png", "--ply", "--glb", "--flip", "--intrinsics", "80,80,45,30"]
    run_all(
        ["predict", str(image), "--out", str(media / "one"), *clouds],
        ["predict", str(folder), "--out", str(media / "two"), "--runtime", "onnxruntime"],
        ["predict", str(folder), "--out", str(media / "two"), "--runtime", "onnxruntime", "--resume"],
        ["predict", str(video), "--out", str(media / "three"), "--depth-video", *of_frames],
    )
    written = {path.name for path in (media / "one").iterdir()}
    ends = ("_disparity.png", "_panel.png", "_depth.png", ".npz", ".ply", ".glb")
    assert written == {"predict.json", *(f"a{end}" for end in ends)}
    assert len(list((media / "two").iterdir())) == 7
    of_video = {path.name for path in (media / "three").iterdir()}
    assert {"clip_panel.mp4", "clip_depth.mkv", "clip_000002.npz"} <= of_video


@pytest.mark.parametrize("kind", ["tcp", "rtsp"])
@pytest.mark.skipif(sys.platform == "win32", reason="Windows sends Ctrl-C to whole groups of processes")
def test_predict_reads_a_live_stream_until_ctrl_c(kind: str, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with served(transport_stream(3000), kind=kind) as server:
        command = ["predict", server.address, "--out", str(out), "--npz=true", "--depth-video"]
        script = "from hrdepth.cli import main\nsys.exit(main(sys.argv[1:]))"
        process = subprocess.Popen([sys.executable, "-c", HIDE + script, *command], stderr=subprocess.PIPE, text=True)
        deadline = time.monotonic() + 120
        while len(list(out.glob("*.npz"))) < 3 and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=60)
    assert process.returncode == 0, error
    assert "Traceback" not in error
    manifest = json.loads((out / "predict.json").read_text())
    assert manifest["complete"]
    (video,) = out.glob("*_panel.mp4")
    assert len(list(read_video(video))) == manifest["pictures"] == len(list(out.glob("*.npz"))) >= 3
    assert (out / video.name.replace("_panel.mp4", "_depth.mkv")).is_file()


def test_evaluate_networks_files_and_arrays(media: Path) -> None:
    depth = media / "truth" / "depth"
    for folder in (depth, depth.parent / "image"):
        folder.mkdir(parents=True)
    near_below = np.tile(np.linspace(60, 5, 60, dtype=np.float32)[:, None], (1, 90))
    for name in "ab":
        np.save(depth / f"{name}.npy", near_below)
        Image.fromarray(IMAGE).save(depth.parent / "image" / f"{name}.png")
    np.save(media / "predictions.npy", np.repeat(1 / near_below[None], 2, axis=0))
    data = ["--data.kind", "folder", "--data.root", str(depth.parent)]
    results = str(media / "results")
    graph = next((Path(__file__).parents[2] / "src" / "hrdepth" / "weights").glob("*.onnx"))
    run_all(
        ["evaluate", *data, "--out", results, "--bootstrap", "50", "--align", "lsq"],
        ["evaluate", *data, "--weights", str(graph)],
        ["evaluate", *data, "--disparities", str(media / "predictions.npy"), "--format", "markdown"],
        ["tabulate", results],
        ["models", "--json"],
        ["recipes"],
    )
    metrics = json.loads((media / "results" / "metrics.json").read_text())
    assert metrics["images"] == 2


def test_the_predictor_works_in_python() -> None:
    script = """
import numpy as np
import hrdepth

prediction = hrdepth.Predictor.from_pretrained()(np.zeros((60, 90, 3), np.uint8))
assert isinstance(prediction, hrdepth.Prediction)
assert prediction.depth.shape == prediction.depth_metres.shape == (60, 90)
assert prediction._repr_png_()[:4] == b"\\x89PNG"
hrdepth.visualize.colorize_disparity(prediction.disparity, cmap="turbo")
hrdepth.evaluation.depth_errors([1.0], [2.0])
assert "torch" not in sys.modules
"""
    python(script)


@pytest.mark.slow
def test_the_page_answers(media: Path) -> None:
    pytest.importorskip("gradio", reason="gradio is not installed")
    script = """
from hrdepth.app import serve
from hrdepth.app.answers import EXAMPLES
from hrdepth.config import AppConfig
from hrdepth.inference import predictor
from hrdepth.inference.runtimes.openvino import OpenVINO

made, load, compile = [], predictor.load_runtime, OpenVINO._compiled
predictor.load_runtime = lambda *a, **k: made.append("runtime") or load(*a, **k)
OpenVINO._compiled = lambda *a: made.append("compiled") or compile(*a)


def large():
    ours = "hrdepth torch matplotlib scipy onnxruntime openvino av trimesh PIL numpy".split()
    return {name for name in list(sys.modules) if name.partition(".")[0] in ours}


with serve(AppConfig(port=0)) as (page, address):
    from gradio_client import Client, handle_file

    client, before, prepared = Client(address, verbose=False), large(), list(made)
    assert "runtime" in prepared
    assert len(client.predict(handle_file(str(EXAMPLES[1])), api_name="/predict")) == 2
    client.predict(api_name="/point_cloud")
    client.predict(api_name="/files")
    assert made == prepared, made
    assert large() == before, large() - before
    settings = ("street", "onnxruntime", "as trained", 0)
    shown = client.predict(handle_file(sys.argv[1]), *settings, api_name="/predict")
    assert len(shown) == 2, shown
"""
    python(script, media / "images" / "a.png")


def test_the_page_without_a_server_is_written(tmp_path: Path) -> None:
    try:
        runtime_files()
    except InputError as error:
        pytest.skip(str(error))
    run_all(["pack", "street", "--web", str(tmp_path / "page")])
    assert (tmp_path / "page" / "network.onnx.gz").is_file()


def test_what_needs_an_extra_says_so(media: Path, tmp_path: Path) -> None:
    weights, image = save(tmp_path / "net.safetensors"), str(media / "images" / "a.png")
    commands = [
        ["predict", image, "--weights", str(weights), "--out", str(media / "out")],
        ["predict", image, "--runtime", "pytorch", "--out", str(media / "out")],
        ["predict", image, "--device", "cuda", "--out", str(media / "out")],
        ["export", str(weights), "--out", str(media / "net.onnx")],
        ["pack", str(weights), "--out", str(media / "packed.safetensors")],
        ["odometry", str(media / "images"), "--weights", str(weights), "--out", str(media / "way")],
    ]
    for command, (status, _, error) in zip(commands, run(*commands), strict=True):
        assert status == 2, (command, error)
        assert "torch" in error, error
        assert "pip install 'hrdepth[train]'" in error, error
        assert "Traceback" not in error
