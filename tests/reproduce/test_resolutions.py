"""Tests of reproduce/resolutions.py: what a higher resolution gives, by region and in pairs of seeds."""

import json
from pathlib import Path

import numpy as np
import pytest

import fake_datasets
from hrdepth.cli import main
from hrdepth.config import DepthProtocol, GroundTruthConfig, ReproduceResolutionConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.reproduce.resolutions import reproduce_resolution
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

pytest.importorskip("skimage", reason="needs scikit-image (extra metrics)")
import torch

BASE, OURS = "kitti-monodepth2-m-640x192", "kitti-hrdepth-m-640x192"
SIZES = {1.0: (64, 96), 2.0: (96, 160)}


@pytest.fixture
def config(tmp_path):
    return ReproduceResolutionConfig(
        out=str(tmp_path / "out"),
        data=GroundTruthConfig("drive", str(fake_datasets.drive(tmp_path / "data", frames=6))),
        protocol=DepthProtocol(crop="none"),
        runs=str(tmp_path / "runs"),
        resolutions=(1.0, 2.0),
        seeds=[0, 1],
        bootstrap=40,
        device="cpu",
    )


def write_weights(config, names=(BASE, OURS), seeds=(0, 1)):
    for factor, size in SIZES.items():
        for name in names:
            for seed in seeds:
                torch.manual_seed(len(name) + 10 * seed + int(100 * factor))
                path = Path(config.runs) / f"x{factor:g}" / f"{name}-seed{seed}" / "best.safetensors"
                path.parent.mkdir(parents=True)
                save_checkpoint(path, build_network(NETWORK), NETWORK, size=size)


def test_the_difference_of_differences_is_paired_by_seed_and_image(config, capsys):
    write_weights(config)
    reproduce_resolution(config)
    content = json.loads((Path(config.out) / "resolution.json").read_text())
    mean = {(one["name"], one["factor"]): one["mean"] for one in content["networks"]}
    for region in ("all", "edges"):
        name = f"abs_rel, {region}, bilinear"
        gains = [mean[row, 2.0][name] - mean[row, 1.0][name] for row in (BASE, OURS)]
        over_seeds = [one for one in content["differences"] if one["over"] == "seeds"]
        expected = [*gains, gains[1] - gains[0]]
        np.testing.assert_allclose([one["mean"][name] for one in over_seeds], expected, atol=1e-9)
    assert mean[BASE, 1.0]["abs_rel, all, bilinear"] > 0
    printed = capsys.readouterr().out
    assert "true depth, 96x64" in printed
    assert "true depth, 160x96" in printed
    assert f"gain of {OURS} less" in " ".join(printed.split())
    assert {run["size"][1] for one in content["networks"] for run in one["runs"]} == {96, 160}


def test_the_whole_image_has_the_error_of_the_tables(config):
    write_weights(config, names=(BASE,), seeds=(0,))
    reproduce_resolution(config)
    content = json.loads((Path(config.out) / "resolution.json").read_text())
    run = content["networks"][0]["runs"][0]
    assert content["networks"][0]["mean"]["abs_rel, all, bilinear"] == pytest.approx(
        run["metrics"]["abs_rel"], rel=1e-5
    )


def test_what_is_not_there_is_reported_and_not_compared(config, capsys):
    write_weights(config, names=(BASE,), seeds=(1,))
    reproduce_resolution(config)
    content = json.loads((Path(config.out) / "resolution.json").read_text())
    assert [one["what"].split(":")[0] for one in content["differences"] if one["over"] == "pictures"] == [BASE]
    assert {name for one in content["differences"] for name in one["verdict"].values()} == {"one seed"}
    assert [one["reason"] is None for one in content["networks"]] == [False] * 4
    assert "not measured" in capsys.readouterr().out


@pytest.mark.parametrize("factors", ["[2, 1]", "[0, 1]"])
def test_factors_that_do_not_grow_are_refused(config, factors, capsys):
    assert main(["reproduce", "resolution", "--out", config.out, "--resolutions", factors]) == 2
    assert "resolutions" in capsys.readouterr().err


def test_weights_of_one_resolution_are_refused(tmp_path):
    with pytest.raises(InputError, match="omit --weights"):
        reproduce_resolution(ReproduceResolutionConfig(out=str(tmp_path / "other"), weights=["a=b.safetensors"]))


def test_sparse_true_depth_is_refused(config, tmp_path):
    with pytest.raises(InputError, match="need dense true depth"):
        reproduce_resolution(ReproduceResolutionConfig(out=str(tmp_path / "other")))
