"""Files that would run code when they are opened do not: pickles, .pt2, YAML tags, classes named by a config."""

import io
import json
import os
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from damage import flip_bit
from fake_run import run_folder
from hrdepth.cli import main
from hrdepth.config.safe_yaml import load_yaml
from hrdepth.config.setting_files import train_config
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes.graphs import Finest, Graph, write_torch_export
from hrdepth.inference.runtimes.source import Description, open_source, read_description
from hrdepth.io.run_folder import read_run
from hrdepth.networks.backbones import build_backbone
from hrdepth.prepare.calibration_file import read_calibration
from hrdepth.truth.sparse_maps import read_depth_maps
from hrdepth.weights.checkpoint import load_network
from hrdepth.weights.released import import_weights
from weights_files import save


class Bomb:
    """Unpickling it makes a file."""

    def __init__(self, marker):
        self.marker = marker

    def __reduce__(self):
        return open, (str(self.marker), "w")


@pytest.fixture
def marker(tmp_path):
    """What a bomb makes when it goes off; the test fails if one did."""
    path = tmp_path / "MARKER"
    yield path
    assert not path.exists()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """A good .pt2 file."""
    folder = tmp_path_factory.mktemp("exported")
    network = load_network(save(folder / "w.safetensors"))
    path = folder / "good.pt2"
    metadata = Description(size=(64, 96), fixed=True, scale=network.scale).metadata()
    write_torch_export(Graph(Finest(network)), path, size=(64, 96), metadata=metadata)
    return path


def with_a_bomb(exported, path, marker):
    """Replace the example inputs of a .pt2 by a pickle."""
    content = io.BytesIO()
    torch.save((Bomb(marker),), content)
    reader, writer = torch._C.PyTorchFileReader(str(exported)), torch._C.PyTorchFileWriter(str(path))
    for name in reader.get_all_records():
        if name not in ("version", "byteorder", ".data/serialization_id"):
            record = content.getvalue() if "sample_inputs" in name else reader.get_record(name)
            writer.write_record(name, record, len(record))
    writer.write_end_of_file()
    return path


def test_a_pt2_file_is_not_opened(exported, tmp_path, marker):
    hostile = with_a_bomb(exported, tmp_path / "hostile.pt2", marker)
    for opened in (open_source, Predictor.from_file):
        with pytest.raises(InputError, match=r"hostile\.pt2 is a file .*, which can run any code .*--trust"):
            opened(hostile)


def test_a_pt2_file_is_not_opened_by_a_command(exported, tmp_path, marker, capsys):
    hostile = with_a_bomb(exported, tmp_path / "hostile.pt2", marker)
    Image.new("RGB", (96, 64)).save(tmp_path / "a.png")
    assert main(["predict", str(tmp_path / "a.png"), "--weights", str(hostile), "--out", str(tmp_path / "out")]) == 2
    assert "can run any code" in " ".join(capsys.readouterr().err.split())


def test_a_pt2_file_is_opened_with_trust(exported, tmp_path):
    Image.new("RGB", (96, 64)).save(tmp_path / "a.png")
    command = [
        "predict",
        str(tmp_path / "a.png"),
        "--weights",
        str(exported),
        "--out",
        str(tmp_path / "out"),
        "--trust",
    ]
    assert main(command) == 0
    assert (tmp_path / "out" / "predict.json").is_file()


def test_one_wrong_bit_in_a_pt2_file_is_refused(exported, tmp_path):
    damaged = Path(shutil.copy(exported, tmp_path / "damaged.pt2"))
    flip_bit(damaged)
    with pytest.raises(InputError, match=r"damaged\.pt2 is damaged .*checksum of .* is wrong"):
        open_source(damaged, trust=True)


def test_the_description_of_a_pt2_file_is_read_without_opening_it(exported, tmp_path, marker):
    assert read_description(exported).size == (64, 96)
    hostile = with_a_bomb(exported, tmp_path / "hostile.pt2", marker)
    assert read_description(hostile).size == (64, 96)


def pickles(folder, marker):
    """The three kinds of files of torch.save and pickle."""
    torch.save({"a": Bomb(marker)}, folder / "zip.pth")
    torch.save(Bomb(marker), folder / "legacy.pth", _use_new_zipfile_serialization=False)
    (folder / "plain.pth").write_bytes(pickle.dumps(Bomb(marker)))
    return [folder / name for name in ("zip.pth", "legacy.pth", "plain.pth")]


def test_published_weights_are_not_unpickled(tmp_path, marker):
    for file in pickles(tmp_path, marker):
        with pytest.raises(InputError, match="cannot be read as a state dict"):
            import_weights("hrdepth", file, file, tmp_path / "x.safetensors")


def test_a_backbones_weights_are_not_unpickled(tmp_path, marker):
    for file in pickles(tmp_path, marker):
        with pytest.raises(InputError, match="cannot be read"):
            build_backbone("test_resnet", weights=str(file))


def test_a_training_checkpoint_is_not_unpickled(tmp_path, marker):
    from hrdepth.training.state import _read

    for file in pickles(tmp_path, marker):
        with pytest.raises(InputError, match="not a training checkpoint"):
            _read(file)


