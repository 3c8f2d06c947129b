"""Tests of objectives/distillation.py and teachers/network.py.

What learning from a teacher promises: the right target, whatever the teacher's size, camera and place of work.
"""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.camera import DepthScale
from hrdepth.config import AugmentConfig, DatasetConfig, NetworkConfig, ObjectiveConfig, TrainConfig
from hrdepth.data import build_mix, open_data
from hrdepth.data.sample import load_image
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import build_objective
from hrdepth.objectives.distillation import Distillation
from hrdepth.teachers.network import NetworkTeacher, TeacherMaps, resize
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK, POSE_NETWORK

SIZE = (64, 96)
K = torch.eye(3)[None]  # which distillation alone passes through


@pytest.fixture
def teacher(tmp_path):
    """Save a teacher and return its path; settings are `save_checkpoint`'s."""

    def make(name="teacher.safetensors", config=NETWORK, size=SIZE, **settings):
        torch.manual_seed(1)
        network = build_network(config)
        network.start_at(5.0)
        with torch.no_grad():
            for key, weight in network.named_parameters():
                if key.endswith("heads.0.conv.weight"):
                    weight.mul_(20)  # a disparity that varies with the image
        save_checkpoint(tmp_path / name, network, config, size=size, **settings)
        return str(tmp_path / name)

    return make


@pytest.fixture
def images(tmp_path):
    root = fake_datasets.images(tmp_path / "images")
    return DatasetConfig("images", str(root))


def objective_of(path, student=NETWORK, frames=(), canonical_focal=None, **options):
    torch.manual_seed(0)
    config = ObjectiveConfig("distillation", list(frames), {"teacher": path, **options})
    network = build_network(student)
    network.scale = replace(network.scale, canonical_focal=canonical_focal)
    return build_objective(config, network, None)


def batch_of(part, augment=None, draws=1, seed=0):
    data = build_mix([part], [], SIZE, augment, seed)
    return default_collate([data[item] for item in range(draws * len(data))])


class Fixed(nn.Module):
    """A network that says the given disparities, (B,1,H/2^s,W/2^s) for each scale s."""

    min_depth, max_depth = 0.1, 100.0
    scale = DepthScale()

    def __init__(self, *disparities):
        super().__init__()
        self.disparities = disparities

    def forward(self, image):
        return dict(enumerate(self.disparities))


@pytest.mark.parametrize(("norm", "distance"), [("l1", 0.1), ("l2", 0.02), ("log-l1", math.log(3.007 / 1.009) / 2)])
def test_each_norm_agrees_with_its_formula(teacher, norm, distance):
    objective = objective_of(teacher(), norm=norm, scales=[0])
    wanted, predicted = (torch.tensor([[[pair, pair]]]) for pair in ([0.3, 0.5], [0.1, 0.5]))
    objective.network = Fixed(predicted)
    image = torch.zeros(1, 3, 2, 2)
    batch = {"target": image, "target_augmented": image, "intrinsics": K, "teacher": 0.01 + 9.99 * wanted}
    assert objective(batch).loss.item() == pytest.approx(distance, rel=1e-3)


def test_a_hint_replaces_the_teacher_with_more_weight(teacher):
    objective = objective_of(teacher(), scales=[0], unhinted_weight=0.5)
    objective.network = Fixed(torch.zeros(2, 1, 2, 2))
    image = torch.zeros(2, 3, 2, 2)
    batch = {
        "target": image,
        "target_augmented": image,
        "intrinsics": K,
        "teacher": torch.full((2, 1, 2, 2), 0.01 + 9.99 * 0.2),
    }
    batch["hint"] = torch.zeros(2, 1, 2, 2)
    assert objective(batch).loss.item() == pytest.approx(0.2, rel=1e-4), "without a hint it is the teacher's"
    batch["hint"][0, 0, 0] = 0.01 + 9.99 * 0.6
    assert objective.target(batch)[:, 0, :, 0].tolist() == [pytest.approx([0.6, 0.2]), pytest.approx([0.2, 0.2])]
    # Two pixels of 0.6 count 1, two of 0.2 beside them 0.5, the four of the other image 1.
    assert objective(batch).loss.item() == pytest.approx((2 * 0.6 + 0.5 * 2 * 0.2 + 4 * 0.2) / 7, rel=1e-4)
    with pytest.raises(InputError, match="unhinted_weight 2 .* between 0 and 1"):
        objective_of(teacher(), unhinted_weight=2)


