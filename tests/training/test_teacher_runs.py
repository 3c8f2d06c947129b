"""Tests of training/train.py with a teacher.

A run with a teacher: whose settings it has, what it computes once, and that it resumes after a stop.
"""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors import safe_open

import fake_datasets
from hrdepth.check.scan import scan_data
from hrdepth.config import AugmentConfig, DatasetConfig, NetworkConfig, ObjectiveConfig, PrepareConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.objectives.distillation import Distillation
from hrdepth.prepare.cache import prepare
from hrdepth.teachers.network import NetworkTeacher, TeacherMaps
from hrdepth.training import train
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint

MONODEPTH2 = NetworkConfig("monodepth2", {"backbone": "test_efficientnet"})


class Killed(BaseException):
    """Nobody handles it."""


@pytest.fixture
def taught(tiny, tmp_path):
    """A student of images of all shapes, and its teacher of another kind and size."""
    torch.manual_seed(1)
    network = build_network(MONODEPTH2)
    network.start_at(8.0)
    teacher = tmp_path / "teacher.safetensors"
    save_checkpoint(teacher, network, MONODEPTH2, size=(64, 128), metres_per_unit=5.4, canonical_focal=0.6)
    part = DatasetConfig("images", str(fake_datasets.images(tmp_path / "images")))
    objective = ObjectiveConfig("distillation", [], {"teacher": str(teacher)})
    alone = DatasetConfig("images", part.root, str(tmp_path / "images" / "one.txt"))
    (tmp_path / "images" / "one.txt").write_text("b.png\n")
    return replace(
        tiny, train=[part], validation=[alone], objective=objective, canonical_focal=0.6, batch_size=2, epochs=1
    )


def with_options(config, **options):
    return replace(config, objective=replace(config.objective, options={**config.objective.options, **options}))


@pytest.mark.parametrize("cached", [False, True])
def test_a_student_of_images_adopts_the_teachers_units(taught, tmp_path, cached):
    config = with_options(taught, cache=str(tmp_path / "cache")) if cached else taught
    best = train(config)
    student = read_checkpoint(best)
    assert (student.scale.metres_per_unit, student.scale.canonical_focal, student.pose_network) == (5.4, 0.6, None)
    about = student.provenance["teacher"]
    assert (about["file"], about["network"], about["size"]) == ("teacher.safetensors", "monodepth2", [64, 128])
    with safe_open(best, "pt") as file:
        assert set(file.keys()) == {f"depth.{name}" for name in build_network(config.network).state_dict()}
    settings = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert settings["metres_per_unit"] == 5.4
    assert settings["initial_depth"] == pytest.approx(8.0, rel=0.25)
    assert len(list((tmp_path / "cache").rglob("*.npy"))) == (4 if cached else 0)
    state = torch.load(tmp_path / "run" / "last.ckpt", weights_only=True)["state_dict"]
    assert set(state) == {f"objective.network.{name}" for name in build_network(config.network).state_dict()}


def test_the_teachers_file_is_read_once(taught, monkeypatch):
    read, seen = NetworkTeacher.read, []
    monkeypatch.setattr(NetworkTeacher, "read", lambda *given: seen.append(given) or read(*given))
    train(taught)
    assert len(seen) == 1


def test_a_cached_teacher_predicts_each_image_once(taught, tmp_path, monkeypatch):
    config = with_options(taught, cache=str(tmp_path / "cache"))
    train(config)
    monkeypatch.setattr(TeacherMaps, "write", None)
    monkeypatch.setattr("hrdepth.teachers.network.NetworkTeacher.disparity", None)
    train(replace(config, output=str(tmp_path / "again"), initial_depth=8.0))


