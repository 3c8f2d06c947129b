"""Tests of teachers/labelling.py, teachers/labels.py and prepare/labels.py."""

import json
import multiprocessing
from dataclasses import replace

import numpy as np
import pytest
import torch

import fake_datasets
from hrdepth.camera import DepthScale
from hrdepth.cli import main
from hrdepth.config import AugmentConfig, DatasetConfig, ObjectiveConfig, PrepareLabelsConfig
from hrdepth.data.sample import Window
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.objectives import build_objective
from hrdepth.prepare.labels import prepare_labels
from hrdepth.teachers import Meaning, Teacher
from hrdepth.teachers.labelling import agreement, create_labels, label_images
from hrdepth.teachers.labels import Labels
from hrdepth.training import train
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
from tiny_networks import NETWORK
from tiny_training import split, tiny_training

SIZE = (64, 96)


class Ramp(Teacher):
    """1/depth that rises from left to right; `tilt` adds what a mirror image does not agree with."""

    name, licence = "ramp", "MIT"

    def __init__(self, meaning=Meaning.AFFINE, tilt=0.0, canonical_focal=None):
        self.meaning, self.tilt, self.canonical_focal = meaning, tilt, canonical_focal
        self.metres_per_unit = 1.0 if meaning == Meaning.METRIC else None
        self.seen = []

    def digest(self):
        return "0"

    def maps(self, images, size):
        self.seen += images
        bright = [np.asarray(image.convert("L").resize(size[::-1]), np.float32) / 255 for image in images]
        return np.stack(bright) + 0.1 + self.tilt * np.linspace(0, 1, size[1], dtype=np.float32)


def images_of(tmp_path, frames=6):
    root = fake_datasets.drive(tmp_path / "data", stereo=False, frames=frames)
    return root, sorted((root / "drive" / "left").iterdir())


def test_each_image_is_labelled_once_and_the_teacher_is_not_needed_afterwards(tmp_path):
    _, images = images_of(tmp_path)
    teacher = Ramp()
    labels = create_labels(tmp_path / "labels", teacher, SIZE)
    assert label_images(teacher, labels, images) == 6
    assert len(teacher.seen) == 6
    assert label_images(teacher, labels, images) == 0
    again = Labels.open(tmp_path / "labels")
    assert (again.meaning, again.licence, again.metres_per_unit) == (Meaning.AFFINE, "MIT", None)
    map_ = again.load(images[0])
    assert map_.shape == SIZE
    assert (map_.min(), map_.max()) == (0.0, 1.0)
    images[0].write_bytes(images[1].read_bytes())
    again.check(images)  # the label is that of the content
    images[0].write_bytes(images[1].read_bytes() + b"\0")
    with pytest.raises(InputError, match=r"1 images, such as .*000000.png, have no label"):
        again.check(images)
    assert label_images(teacher, labels, images) == 1


def test_an_interrupted_labelling_goes_on_where_it_was(tmp_path):
    _, images = images_of(tmp_path)
    labels = create_labels(tmp_path / "labels", Ramp(), SIZE)

    class Stops(Ramp):
        def maps(self, images, size):
            if len(self.seen) >= 4:
                raise KeyboardInterrupt
            return super().maps(images, size)

    with pytest.raises(KeyboardInterrupt):
        label_images(Stops(), labels, images)
    done = [image for image in images if labels.file(image).is_file()]
    for claim in (tmp_path / "labels" / "claims").iterdir():
        import os

        os.utime(claim, (0, 0))  # older than any process that lives
    assert label_images(Ramp(), labels, images) == 6 - len(done)


def test_labels_of_another_teacher_are_refused(tmp_path):
    create_labels(tmp_path / "labels", Ramp(), SIZE)
    with pytest.raises(InputError, match="was written with other settings"):
        create_labels(tmp_path / "labels", Ramp(Meaning.METRIC), SIZE)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match="is not empty and holds no labels"):
        create_labels(tmp_path / "other", Ramp(), SIZE)
    with pytest.raises(InputError, match="is no folder of labels"):
        Labels.open(tmp_path / "other")


def _share(folder, images, counts):
    counts.put(label_images(Ramp(), Labels.open(folder), images))


