"""Tests of teachers/labelling.py, teachers/labels.py and prepare/labels.py."""

import json
import multiprocessing
import platform
import re
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

import fake_datasets
from hrdepth.camera import DepthScale
from hrdepth.cli import main
from hrdepth.cli.inputs import check_inputs
from hrdepth.config import AugmentConfig, DatasetConfig, ObjectiveConfig, PrepareLabelsConfig
from hrdepth.data.sample import Window
from hrdepth.errors import InputError
from hrdepth.io.images import read_image
from hrdepth.networks import build_network
from hrdepth.objectives import Output, build_objective
from hrdepth.prepare.labels import prepare_labels
from hrdepth.teachers import Meaning, Teacher
from hrdepth.teachers.labelling import agreement, create_labels, label_images
from hrdepth.teachers.labels import Labels
from hrdepth.teachers.network import NetworkTeacher
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
    assert not list((tmp_path / "labels" / "claims").iterdir())
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


def test_labels_go_on_under_another_name_or_licence_of_the_teacher(tmp_path):
    about = create_labels(tmp_path / "labels", Ramp(), SIZE).about

    class Moved(Ramp):
        name, licence = "/other/path/ramp", None

    assert create_labels(tmp_path / "labels", Moved(), SIZE).about == about

    class Changed(Ramp):
        def digest(self):
            return "1"

    with pytest.raises(InputError, match="teacher.digest"):
        create_labels(tmp_path / "labels", Changed(), SIZE)


def _share(folder, images, counts):
    counts.put(label_images(Ramp(), Labels.open(folder), images))


@pytest.mark.slow
def test_two_processes_share_a_folder_and_do_nothing_twice(tmp_path):
    _, images = images_of(tmp_path, frames=24)
    create_labels(tmp_path / "labels", Ramp(), SIZE)
    context = multiprocessing.get_context("spawn")
    counts = context.Queue()
    workers = [context.Process(target=_share, args=(tmp_path / "labels", images, counts)) for _ in range(2)]
    for worker in workers:
        worker.start()
    made = [counts.get(timeout=600) for _ in workers]  # they import everything first
    for worker in workers:
        worker.join(60)
    assert sum(made) == 24
    labels = Labels.open(tmp_path / "labels")
    labels.check(images)
    assert not list((tmp_path / "labels" / "claims").iterdir())


class Stuck(Ramp):
    """Labels four images, and then hangs."""

    def maps(self, images, size):
        if len(self.seen) >= 4:
            time.sleep(3600)
        return super().maps(images, size)


def _hang(folder, images):
    label_images(Stuck(), Labels.open(folder), images)


def test_a_killed_process_blocks_nobody(tmp_path):
    _, images = images_of(tmp_path, frames=24)
    labels = create_labels(tmp_path / "labels", Ramp(), SIZE)
    # A fork has imported everything already.
    context = multiprocessing.get_context("fork" if "fork" in multiprocessing.get_all_start_methods() else "spawn")
    killed = context.Process(target=_hang, args=(labels.folder, images))
    killed.start()
    deadline = time.monotonic() + 600
    while sum(labels.file(image).is_file() for image in images) < 4:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    killed.kill()
    killed.join()
    assert list((labels.folder / "claims").iterdir())
    (labels.folder / "claims" / labels.file(images[0]).stem).write_text(
        f"{platform.node()} {killed.pid}"
    )  # its map is there
    assert label_images(Ramp(), labels, images) == 20
    assert not list((labels.folder / "claims").iterdir())


def test_the_log_tells_rate_and_time_left(tmp_path, caplog, monkeypatch):
    monkeypatch.setattr("hrdepth.teachers.labelling.TOLD", 0.0)
    _, images = images_of(tmp_path, frames=20)
    with caplog.at_level("INFO", logger="hrdepth"):
        label_images(Ramp(), create_labels(tmp_path / "labels", Ramp(), SIZE), images)
    assert re.search(r"\d+ of 20 labels, [\d.]+ images/s, \d+ minutes left", caplog.text)


def test_reading_and_writing_overlap_with_the_teacher(tmp_path, monkeypatch):
    _, images = images_of(tmp_path, frames=24)
    labels = create_labels(tmp_path / "labels", Ramp(), SIZE)
    running, together = [0], [0]

    def slowly(function, seconds):
        def slow(*arguments):
            running[0] += 1
            together[0] = max(together[0], running[0])
            time.sleep(seconds)
            running[0] -= 1
            return function(*arguments)

        return slow

    teacher = Ramp()
    monkeypatch.setattr(teacher, "maps", slowly(teacher.maps, 0.2))
    monkeypatch.setattr("hrdepth.teachers.labelling.read_image", slowly(read_image, 0.05))
    monkeypatch.setattr(Labels, "write", slowly(Labels.write, 0.05))
    assert label_images(teacher, labels, images) == 24
    assert together[0] >= 3


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