@pytest.mark.parametrize(
    ("options", "changes"),
    [
        pytest.param({}, {"average": 0.9}, marks=pytest.mark.slow),
        ({"cache": "cache"}, {"augment": AugmentConfig(zoom=1.5)}),
        pytest.param({"self_supervision": 1.0}, {}, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_was_killed_and_resumed_ends_bit_equal(taught, tiny, tmp_path, monkeypatch, options, changes):
    if "cache" in options:
        options = {"cache": str(tmp_path / "cache")}
    if "self_supervision" in options:  # beside images of recordings, in the teacher's units
        data = [replace(part, options={"baseline": 0.5 / 5.4}) for part in (*tiny.train, *tiny.validation)]
        objective = replace(taught.objective, frames=["s"])
        taught = replace(taught, train=data[:1], validation=data[1:], objective=objective)
    undisturbed = replace(with_options(taught, **options), epochs=2, **changes)
    train(undisturbed)
    config = replace(undisturbed, output=str(tmp_path / "killed"))
    forward, seen = Distillation.forward, []

    def disturbed(self, batch):
        seen.append(self.training)
        if sum(seen) == 4:
            raise Killed
        return forward(self, batch)

    with monkeypatch.context() as patch:
        patch.setattr(Distillation, "forward", disturbed)
        with pytest.raises(Killed):
            train(replace(config, checkpoint_minutes=0))
    train(replace(config, resume="last"))
    first, second = (torch.load(Path(c.output) / "last.ckpt", weights_only=True) for c in (undisturbed, config))
    assert first["global_step"] == second["global_step"] > 3
    assert all(torch.equal(value, second["state_dict"][name]) for name, value in first["state_dict"].items())


def test_panels_and_guard_work_with_a_teacher(taught, tmp_path):
    log = replace(taught.log, panels_every_steps=2, panels=1)
    train(replace(taught, log=log, guard=replace(taught.guard, every_steps=1)))
    assert [path.name for path in (tmp_path / "run" / "panels").iterdir()] == ["000002.png"]


def test_data_sets_can_be_mixed(taught, tiny):
    both = replace(taught, train=[*taught.train, *tiny.train])
    assert read_checkpoint(train(both)).provenance["step"] == (4 + 4) // 2
    assert not scan_data(both).errors


def test_images_can_be_prepared_and_scanned(taught, tmp_path):
    cache = prepare(PrepareConfig(config=taught, cache=str(tmp_path / "prepared"), threads=1))
    assert len(cache.entries) == 4
    train(replace(taught, cache=str(tmp_path / "prepared")))
    (tmp_path / "images" / "b.png").write_bytes(b"no image")
    assert "b.png" in " ".join(error.sentence for error in scan_data(taught).errors)


@pytest.mark.parametrize(
    ("changes", "options", "sentence"),
    [
        ({"metres_per_unit": 1.0}, {}, "5.4 m for the teacher .* metres_per_unit is 1"),
        ({"canonical_focal": None}, {}, "set canonical_focal to 0.6"),
        ({"network": NetworkConfig("lite_hrdepth", {"min_depth": 0.5})}, {}, "the student 0.5 to 100"),
        ({}, {"teacher": "nowhere.safetensors"}, "nowhere.safetensors does not exist"),
        ({}, {"teacher": 3}, "the option teacher 3 of objective 'distillation' must be text"),
        ({}, {"norm": "l5"}, "norm"),
    ],
)
def test_unsuitable_settings_are_refused_with_a_message(taught, tmp_path, changes, options, sentence):
    with pytest.raises(InputError, match=sentence):
        train(replace(with_options(taught, **options), **changes))
    assert not (tmp_path / "run").exists()


def test_a_zoom_into_cached_maps_needs_a_canonical_camera(taught, tmp_path):
    plain = tmp_path / "plain.safetensors"
    save_checkpoint(plain, build_network(MONODEPTH2), MONODEPTH2, size=(64, 128))
    config = with_options(taught, teacher=str(plain), cache=str(tmp_path / "cache"))
    with pytest.raises(InputError, match="set canonical_focal"):
        train(replace(config, canonical_focal=None, augment=AugmentConfig(zoom=2.0)))
