"""The metadata of a weights file downloads nothing, opens no other file, and takes no memory beyond the file's."""

import json
import os
import resource
import socket
import struct
import time

import numpy as np
import pytest
import torch

from hrdepth.errors import InputError
from hrdepth.inference.runtimes.source import Description, open_source
from hrdepth.networks import build_network, build_pose_network
from hrdepth.weights.checkpoint import load_network, read_checkpoint, save_checkpoint
from opened_files import opened_files
from tiny_networks import NETWORK, POSE_NETWORK

BRACKETS = "[" * 20000


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """A weights file with both networks."""
    path = tmp_path_factory.mktemp("weights") / "good.safetensors"
    pose = build_pose_network(POSE_NETWORK)
    networks = {"pose_network": pose, "pose_network_config": POSE_NETWORK}
    save_checkpoint(path, build_network(NETWORK), NETWORK, size=(64, 96), **networks)
    return path


@pytest.fixture(scope="module")
def resnet(tmp_path_factory):
    """A weights file of a network whose backbone has weights to download."""
    from hrdepth.config import NetworkConfig

    config = NetworkConfig("lite_hrdepth")
    path = tmp_path_factory.mktemp("weights") / "lite.safetensors"
    save_checkpoint(path, build_network(config), config, size=(64, 96))
    return path


@pytest.fixture(scope="module")
def state(resnet):
    """Weights of that network."""
    return load_network(resnet).state_dict()


def changed(source, target, **metadata):
    """Write a copy with other metadata: text as it is, else as JSON."""
    content = source.read_bytes()
    length = struct.unpack("<Q", content[:8])[0]
    header = json.loads(content[8 : 8 + length])
    for key, value in metadata.items():
        header["__metadata__"][key] = value if isinstance(value, str) else json.dumps(value)
    written = json.dumps(header).encode()
    target.write_bytes(struct.pack("<Q", len(written)) + written + content[8 + length :])
    return target


def text(value):
    return json.dumps(value)


@pytest.fixture
def offline(monkeypatch):
    """Fail where anything connects."""

    def connect(*_):
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "create_connection", connect)


@pytest.mark.parametrize("weights", ["imagenet", "/etc/passwd", "/dev/zero", "FIFO", "hf://a/b", "~/x", 5, ["a"], None])
def test_weights_among_the_options_of_a_network_are_not_opened(resnet, state, tmp_path, offline, weights):
    if weights == "FIFO":
        os.mkfifo(tmp_path / "fifo")
        weights = str(tmp_path / "fifo")
    network = {"name": "lite_hrdepth", "options": {"weights": weights}}
    hostile = changed(resnet, tmp_path / "w.safetensors", network=network)
    with opened_files() as opened:
        found = load_network(hostile).state_dict()
    assert str(hostile) in opened
    assert weights not in opened
    assert all(torch.equal(found[key], state[key]) for key in state)
    assert "weights" not in read_checkpoint(hostile).network_config.options


def test_weights_among_the_options_of_a_pose_network_are_not_opened(good, tmp_path, offline):
    pose = {"name": "posenet", "options": {"backbone": "resnet18", "weights": "imagenet"}}
    hostile = changed(good, tmp_path / "w.safetensors", pose_network=pose)
    with pytest.raises(InputError, match="does not fit the network"):
        read_checkpoint(hostile)


@pytest.mark.parametrize(
    ("name", "options"),
    [("hrdepth", {"backbone": name}) for name in ("convnext_xxlarge", "regnety_2560", "vit_giant_patch14_224",
     "eva_giant_patch14_224", "hf-hub:x/y", "../x", "a/b@c", "resnet18" * 2000, "hf_hub:timm/resnet18.a1_in1k",
     "local-dir:/etc")]
    + [("packnet", {"width": 32 * 10**5}), ("packnet", {"width": 32 * 10**9}), ("packnet", {}),
       ("hrdepth", {"backbone": "resnet18", "widths": [10**6] * 5}), ("hrdepth", {"widths": [10**12] * 5})],
)  # fmt: skip
def test_a_network_of_any_size_takes_no_memory(good, tmp_path, offline, name, options):
    hostile = changed(good, tmp_path / "w.safetensors", network={"name": name, "options": options})
    load_network(good)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(InputError, match=r"w\.safetensors") as caught:
        read_checkpoint(hostile)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kilobytes; nearly all is code
    assert time.process_time() - started < 60  # most take less than a second; to build one of these takes minutes
    assert len(str(caught.value)) < 800


