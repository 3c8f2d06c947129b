"""Tests of fleet/ in one process: what a process of a cluster does with its units, and what becomes of the results."""

import json
import pickle
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import fake_datasets
from fake_recordings import clip, files
from hrdepth.cli import main
from hrdepth.config import FleetConfig, PredictConfig
from hrdepth.errors import InputError
from hrdepth.fleet import recordings
from hrdepth.fleet import units as fleet_units
from hrdepth.io.objects import read_remote_json
from hrdepth.io.video_writer import VideoWriter
from weights_files import save

PYTORCH = ["--device", "cpu", "--runtime", "pytorch"]  # which starts faster with weights of a minute ago


@pytest.fixture(autouse=True)
def in_this_process(monkeypatch):
    """Units are done here one after the other, as pickles like those that a process of a cluster gets."""

    def stream(make, units, config, name):
        process = fleet_units._Process(pickle.loads(pickle.dumps(make)))
        for number, unit in enumerate(units):
            row = process({"number": number, "unit": pickle.dumps(unit)})
            yield fleet_units.Done(row["number"], *pickle.loads(row["result"]))

    for module in ("images", "recordings"):
        monkeypatch.setattr(f"hrdepth.fleet.{module}.stream", stream)


def test_recordings_have_the_results_of_the_plain_command_and_what_failed_is_tried_again(tmp_path, capsys):
    weights, source, out = save(tmp_path / "net.safetensors"), tmp_path / "in", tmp_path / "out"
    options = ["--weights", str(weights), *PYTORCH, "--depth-png", "--intrinsics", "[110, 110, 96, 32]"]
    clip(source / "day" / "one.mp4", 3)
    for number in range(2):
        fake_datasets.save(fake_datasets.image(2 * number), source / "images" / f"{number}.png")
    for name, path in {"day/one": "day/one.mp4", "images": "images"}.items():
        assert main(["predict", str(source / path), "--out", str(tmp_path / "plain" / name), *options]) == 0
    (source / "broken.mp4").write_bytes(b"no video")
    command = ["predict", str(source), "--out", str(out), "--ray", "local", *options]
    assert main(command) == 0
    expected, found = files(tmp_path / "plain"), files(out)
    assert set(found) == {*expected, "fleet.json"}
    assert all(found[name] == content for name, content in expected.items() if name.endswith(".png"))
    record = json.loads(found["fleet.json"])
    assert [Path(failed["input"]).name for failed in record["failed"]] == ["broken.mp4"]
    assert (record["units"], record["done"], record["frames"], record["complete"]) == (3, 2, 5, False)
    assert main(command) == 2
    assert "is not empty" in capsys.readouterr().err
    for changed in (["--no_depth_png"], ["--intrinsics", "[120, 110, 96, 32]"]):
        assert main([*command, "--resume", *changed]) == 2
        assert "was made with other settings" in capsys.readouterr().err
    clip(source / "broken.mp4")
    assert main([*command, "--resume"]) == 0
    record = json.loads((out / "fleet.json").read_text())
    assert (record["kept"], record["done"], record["complete"]) == (2, 1, True)


def test_a_shift_reaches_every_process(tmp_path, monkeypatch):
    asked = []

    def refuse(cls, source, **settings):
        asked.append(settings)
        raise InputError("no network")

    monkeypatch.setattr(recordings.Predictor, "from_pretrained", classmethod(refuse))
    clip(tmp_path / "in" / "one.mp4")
    config = PredictConfig(str(tmp_path / "in"), out=str(tmp_path / "out"), ray="local", shift=0.25)
    for predict in (recordings.predict_recordings, recordings._Predicting):
        with pytest.raises(InputError, match="no network"):
            predict(config)
    assert [settings["shift"] for settings in asked] == [0.25, 0.25]


def test_recordings_in_a_store_are_predicted_there(tmp_path, bucket):
    import fsspec

    weights = save(tmp_path / "net.safetensors")
    clip(tmp_path / "one.mp4", 3)
    store, address = fsspec.core.url_to_fs(bucket)
    for name in ("in/a.mp4", "in/.hidden/b.mp4"):
        store.put_file(str(tmp_path / "one.mp4"), f"{address}/{name}")
    command = ["predict", f"{bucket}/in", "--out", f"{bucket}/out", "--weights", str(weights), *PYTORCH]
    assert main([*command, "--ray", "local"]) == 0
    record = read_remote_json(f"{bucket}/out/fleet.json")
    assert (record["units"], record["frames"], record["complete"]) == (1, 3, True)
    store.invalidate_cache()
    assert store.exists(f"{address}/out/a/predict.json")


def test_no_recording_that_can_be_used_is_an_error(tmp_path, capsys):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    weights = save(tmp_path / "net.safetensors")
    command = ["predict", str(tmp_path / "broken.mp4"), "--weights", str(weights), "--out", str(tmp_path / "out")]
    assert main([*command, "--ray", "local", *PYTORCH]) == 2
    assert "not one recording could be used" in capsys.readouterr().err


