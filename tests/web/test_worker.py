"""Tests of web/page/worker.js: WebGPU where it works, WebAssembly else, and files that are broken or missing."""

import os
import shutil

import numpy as np
import pytest

from hrdepth.config import PackConfig, ServeConfig
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.web.pack import EXAMPLES, STREETS, pack_page
from hrdepth.web.serve import serve
from hrdepth.weights.checkpoint import save_checkpoint
from opened_page import PATIENCE, disparity, opened, predict_example
from tiny_networks import narrow

GPU = "import './original.js'; Object.defineProperty(navigator, 'gpu', {{ value: {} }});"
ADAPTERS = {
    "missing": GPU.format("undefined"),
    "null": GPU.format("{ requestAdapter: async () => null }"),
    "throws": GPU.format("{ requestAdapter() { throw new Error('no driver'); } }"),
    "rejects": GPU.format("{ requestAdapter: async () => { throw new Error('no driver'); } }"),
    "software": GPU.format("{ requestAdapter: async () => ({ info: { isFallbackAdapter: true } }) }"),
}
# ONNX Runtime whose device is lost after the first run.
LOST = """let runs = 0;
export const env = { wasm: {} };
export class Tensor {}
const output = { getData: async () => new Float32Array(1), dispose() {} };
async function run() {
  if (runs++) throw new Error("the device was lost");
  return { output };
}
export const InferenceSession = { create: async () => ({ inputNames: ["image"], outputNames: ["output"], run }) };
"""
LOAD = """async (name) => {
  const { state } = await import("./page.js");
  const worker = new Worker(name, { type: "module" });
  worker.postMessage({ kind: "load", id: 0, description: state.description, provider: "auto", threads: 1 });
  const { result, error } = await new Promise((done) => {
    worker.onmessage = ({ data }) => data.what || done(data);
  });
  worker.terminate();
  return result ?? error;
}"""


@pytest.fixture(scope="module")
def page(browser, small, tmp_path_factory):
    """A page whose WebGPU is lost after its first run; with the workers of `ADAPTERS` beside its own."""
    folder = tmp_path_factory.mktemp("webgpu") / "page"
    shutil.copytree(small[0], folder, copy_function=os.link)
    (folder / "worker.js").rename(folder / "original.js")
    (folder / "worker.js").write_text(GPU.format("{ requestAdapter: async () => ({}) }"))
    for name, text in ADAPTERS.items():
        (folder / f"{name}.js").write_text(text)
    (folder / "runtime" / "ort.webgpu.js").unlink()
    (folder / "runtime" / "ort.webgpu.js").write_text(LOST)
    with serve(ServeConfig(str(folder), host="127.0.0.1", port=0, https=False)) as (address,):
        page = opened(browser, address)
        yield page
        page.context.close()


def test_a_lost_device_is_replaced_by_webassembly_with_a_sentence(page, small):
    assert page.locator("#status").inner_text().startswith("Ready: WebGPU, 1 thread.")
    predict_example(page, 0)
    assert "WebAssembly. WebGPU does not work here (the device was lost)." in page.locator("#rate").inner_text()
    expected = Predictor.from_file(small[1], device="cpu")(STREETS / EXAMPLES[0]).disparity
    assert np.abs(disparity(page) - expected).max() < 2e-3


@pytest.mark.parametrize("adapter", ADAPTERS)
def test_without_an_adapter_webassembly_is_used(page, adapter):
    assert page.evaluate(LOAD, f"./{adapter}.js") == {"provider": "WebAssembly", "threads": 1, "note": ""}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lite_hrdepth", "monodepth2", "fastdepth", "pydnet", "packnet"])
def test_other_networks_give_the_disparity_of_python(browser, runtime, tmp_path, name):
    weights, config = tmp_path / f"{name}.safetensors", narrow(name)
    save_checkpoint(weights, build_network(config), config, size=(64, 160))
    pack_page(PackConfig(str(weights), web=str(tmp_path / "page")))
    with serve(ServeConfig(str(tmp_path / "page"), host="127.0.0.1", port=0, https=False)) as (address,):
        page = opened(browser, address)
        predict_example(page, 0)
        expected = Predictor.from_file(weights, device="cpu")(STREETS / EXAMPLES[0]).disparity
        assert np.abs(disparity(page) - expected).max() < 2e-3
        assert not page.errors
        page.context.close()


def test_a_broken_network_and_a_missing_file_get_a_sentence(browser, small, tmp_path):
    for name, content, sentence in (
        ("damaged", b"\x1f\x8b\x08" + bytes(99), "The network's file is damaged"),
        ("foreign", b"no graph at all", "The network's file cannot be used"),
        ("missing", None, "network.onnx.gz cannot be loaded"),
    ):
        folder = tmp_path / name
        shutil.copytree(small[0], folder)
        (folder / "network.onnx.gz").unlink()
        if content is not None:
            (folder / "network.onnx.gz").write_bytes(content)
        with serve(ServeConfig(str(folder), host="127.0.0.1", port=0, https=False)) as (address,):
            page = browser.new_page()
            page.goto(address)
            page.wait_for_selector("#status.refused", timeout=PATIENCE)
            assert sentence in page.locator("#status").inner_text()
            page.close()
