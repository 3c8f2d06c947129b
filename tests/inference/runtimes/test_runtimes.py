"""Tests of inference/runtimes/.

Runtimes: the same numbers in each, what each can, and what is said where one is not available.
"""

from __future__ import annotations

import importlib.util
import json
import logging
import multiprocessing
import pickle
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from hrdepth.camera import DepthScale
from hrdepth.config import NetworkConfig, RuntimeConfig
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes import RUNTIMES, Runtime, default_runtime, graphs, load_runtime, unavailable
from hrdepth.inference.runtimes.onnx import TensorRT
from hrdepth.inference.runtimes.source import Description, Source
from hrdepth.io.onnx_file import read_onnx_metadata
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint

CONFIG = NetworkConfig("hrdepth", {"backbone": "test_resnet", "min_depth": 0.2, "max_depth": 80.0})
IMAGE = np.tile(np.linspace(0, 255, 96).astype(np.uint8)[None, :, None], (64, 1, 3))


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    network = build_network(CONFIG).eval()
    torch.nn.init.normal_(network.decoder.heads[0].conv.weight, 0, 0.5)
    return network


@pytest.fixture(scope="module")
def weights(network, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "net.safetensors"
    save_checkpoint(path, network, CONFIG, size=(64, 96), metres_per_unit=5.4, canonical_focal=0.58)
    return path


def without(monkeypatch, *packages):
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: None if name in packages else found(name, *a))


@pytest.mark.parametrize("name", RUNTIMES)
def test_a_runtime_keeps_the_contract(name, network, weights):
    if reason := unavailable(name):
        pytest.skip(reason)
    image = torch.rand(2, 3, 64, 96)
    with torch.inference_mode():
        expected = network(image)[0]
    for precision, tolerance in (("float32", 1e-4), ("bfloat16", 0.05)):
        if precision not in RUNTIMES[name].precisions:
            continue
        runtime = load_runtime(weights, name, precision, threads=1)
        found = runtime(image.numpy())
        assert isinstance(found, np.ndarray)
        assert (found.dtype, found.shape) == (np.float32, (2, 1, 64, 96))
        assert (runtime.scale, runtime.stride, runtime.precision) == (DepthScale(0.2, 80.0, 5.4, 0.58), 32, precision)
        assert np.abs(found - expected.numpy()).max() < tolerance
        again = runtime(image[:1].numpy())
        assert np.array_equal(runtime(image[:1].numpy()), again), "the second call of a size gives what the first gave"
        with pytest.raises(InputError, match="such as 64x96"):
            runtime(np.zeros((1, 3, 64, 100), np.float32))


def test_results_do_not_share_memory(network):
    runtime = load_runtime(network)
    first = runtime(np.zeros((1, 3, 64, 64), np.float32))
    kept = first.copy()
    runtime(np.ones((1, 3, 64, 64), np.float32))
    assert np.array_equal(first, kept)


@pytest.fixture(scope="module")
def predictors(weights):
    """One of each runtime that is available."""
    return {name: Predictor.from_file(weights, runtime=name, threads=1) for name in RUNTIMES if not unavailable(name)}


def test_a_predictor_takes_any_runtime(predictors):
    expected = predictors["pytorch"](IMAGE, [[90, 0, 48], [0, 90, 32], [0, 0, 1]])
    for name, predict in predictors.items():
        assert predict.runtime == name
        assert predict.size == (64, 96)
        found = predict(IMAGE, [[90, 0, 48], [0, 90, 32], [0, 0, 1]])
        np.testing.assert_allclose(found.depth_metres, expected.depth_metres, rtol=1e-3)


def test_flip_blending_runs_in_any_runtime(weights, predictors):
    flipped = [Predictor.from_file(weights, runtime=name, flip=True)(IMAGE) for name in predictors]
    assert not np.allclose(flipped[0].disparity, predictors["pytorch"](IMAGE).disparity)
    for one in flipped[1:]:
        np.testing.assert_allclose(one.disparity, flipped[0].disparity, atol=1e-4)


@pytest.mark.parametrize("name", ["pytorch", "onnxruntime", "openvino"])
def test_threads_may_share_a_predictor(predictors, name):
    if name not in predictors:
        pytest.skip(f"{name} is not installed")
    images = [np.roll(IMAGE, 16 * shift, axis=1) for shift in range(4)]
    predict = predictors[name]
    expected = [predict(image).disparity for image in images]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda index: predict(images[index % 4]).disparity, range(40)))
    for index, one in enumerate(found):
        np.testing.assert_array_equal(one, expected[index % 4])