def test_hints_alone_need_no_teacher(tmp_path):
    objective = objective_of("", scales=[0], hints=str(tmp_path))
    objective.network = Fixed(torch.zeros(2, 1, 2, 2))
    image = torch.zeros(2, 3, 2, 2)
    batch = {"target": image, "target_augmented": image, "intrinsics": K, "hint": torch.zeros(2, 1, 2, 2)}
    assert objective(batch).loss.item() == 0, "nobody knows anything"
    batch["hint"][0, 0, 0] = 0.01 + 9.99 * 0.6
    assert objective(batch).loss.item() == pytest.approx(0.6, rel=1e-4), "the rest does not count"
    error = objective.panels(objective.predict(batch), batch)["error"]
    assert error[0, 0, 0].min() > 1
    assert error[0, 0, 1].max() == error[1].max() == 0
    assert objective.about() == {"hints": {"norm": "l1", "self_supervision": 0.0}}


@pytest.mark.parametrize(
    ("options", "metres"),
    [({"norm": "l1"}, True), ({"norm": "scale"}, False), ({"norm": "affine", "hints": "hints"}, False),
     ({"norm": "scale", "hints": "hints"}, False)],
)  # fmt: skip
def test_metres_are_claimed_only_where_the_norm_settles_them(teacher, options, metres):
    network = build_network(NETWORK)
    network.scale = replace(network.scale, metres_per_unit=1.0)
    given = {"teacher": teacher(metres_per_unit=1.0), **options}
    learner = build_objective(ObjectiveConfig("distillation", [], given), network, None)
    assert (learner.network.scale.metres_per_unit == 1.0) == metres
    assert learner.network.scale.has_depth == (options["norm"] != "affine")


@pytest.mark.parametrize(("frames", "metres"), [([-1, 1], False), (["s"], True)])
def test_view_synthesis_settles_the_shift_and_of_stereo_pairs_metres(teacher, frames, metres):
    network = build_network(NETWORK)
    network.scale = replace(network.scale, metres_per_unit=1.0)
    given = {"teacher": teacher(metres_per_unit=1.0), "norm": "affine", "self_supervision": 1.0}
    learner = build_objective(ObjectiveConfig("distillation", frames, given), network, build_pose_network(POSE_NETWORK))
    assert learner.network.scale.has_depth
    assert (learner.network.scale.metres_per_unit == 1.0) == metres


def test_an_option_without_effect_is_warned_of(teacher, caplog):
    objective_of(teacher(), norm="scale", block=16)
    assert "block 16 of the distillation has no effect: norm 'scale' compares pixels" in caplog.text
    config = ObjectiveConfig("distillation", [], {"labels": "labels", "cache": "maps", "teacher_mirrored": True})
    Distillation.check(replace(config, options={**config.options, "teacher": "street"}))
    assert "cache, teacher_mirrored of the distillation has no effect beside labels" in caplog.text


def test_a_teacher_is_compared_by_blocks_and_a_hint_by_pixels(teacher):
    objective = objective_of(teacher(), scales=[0], block=2, unhinted_weight=1.0)
    low, high = 0.2, 0.4
    objective.network = Fixed(torch.tensor([[[[low, high, low, high], [high, low, high, low]]]]))
    image = torch.zeros(1, 3, 2, 4)
    mean = torch.full((1, 1, 2, 4), 0.01 + 9.99 * 0.3)
    batch = {
        "target": image,
        "target_augmented": image,
        "intrinsics": K,
        "teacher": mean,
        "hint": torch.zeros_like(mean),
    }
    assert objective(batch).loss.item() == pytest.approx(0, abs=1e-6), "the means over blocks agree"
    batch["hint"][..., :2] = mean[..., :2]
    assert objective(batch).loss.item() == pytest.approx(0.1 / 2, rel=1e-4), "the pixels do not, and half have a hint"
    batch["hint"] = mean
    assert objective(batch).loss.item() == pytest.approx(0.1, rel=1e-4)


