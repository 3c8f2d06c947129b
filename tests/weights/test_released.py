"""Tests of weights/released.py."""

import pickle
import shutil

import pytest
import torch

import released_weights
from damage import flip_bit
from hrdepth.errors import InputError
from hrdepth.weights.checkpoint import read_checkpoint
from hrdepth.weights.released import import_weights


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("released")
    return released_weights.write(folder, "lite_hrdepth", height=320, width=1024, use_stereo=True)


@pytest.fixture
def files(written, tmp_path):
    return {argument: shutil.copy(path, tmp_path / path.name) for argument, path in written.items()}


def change(path, edit):
    content = torch.load(path, weights_only=True)
    edit(content)
    torch.save(content, path)


def test_metadata_of_the_released_files_is_stored(files, tmp_path):
    out = tmp_path / "net.safetensors"
    import_weights("lite_hrdepth", out=out, **files)
    checkpoint = read_checkpoint(out)
    assert (checkpoint.size, checkpoint.scale.metres_per_unit) == ((320, 1024), 5.4)
    assert checkpoint.pose_network is not None
    assert str(tmp_path) not in str(checkpoint.provenance)


def test_a_depth_network_without_pose_network_is_imported(files, tmp_path):
    out = tmp_path / "net.safetensors"
    import_weights("lite_hrdepth", files["encoder"], files["depth"], out)
    assert read_checkpoint(out).pose_network is None


@pytest.mark.parametrize(
    ("file", "edit", "sentence"),
    [
        ("encoder", lambda c: c.pop("encoder.features.0.0.weight"), "no tensor for 'features.0.0.weight'"),
        ("encoder", lambda c: c.update({"extra.weight": torch.zeros(1)}), "'extra.weight' is one that it does not"),
        ("encoder", lambda c: c.update({"epoch": 20}), "'epoch' is neither"),
        ("depth", lambda c: c.update({"decoder.26.conv.bias": torch.zeros(3)}), r"heads.0.*|shape \(3,\)"),
        ("depth", lambda c: c.update({"decoder.99.conv.bias": torch.zeros(3)}), "'decoder.99.conv.bias'"),
        ("pose", lambda c: c.pop("net.3.bias"), "no tensor for '6.bias'"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(files, tmp_path, file, edit, sentence):
    change(files[file], edit)
    with pytest.raises(InputError, match=sentence):
        import_weights("lite_hrdepth", out=tmp_path / "net.safetensors", **files)
    assert not (tmp_path / "net.safetensors").exists()


def test_files_of_another_network_are_refused(files, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    resnet = released_weights.write(other, "hrdepth")
    with pytest.raises(InputError, match=r"encoder\.pth does not fit"):
        import_weights("lite_hrdepth", resnet["encoder"], files["depth"], tmp_path / "net.safetensors")


def test_a_pickle_that_runs_code_is_refused(files, tmp_path):
    class Payload:
        def __reduce__(self):
            return (open, (str(tmp_path / "ran"), "w"))

    files["depth"].write_bytes(pickle.dumps({"decoder.0.weight": Payload()}))
    with pytest.raises(InputError, match=r"depth\.pth cannot be read"):
        import_weights("lite_hrdepth", out=tmp_path / "net.safetensors", **files)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"network": "lite_hrdeph"}, "did you mean 'lite_hrdepth'"),
        ({"network": "packnet"}, "unknown network with published weights 'packnet'"),
        ({"encoder": "nowhere.pth"}, "nowhere.pth does not exist"),
        ({"pose": None}, "both files"),
        ({"out": "net.pth"}, "must end in .safetensors"),
    ],
)
def test_wrong_arguments_are_refused(files, tmp_path, changes, sentence):
    arguments = {"network": "lite_hrdepth", "out": tmp_path / "net.safetensors", **files} | changes
    with pytest.raises(InputError, match=sentence):
        import_weights(**arguments)


def test_nothing_is_overwritten_silently(files, tmp_path):
    out = tmp_path / "net.safetensors"
    out.write_text("mine")
    with pytest.raises(InputError, match="exists already"):
        import_weights("lite_hrdepth", out=out, **files)
    assert out.read_text() == "mine"
    import_weights("lite_hrdepth", out=out, overwrite=True, **files)
    assert read_checkpoint(out).size == (320, 1024)


@pytest.mark.parametrize("height", [0, 200, -192, 192.5, 2**40, "tall", float("nan")])
def test_a_size_that_no_network_was_trained_at_is_refused(files, tmp_path, height):
    change(files["encoder"], lambda content: content.update(height=height))
    with pytest.raises(InputError, match=r"encoder\.pth: the height .* must be multiples of 32"):
        import_weights("lite_hrdepth", files["encoder"], files["depth"], tmp_path / "out.safetensors")
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "int8"])
def test_tensors_of_no_finite_floats_are_refused(files, tmp_path, value):
    content = torch.load(files["encoder"], weights_only=True)
    key = next(key for key, tensor in content.items() if isinstance(tensor, torch.Tensor) and tensor.ndim == 4)
    content[key] = content[key].to(torch.int8) if value == "int8" else content[key].fill_(value)
    torch.save(content, files["encoder"])
    with pytest.raises(InputError, match="must hold finite floating-point numbers") as error:
        import_weights("lite_hrdepth", files["encoder"], files["depth"], tmp_path / "out.safetensors")
    assert key in str(error.value)


def test_one_wrong_bit_is_refused(files, tmp_path):
    flip_bit(files["encoder"])
    with pytest.raises(InputError, match="checksum of .* is wrong"):
        import_weights("lite_hrdepth", out=tmp_path / "net.safetensors", **files)


def test_a_web_page_instead_of_weights_gets_no_advice_to_run_it(files, tmp_path):
    files["encoder"].write_text("<!DOCTYPE html><html>not found</html>")
    with pytest.raises(InputError, match=r"encoder\.pth cannot be read.*web page") as error:
        import_weights("lite_hrdepth", files["encoder"], files["depth"], tmp_path / "out.safetensors")
    assert "weights_only" not in str(error.value)