def test_a_predictor_is_pickled_and_works_in_another_process(network, predictors):
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        for name, predict in predictors.items():
            content = pickle.dumps(predict)
            assert len(content) < 2000  # the name of its file, not the network
            found = pool.submit(pickle.loads(content), IMAGE).result(120)
            np.testing.assert_allclose(found.disparity, predict(IMAGE).disparity, atol=1e-6)
            again = pickle.loads(content)
            assert (again.source, again.scale, again.runtime) == (predict.source, predict.scale, name)
            from_memory = Predictor(load_runtime(network, name), (64, 96))
            again = pickle.loads(pickle.dumps(from_memory))
            np.testing.assert_allclose(again(IMAGE).disparity, from_memory(IMAGE).disparity, atol=1e-6)


def test_a_network_is_compiled_by_option(network, monkeypatch):
    seen = []
    monkeypatch.setattr(torch, "compile", lambda module, **options: seen.append(options) or module)
    load_runtime(network, "pytorch", compile=True)
    load_runtime(network, "pytorch")
    assert seen == [{"dynamic": False}]


def test_the_default_is_openvino_on_x86_only(monkeypatch):
    monkeypatch.setattr(RUNTIMES["openvino"], "unavailable", classmethod(lambda cls: None))
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    assert (default_runtime(), default_runtime("cpu"), default_runtime("cuda")) == ("openvino", "openvino", "pytorch")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert (default_runtime(), default_runtime(ready=False)) == ("onnxruntime", "pytorch")
    monkeypatch.setattr("platform.machine", lambda: "AMD64")
    monkeypatch.setattr(RUNTIMES["openvino"], "unavailable", classmethod(lambda cls: "not there"))
    assert default_runtime(ready=False) == "pytorch"


def test_a_missing_package_is_named(network, monkeypatch):
    without(monkeypatch, "openvino", "onnxruntime")
    with pytest.raises(InputError, match=r"openvino is not installed; pip install 'hrdepth\[openvino\]'"):
        load_runtime(network, "openvino")
    with pytest.raises(InputError, match="onnxruntime is not installed; pip install onnxruntime"):
        load_runtime(network, "onnxruntime")
    assert load_runtime(network).__class__ is RUNTIMES["pytorch"]


def test_unavailable_tensorrt_names_the_reason(network, monkeypatch):
    monkeypatch.setattr("hrdepth.inference.runtimes.onnx.has_nvidia_driver", lambda: False)
    if not super(TensorRT, TensorRT).unavailable():
        with pytest.raises(InputError, match="'tensorrt' is not available: no NVIDIA GPU"):
            load_runtime(network, "tensorrt")


def test_bad_settings_are_refused_with_a_message(network, weights):
    with pytest.raises(InputError, match="unknown runtime 'openvion': did you mean 'openvino'"):
        load_runtime(network, "openvion")
    with pytest.raises(InputError, match="'pytorch' has no int8; it has float32, bfloat16"):
        load_runtime(network, "pytorch", "int8")
    with pytest.raises(InputError, match="unknown precision 'float8'"):
        load_runtime(network, "pytorch", "float8")
    with pytest.raises(InputError, match="threads"):
        load_runtime(network, "pytorch", threads=0)
    if not unavailable("openvino"):
        with pytest.raises(InputError, match="give their folder as calibration"):
            load_runtime(weights, "openvino", "int8")


def test_foreign_and_damaged_files_are_refused_with_a_message(tmp_path):
    for suffix, name in ((".onnx", "onnxruntime"), (".xml", "openvino"), (".pt2", "pytorch")):
        if unavailable(name):
            continue
        path = tmp_path / f"bad{suffix}"
        path.write_bytes(b"nothing of the kind")
        with pytest.raises(InputError, match=f"bad{suffix} is damaged or no"):
            load_runtime(path, trust=True)
    with pytest.raises(InputError, match="does not exist"):
        load_runtime(tmp_path / "none.onnx")


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_an_int8_file_runs_in_no_other_precision(precision):
    source = Source(Description(precision="int8"), path=Path("net.xml"), suffix=".xml")
    assert Runtime(source, RuntimeConfig()).precision == "int8"
    with pytest.raises(InputError, match=f"net.xml is an int8 file, which cannot run in {precision}"):
        Runtime(source, RuntimeConfig(precision=precision))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mean", ["a", "b", "c"]),
        ("mean", [1, 2]),
        ("mean", [0.5, 0.5, float("nan")]),
        ("mean", [True, 0.5, 0.5]),
        ("std", [0.2, 0, 0.2]),
        ("std", [0.2, 0.2, float("inf")]),
        ("precision", ["int8"]),
        ("precision", "int4"),
        ("output", "distance"),
    ],
)
def test_metadata_of_a_wrong_type_are_refused(name, value):
    metadata = Description().metadata()
    assert Description.read(metadata, Path("net.onnx")) == Description()
    with pytest.raises(InputError, match=rf"the metadata of net.onnx is damaged \({name} is "):
        Description.read(metadata | {f"hrdepth_{name}": json.dumps(value)}, Path("net.onnx"))


