"""Tests of fleet/: commands on a Ray cluster of two processes give what the plain commands give, whatever dies."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import fake_datasets
from fake_recordings import clip, files
from hrdepth.cli import main
from hrdepth.config import DepthProtocol, EvaluateConfig, FleetConfig, GroundTruthConfig, PredictConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import METRICS, ImageResult
from hrdepth.fleet import units as fleet_units
from hrdepth.fleet.images import evaluate_images
from hrdepth.fleet.recordings import Unit, _Predicting, find_units
from hrdepth.inference.predictor import Predictor
from hrdepth.io.objects import read_remote_json
from hrdepth.io.video_writer import VideoWriter
from hrdepth.truth import build_ground_truth
from weights_files import save


@pytest.fixture
def recordings(tmp_path):
    """Two videos, a folder of images with a damaged one, and a file that is no video."""
    root = tmp_path / "in"
    (root / "day").mkdir(parents=True)
    clip(root / "day" / "one.mp4")
    clip(root / "two.mp4")
    for number in range(3):
        fake_datasets.save(fake_datasets.image(2 * number), root / "images" / f"{number}.png")
    (root / "images" / "1.png").write_bytes(b"damaged")
    (root / "broken.mp4").write_bytes(b"no video")
    (root / "notes.txt").write_text("")
    return root


def names(root: Path) -> set[str]:
    return set(files(root))


def test_recordings_are_found_and_named(recordings):
    found = {unit.name: unit for unit in find_units(str(recordings), "predict.json", 2)}
    assert set(found) == {"day/one", "two", "broken", "images"}
    assert found["day/one"].video
    parts = [unit for unit in find_units(str(recordings), "predict.json", 2) if unit.name == "images"]
    assert [unit.manifest for unit in parts] == ["predict-00000.json", "predict-00001.json"]
    assert [[Path(file).name for file, _ in unit.files] for unit in parts] == [["0.png", "1.png"], ["2.png"]]
    (single,) = find_units(str(recordings / "two.mp4"), "predict.json")
    assert (single.name, single.video) == ("two", True)
    with pytest.raises(InputError, match="neither images nor videos"):
        find_units(str(recordings / "notes.txt"), "predict.json")


def test_names_that_would_meet_are_kept_apart(tmp_path):
    for name in ("a.mp4", "a.mov", "b.mp4"):
        (tmp_path / name).write_bytes(b"")
    fake_datasets.save(fake_datasets.image(0), tmp_path / "b" / "0.png")
    assert {unit.name for unit in find_units(str(tmp_path), "m.json")} == {"a.mp4", "a.mov", "b.mp4", "b"}


def test_paths_hold_in_another_working_folder(tmp_path, monkeypatch):
    (tmp_path / "net.safetensors").write_bytes(b"")
    (tmp_path / "images").mkdir()
    monkeypatch.chdir(tmp_path)
    config = PredictConfig("x.mp4", "net.safetensors", calibration="images")
    local = fleet_units.with_absolute_paths(config, ("weights", "calibration"))
    assert (local.weights, local.calibration) == (str(tmp_path / "net.safetensors"), str(tmp_path / "images"))
    for weights in ("street", "s3://bucket/net.safetensors"):
        config = PredictConfig("x.mp4", weights)
        assert fleet_units.with_absolute_paths(config, ("weights", "calibration")) == config


def test_numbers_that_cannot_work_are_refused():
    with pytest.raises(InputError, match="ray_workers"):
        FleetConfig(ray_workers=0)
    with pytest.raises(InputError, match="ray_cpus"):
        PredictConfig("x.mp4", ray_cpus=0)


def test_an_address_at_which_nothing_listens_is_refused_at_once():
    """Ray itself would try for ten minutes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(InputError, match=f"nothing answers at the Ray cluster's address {address}"):
            fleet_units._check_address(address)  # bound, but it does not listen
        free.listen()
        fleet_units._check_address(address)
    for other in ("auto", "local", "ray://nowhere:10001", None):
        fleet_units._check_address(other)


def test_a_batch_gives_what_single_images_give(tmp_path):
    predictor = Predictor.from_file(save(tmp_path / "net.safetensors"), device="cpu", flip=True)
    images = [np.asarray(fake_datasets.image(0)), np.asarray(fake_datasets.image(4, size=(96, 96)))] * 2
    found = predictor.predict_batch(images, [None] * 4)
    for image, prediction in zip(images, found, strict=True):
        np.testing.assert_allclose(prediction.disparity, predictor(image).disparity, atol=1e-5)
        assert prediction.image.shape == image.shape


