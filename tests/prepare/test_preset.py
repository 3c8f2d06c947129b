"""Tests of prepare/preset.py.

`hrdepth train --data`: settings that follow from the set, under those that are given.
"""

import pytest
import yaml

import fake_datasets
from hrdepth.cli import main
from hrdepth.cli.parser import _spelt_out, parse
from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network
from hrdepth.prepare.preset import preset
from hrdepth.training import build_training_objective
from hrdepth.weights.checkpoint import save_checkpoint


def config_of(*arguments):
    return parse(["train", *map(str, arguments)])[1]


@pytest.fixture(autouse=True)
def from_scratch(monkeypatch):
    """No bundled network, whatever this installation has."""
    monkeypatch.setattr("hrdepth.prepare.preset.bundled", dict)


def test_a_training_starts_from_the_bundled_network(tmp_path, monkeypatch):
    root = fake_datasets.drive(tmp_path / "mine", stereo=False)
    weights, settings = tmp_path / "street.safetensors", NetworkConfig("lite_hrdepth", {"min_depth": 0.2})
    pose = NetworkConfig("posenet", {"backbone": "mobilenetv3_small_100"})
    save_checkpoint(
        weights, build_network(settings), settings, size=(64, 96), pose_network=build_pose_network(pose),
        pose_network_config=pose, canonical_focal=0.58,
    )  # fmt: skip
    scratch = config_of("--data", root)
    monkeypatch.setattr("hrdepth.prepare.preset.bundled", lambda: {"street": weights})
    config = config_of("--data", root)
    assert (config.init, config.network, config.pose_network) == (str(weights), settings, pose)
    assert (config.canonical_focal, scratch.init) == (0.58, None)
    assert config.epochs < scratch.epochs
    assert config.freeze_depth_steps == 0, "it brings its pose network"
    build_training_objective(config)
    with pytest.raises(InputError, match="or init to null"):
        build_training_objective(config_of("--data", root, "--network.name", "hrdepth"))
    assert config_of("--data", root, "--init", "null").init is None


def test_depth_is_frozen_where_the_bundled_network_has_no_pose_network(tmp_path, monkeypatch):
    root = fake_datasets.drive(tmp_path / "mine", stereo=False)
    weights, settings = tmp_path / "street.safetensors", NetworkConfig("lite_hrdepth")
    save_checkpoint(weights, build_network(settings), settings, size=(64, 96))
    monkeypatch.setattr("hrdepth.prepare.preset.bundled", lambda: {"street": weights})
    config = config_of("--data", root)
    samples = len((root / "train.txt").read_text().split("\n"))
    assert 0 < config.freeze_depth_steps < config.epochs * samples / config.batch_size / 2


def test_settings_follow_from_the_set(tmp_path):
    root = fake_datasets.drive(tmp_path / "mine")
    config = config_of("--data", root)
    assert (config.size, config.objective.frames, config.batch_size) == ((64, 96), [-1, 1, "s"], 1)
    assert config.train[0].split == str(root / "train.txt")
    assert config.validation[0].split == str(root / "val.txt")
    assert config.train[0].min_motion == 0.012
    assert config.output == "runs/mine"
    assert config.canonical_focal is None


def test_the_cameras_of_linked_drives_are_read(tmp_path):
    root = fake_datasets.drive(tmp_path / "mine", stereo=True)
    (root / "drive").rename(tmp_path / "disk")
    (root / "drive").symlink_to(tmp_path / "disk")
    assert config_of("--data", root).size == (64, 96)


def test_given_settings_override_the_preset(tmp_path):
    root = fake_datasets.drive(tmp_path / "mine", stereo=False)
    (tmp_path / "own.yaml").write_text("epochs: 3\noptimiser: {learning_rate: 0.002}\n")
    config = config_of("--data", root, "--config", tmp_path / "own.yaml", "--size", "[128, 96]")
    assert (config.epochs, config.size, config.objective.frames) == (3, (128, 96), [-1, 1])
    assert (config.optimiser.learning_rate, config.optimiser.schedule) == (0.002, "cosine")
    assert config_of(f"--data={root}", "--epochs", 7).epochs == 7


def test_several_cameras_share_a_canonical_one(tmp_path):
    root = fake_datasets.drive(fake_datasets.drive(tmp_path), "other")
    file = root / "other" / "camera.yaml"
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"fx": 110.0}))
    assert preset(root)["canonical_focal"] == pytest.approx(110 / 96, abs=1e-3)


