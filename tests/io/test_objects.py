"""Tests of io/objects.py, io/local_copies.py and io/staging.py: commands on an S3 server that the tests start."""

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import PredictConfig
from hrdepth.config.setting_files import plain_settings
from hrdepth.errors import InputError
from hrdepth.io import staging
from hrdepth.io.local_copies import LocalCopy, fetched
from hrdepth.io.objects import remote_files
from hrdepth.io.staging import staged
from hrdepth.weights.checkpoint import read_checkpoint
from tiny_training import split, tiny_training
from weights_files import save

fsspec = pytest.importorskip("fsspec", reason="URLs need the extra `objects`")

# Makes no graph of the weights first.
QUICK = ["--runtime", "pytorch"]


@pytest.fixture
def folder(tmp_path):
    """Two images."""
    images = tmp_path / "images"
    images.mkdir()
    for number in range(2):
        fake_datasets.image(2 * number).save(images / f"{number}.png")
    return images


def put(path: Path, url: str) -> None:
    store, address = fsspec.core.url_to_fs(url)
    for file in [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]:
        store.put_file(str(file), f"{address}/{file.relative_to(path).as_posix()}" if path.is_dir() else address)


def content(url: str) -> dict[str, bytes]:
    store, address = fsspec.core.url_to_fs(url)
    return {name: store.cat_file(f"{address}/{name}") for name in remote_files(url)}


def test_predict_reads_and_writes_a_store_as_it_does_a_disk(bucket, folder, tmp_path, capsys):
    weights = save(tmp_path / "net.safetensors")
    put(folder, f"{bucket}/in/images")
    put(weights, f"{bucket}/net.safetensors")
    plain = tmp_path / "plain"
    assert main(["predict", str(folder), "--weights", str(weights), "--out", str(plain), *QUICK]) == 0
    capsys.readouterr()
    command = ["predict", f"{bucket}/in/images", "--weights", f"{bucket}/net.safetensors", "--out", f"{bucket}/out"]
    command += QUICK
    assert main(command) == 0
    assert f"{bucket}/out/0.npz" in capsys.readouterr().out
    there = content(f"{bucket}/out")
    assert there.keys() == {file.name for file in plain.iterdir()}
    assert all(there[file.name] == file.read_bytes() for file in plain.iterdir() if file.suffix == ".png")
    assert json.loads(there["predict.json"])["complete"] is True
    # The same folder is refused, and its missing image is made again.
    assert main(command) == 2
    assert f"{bucket}/out is not empty" in capsys.readouterr().err
    store, address = fsspec.core.url_to_fs(f"{bucket}/out")
    store.rm_file(f"{address}/1.npz")
    assert main([*command, "--resume"]) == 0
    assert content(f"{bucket}/out").keys() == there.keys()
    assert json.loads(content(f"{bucket}/out")["predict.json"])["kept"] == 1


def test_the_manifest_is_put_last(bucket, folder, tmp_path, monkeypatch):
    """What is broken off while it is published has no manifest; what is whole has one."""
    weights = save(tmp_path / "net.safetensors")
    put_object, left = LocalCopy._put, 2

    def put_two(self, name, names):
        nonlocal left
        left -= 1
        if left < 0:
            raise InputError("the connection is gone")
        return put_object(self, name, names)

    monkeypatch.setattr(LocalCopy, "_put", put_two)
    command = ["predict", str(folder), "--weights", str(weights), "--out", f"{bucket}/out", "--no_panel", *QUICK]
    assert main(command) == 2
    assert 0 < len(content(f"{bucket}/out")) <= 2
    assert "predict.json" not in content(f"{bucket}/out")
    monkeypatch.undo()