def test_prepared_recordings_are_listed_once_however_often_they_are_prepared(tmp_path, capsys):
    for seed, name in enumerate("ab"):
        path = tmp_path / "videos" / f"{name}.mp4"
        path.parent.mkdir(exist_ok=True)
        with VideoWriter(path, 10) as video:
            for number in range(12):
                image = fake_datasets.image(2 * number, seed=seed, size=(64, 96))
                video.write(np.asarray(image.resize((192, 128))))
    options = ["--stride", "1", "--fov", "60", "--no_mask", "--gap", "1", "--size", "[64, 96]"]
    plain, out = tmp_path / "plain", tmp_path / "out"
    videos = sorted(map(str, (tmp_path / "videos").iterdir()))
    assert main(["prepare", "video", *videos, "--out", str(plain), *options]) == 0
    for _ in range(2):
        command = ["prepare", "video", str(tmp_path / "videos"), "--out", str(out), "--ray", "local", *options]
        assert main(command) == 0
        assert (out / "train.txt").read_text() == (plain / "train.txt").read_text()
    assert main(["prepare", "video", "--verify", "--out", str(out)]) == 0
    command = ["prepare", "video", *videos, *videos, "--out", str(tmp_path / "other"), "--ray", "local", *options]
    assert main(command) == 2
    assert "two recordings would have one name" in capsys.readouterr().err


def test_an_evaluation_has_the_numbers_of_the_plain_command(tmp_path):
    data, weights = fake_datasets.drive(tmp_path / "data"), save(tmp_path / "net.safetensors")
    command = ["evaluate", "--data.kind", "drive", "--data.root", str(data), *PYTORCH, "--threads", "1"]
    command += ["--weights", str(weights)]
    assert main([*command, "--out", str(tmp_path / "plain")]) == 0
    next((data / "drive" / "left").glob("*03.*")).write_bytes(b"damaged")
    assert main([*command, "--out", str(tmp_path / "ray"), "--ray", "local"]) == 0
    rows = [(tmp_path / name / "per_image.csv").read_text().splitlines() for name in ("plain", "ray")]
    assert set(rows[1]) < set(rows[0])
    failed = json.loads((tmp_path / "ray" / "metrics.json").read_text())["failed"]
    assert failed["count"] == len(rows[0]) - len(rows[1]) == 1


def test_images_that_cannot_be_labelled_are_named_and_the_others_are_labelled(tmp_path, capsys):
    data, weights = fake_datasets.drive(tmp_path / "data"), save(tmp_path / "net.safetensors")
    command = ["prepare", "labels", "--teacher", str(weights), "--data", str(data), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "plain")]) == 0
    image = next((data / "drive" / "left").glob("*03.*"))
    content = image.read_bytes()
    image.write_bytes(b"damaged")
    command += ["--out", str(tmp_path / "ray"), "--ray", "local"]
    assert main(command) == 2
    assert f"not labelled: {image}" in capsys.readouterr().err
    made = len(list((tmp_path / "ray").rglob("*.npy")))
    image.write_bytes(content)
    assert main(command) == 0
    assert len(list((tmp_path / "ray").rglob("*.npy"))) == len(list((tmp_path / "plain").rglob("*.npy"))) == made + 1


def test_a_process_reports_errors_and_begins_again_where_it_could_not_start():
    begun = []

    def make():
        begun.append(1)
        if len(begun) == 1:
            raise InputError("no network")
        return lambda unit: 6 // unit

    process = fleet_units._Process(make)
    rows = [process({"number": number, "unit": pickle.dumps(number)}) for number in (3, 0, 2)]
    assert [row["number"] for row in rows] == [3, 0, 2]
    found = [pickle.loads(row["result"]) for row in rows]
    assert found[0] == (None, "no network")
    assert found[1][1].startswith("ZeroDivisionError: ")
    assert found[2] == (3, None)
    assert len(begun) == 2


@pytest.mark.parametrize(
    ("resources", "settings", "processes"),
    [
        ({"CPU": 8}, {}, 8),
        ({"CPU": 8}, {"ray_cpus": 3}, 2),
        ({"CPU": 8}, {"ray_workers": 3}, 3),
        ({"CPU": 80}, {}, 20),  # units
        ({"CPU": 8, "GPU": 2}, {"ray_gpus": 0.5}, 4),
        ({"CPU": 2}, {"ray_cpus": 3}, "has 2 cores and 0 GPUs, a process wants 3 and 0"),
        ({"CPU": 2}, {"ray_gpus": 1}, "has 2 cores and 0 GPUs"),
    ],
)
def test_processes_are_as_many_as_fit(resources, settings, processes):
    ray = SimpleNamespace(cluster_resources=lambda: resources)
    config = FleetConfig(ray="local", **settings)
    if isinstance(processes, str):
        with pytest.raises(InputError, match=processes):
            fleet_units._workers(ray, config, 20)
    else:
        assert fleet_units._workers(ray, config, 20) == processes
