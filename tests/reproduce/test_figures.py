"""Tests of reproduce/figures.py and figure2.py.

The commands of figures 2, 4 and 5.
"""

import json

import numpy as np
import pytest
import torch
import yaml

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import NetworkConfig
from hrdepth.evaluation.regions import SPARSE_REGIONS
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint

pytest.importorskip("skimage", reason="edges need the extra 'metrics'")


@pytest.fixture
def truth(tmp_path):
    return [
        "--data.kind",
        "drive",
        "--data.root",
        str(fake_datasets.drive(tmp_path / "data")),
        "--protocol.crop",
        "none",
    ]


def net(path, name, size=(64, 96), **options):
    torch.manual_seed(0)
    config = NetworkConfig(name, options)
    save_checkpoint(path, build_network(config), config, size=size)
    return str(path)


def test_figure2_is_drawn_with_its_table(tmp_path, truth, capsys):
    low = net(tmp_path / "low.safetensors", "monodepth2", (64, 64))
    out = tmp_path / "out"
    command = ["reproduce", "figure2", f"kitti-monodepth2-m-640x192={low}", *truth, "--out", str(out)]
    assert main([*command, "--runs", str(tmp_path / "runs"), "--formats", "[svg,pdf]", "--format", "markdown"]) == 0
    printed = capsys.readouterr().out
    assert "| low resolution, 64x64 | nearest |" in printed
    assert "| kitti-monodepth2-m-1024x320 | not measured |" in printed
    assert {path.name for path in out.iterdir()} >= {f"figure2.{end}" for end in ("svg", "pdf", "md", "tex", "json")}
    found = json.loads((out / "figure2.json").read_text())
    assert [(one["source"], one["enlarged"]) for one in found["series"]] == [
        (source, how) for source in ("true depth, 64x64", "low resolution, 64x64") for how in ("bilinear", "nearest")
    ]
    assert found["share_of_pixels"]["all"] == 1
    assert found["networks"]["low resolution, 64x64"]["weights"].endswith("low.safetensors")
    assert "true depth" in (out / "figure2.svg").read_text()


def test_figure2_of_sparse_true_depth_has_its_own_regions(tmp_path, capsys):
    root = fake_datasets.drive(tmp_path / "data")
    for file in sorted(root.glob("*/depth/*.npy")):
        depth = np.load(file)
        points = np.zeros_like(depth)
        points[::5, ::3] = depth[::5, ::3]  # as of a laser
        np.save(file, points)
    low = net(tmp_path / "low.safetensors", "monodepth2", (64, 64))
    out = tmp_path / "out"
    command = ["reproduce", "figure2", "--data.kind", "drive", "--data.root", str(root), "--protocol.crop", "none"]
    command += ["--out", str(out), "--formats", "[svg]", "--runs", str(tmp_path / "runs")]
    assert main(command) == 2
    assert "sparse true depth needs a network" in capsys.readouterr().err
    assert main([*command, f"kitti-monodepth2-m-640x192={low}", "--format", "markdown"]) == 0
    assert "near edges: depths around the point" in capsys.readouterr().out
    found = json.loads((out / "figure2.json").read_text())
    assert [one["source"] for one in found["series"]] == ["low resolution, 64x64"] * 2
    shares = found["share_of_pixels"]
    assert set(shares) == set(SPARSE_REGIONS)
    assert shares["all"] == pytest.approx(1)
    assert shares["low image gradient"] + shares["high image gradient"] == pytest.approx(1)
    assert found["image_gradient"] == 0.1
    assert found["series"][0]["abs_rel"]["all"] > 0


def test_figure2_records_its_settings(tmp_path, truth, capsys):
    lite = net(tmp_path / "lite.safetensors", "lite_hrdepth", (64, 64))
    out = tmp_path / "out"
    low, high = "kitti-monodepth2-m-640x192", "kitti-monodepth2-m-1024x320"
    command = ["reproduce", "figure2", f"{low}={lite}", *truth, "--out", str(out), "--formats", "[svg]"]
    # Rows are those of tables, which one file of settings serves as well.
    runs = tmp_path / "runs"
    assert main([*command, "--runs", str(runs), "--rows", '["packnet-*"]', "--training", '{"epochs": 2}']) == 0
    found = json.loads((out / "figure2.json").read_text())
    assert found["protocol"]["crop"] == "none"
    assert found["training"] == {"epochs": 2}
    shown = found["networks"]["low resolution, 64x64"]
    assert shown["network"]["name"] == "lite_hrdepth"
    assert shown["note"] == "its network is lite_hrdepth, not the row's monodepth2"
    assert found["not_measured"] == {high: f"no weights in {runs}"}
    for suffix in ("md", "tex"):
        text = (out / f"figure2.{suffix}").read_text()
        assert shown["weights_sha256"][:12] in text
        assert found["provenance"]["date"][:10] in text
        assert "80 m, crop none, scaled by the median" in text
    assert shown["note"] in (out / "figure2.md").read_text()