def test_coarse_scales_count_at_full_size_and_weight_the_same(teacher):
    objective = objective_of(teacher(), scales=[0, 1], weight=3.0)
    wanted = torch.rand(1, 1, 4, 4)
    objective.network = Fixed(wanted, wanted[..., ::2, ::2] * 0)
    batch = {"target": torch.zeros(1, 3, 4, 4), "target_augmented": torch.zeros(1, 3, 4, 4), "intrinsics": K}
    batch["teacher"] = 0.01 + 9.99 * wanted
    losses = objective(batch).losses
    assert losses["loss/distillation/scale0"].item() == pytest.approx(0, abs=1e-6)
    assert losses["loss/distillation/scale1"].item() == pytest.approx(wanted.mean().item(), rel=1e-4)
    assert losses["loss"].item() == pytest.approx(3 * wanted.mean().item() / 2, rel=1e-4)


def test_a_teacher_equal_to_the_student_gives_zero_loss(teacher, images):
    path = teacher()
    objective = objective_of(path, scales=[0])
    objective.network = build_network(NETWORK)
    objective.network.load_state_dict(NetworkTeacher.read(path)._network.state_dict())
    batch = batch_of(images)
    assert objective.eval()(batch).loss.item() == pytest.approx(0, abs=1e-6)
    panels = objective.panels(objective.predict(batch), batch)
    assert panels["error"].max() < 1e-5
    assert panels["teacher"].std() > 0.1 * panels["teacher"].mean()


def test_the_teacher_sees_the_image_without_changed_colours_and_mirrored_alike(teacher, images):
    objective = objective_of(teacher())
    plain = objective.target(batch_of(images))
    colours = AugmentConfig(flip=0, jitter=1.0, brightness=0.5, hue=0.3, noise=0.2)
    batch = batch_of(images, colours)
    assert not torch.equal(batch["target"], batch["target_augmented"])
    assert torch.equal(objective.target(batch), plain)
    mirrored = batch_of(images, AugmentConfig(flip=1.0, jitter=0))["target"]
    assert torch.equal(mirrored, batch["target"].flip(-1))
    assert (objective.target({"target": mirrored}) - objective.teacher.disparity(mirrored)).abs().max() < 1e-5


def test_the_teachers_weights_do_not_change(teacher, images):
    objective = objective_of(teacher()).train()
    before = {name: value.clone() for name, value in objective.teacher._network.state_dict().items()}
    batch = batch_of(images)
    optimiser = torch.optim.Adam(objective.parameters(), 1e-2)
    for _ in range(2):
        objective(batch).loss.backward()
        optimiser.step()
    after = objective.teacher._network.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not objective.teacher._network.training
    assert set(objective.state_dict()) == {f"network.{name}" for name in objective.network.state_dict()}


def test_a_teacher_may_have_another_size_and_architecture(teacher, images):
    config = NetworkConfig("monodepth2")
    objective = objective_of(teacher(config=config, size=(96, 160)))
    batch = batch_of(images)
    seen = objective.teacher.scaled_disparity(batch["target"])
    assert seen.shape == (4, 1, *SIZE)
    assert objective(batch).loss.isfinite()
    assert objective.about()["teacher"]["size"] == [96, 160]


@pytest.mark.parametrize("flip", [0.0, 1.0])
def test_cached_maps_equal_the_teachers(teacher, images, tmp_path, flip):
    one = NetworkTeacher.read(teacher(size=(64, 128)))
    cache = TeacherMaps(one, tmp_path / "cache")
    data = build_mix([images], [], SIZE, AugmentConfig(flip=flip, jitter=0.5), layers=[cache])
    paths = list(data.datasets[0].neighbours.targets())
    assert cache.fill(one, paths, torch.device("cpu")) == 4
    batch = default_collate([data[item] for item in range(4)])
    expected = one.scaled_disparity(torch.stack([load_image(path, one.size) for path in paths]))
    expected = resize(expected, SIZE)
    expected = expected.flip(-1) if flip else expected
    assert batch["teacher"].dtype == torch.float32
    torch.testing.assert_close(batch["teacher"], expected, rtol=2e-3, atol=1e-4)