class Halved(Ramp):
    """Calls the left half of a zoomed image twice as near as it is."""

    def maps(self, images, size):
        found = super().maps(images, size)
        if size != SIZE:  # the tests' images are seen whole, or zoomed
            found[:, :, : size[1] // 2] *= 2
        return found


def test_confidence_is_low_where_the_zoomed_image_says_otherwise(tmp_path):
    _, images = images_of(tmp_path)
    teacher = Halved(Meaning.METRIC)
    labels = create_labels(tmp_path / "labels", teacher, SIZE)
    label_images(teacher, labels, images[:1], confidence=True)
    sure = labels.confidence.load(images[0])
    # The zoom shows the middle 4/5. Up to a factor, the median's, half of that disagrees.
    inside, outside = sure[8:-8, 12:-12], np.concatenate([sure[:4].ravel(), sure[-4:].ravel()])
    half = inside.shape[1] // 2
    assert min(inside[:, : half - 2].mean(), inside[:, half + 2 :].mean()) < 0.1
    assert outside.min() > 0.9


def test_agreement_leaves_open_what_the_meaning_leaves_open():
    map_ = np.random.default_rng(0).random((8, 8), np.float32) + 0.5
    assert agreement(map_, map_, Meaning.METRIC).min() == 1
    assert agreement(map_, 2 * map_, Meaning.METRIC).max() < 1e-6
    np.testing.assert_allclose(agreement(map_, 2 * map_, Meaning.SCALE), 1, atol=1e-5)
    assert agreement(map_, 2 * map_ + 1, Meaning.SCALE).min() < 0.5
    np.testing.assert_allclose(agreement(map_, 2 * map_ + 1, Meaning.AFFINE), 1, atol=1e-4)


class Silent(Ramp):
    """Says nothing of the upper half, as a depth of 0 does."""

    def maps(self, images, size):
        found = super().maps(images, size)
        found[:, : size[0] // 2] = np.nan
        return found


@pytest.mark.parametrize("meaning", list(Meaning))
def test_pixels_of_which_the_teacher_says_nothing_are_not_learned(tmp_path, meaning):
    _, images = images_of(tmp_path)
    teacher = Silent(meaning)
    labels = create_labels(tmp_path / "labels", teacher, SIZE)
    label_images(teacher, labels, images)
    maps = torch.stack([labels.resized(image, SIZE) for image in images[:2]])
    assert maps[:, :, :31].isnan().all()
    assert maps[:, :, 33:].isfinite().all()
    torch.manual_seed(0)
    network = build_network(NETWORK)
    objective = build_objective(ObjectiveConfig("distillation", [], {"labels": str(labels.folder)}), network, None)
    batch = {"target": torch.rand(2, 3, *SIZE), "teacher": maps, "intrinsics": TestUnits.K.expand(2, 3, 3)}
    disparity = torch.rand(2, 1, *SIZE, requires_grad=True)
    output = Output(dict.fromkeys(range(4), disparity), torch.zeros(2, 0, 4, 4), batch["intrinsics"])
    objective.losses(output, batch)["loss"].backward()
    assert disparity.grad.isfinite().all()
    assert disparity.grad[:, :, :31].abs().max() == 0
    assert disparity.grad[:, :, 33:].abs().max() > 0


def test_confidence_is_0_where_the_teacher_says_nothing(tmp_path):
    _, images = images_of(tmp_path, frames=1)
    for meaning in Meaning:
        teacher = Silent(meaning)
        labels = create_labels(tmp_path / meaning, teacher, SIZE)
        label_images(teacher, labels, images, confidence=True)
        sure = labels.confidence.load(images[0])
        assert (sure[:32] == 0).all()
        assert sure[32:].mean() > 0.2, meaning
    labels.confidence.write(images[0], np.full(SIZE, np.nan))  # as earlier versions wrote them
    assert (labels.confidence.resized(images[0], SIZE) == 0).all()


@pytest.mark.parametrize("factor", [1e5, 1 / 60000])
def test_maps_of_an_unknown_factor_are_stored_with_median_1(tmp_path, factor):
    class Scaled(Silent):
        def maps(self, images, size):
            return factor * super().maps(images, size)

    _, images = images_of(tmp_path, frames=1)
    labels = create_labels(tmp_path / "labels", Scaled(Meaning.SCALE), SIZE)
    label_images(Scaled(Meaning.SCALE), labels, images)
    map_, true = labels.load(images[0])[32:], Silent().maps([read_image(images[0])], SIZE)[0, 32:]
    np.testing.assert_allclose(map_, true / np.median(true), rtol=1e-3)


class TestUnits:
    """`Labels.scaled_disparity`: metric maps in the student's units and camera."""

    K = torch.tensor([[[0.58 * 2 * 96, 0, 48], [0, 60, 32], [0, 0, 1]]])  # twice the canonical focal length

    def labels(self, tmp_path, **teacher):
        return create_labels(tmp_path / "labels", Ramp(Meaning.METRIC, **teacher), SIZE)

    def test_labels_in_metres_hold_for_their_own_camera(self, tmp_path):
        labels = self.labels(tmp_path)
        maps = torch.full((1, 1, *SIZE), 0.1)  # ten metres
        assert labels.scaled_disparity(maps, self.K, DepthScale()).unique().item() == pytest.approx(0.1)
        # Five metres a unit: two units; a canonical camera of half the focal length sees them at half the distance.
        found = labels.scaled_disparity(maps, self.K, DepthScale(metres_per_unit=5.0, canonical_focal=0.58))
        assert (1 / found).unique().item() == pytest.approx(1.0, rel=1e-5)

    def test_labels_of_a_canonical_camera_are_scaled_by_the_focal_length(self, tmp_path):
        labels = self.labels(tmp_path, canonical_focal=1.16)
        maps = torch.full((1, 1, *SIZE), 0.1)
        found = labels.scaled_disparity(maps, self.K, DepthScale(canonical_focal=0.58))
        assert (1 / found).unique().item() == pytest.approx(5.0, rel=1e-5)
        with pytest.raises(InputError, match=r"holds for canonical_focal 1.16, the run has none"):
            labels.scaled_disparity(maps, self.K, DepthScale())

    def test_the_unknown_camera_of_a_network_is_not_taken_for_the_images(self, tmp_path):
        save_checkpoint(tmp_path / "mono.safetensors", build_network(NETWORK), NETWORK, size=SIZE)
        labels = create_labels(tmp_path / "mono", NetworkTeacher.read(tmp_path / "mono.safetensors"), SIZE)
        maps = torch.full((1, 1, *SIZE), 0.1)
        assert labels.scaled_disparity(maps, self.K, DepthScale()).unique().item() == pytest.approx(0.1)
        with pytest.raises(InputError, match=r"the labels in .* holds for the unknown camera of its training"):
            labels.scaled_disparity(maps, self.K, DepthScale(canonical_focal=0.58))

    def test_units_without_metres_are_ratios_to_a_student_that_has_them(self, tmp_path):
        save_checkpoint(tmp_path / "mono.safetensors", build_network(NETWORK), NETWORK, size=SIZE)
        labels = create_labels(tmp_path / "mono", NetworkTeacher.read(tmp_path / "mono.safetensors"), SIZE)
        assert labels.meaning_for(DepthScale()) == Meaning.METRIC
        assert labels.meaning_for(DepthScale(metres_per_unit=1.0)) == Meaning.SCALE
        network = build_network(NETWORK)
        network.scale = DepthScale(metres_per_unit=1.0)
        config = ObjectiveConfig("distillation", ["s"], {"labels": str(labels.folder), "self_supervision": 1.0})
        objective = build_objective(config, network, None)
        assert objective.norm == "scale"
        assert objective.network.scale.metres_per_unit == 1.0

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
    Labels.open(folder).confidence.file(images[2]).write_bytes(b"broken")
    assert main([*command, "--verify"]) == 2
    assert "1 of 6 images have no label" in (said := capsys.readouterr().err)
    assert "(2 were damaged and are removed)" in said
    assert not Labels.open(folder).confidence.file(images[2]).exists()
    assert main([*command, "--confidence"]) == 0
    assert Labels.open(folder).confidence.file(images[2]).is_file()
    monkeypatch.setattr("hrdepth.objectives.distillation.open_teacher", None)  # no teacher is needed any more
    options = {"labels": str(folder), "norm": "log-l1"}
    config = tiny_training(tmp_path / "run", split(root), objective=ObjectiveConfig("distillation", [], options),
                           canonical_focal=0.58, augment=AugmentConfig(zoom=1.3), epochs=1)  # fmt: skip
    found = read_checkpoint(train(config))
    assert found.scale.metres_per_unit == 5.0
    assert found.provenance["teacher"]["licence"] == "MIT"


def test_the_command_labels_the_right_images_that_are_learned_too(tmp_path):
    root = fake_datasets.drive(tmp_path / "data", frames=4)
    (root / "train.txt").write_text("drive 1 l\ndrive 2 r\n")
    config = PrepareLabelsConfig(teacher_file(tmp_path), str(root), size=SIZE, device="cpu")
    labels = prepare_labels(config)
    there = [
        labels.file(image).is_file()
        for side in ("left", "right")
        for image in sorted((root / "drive" / side).iterdir())
    ]
    assert there == [True, True, True, True, False, False, True, False]


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


def trained_scale(tmp_path, meaning, frames=(), given=None, **options):
    """Return the scale that a training on labels of this meaning writes."""
    root = fake_datasets.drive(tmp_path / "data", stereo="s" in frames)
    teacher = Ramp(meaning)
    labels = create_labels(tmp_path / "labels", teacher, SIZE)
    label_images(teacher, labels, sorted((root / "drive" / "left").iterdir()))
    config = tiny_training(
        tmp_path / "run", split(root), epochs=1, metres_per_unit=given,
        objective=ObjectiveConfig("distillation", list(frames), {"labels": str(labels.folder), **options}),
    )  # fmt: skip
    return read_checkpoint(train(config)).scale


def test_a_student_of_an_affine_teacher_alone_is_marked_so(tmp_path):
    scale = trained_scale(tmp_path, Meaning.AFFINE, given=1.0)
    assert (scale.shift, scale.metres_per_unit) == (None, None)


def test_a_student_of_ratios_alone_has_no_metres(tmp_path):
    scale = trained_scale(tmp_path, Meaning.SCALE, given=1.0)
    assert (scale.shift, scale.metres_per_unit) == (0.0, None)


def test_view_synthesis_in_stereo_settles_scale_and_shift(tmp_path):
    scale = trained_scale(tmp_path, Meaning.AFFINE, ["s"], self_supervision=1.0)
    assert (scale.shift, scale.metres_per_unit) == (0.0, 1.0)


def test_true_depth_settles_scale_and_shift(tmp_path, caplog):
    labels = create_labels(tmp_path / "labels", Ramp(), SIZE)
    network = build_network(NETWORK)
    network.scale = DepthScale(metres_per_unit=1.0)
    other = {"name": "distillation", "options": {"labels": str(labels.folder)}}
    objective = build_objective(ObjectiveConfig("supervised", [], {"other": other}), network, None)
    assert objective.network.scale == DepthScale(metres_per_unit=1.0)
    assert "left out" not in caplog.text


def test_a_network_without_depth_teaches_by_labels_alone(tmp_path):
    network = build_network(NETWORK)
    network.scale = DepthScale(shift=None)
    save_checkpoint(tmp_path / "affine.safetensors", network, NETWORK, size=SIZE)
    teacher = NetworkTeacher.read(tmp_path / "affine.safetensors")
    assert teacher.meaning == Meaning.AFFINE

    def build(**options):
        return build_objective(ObjectiveConfig("distillation", [], options), build_network(NETWORK), None)

    with pytest.raises(InputError, match="gives no depth: its scale and shift are unknown; set the option labels"):
        build(teacher=str(teacher.path))
    labels = str(create_labels(tmp_path / "labels", teacher, SIZE).folder)
    assert build(labels=labels).norm == "affine"
    with pytest.raises(InputError, match="are depth, and the labels in .* are not: use one of them"):
        build(labels=labels, hints="hints")


def test_a_teacher_of_any_kind_passes_the_check_at_the_door(tmp_path):
    config = tiny_training(tmp_path / "run", split(fake_datasets.drive(tmp_path / "data", stereo=False)))

    def check(name):
        options = {"teacher": name, "labels": str(tmp_path / "labels")}
        check_inputs(replace(config, objective=ObjectiveConfig("distillation", [], options)))

    check("street")
    check("depth-anything/Depth-Anything-V2-Small-hf")
    for name, message in (("none.onnx", "the teacher none.onnx does not exist"), ("strret", "strret")):
        with pytest.raises(InputError, match=message):
            check(name)


def test_bad_settings_are_named(capsys, tmp_path):
    assert main(["prepare", "labels", "--data", str(tmp_path)]) == 2
    assert "no teacher is given" in capsys.readouterr().err
    with pytest.raises(InputError, match="no images are given"):
        prepare_labels(PrepareLabelsConfig(teacher="street"))