def test_two_processes_share_a_folder_and_do_nothing_twice(tmp_path):
    _, images = images_of(tmp_path, frames=24)
    create_labels(tmp_path / "labels", Ramp(), SIZE)
    context = multiprocessing.get_context("spawn")
    counts = context.Queue()
    workers = [context.Process(target=_share, args=(tmp_path / "labels", images, counts)) for _ in range(2)]
    for worker in workers:
        worker.start()
    made = [counts.get(timeout=600) for _ in workers]
    for worker in workers:
        worker.join(30)
    assert sum(made) == 24
    labels = Labels.open(tmp_path / "labels")
    labels.check(images)
    assert not list((tmp_path / "labels" / "claims").iterdir())


def test_a_teacher_that_gives_nan_is_named(tmp_path):
    _, images = images_of(tmp_path)
    teacher = Ramp(tilt=float("nan"))
    with pytest.raises(InputError, match="the teacher ramp gives NaN for"):
        label_images(teacher, create_labels(tmp_path / "labels", teacher, SIZE), images)


def test_confidence_is_low_where_the_mirrored_image_says_otherwise(tmp_path):
    _, images = images_of(tmp_path)
    means = []
    for tilt in (0.0, 3.0):
        teacher = Ramp(Meaning.METRIC, tilt)
        labels = create_labels(tmp_path / f"labels{tilt}", teacher, SIZE)
        label_images(teacher, labels, images, confidence=True)
        certain = labels.confidence
        assert certain is not None
        sure = certain.load(images[0])
        assert 0 <= sure.min() <= sure.max() <= 1
        means.append(sure.mean())
    assert means[1] < 0.5 < means[0]


def test_agreement_leaves_open_what_the_meaning_leaves_open():
    map_ = np.random.default_rng(0).random((8, 8), np.float32) + 0.5
    assert agreement(map_, map_, Meaning.METRIC).min() == 1
    assert agreement(map_, 2 * map_, Meaning.METRIC).max() < 1e-6
    np.testing.assert_allclose(agreement(map_, 2 * map_, Meaning.SCALE), 1, atol=1e-5)
    assert agreement(map_, 2 * map_ + 1, Meaning.SCALE).min() < 0.5
    np.testing.assert_allclose(agreement(map_, 2 * map_ + 1, Meaning.AFFINE), 1, atol=1e-4)


class TestUnits:
    """`Labels.scaled_disparity`: metric maps in the student's units and camera."""

    K = torch.tensor([[[0.58 * 2 * 96, 0, 48], [0, 60, 32], [0, 0, 1]]])  # twice the canonical focal length

    def labels(self, tmp_path, **teacher):
        return create_labels(tmp_path / "labels", Ramp(Meaning.METRIC, **teacher), SIZE)

    def test_own_camera(self, tmp_path):
        labels = self.labels(tmp_path)
        maps = torch.full((1, 1, *SIZE), 0.1)  # ten metres
        assert labels.scaled_disparity(maps, self.K, DepthScale()).unique().item() == pytest.approx(0.1)
        # Five metres a unit: two units; a canonical camera of half the focal length sees them at half the distance.
        found = labels.scaled_disparity(maps, self.K, DepthScale(metres_per_unit=5.0, canonical_focal=0.58))
        assert (1 / found).unique().item() == pytest.approx(1.0, rel=1e-5)

    def test_canonical_camera(self, tmp_path):
        labels = self.labels(tmp_path, canonical_focal=1.16)
        maps = torch.full((1, 1, *SIZE), 0.1)
        found = labels.scaled_disparity(maps, self.K, DepthScale(canonical_focal=0.58))
        assert (1 / found).unique().item() == pytest.approx(5.0, rel=1e-5)
        with pytest.raises(InputError, match=r"hold for canonical_focal 1.16, the run has none"):
            labels.scaled_disparity(maps, self.K, DepthScale())

    def test_a_zoom_changes_no_depth_of_the_own_camera(self, tmp_path):
        _, images = images_of(tmp_path)
        for number, (focal, factor) in enumerate(((None, 1.0), (0.58, 2.0))):
            teacher = Ramp(Meaning.METRIC, canonical_focal=focal)
            labels = create_labels(tmp_path / str(number), teacher, SIZE)
            label_images(teacher, labels, images)
            whole = labels.resized(images[0], SIZE)
            zoomed = labels.resized(images[0], SIZE, Window(0.0, 0.0, 0.5))
            assert zoomed[0, 0, 0].item() == pytest.approx(factor * whole[0, 0, 0].item(), rel=0.2)