def test_the_cache_is_resumed_and_detects_changes(teacher, images, tmp_path):
    one = NetworkTeacher.read(teacher())
    cache = TeacherMaps(one, tmp_path / "cache")
    paths = sorted(p for p in (tmp_path / "images").rglob("*") if p.is_file() and p.suffix != ".txt")
    cpu = torch.device("cpu")
    assert cache.fill(one, paths[:2], cpu) == 2
    assert cache.fill(one, paths, cpu) == 2
    assert cache.fill(one, paths, cpu) == 0
    paths[1].write_bytes(paths[0].read_bytes())
    assert cache.fill(one, paths, cpu) == 0  # a map is that of the content
    paths[1].write_bytes(paths[0].read_bytes() + b"\0")
    assert cache.fill(one, paths, cpu) == 1
    other = NetworkTeacher.read(teacher("other.safetensors", size=(96, 128)))
    elsewhere = TeacherMaps(other, tmp_path / "cache")
    assert elsewhere.fill(other, paths, cpu) == 4
    assert elsewhere.resized(paths[0], SIZE).shape == cache.resized(paths[0], SIZE).shape == (1, *SIZE)
    whole = cache.file(paths[0])
    whole.write_bytes(whole.read_bytes()[:100])
    with pytest.raises(InputError, match=r"map .* is damaged .* delete it"):
        cache.resized(paths[0], SIZE)
    whole.unlink()
    with pytest.raises(InputError, match="--resume last"):
        cache.resized(paths[0], SIZE)


def test_a_zoom_cuts_the_cached_map_and_makes_it_nearer(teacher, images, tmp_path):
    one = NetworkTeacher.read(teacher(canonical_focal=0.6))
    cache = TeacherMaps(one, tmp_path / "cache")
    data = build_mix([images], [], SIZE, AugmentConfig(flip=0, jitter=0, zoom=2.0), seed=1, layers=[cache])
    reader = data.datasets[0].reader
    paths = list(data.datasets[0].neighbours.targets())
    cache.fill(one, paths, torch.device("cpu"))
    for item in range(8):
        whole = cache.resized(paths[item % 4], SIZE)
        sample = data[item]
        size = reader.camera(reader.targets[item % 4]).size
        zoom = float(sample["intrinsics"][0, 0]) / (max(size) * SIZE[1] / size[1])
        assert 1 < zoom <= 2
        left, top = (float(size[k] / 2 / size[k] * SIZE[k] - sample["intrinsics"][1 - k, 2] / zoom) for k in (1, 0))
        cut = whole[:, round(top) : round(top + SIZE[0] / zoom), round(left) : round(left + SIZE[1] / zoom)]
        assert sample["teacher"].mean() == pytest.approx(float(cut.mean()) * zoom, rel=0.02)


@pytest.mark.parametrize(("augment", "size"), [({"zoom": 2.0}, (64, 96)), ({"crop": True}, (64, 64))])
def test_maps_of_whole_images_are_not_cut_where_nobody_knows_how_that_changes_depth(
    teacher, tmp_path, monkeypatch, augment, size
):
    """Images of 96x64: a crop to a square shows two thirds of their width, larger."""
    part = DatasetConfig("folder", str(fake_datasets.drive(tmp_path, stereo=False)), options={"every_frame": True})
    sets = [opened.neighbours for opened in open_data([part], [])]
    objective = objective_of(teacher(), cache=str(tmp_path / "cache"))
    monkeypatch.setattr(TeacherMaps, "fill", lambda *_: 0)
    config = TrainConfig(
        [part], [part], str(tmp_path / "run"), size=size, augment=AugmentConfig(**augment),
        objective=ObjectiveConfig("distillation", [], {"cache": str(tmp_path / "cache")}),
    )  # fmt: skip
    cpu = torch.device("cpu")
    with pytest.raises(InputError, match=rf"augment\.{next(iter(augment))} crops them; set canonical_focal"):
        objective.layers(config, sets, cpu)
    assert objective.layers(replace(config, canonical_focal=0.6), sets, cpu)
    # A crop that keeps the whole width changes no size.
    assert objective.layers(replace(config, size=(32, 96), augment=AugmentConfig(crop=True)), sets, cpu)