def test_a_figure_shows_one_training_and_names_it(tmp_path, truth):
    runs = tmp_path / "runs"
    folder = runs / "kitti-monodepth2-m-640x192-seed0"
    folder.mkdir(parents=True)
    net(folder / "best.safetensors", "monodepth2", (64, 64))
    (folder / "stopped.json").write_text(json.dumps({"message": "the loss is NaN"}))
    out = tmp_path / "out"
    command = ["reproduce", "figure2", *truth, "--runs", str(runs), "--out", str(out), "--formats", "[svg]"]
    assert main([*command, "--seeds", "[0,1]"]) == 0
    shown = json.loads((out / "figure2.json").read_text())["networks"]["low resolution, 64x64"]
    assert shown["note"].startswith("seed 0 of 0, 1; stopped by the guard: the loss is NaN")


@pytest.mark.parametrize(
    ("figure", "change", "sentence"),
    [
        ("figure2", ["--low_size", "[0,0]"], "low_size 0 must lie between 1 and 16384"),
        ("figure2", ["--low_size", "[-5,3]"], "low_size -5 must lie between"),
        ("figure4", ["--count", "0"], "count 0 must lie between 1 and"),
        ("figure4", ["--dpi", "0"], "dpi 0 must lie between 1 and 2400"),
    ],
)
def test_invalid_settings_of_figures_are_refused(tmp_path, truth, capsys, figure, change, sentence):
    assert main(["reproduce", figure, *truth, "--out", str(tmp_path / "out"), *change]) == 2
    assert sentence in capsys.readouterr().err


def test_figure2_needs_true_depth(tmp_path, capsys):
    assert main(["reproduce", "figure2", "--out", str(tmp_path / "out")]) == 2
    assert "needs true depth" in capsys.readouterr().err


@pytest.mark.slow
def test_figures_4_and_5_are_drawn(tmp_path, truth, capsys):
    # A config of its own makes the row's network a tiny one.
    configs = tmp_path / "configs"
    configs.mkdir()
    small = {"backbone": "test_efficientnet"}
    settings = {"network": {"name": "hrdepth", "options": small}}
    (configs / "kitti-hrdepth-m-1024x320.yaml").write_text(yaml.safe_dump(settings))
    ours = net(tmp_path / "ours.safetensors", "hrdepth", **small)
    given = [f"kitti-hrdepth-m-1024x320={ours}", *truth, "--runs", str(tmp_path / "runs"), "--count", "1"]
    given += ["--configs", str(configs)]
    out = tmp_path / "out"
    for figure, drawn in (("figure4", "comparison.svg"), ("figure5", "features.svg")):
        assert main(["reproduce", figure, *given, "--out", str(out), "--formats", "[svg]"]) == 0
        assert (out / figure / drawn).is_file()
    # What a killed command has left is drawn anew by the same one.
    (out / "figure4" / "compare.json").unlink()
    assert main(["reproduce", "figure4", *given, "--out", str(out), "--formats", "[svg]"]) == 0
    assert (out / "figure4" / "compare.json").is_file()
    # Labels have the size that was measured; what is not shown stands with its reason in a file.
    assert "HR-Depth, 96x64" in (out / "figure4" / "comparison.svg").read_text()
    found = json.loads((out / "figure4.json").read_text())
    shown = found["networks"]["HR-Depth, 96x64"]
    assert (shown["name"], shown["size"]) == ("kitti-hrdepth-m-1024x320", [64, 96])
    assert found["not_measured"]["packnet-m-1280x384"] == f"no weights in {tmp_path / 'runs'}"
    printed = (out / "figure4.md").read_text()
    assert "| packnet-m-1280x384 | not measured |" in printed
    assert shown["weights_sha256"][:12] in printed
    # A network that is not the row's is labelled as what it is.
    lite = net(tmp_path / "lite.safetensors", "lite_hrdepth")
    other = ["reproduce", "figure4", f"packnet-m-1280x384={lite}", *truth, "--runs", str(tmp_path / "runs")]
    assert (
        main(
            [*other, "--rows", '["packnet-*"]', "--count", "1", "--out", str(tmp_path / "other"), "--formats", "[svg]"]
        )
        == 0
    )
    found = json.loads((tmp_path / "other" / "figure4.json").read_text())
    assert list(found["networks"]) == ["PackNet-SfM: lite_hrdepth, 96x64"]
    assert found["not_measured"]["kitti-hrdepth-m-1024x320"] == "not asked for by --rows"
    assert main(["reproduce", "figure4", *truth, "--runs", str(tmp_path / "runs"), "--out", str(out)]) == 2
    assert "none of the networks of figure4 is there" in capsys.readouterr().err