def test_only_what_has_changed_is_fetched_again(bucket, folder, monkeypatch):
    put(folder, f"{bucket}/images")
    got = []
    get = LocalCopy._get
    monkeypatch.setattr(LocalCopy, "_get", lambda self, name, info: (got.append(name), get(self, name, info))[1])
    here = fetched(f"{bucket}/images")
    assert sorted(got) == ["0.png", "1.png"]
    assert {file.name: file.read_bytes() for file in here.iterdir()} == content(f"{bucket}/images")
    got.clear()
    fetched(f"{bucket}/images")
    assert got == []
    fake_datasets.image(9).save(folder / "1.png")
    put(folder / "1.png", f"{bucket}/images/1.png")
    (here / "0.png").write_bytes(b"damaged")
    (here / "left over.png").write_bytes(b"")
    fetched(f"{bucket}/images")
    assert sorted(got) == ["0.png", "1.png"]
    assert {file.name: file.read_bytes() for file in here.iterdir()} == content(f"{bucket}/images")


def test_a_local_copy_in_use_is_not_changed_by_others(bucket, folder):
    put(folder, f"{bucket}/images")
    with LocalCopy(f"{bucket}/images") as first:
        first.fetch()
        (first.local / "0.png").write_bytes(b"written here")
        (first.local / "2.png").write_bytes(b"new here")
        fetched(f"{bucket}/images")
        assert (first.local / "0.png").read_bytes() == b"written here"
        assert first.publish() == 2
    assert content(f"{bucket}/images")["0.png"] == b"written here"
    assert remote_files(f"{bucket}/images").keys() == {"0.png", "1.png", "2.png"}


@pytest.mark.slow
def test_a_run_in_a_store_is_resumed_on_another_machine(bucket, tmp_path, monkeypatch):
    data = fake_datasets.drive(tmp_path / "data")
    put(data, f"{bucket}/data")
    url_split = replace(split(data), root=f"{bucket}/data", split=f"{bucket}/data/train.txt")
    config = tiny_training(f"{bucket}/run", url_split, epochs=1)
    states = []
    for number, (changes, cache) in enumerate([({}, "one"), ({"epochs": 2, "resume": "last"}, "two")]):
        monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path / cache))
        file = tmp_path / f"{number}.yaml"
        file.write_text(yaml.safe_dump(plain_settings(replace(config, **changes))))
        assert main(["train", "--config", str(file)]) == 0
        states.append(content(f"{bucket}/run"))
    assert {"last.ckpt", "best.safetensors", "config.yaml", "run.json", "metrics.csv"} <= states[1].keys()
    assert str(tmp_path) not in states[1]["config.yaml"].decode()
    assert yaml.safe_load(states[1]["config.yaml"])["train"][0]["root"] == f"{bucket}/data"
    plain = tiny_training(tmp_path / "plain", split(data), epochs=2)
    file.write_text(yaml.safe_dump(plain_settings(plain)))
    assert main(["train", "--config", str(file)]) == 0
    (tmp_path / "last.safetensors").write_bytes(states[1]["last.safetensors"])
    runs = [read_checkpoint(path) for path in (tmp_path / "last.safetensors", tmp_path / "plain/last.safetensors")]
    weights = [run.network.state_dict() for run in runs]
    assert all((value == weights[1][name]).all() for name, value in weights[0].items())


def test_evaluation_and_preparation_work_on_a_store(bucket, tmp_path):
    data = fake_datasets.drive(tmp_path / "data")
    put(data, f"{bucket}/data")
    np.save(tmp_path / "mean.npy", np.full((4, 8, 8), 0.1, np.float32))
    put(tmp_path / "mean.npy", f"{bucket}/mean.npy")
    evaluate = ["evaluate", "--data.kind", "drive", "--data.root", f"{bucket}/data", "--disparities"]
    assert main([*evaluate, f"{bucket}/mean.npy", "--out", f"{bucket}/measured"]) == 0
    assert "metrics.json" in content(f"{bucket}/measured")
    config = tiny_training(tmp_path / "run", replace(split(data), root=f"{bucket}/data"))
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(plain_settings(config)))
    assert main(["prepare", "cache", "--config", str(tmp_path / "run.yaml"), "--cache", f"{bucket}/cache"]) == 0
    assert "manifest.json" in content(f"{bucket}/cache")
    assert main(["doctor", f"{bucket}/data"]) in (0, 2)
    assert "doctor.html" in content(f"{bucket}/data")