def test_a_number_without_end_in_an_onnx_file_is_refused_at_once(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(b"\xff" * 2**22)
    with pytest.raises(InputError, match="more than 64 bits"):
        read_onnx_metadata(path)


def test_a_graph_that_openvino_cannot_run_is_refused_with_its_first_image(tmp_path):
    if reason := unavailable("openvino"):
        pytest.skip(reason)
    path = tmp_path / "net.onnx"
    path.write_bytes(onnx_without_nodes(Description().metadata()))
    runtime = load_runtime(path, "openvino")
    with pytest.raises(InputError, match="OpenVINO cannot .*net.onnx.*; export the weights again"):
        runtime(np.zeros((1, 3, 64, 96), np.float32))


def test_a_failure_while_openvino_runs_is_one_sentence(network):
    if reason := unavailable("openvino"):
        pytest.skip(reason)
    runtime = load_runtime(network, "openvino", threads=1)
    runtime._requests[1, 3, 64, 96] = Failing()
    with pytest.raises(InputError, match=r"OpenVINO cannot run the graph at 96x64 \(no room\)"):
        runtime(np.zeros((1, 3, 64, 96), np.float32))


class Failing:
    def infer(self, *_, **__):
        raise RuntimeError("no room")


def onnx_without_nodes(metadata):
    def field(number, content):
        size, rest = len(content) & 127, len(content) >> 7
        assert rest < 128
        return bytes([number << 3 | 2, size | 128, rest]) + content

    pairs = [field(1, key.encode()) + field(2, value.encode()) for key, value in metadata.items()]
    return b"\x08\x08" + field(7, b"") + b"".join(field(14, pair) for pair in pairs)


def test_int8_is_quantised_from_weights(network, weights, tmp_path):
    pytest.importorskip("nncf", reason="nncf is not installed")
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 255, (8, 12, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((96, 64), Image.Resampling.BICUBIC).save(tmp_path / f"{seed}.png")
    runtime = load_runtime(weights, "openvino", "int8", calibration=tmp_path, threads=1)
    assert "FakeQuantize" in {op.get_type_name() for op in runtime.model.get_ops()}
    image = torch.from_numpy(np.asarray(Image.open(tmp_path / "0.png"))).permute(2, 0, 1)[None] / 255
    with torch.inference_mode():
        expected = network(image)[0]
    error = (torch.from_numpy(runtime(image.numpy())) - expected).abs().mean()
    assert error > 0
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="contains no image"):
        load_runtime(weights, "openvino", "int8", calibration=tmp_path / "empty")
    processor = Path("/proc/cpuinfo")
    if processor.is_file() and "vnni" not in processor.read_text():
        pytest.skip("this processor has no VNNI: its 16-bit sums of int8 products overflow with random weights")
    assert error < 0.2 * expected.std()


def test_an_export_prints_nothing_and_leaves_other_loggers_unchanged(caplog):
    inside, logged = threading.Event(), threading.Event()

    def export():
        with graphs._quiet():
            logging.getLogger().warning("a note of the exporter")
            logging.getLogger().error("a fault of the exporter")
            inside.set()
            logged.wait(10)

    thread = threading.Thread(target=export)
    before = logging.getLogger().level
    thread.start()
    inside.wait(10)
    assert logging.getLogger().level == before, "whoever puts it back later has the right one"
    logging.getLogger().warning("a note of another thread")
    logged.set()
    thread.join(20)
    logging.getLogger().warning("a note afterwards")
    notes = [record.getMessage() for record in caplog.records if record.name == "root"]  # not of other threads' loggers
    assert notes == ["a fault of the exporter", "a note of another thread", "a note afterwards"]