WRONG = {
    "size": [["a", "b"], [1e308, 64], [64.5, 96], "ab", [32768, 32768], [True, True], [0, 64], [-64, -64], [64], 5,
             None, {"a": 1}, [10**400, 64]],
    "metres_per_unit": ["x", -1, 0, float("nan"), float("inf"), [1]],
    "canonical_focal": ["x", 0, -1, float("nan"), [1]],
    "provenance": [[1], "x", 5], "card": [[1], "x", 5], "licence": [{"a": 1}, 5], "name": [{"x": 1}, 5],
    "scale": [5], "sha256": [5], "cameras": [[{"name": 1}], 5, {"a": 1}, ["x"], "x"],
    "network": ["x", None, 5, [], {"name": ["x"]}, {"name": 5}, {"name": None, "options": {}},
                {"name": "hrdepth", "options": []}, {"name": "hrdepth", "options": "x"}, {"name": "x" * 10000},
                {"name": "hrdepth", "options": {"min_depth": 0}}, {"name": "hrdepth", "options": {"max_depth": "x"}},
                {"name": "hrdepth", "options": {"min_depth": float("nan")}}],
    "pose_network": ["x", 5, {"name": "posenet", "options": []}, {"name": 5}],
}  # fmt: skip


@pytest.mark.parametrize(("key", "value"), [(key, value) for key, values in WRONG.items() for value in values])
def test_metadata_of_the_wrong_type_is_refused(good, tmp_path, key, value):
    with pytest.raises(InputError, match=r"w\.safetensors") as caught:
        read_checkpoint(changed(good, tmp_path / "w.safetensors", **{key: text(value)}))
    assert len(str(caught.value)) < 800


@pytest.mark.parametrize("key", ["network", "size", "cameras", "card", "licence", "provenance"])
@pytest.mark.parametrize("value", [BRACKETS, "{", "[1" + "0" * 5000 + ",64]"], ids=["brackets", "cut", "digits"])
def test_metadata_that_is_no_json_is_refused(good, tmp_path, key, value):
    with pytest.raises(InputError, match="is damaged"):
        read_checkpoint(changed(good, tmp_path / "w.safetensors", **{key: value}))


@pytest.mark.parametrize(
    "content",
    [struct.pack("<Q", 2**63) + b"{}", struct.pack("<Q", 2**40) + b"{}", b"", b"\0" * 8,
     *(struct.pack("<Q", len(head)) + head + bytes(4)
       for head in (b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[-4,0]}}', b"[" * 20000,
                    b'{"a":{"dtype":"F32","shape":[%s],"data_offsets":[0,4]}}' % (b"1," * 10**5 + b"1"),
                    b'{"a":{"dtype":"F32","shape":[99999999999],"data_offsets":[0,4]}}'))],
)  # fmt: skip
def test_a_damaged_header_is_refused(tmp_path, content):
    (tmp_path / "h.safetensors").write_bytes(content)
    with pytest.raises(InputError, match=r"h\.safetensors"):
        read_checkpoint(tmp_path / "h.safetensors")


def test_good_metadata_is_read_as_before(good):
    found = read_checkpoint(good)
    assert found.size == (64, 96)
    assert found.pose_network is not None
    assert found.network_config == NETWORK


def test_an_onnx_file_opens_no_other_file(tmp_path):
    onnx = pytest.importorskip("onnx", reason="needs onnx (extra export)")
    path = tmp_path / "a.onnx"
    metadata = Description(size=(64, 96)).metadata()
    tensor = onnx.numpy_helper.from_array(np.zeros(4, np.float32), "w")
    image = onnx.helper.make_tensor_value_info("image", 1, [4])
    output = onnx.helper.make_tensor_value_info("output", 1, [4])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Add", ["image", "w"], ["output"])], "g", [image], [output])
    graph.initializer.append(tensor)
    model = onnx.helper.make_model(graph)
    onnx.helper.set_model_props(model, metadata)
    onnx.save_model(model, path)
    assert open_source(path).description.size == (64, 96)
    onnx.external_data_helper.set_external_data(model.graph.initializer[0], "../../../../etc/passwd")
    model.graph.initializer[0].ClearField("raw_data")
    path.write_bytes(model.SerializeToString())
    with pytest.raises(InputError, match="tensors in other files, which are not opened"):
        open_source(path)


@pytest.mark.parametrize("value", [[32768, 32768], "ab", [64.5, 96], [0, 0], None, [True, True]])
def test_the_metadata_of_an_exported_file_is_checked(tmp_path, value):
    metadata = Description(size=(64, 96)).metadata() | {"hrdepth_size": text(value)}
    with pytest.raises(InputError, match="metadata of .* is damaged"):
        Description.read(metadata, tmp_path / "a.onnx")
