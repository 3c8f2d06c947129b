"""Tests of inference/bundle.py: the ONNX file beside each of the bundled weights is the same network."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hrdepth.inference.bundle import bundle, main
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes import load_runtime, source, unavailable
from hrdepth.inference.runtimes.source import TENSORS, Description, open_source
from hrdepth.io.onnx_file import read_onnx_metadata
from hrdepth.weights.checkpoint import read_checkpoint
from hrdepth.weights.find import bundled, bundled_graph
from weights_files import save

IMAGE = Path(source.__file__).parents[2] / "app" / "examples" / "street-1.jpg"


@pytest.mark.parametrize("name", bundled())
def test_it_holds_what_the_weights_file_holds(name):
    weights = bundled()[name]
    graph = bundled_graph(weights)
    assert graph is not None, "make bundle"
    checkpoint, metadata = read_checkpoint(weights), read_onnx_metadata(graph)
    assert json.loads(metadata[TENSORS]) == checkpoint.sha256, "the weights have changed: make bundle"
    described = Description.read(metadata, graph)
    assert described == Description.of(checkpoint)
    opened = open_source(weights)
    assert (opened.description, opened.graph, opened.path) == (described, graph, weights)
    assert (opened.cameras, opened.sha256) == (checkpoint.cameras, checkpoint.file_sha256)


@pytest.mark.parametrize("name", bundled())
def test_it_predicts_what_the_weights_predict(name):
    network = read_checkpoint(bundled()[name]).network
    for size in ((160, 512), (192, 256)):
        image = Image.open(IMAGE).resize(size[::-1])
        batch = np.asarray(image, dtype=np.float32).transpose(2, 0, 1)[None] / 255
        with torch.inference_mode():
            expected = network(torch.from_numpy(batch))[0].numpy()
        for runtime in ("onnxruntime", "openvino"):
            if unavailable(runtime) is None:
                found = load_runtime(bundled()[name], runtime, cache=False)(batch)
                np.testing.assert_allclose(found, expected, atol=2e-5)


def test_kernels_take_half_the_room(tmp_path):
    half, single = (save(tmp_path / f"{dtype}.safetensors", dtype=dtype) for dtype in ("float16", "float32"))
    sizes = [bundle(weights).stat().st_size / weights.stat().st_size for weights in (half, single)]
    assert 0.9 < sizes[0] < 1.2
    assert 0.9 < sizes[1] < 1.2, "kernels that float16 does not hold stay as they are"


def test_other_weights_of_that_name_do_not_use_it(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr("hrdepth.weights.find.FOLDER", tmp_path)
    weights = save(tmp_path / "net.safetensors")
    main([str(weights)])
    image = np.zeros((64, 96, 3), np.uint8)
    first = Predictor.from_file(weights, runtime="onnxruntime")
    assert open_source(weights).network is None
    shutil.copy(save(tmp_path / "changed.safetensors", dtype="float16"), weights)
    assert open_source(weights).network is not None
    assert "was made from other weights than net.safetensors" in caplog.text
    assert first(image).disparity.shape == (64, 96)
