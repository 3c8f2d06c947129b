"""Tests of every output that inference/outputs.py registers.

Every output of `predict` in the registry is a file of its own, written whole, for images and folders.
"""

import json

import numpy as np
import pytest
from PIL import Image

from hrdepth.camera import DepthScale
from hrdepth.config import Outputs
from hrdepth.errors import InputError
from hrdepth.inference.folder import predict_to_folder
from hrdepth.inference.outputs import DEFAULT, OUTPUTS, check_outputs, resolve_outputs, wanted
from hrdepth.inference.predictor import Predictor


@pytest.fixture
def chosen(name):
    """What asks for this output and for none that can be left out."""
    options = dict.fromkeys(("npz", "panel"), False)
    return Outputs(**options | ({name: True} if hasattr(Outputs(), name) else {"write": name}))


def predictor():
    """Depth that grows towards the horizon."""
    rows = np.linspace(0.02, 0.9, 64, dtype=np.float32)
    return Predictor(lambda image: {0: 0 * image[:, :1] + image.new_tensor(rows)[:, None]}, size=(64, 96))


@pytest.mark.parametrize("name", OUTPUTS)
def test_the_file_is_written_and_listed(name, chosen, tmp_path):
    Image.linear_gradient("L").convert("RGB").resize((96, 64)).save(tmp_path / "street.png")
    written = predict_to_folder(predictor(), tmp_path / "street.png", tmp_path / "out", chosen, progress=False)
    file = tmp_path / "out" / f"street{OUTPUTS[name].suffix}"
    assert file in written
    assert file.stat().st_size > 0
    suffixes = {OUTPUTS[other].suffix for other in {name, *DEFAULT}}
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"predict.json", *(f"street{s}" for s in suffixes)}
    assert file.name in json.loads((tmp_path / "out" / "predict.json").read_text())["files"]


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_interrupted_folder_is_resumed(name, chosen, tmp_path):
    (tmp_path / "frames").mkdir()
    for number in range(2):
        Image.linear_gradient("L").convert("RGB").resize((96, 64)).save(tmp_path / "frames" / f"{number}.png")
    predict_to_folder(predictor(), tmp_path / "frames", tmp_path / "out", chosen, progress=False)
    manifest = tmp_path / "out" / "predict.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"complete": False}))
    lost, kept = (tmp_path / "out" / f"{number}{OUTPUTS[name].suffix}" for number in (1, 0))
    lost.unlink()
    before = kept.stat().st_mtime_ns
    predict_to_folder(predictor(), tmp_path / "frames", tmp_path / "out", chosen, progress=False, resume=True)
    assert lost.stat().st_size > 0
    assert kept.stat().st_mtime_ns == before


OPTIONS = [name for name in OUTPUTS if hasattr(Outputs(), name)]


@pytest.mark.parametrize("name", OPTIONS)
@pytest.mark.parametrize("kind", ["image", "folder", "video"])
def test_write_is_as_the_option_of_that_name(name, kind):
    off = dict.fromkeys(("npz", "panel"), False)
    by_option = resolve_outputs(Outputs(**off | {name: True}), kind)
    for named in (name, (name,)):
        found = resolve_outputs(Outputs(**off, write=named), kind)
        assert found == by_option
        assert OUTPUTS[name] in wanted(found)
    with_others = resolve_outputs(Outputs(**off, write=tuple(OPTIONS)), kind)
    assert all(output in wanted(with_others) for output in OUTPUTS.values())


def test_write_names_what_needs_depth():
    with pytest.raises(InputError, match=r"NAME_depth\.png needs depth"):
        check_outputs(Outputs(write="depth_png"), DepthScale(shift=None))


@pytest.mark.parametrize("before", [{"ply": True}, {"write": ("ply",)}])
def test_a_run_with_write_is_resumed(before, tmp_path):
    (tmp_path / "frames").mkdir()
    for number in range(2):
        Image.linear_gradient("L").convert("RGB").resize((96, 64)).save(tmp_path / "frames" / f"{number}.png")
    frames, out = tmp_path / "frames", tmp_path / "out"
    predict_to_folder(predictor(), frames, out, Outputs(**before), progress=False)
    assert (out / "0.ply").is_file()
    said = json.loads((out / "predict.json").read_text())["outputs"]
    assert said["ply"] is True
    assert "write" not in said
    predict_to_folder(predictor(), frames, out, Outputs(write="ply"), progress=False, resume=True)


def test_an_unknown_output_is_named(tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "street.png")
    with pytest.raises(InputError, match="'contuors'"):
        predict_to_folder(predictor(), tmp_path / "street.png", tmp_path / "out", Outputs(write="contuors"))