def test_arrays_of_objects_are_not_unpickled(tmp_path, marker):
    from hrdepth.evaluation.predictions import read_disparities

    objects = np.empty(1, object)
    objects[0] = Bomb(marker)
    np.savez(tmp_path / "o.npz", data=objects)
    np.save(tmp_path / "o.npy", objects)
    with pytest.raises(InputError, match="refused"):
        read_depth_maps(tmp_path / "o.npz")
    for name in ("o.npz", "o.npy"):
        with pytest.raises(InputError):
            read_disparities(tmp_path / name)


@pytest.fixture
def tagged(marker):
    return f'!!python/object/apply:os.system ["touch {marker}"]'


def test_yaml_tags_make_no_objects(tagged, tmp_path):
    with pytest.raises(yaml.YAMLError, match="could not determine a constructor"):
        load_yaml(f"seed: {tagged}")
    (tmp_path / "c.yaml").write_text(f"camera_matrix: {tagged}\n")
    with pytest.raises(InputError, match="no known format"):
        read_calibration(tmp_path / "c.yaml")
    run = run_folder(tmp_path / "run")
    (run / "config.yaml").write_text(f"network: {{name: {tagged}}}\nepochs: 3\n")
    with pytest.raises(InputError, match=r"config\.yaml is missing or damaged"):
        read_run(run)


SETS = {
    "train": [{"dataset": "folder", "root": "x"}],
    "validation": [{"dataset": "folder", "root": "x"}],
    "output": "o",
}


@pytest.fixture
def module(tmp_path, monkeypatch, marker):
    """The name of a module that makes the marker when it is imported."""
    (tmp_path / "imported_by_a_config.py").write_text(f"open({str(marker)!r}, 'w')\nclass X: pass\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    return "imported_by_a_config"


def ended(arguments):
    """Return the status that a command ends with."""
    try:
        return main(arguments)
    except SystemExit as end:
        return end.code


@pytest.mark.parametrize("section", ["optimiser", "network", "objective", "seed", "init", "log"])
@pytest.mark.parametrize("form", ["text", "key"])
def test_no_class_of_a_config_is_imported(module, tmp_path, capsys, section, form):
    value = f"{module}.X" if form == "text" else {"class_path": f"{module}.X"}
    config = tmp_path / "config.yaml"
    config.write_text(yaml.safe_dump(SETS | {section: value}))
    for arguments in (
        ["train", "--config", str(config), "--scan", "off"],
        ["scan", "--config", str(config)],
        ["train", "--train", json.dumps(SETS["train"]), "--validation", json.dumps(SETS["train"]), "--output", "o",
         f"--{section}", value if form == "text" else json.dumps(value)],
    ):  # fmt: skip
        if form == "text" and section == "init":
            continue  # a path
        assert ended(arguments) == 2
    assert module not in sys.modules


@pytest.mark.parametrize("train", [["M.X"], [{"class_path": "M.X"}], "M.X"])
def test_no_class_of_stored_settings_is_imported(module, train):
    train = json.loads(json.dumps(train).replace("M", module))
    for settings in (SETS | {"train": train}, SETS | {"network": {"options": {"a": train}}, "train": train}):
        with pytest.raises(InputError, match="holds no training's settings"):
            train_config(settings, "the file")
    assert module not in sys.modules


def test_the_marker_shows_a_bomb(tmp_path):
    """Without which the tests above would show nothing."""
    pickle.loads(pickle.dumps(Bomb(tmp_path / "shown"))).close()
    assert Path(tmp_path / "shown").exists()


def test_a_prediction_leaves_nothing_in_the_users_folder_and_starts_no_telemetry(tmp_path):
    """ONNX Runtime writes an identifier and a queue of events there when it is imported, and sends them."""
    from attacks.commands import write_graph

    write_graph(tmp_path / "net.onnx")
    Image.new("RGB", (96, 64)).save(tmp_path / "a.png")
    (tmp_path / "home").mkdir()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ORT_", "XDG_"))}
    environment |= {"HOME": str(tmp_path / "home"), "PYTHONPATH": os.pathsep.join(sys.path)}
    line = ["predict", "a.png", "--weights", "net.onnx", "--runtime", "onnxruntime", "--out", "out"]
    command = [sys.executable, "-m", "hrdepth.cli", *line]
    subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)
    assert (tmp_path / "out" / "a.npz").exists()
    assert list((tmp_path / "home").rglob("*")) == []


def test_openvino_starts_no_telemetry(tmp_path):
    """Its import sends an event, under an identifier that it leaves in the user's folder."""
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "TF_BUILD", "JENKINS_URL")}
    environment |= {"HOME": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    script = "import hrdepth, openvino, sys, threading; openvino.Core(); print(threading.active_count())"
    done = subprocess.run([sys.executable, "-c", script], env=environment, check=True, capture_output=True, text=True)
    assert done.stdout.split() == ["1"]
    assert list(tmp_path.rglob("*")) == []