def test_true_depth_is_learned_if_asked_for(tmp_path, caplog):
    caplog.set_level("INFO", "hrdepth")
    root = fake_datasets.drive(tmp_path / "mine", stereo=False)
    config = config_of("--data", root, "--supervised")
    assert (config.objective.name, config.objective.frames, config.metres_per_unit) == ("supervised", [], 1.0)
    assert config.train[0].min_motion is None
    assert not caplog.messages
    assert config_of("--data", root).objective.name == "view_synthesis"
    assert "has depth maps, which are not used: --supervised learns from them" in caplog.text
    fake_datasets.drive(tmp_path / "mine", "other", stereo=False)
    for file in (tmp_path / "mine" / "other" / "depth").iterdir():
        file.unlink()
    config = config_of("--supervised", "--data", root)
    assert (config.objective.frames, config.objective.options["other"]["name"]) == ([-1, 1], "view_synthesis")


def test_the_units_of_true_depth_are_those_of_the_bundled_network(tmp_path, monkeypatch):
    root = fake_datasets.drive(tmp_path / "mine", stereo=False)
    weights, settings = tmp_path / "street.safetensors", NetworkConfig("lite_hrdepth")
    save_checkpoint(weights, build_network(settings), settings, size=(64, 96), metres_per_unit=5.35)
    monkeypatch.setattr("hrdepth.prepare.preset.bundled", lambda: {"street": weights})
    assert config_of("--data", root, "--supervised").metres_per_unit == 5.35
    assert config_of("--data", root).metres_per_unit is None


def test_depth_that_is_not_there_cannot_be_learned(tmp_path, capsys):
    root = fake_datasets.drive(tmp_path, stereo=False)
    for file in (root / "drive" / "depth").iterdir():
        file.unlink()
    assert main(["train", "--data", str(root), "--supervised"]) == 2
    assert "--supervised needs depth maps, and no drive in" in capsys.readouterr().err
    assert main(["train", "--supervised", "--config", "demo"]) == 2
    assert "--supervised and --teacher go with --data" in capsys.readouterr().err


def test_a_teacher_is_learned_beside_view_synthesis(tmp_path, capsys):
    root = fake_datasets.drive(tmp_path / "mine", stereo=False)
    config = config_of("--data", root, "--teacher", "depth-anything/Depth-Anything-V2-Small-hf")
    assert (config.objective.name, config.objective.frames) == ("distillation", [-1, 1])
    assert config.objective.options["labels"] == str(root / "labels-depth-anything-v2-small-hf")
    assert config.objective.options["self_supervision"] == 1.0
    assert main(["train", "--teacher", "street", "--config", "demo"]) == 2
    assert main(["train", "--data", str(root), "--teacher", "street", "--supervised"]) == 2
    assert "are two things to learn from" in capsys.readouterr().err


def test_unsuitable_folders_are_refused(tmp_path, capsys):
    assert main(["train", "--data", str(tmp_path / "none")]) == 2
    assert "does not exist; make it with hrdepth prepare" in capsys.readouterr().err
    with pytest.raises(InputError, match="contains no drive"):
        preset(tmp_path)
    root = fake_datasets.drive(tmp_path)
    (root / "val.txt").unlink()
    with pytest.raises(InputError, match="there are no validation frames"):
        preset(root)


@pytest.mark.slow
def test_a_training_with_the_preset_runs(tmp_path, capsys):
    pytest.importorskip("lightning", reason="training needs lightning")
    root = fake_datasets.drive(tmp_path / "mine", stereo=False)
    assert main(["train", "--data", str(root), "--output", str(tmp_path / "run"), "--epochs", "1", "--workers", "0",
                 "--network.name", "lite_hrdepth", "--device", "cpu"]) == 0  # fmt: skip
    assert (tmp_path / "run" / "best.safetensors").is_file()


def test_prepare_without_a_subcommand_guesses_it():
    assert _spelt_out(["prepare", "a.mp4", "--out", "d"])[:2] == ["prepare", "video"]
    assert _spelt_out(["prepare", "--out", "d", "a.mp4"])[:2] == ["prepare", "video"]
    assert _spelt_out(["prepare", "--cache", "c", "--config", "t.yaml"])[:2] == ["prepare", "cache"]
    assert _spelt_out(["prepare", "cache", "--verify"]) == ["prepare", "cache", "--verify"]
    assert _spelt_out(["train", "--data", "d"]) == ["train", "--data", "d"]


def test_the_printed_config_works_for_other_commands(tmp_path, capsys):
    root = fake_datasets.drive(tmp_path / "mine")
    with pytest.raises(SystemExit) as ended:
        main(["train", "--data", str(root), "--print_config"])
    assert not ended.value.code
    printed = tmp_path / "run.yaml"
    printed.write_text(capsys.readouterr().out)
    assert main(["prepare", "cache", "--cache", str(tmp_path / "cache"), "--config", str(printed)]) == 0