@pytest.fixture(scope="module")
def cluster():
    """A cluster of one machine with two cores, which others can join."""
    ray = pytest.importorskip("ray", reason="needs ray (extra ray)")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 2, "include_dashboard": False, "object_store_memory": 100_000_000}
    machines = Cluster(initialize_head=True, head_node_args=node)
    ray.init(address=machines.address, log_to_driver=False)
    yield machines
    ray.shutdown()
    machines.shutdown()


def killed(pids, count, done):
    """Kill `count` processes of the pipeline as soon as they work; give up when all is done."""
    while not done.wait(0.05):
        for process in Path("/proc").glob("[0-9]*"):
            pid = process.name
            try:
                title = (process / "cmdline").read_bytes()
            except OSError:
                continue
            # Ray names a process after what it does.
            if title.startswith(b"ray::") and b"_Process" in title and b"IDLE" not in title and int(pid) not in pids:
                os.kill(int(pid), signal.SIGKILL)
                pids.append(int(pid))
                if len(pids) == count:
                    return


@pytest.mark.slow
def test_predict_gives_what_the_plain_command_gives_when_processes_are_killed(recordings, tmp_path, cluster, capsys):
    weights = save(tmp_path / "net.safetensors")
    options = ["--weights", str(weights), "--depth-png", "--device", "cpu"]
    for name in ("day/one", "two", "images"):
        source = recordings / name if name == "images" else recordings / f"{name}.mp4"
        main(["predict", str(source), "--out", str(tmp_path / "plain" / name), *options])
    out = tmp_path / "out"
    command = ["predict", str(recordings), "--out", str(out), "--ray", "local", *options]
    pids: list[int] = []
    done = threading.Event()
    killer = threading.Thread(target=killed, args=(pids, 2, done), daemon=True)
    killer.start()
    assert main(command) == 0
    done.set()
    killer.join(timeout=5)
    assert pids, "no process was killed"
    record = json.loads((out / "fleet.json").read_text())
    assert [Path(failed["input"]).name for failed in record["failed"]] == ["broken.mp4"]
    assert (record["units"], record["done"], record["frames"], record["complete"]) == (4, 3, 10, False)
    assert len(record["skipped"]) == 1
    expected, found = files(tmp_path / "plain"), files(out)
    assert set(found) - {"fleet.json"} == set(expected)
    assert all(found[name] == content for name, content in expected.items() if name.endswith("_depth.png"))
    # Nothing is done twice, and what failed is tried again.
    assert main(command) == 2
    clip(recordings / "broken.mp4")
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*_depth.png")}
    assert main([*command, "--resume"]) == 0
    record = json.loads((out / "fleet.json").read_text())
    assert (record["kept"], record["done"], record["failed"]) == (3, 1, [])
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert (out / "broken" / "predict.json").is_file()


def test_images_that_fail_are_counted_apart_from_those_without_true_depth(tmp_path, monkeypatch):
    data = GroundTruthConfig("drive", root=str(fake_datasets.drive(tmp_path / "data")))
    row = ImageResult(dict.fromkeys(METRICS, 0.5), 1.0, 7, "drive 1 l")
    found = [(0, row, None), (1, None, "it is damaged"), (2, "drive 3 l", None)]
    done = [SimpleNamespace(number=0, result=found[:2], error=None), SimpleNamespace(number=0, result=found[2:])]
    monkeypatch.setattr("hrdepth.fleet.images.stream", lambda *_: done)
    config, protocol = EvaluateConfig(data), DepthProtocol().complete()
    evaluation = evaluate_images(config, tmp_path, build_ground_truth(data), protocol, None)
    assert (evaluation.skipped, evaluation.failed) == (("drive 3 l",), ("image 1: it is damaged",))
    assert evaluation.table().title.endswith("1 images, 1 without true depth skipped, 1 failed and left out")
    evaluation.write(tmp_path / "out")
    written = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert written["skipped"] == {"count": 1, "names": ["drive 3 l"]}
    assert written["failed"] == {"count": 1, "names": ["image 1: it is damaged"]}
    done[:] = [SimpleNamespace(number=0, result=None, error="killed")]
    with pytest.raises(InputError, match="4 of 4 images could not be evaluated; the first is image 0: killed"):
        evaluate_images(config, tmp_path, build_ground_truth(data), protocol, None)