def test_depth_is_brought_to_the_students_camera(teacher):
    path = teacher(canonical_focal=0.6)
    batch = {"target": torch.zeros(1, 3, *SIZE), "teacher": torch.full((1, 1, *SIZE), 1 / 5.0)}
    same, wider = objective_of(path, canonical_focal=0.6), objective_of(path, canonical_focal=0.3)
    for objective, depth in ((same, 5.0), (wider, 2.5)):
        disparity = objective.target(batch)[0, 0, 0, 0].item()
        assert 1 / (0.01 + 9.99 * disparity) == pytest.approx(depth, rel=1e-4)
    plain = objective_of(teacher("plain.safetensors"), teacher_focal=0.6, canonical_focal=0.3)
    torch.testing.assert_close(plain.target(batch), wider.target(batch))


@pytest.mark.parametrize(
    ("student", "file", "options", "sentence"),
    [
        (NetworkConfig("lite_hrdepth", {"max_depth": 80.0}), {}, {}, "0.1 to 100, the student 0.1 to 80"),
        (NETWORK, {"canonical_focal": 0.6}, {}, "set canonical_focal to 0.6"),
        (NETWORK, {}, {"canonical_focal": 0.6}, "teacher_focal"),
        (NETWORK, {}, {"norm": "l3"}, "unknown norm .*'l3'"),
        (NETWORK, {}, {"frames": [-1, 1]}, r"uses no sources; set objective.frames to \[\]"),
        (NETWORK, {}, {"self_supervision": 1.0}, "at least one source"),
        (NETWORK, {}, {"weight": 0.0}, "use objective 'view_synthesis'"),
        (NETWORK, {}, {"weight": -1.0}, "must be 0 or more"),
        (NETWORK, {}, {"scales": [4]}, "some of 0, 1, 2, 3"),
        (NETWORK, {}, {"view_synthesis": {"smothness": 1}}, "has no option 'smothness'"),
    ],
)
def test_unsuitable_settings_are_refused_with_a_message(teacher, student, file, options, sentence):
    with pytest.raises(InputError, match=sentence):
        objective_of(teacher(**file), student, **options)


def test_a_missing_teacher_is_refused_with_a_message(tmp_path):
    with pytest.raises(InputError, match="needs something to learn: set its option teacher"):
        objective_of("")
    with pytest.raises(InputError, match="cache .* is for a teacher"):
        objective_of("", hints=str(tmp_path), cache=str(tmp_path))
    with pytest.raises(InputError, match=r"none\.safetensors does not exist"):
        objective_of(str(tmp_path / "none.safetensors"))


def test_a_list_of_images_is_a_data_set(tmp_path):
    root = fake_datasets.images(tmp_path)
    data = build_mix([DatasetConfig("images", str(root), str(root / "train.txt"))], [], SIZE)
    assert [data.name(i).rsplit(" (", 1)[0] for i in range(3)] == ["b.png 0 l", "a/d 1.JPG 0 l", "a/c.jpg 0 l"]
    (root / "train.txt").write_text("b.png\nc.png\n")
    with pytest.raises(InputError, match=r"train.txt:2: .* holds no 'c.png'"):
        build_mix([DatasetConfig("images", str(root), str(root / "train.txt"))], [], SIZE)
    (root / "train.txt").write_text("\n# none\n")
    with pytest.raises(InputError, match="is empty"):
        build_mix([DatasetConfig("images", str(root), str(root / "train.txt"))], [], SIZE)
    with pytest.raises(InputError, match="misses its neighbour at -1"):
        build_mix([DatasetConfig("images", str(root))], [-1, 1], SIZE)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no images"):
        build_mix([DatasetConfig("images", str(tmp_path / "empty"))], [], SIZE)
