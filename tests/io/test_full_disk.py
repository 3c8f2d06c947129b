"""Tests that a disk that fills up leaves no cut file: of io/files.py and of all that writes through it."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# A file may grow to this; the system then refuses the rest of a write, as on a full disk.
LIMIT = 20000

WRITERS = {
    "image.jpg": "write_image(path, noise)",
    "image.png": "write_image(path, noise)",
    "depth.png": "write_depth_png(path, noise[..., 0] + 1.0)",
    "array.npy": "write_array(path, noise)",
    "bytes.bin": "write_bytes(path, noise.tobytes())",
    "prediction.npz": "write_npz(path, Prediction(noise[..., 0] / 256 + 0.001, noise))",
    "points.ply": "write_ply(path, PointCloud(noise.reshape(-1, 3) * 1.0, noise.reshape(-1, 3)))",
    "points.glb": "write_glb(path, PointCloud(noise.reshape(-1, 3) * 1.0, noise.reshape(-1, 3)))",
    "figure.png": "save(plotted(), path.parent, 'figure', ['png'])",
    "video.mp4": "write_video(VideoWriter(path, 10), noise)",
    "depth.mkv": "write_video(DepthVideoWriter(path, 10), noise[..., 0] + 1.0)",
    "weights.safetensors": "write_tensors(path, {'a': torch.zeros(9999)}, {})",
    "results.json": "write_json(path, {'a': noise[:40].tolist()})",
}

SCRIPT = """
import resource, sys
from pathlib import Path
import numpy as np, torch
from hrdepth.errors import InputError
from hrdepth.inference.outputs import write_npz
from hrdepth.inference.prediction import Prediction
from hrdepth.io.files import write_array, write_bytes, write_json
from hrdepth.io.images import write_depth_png, write_image
from hrdepth.io.plotting import new_figure, save
from hrdepth.io.pointcloud import PointCloud, write_glb, write_ply
from hrdepth.io.depth_video import DepthVideoWriter
from hrdepth.io.video_writer import VideoWriter
from hrdepth.weights.tensor_files import write_tensors

noise = np.random.default_rng(0).integers(0, 256, (200, 200, 3), dtype=np.uint8)

def plotted():
    figure = new_figure(3)
    figure.subplots().imshow(noise)
    return figure

def write_video(writer, frame):
    with writer:
        for _ in range(12):
            writer.write(frame)

resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
for name, code in WRITERS.items():
    path = Path(name)
    path.write_text("earlier")
    try:
        exec(code)
        print(name, "was written:", path.stat().st_size)
    except InputError as error:
        print(name, "refused" if str(path) in str(error) else error)
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, str], Path]:
    folder = tmp_path_factory.mktemp("full")
    code = textwrap.dedent(SCRIPT).replace("LIMIT, LIMIT", f"{LIMIT}, {LIMIT}").replace("WRITERS", repr(WRITERS))
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=os.environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(line.split(" ", 1) for line in done.stdout.splitlines() if line.partition(" ")[0] in WRITERS), folder


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such limit")
@pytest.mark.parametrize("name", WRITERS)
def test_a_full_disk_is_reported_and_leaves_the_earlier_file(outcomes: tuple[dict[str, str], Path], name: str) -> None:
    found, folder = outcomes
    assert found[name] == "refused"
    assert (folder / name).read_text() == "earlier"
    assert not list(folder.glob(".*"))