def teacher_file(tmp_path):
    torch.manual_seed(1)
    save_checkpoint(tmp_path / "teacher.safetensors", build_network(NETWORK), NETWORK, size=SIZE, licence="MIT",
                    canonical_focal=0.58, metres_per_unit=5.0)  # fmt: skip
    return str(tmp_path / "teacher.safetensors")


def test_the_command_labels_a_folder_and_training_reads_the_labels(tmp_path, capsys, monkeypatch):
    root, images = images_of(tmp_path)
    teacher = teacher_file(tmp_path)
    command = ["prepare", "labels", "--data", str(root), "--teacher", teacher, "--size", "[64, 96]", "--device", "cpu"]
    assert main([*command, "--confidence"]) == 0
    folder = root / "labels-teacher"
    assert str(folder) in capsys.readouterr().out
    about = json.loads((folder / "labels.json").read_text())
    assert (about["teacher"]["meaning"], about["teacher"]["licence"], about["metres_per_unit"]) == (
        "metric",
        "MIT",
        5.0,
    )
    assert main([*command, "--verify"]) == 0
    Labels.open(folder).file(images[1]).write_bytes(b"broken")
    assert main([*command, "--verify"]) == 2
    assert "1 of 6 images have no label" in capsys.readouterr().err
    assert main(command) == 0
    monkeypatch.setattr("hrdepth.objectives.distillation.open_teacher", None)  # no teacher is needed any more
    options = {"labels": str(folder), "norm": "log-l1"}
    config = tiny_training(tmp_path / "run", split(root), objective=ObjectiveConfig("distillation", [], options),
                           canonical_focal=0.58, augment=AugmentConfig(zoom=1.3), epochs=1)  # fmt: skip
    found = read_checkpoint(train(config))
    assert found.scale.metres_per_unit == 5.0
    assert found.provenance["teacher"]["licence"] == "MIT"


def test_a_training_labels_what_is_missing(tmp_path):
    root, _ = images_of(tmp_path)
    options = {"teacher": teacher_file(tmp_path), "labels": str(tmp_path / "labels")}
    config = tiny_training(tmp_path / "run", split(root), objective=ObjectiveConfig("distillation", [], options),
                           canonical_focal=0.58, epochs=1)  # fmt: skip
    train(config)
    assert len(list((tmp_path / "labels").glob("*/*.npy"))) == 4
    missing = replace(config, output=str(tmp_path / "other"), train=[DatasetConfig("images", str(root))],
                      objective=replace(config.objective, options={"labels": str(tmp_path / "labels")}))  # fmt: skip
    with pytest.raises(InputError, match="have no label in"):
        train(missing)


def test_norms_that_compare_what_is_unknown_are_refused(tmp_path):
    create_labels(tmp_path / "labels", Ramp(), SIZE)
    options = {"labels": str(tmp_path / "labels")}
    network = build_network(NETWORK)
    assert build_objective(ObjectiveConfig("distillation", [], options), network, None).norm == "affine"
    with pytest.raises(InputError, match="norm 'l1' cannot compare the labels in .*, whose maps are known up to a fac"):
        build_objective(ObjectiveConfig("distillation", [], {**options, "norm": "l1"}), network, None)
    with pytest.raises(InputError, match="is no weights file of this package: set the option labels"):
        build_objective(ObjectiveConfig("distillation", [], {"teacher": "some/model"}), network, None)


def test_bad_settings_are_named(capsys, tmp_path):
    assert main(["prepare", "labels", "--data", str(tmp_path)]) == 2
    assert "no teacher is given" in capsys.readouterr().err
    with pytest.raises(InputError, match="no images are given"):
        prepare_labels(PrepareLabelsConfig(teacher="street"))