@pytest.mark.slow
def test_evaluation_gives_the_numbers_of_the_plain_command(tmp_path, cluster):
    data = fake_datasets.drive(tmp_path / "data")
    weights = save(tmp_path / "net.safetensors")
    command = ["evaluate", "--data.kind", "drive", "--data.root", str(data), "--device", "cpu"]
    command += ["--weights", str(weights), "--threads", "1"]  # the last digits depend on the number of threads
    assert main([*command, "--out", str(tmp_path / "plain")]) == 0
    assert main([*command, "--out", str(tmp_path / "ray"), "--ray", "local"]) == 0
    rows = [list(csv.reader((tmp_path / name / "per_image.csv").open())) for name in ("plain", "ray")]
    assert rows[0] == rows[1]


@pytest.mark.slow
def test_labels_and_recordings_are_prepared(tmp_path, cluster):
    data = fake_datasets.drive(tmp_path / "data")
    weights = save(tmp_path / "net.safetensors")
    command = ["prepare", "labels", "--teacher", str(weights), "--data", str(data), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "plain")]) == 0
    assert main([*command, "--out", str(tmp_path / "ray"), "--ray", "local"]) == 0
    maps = {path.stat().st_size for path in (tmp_path / "ray").rglob("*.npy")}
    assert len(list((tmp_path / "ray").rglob("*.npy"))) == len(list((tmp_path / "plain").rglob("*.npy"))) > 0
    assert len(maps) == 1
    videos = tmp_path / "videos"
    videos.mkdir()
    for name in ("a", "b"):
        with VideoWriter(videos / f"{name}.mp4", 10) as video:
            for number in range(14):
                video.write(
                    np.asarray(fake_datasets.image(2 * number, seed=ord(name), size=(64, 96)).resize((192, 128)))
                )
    options = ["--stride", "1", "--fov", "60", "--no_mask", "--gap", "1", "--size", "[64, 96]"]
    plain, ray = tmp_path / "one", tmp_path / "two"
    assert main(["prepare", "video", *map(str, sorted(videos.iterdir())), "--out", str(plain), *options]) == 0
    assert main(["prepare", "video", str(videos), "--out", str(ray), "--ray", "local", *options]) == 0
    assert (plain / "train.txt").read_text() == (ray / "train.txt").read_text()
    assert {n for n in names(plain) if n.endswith(".jpg")} == {n for n in names(ray) if n.endswith(".jpg")}
    assert main(["prepare", "video", "--verify", "--out", str(ray)]) == 0
    assert Image.open(next(ray.rglob("left/*.jpg"))).size == (96, 64)


@pytest.mark.slow
def test_a_machine_that_leaves_takes_no_frame_with_it(tmp_path, cluster):
    weights = save(tmp_path / "net.safetensors")
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    for number in range(9):
        clip(source / f"{number}.mp4", 20)
    leaving = cluster.add_node(num_cpus=1, object_store_memory=100_000_000)
    left: list[int] = []

    def leave() -> None:
        while not (done := len(list(out.rglob("predict.json")))):
            time.sleep(0.02)
        left.append(done)
        cluster.remove_node(leaving, allow_graceful=False)

    thread = threading.Thread(target=leave, daemon=True)
    thread.start()
    options = ["--weights", str(weights), "--device", "cpu", "--threads", "1"]
    assert main(["predict", str(source), "--out", str(out), "--ray", "local", "--ray-workers", "3", *options]) == 0
    thread.join(timeout=30)
    assert left[0] < 9, "it left when all was done"
    record = json.loads((out / "fleet.json").read_text())
    assert (record["done"], record["frames"], record["failed"], record["complete"]) == (9, 180, [], True)
    assert {path.name for path in out.iterdir()} == {"fleet.json", *map(str, range(9))}
    assert all(json.loads(path.read_text())["pictures"] == 20 for path in out.rglob("predict.json"))