def test_memory_and_file_urls_are_paths_too(tmp_path, folder, monkeypatch):
    monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path / "cache"))
    put(folder, "memory://tests/images")
    config = PredictConfig("memory://tests/images", out=f"file://{tmp_path}/a%20b")
    with staged(config) as local:
        assert Path(local.out) == tmp_path / "a b"
        assert {file.name for file in Path(local.input).iterdir()} == {"0.png", "1.png"}
        (Path(local.input) / "2.json").write_text(json.dumps({"from": local.input}))
    assert json.loads(content("memory://tests/images")["2.json"]) == {"from": "memory://tests/images"}
    fsspec.filesystem("memory").rm("/tests", recursive=True)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [("memory://nowhere/x.mp4", "memory://nowhere/x.mp4 does not exist"), ("gs://bucket/x.mp4", "gcsfs")],
)
def test_what_is_not_there_is_said_with_its_url(url, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path / "cache"))
    if sentence == "gcsfs" and shutil.which("gcsfs") is None:
        monkeypatch.setitem(sys.modules, "gcsfs", None)
    assert main(["predict", url]) == 2
    assert sentence in capsys.readouterr().err


def test_a_bucket_that_is_missing_is_one_sentence(bucket, folder, tmp_path, capsys):
    weights = str(save(tmp_path / "net.safetensors"))
    assert main(["predict", "s3://no-such-bucket/x.mp4"]) == 2
    assert "s3://no-such-bucket/x.mp4 does not exist" in capsys.readouterr().err
    command = ["predict", str(folder / "0.png"), "--weights", weights, "--out", "s3://no-such-bucket/out"]
    assert main([*command, *QUICK]) == 2
    assert "s3://no-such-bucket/out" in capsys.readouterr().err


def test_a_store_that_cannot_be_reached_is_one_sentence(bucket, monkeypatch, capsys):
    import s3fs

    monkeypatch.setattr(s3fs.S3FileSystem, "find", lambda *_, **__: (_ for _ in ()).throw(OSError("no route\nat all")))
    assert main(["predict", f"{bucket}/x.mp4"]) == 2
    error = capsys.readouterr().err
    assert "no route); check the address" in error
    assert "Traceback" not in error


def test_a_name_that_leads_out_of_the_folder_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path / "cache"))
    copy = LocalCopy("memory://tests/folder")
    monkeypatch.setattr(copy.store, "find", lambda *_, **__: {"/tests/folder/../../x": {"size": 1}})
    with pytest.raises(InputError, match="outside"), copy:
        copy.fetch()


def test_fsspec_is_not_imported_without_a_url():
    script = "import sys; from hrdepth.cli import main; main(['recipes']); assert 'fsspec' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)


def test_a_folder_that_cannot_be_published_keeps_no_other_from_it(tmp_path, monkeypatch):
    monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path / "cache"))
    published = []

    def publish(copy, names):
        if copy.url.endswith("/a"):
            raise InputError("no permission")
        published.append(copy.url)
        return 1

    monkeypatch.setattr(LocalCopy, "publish", publish)
    config = PredictConfig("memory://tests/a", out="memory://tests/b")
    with pytest.raises(InputError, match=r"no permission; what could not be published is in .*"), staged(config):
        pass
    assert published == ["memory://tests/b"]


def test_urls_are_published_while_a_command_runs(tmp_path, monkeypatch):
    monkeypatch.setenv("HRDEPTH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(staging, "PUBLISH_SECONDS", 0.05)
    store = fsspec.filesystem("memory")
    with staged(PredictConfig("x.mp4", out="memory://tests/out")) as local:
        Path(local.out).mkdir()
        Image.new("L", (4, 4)).save(Path(local.out) / "0.png")
        (Path(local.out) / ".hrdepth-unfinished.png").write_bytes(b"")
        for _ in range(200):
            if store.exists("/tests/out/0.png"):
                break
            subprocess.run(["sleep", "0.05"], check=True)
        assert store.ls("/tests/out", detail=False) == ["/tests/out/0.png"]
    store.rm("/tests", recursive=True)