@pytest.mark.slow
def test_what_no_process_survives_is_reported_and_ends_nothing_else(tmp_path, cluster, monkeypatch, capsys):
    monkeypatch.setattr(fleet_units, "RETRIES", 1)

    def make():
        return lambda unit: unit if unit != 1 else os._exit(1)

    done = sorted(fleet_units.stream(make, range(6), FleetConfig(ray="local", ray_workers=1), "units"))
    expected = [(number, number, None) for number in range(6)]
    expected[1] = (1, None, "the process that did it died 2 times")
    assert done == expected
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    weights = save(tmp_path / "net.safetensors")
    command = ["predict", str(tmp_path / "broken.mp4"), "--weights", str(weights), "--device", "cpu"]
    assert main([*command, "--out", str(tmp_path / "out"), "--ray", "local"]) == 2
    assert "not one recording could be used" in capsys.readouterr().err


@pytest.mark.slow
def test_a_process_stays_as_large_as_it_was_after_its_first_recordings(tmp_path, cluster):
    """Its own memory, that is: pages of Ray's object store count as its own too when it has seen them."""
    clip(tmp_path / "clip.mp4", 6)
    config = PredictConfig(str(tmp_path), str(save(tmp_path / "net.safetensors")), out=str(tmp_path / "out"),
                           device="cpu", ray="local", ray_workers=1)  # fmt: skip
    units = [Unit(str(n), "predict.json", ((str(tmp_path / "clip.mp4"), "clip.mp4"),), True) for n in range(80)]

    def make():
        work = _Predicting(config)

        def measured(unit):
            work(unit)
            status = dict(line.split(":\t") for line in Path("/proc/self/status").read_text().splitlines())
            return int(status["RssAnon"].split()[0]) / 1024

        return measured

    mebibytes = [done.result for done in fleet_units.stream(make, units, config, "recordings")]
    assert len(mebibytes) == 80
    # The frames and depth maps of one recording are 0.6 MiB: what kept them would add 24.
    assert max(mebibytes[70:]) - max(mebibytes[30:40]) < 5, mebibytes


@pytest.mark.slow
def test_recordings_in_a_store_are_resumed_after_the_command_was_killed(tmp_path, bucket):
    """The command and its cluster in a process of their own, so that SIGKILL ends them."""
    pytest.importorskip("ray", reason="needs ray (extra ray)")
    import fsspec

    weights = save(tmp_path / "net.safetensors")
    store, address = fsspec.core.url_to_fs(bucket)
    store.put_file(str(weights), f"{address}/net.safetensors")
    (tmp_path / "in").mkdir()
    for number in range(8):
        clip(tmp_path / "in" / f"{number}.mp4", 20)
        store.put_file(str(tmp_path / "in" / f"{number}.mp4"), f"{address}/in/{number % 2}/{number}.mp4")
    store.pipe_file(f"{address}/in/broken.mp4", b"no video")
    options = ["--depth-png", "--device", "cpu", "--threads", "1"]
    command = [sys.executable, "-m", "hrdepth.cli", "predict", f"{bucket}/in", "--out", f"{bucket}/out"]
    command += ["--weights", f"{bucket}/net.safetensors", "--ray", "local", "--ray-workers", "2", *options]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    def manifests() -> list[str]:
        store.invalidate_cache()
        return [name for name in store.find(f"{address}/out") if name.endswith("/predict.json")]

    running = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    while len(manifests()) < 2:
        assert running.poll() is None, running.communicate()[1]
        time.sleep(0.05)
    running.kill()
    running.communicate()
    before = manifests()
    assert 2 <= len(before) < 8
    assert read_remote_json(f"{bucket}/out/fleet.json")["complete"] is False
    done = subprocess.run(
        [*command, "--resume"], env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    record = read_remote_json(f"{bucket}/out/fleet.json")
    assert len(before) <= record["kept"] < 8  # a worker may finish its recording before it notices
    assert record["kept"] + record["done"] == 8
    assert record["frames"] == 20 * record["done"]
    assert [failed["input"] for failed in record["failed"]] == [f"{bucket}/in/broken.mp4"]
    assert "broken.mp4" in done.stderr
    for number in range(8):
        plain = tmp_path / "plain" / str(number)
        assert main(["predict", str(tmp_path / "in" / f"{number}.mp4"), "--out", str(plain),
                     "--weights", str(weights), *options]) == 0  # fmt: skip
        folder = f"{address}/out/{number % 2}/{number}"
        assert {Path(name).name for name in store.find(folder)} == {file.name for file in plain.iterdir()}
        for file in plain.glob("*_depth.png"):
            assert store.cat_file(f"{folder}/{file.name}") == file.read_bytes()
