"""Tests of every objective that objectives/__init__.py registers.

Every objective in the registry gives finite losses that training lowers, and panels.
"""

import copy

import pytest
import torch
from torch.utils.data import default_collate

import fake_datasets
import tiny_networks
from hrdepth.config import DatasetConfig, NetworkConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.data.layers import Depth, Objects
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import OBJECTIVES, build_objective, check_objective
from hrdepth.training.log import training_panel
from hrdepth.weights.checkpoint import save_checkpoint

POSE = tiny_networks.POSE_NETWORK
OBJECT_NETWORK = {"object_network": POSE.name, "object_options": POSE.options}
# Every objective and how it is used: its sources and options.
CASES = {
    "view_synthesis M": ([-1, 1], {}),
    "view_synthesis M consistency": ([-1, 1], {"consistency": 0.5}),
    "view_synthesis MS": ([-1, 1, "s"], {}),
    "view_synthesis S": (["s"], {}),
    "sfmlearner M": ([-1, 1], {}),
    "sfmlearner MS": ([-1, 1, "s"], {"explainability": 0.1}),
    "vid2depth S": (["s"], {"points": 200, "iterations": 2}),
    "vid2depth M": ([-1, 1], {"points": 200}),
    "struct2depth M": ([-1, 1], OBJECT_NETWORK),
    "struct2depth MS": ([-1, 1, "s"], {**OBJECT_NETWORK, "objects": 1, "view_synthesis": {"auto_mask": True}}),
    "distillation T": ([], {}),
    "distillation T l2": ([], {"norm": "l2", "scales": [0]}),
    "distillation T log-l1": ([], {"norm": "log-l1"}),
    "distillation MT": ([-1, 1], {"self_supervision": 1.0}),
    "supervised": ([], {}),
    "supervised at two scales": ([], {"scale": 1.0, "scales": [0, 2]}),
    "supervised M": ([-1, 1], {"other": {"name": "view_synthesis"}, "other_with_depth": True}),
    "distillation MTS": ([-1, 1, "s"], {"self_supervision": 0.5, "view_synthesis": {"auto_mask": False}}),
}
# An objective without a case is used with its defaults.
CASES |= {f"{name} M": ([-1, 1], {}) for name in OBJECTIVES if name not in {case.split()[0] for case in CASES}}
# A first guess of one unit: the true shift of three pixels is within reach of noise that repeats every eight.
NETWORK = NetworkConfig(tiny_networks.NETWORK.name, {**tiny_networks.NETWORK.options, "min_depth": 0.5})
POSE_NETWORKS = {"sfmlearner": NetworkConfig("posecnn", {"explainability": True})}


@pytest.fixture(params=CASES)
def case(request):
    return request.param


BATCHES = {}


def batch_of(tmp_path, frames, samples=3):
    """A few samples of four, read once for all tests; a dict of one's own."""
    if (key := tuple(frames)) not in BATCHES:
        BATCHES[key] = read_batch(tmp_path, frames)
    return {name: value[:samples] for name, value in BATCHES[key].items()}


def read_batch(tmp_path, frames):
    fake_datasets.objects(fake_datasets.drive(tmp_path))
    # Left and right camera 0.1 units apart, as in the paper's configs.
    config = DatasetConfig("folder", str(tmp_path), str(tmp_path / "train.txt"), options={"baseline": 0.1})
    data = build_mix([config], frames, (64, 96), layers=[Objects(), Depth(1.0)])  # which most ignore
    return default_collate([data[i] for i in range(len(data))])


def teacher_file(tmp_path):
    """A teacher that sees more than a constant, at another size."""
    path = tmp_path / "teacher.safetensors"
    torch.manual_seed(1)
    network = build_network(NETWORK)
    network.start_at(3.0)
    with torch.no_grad():
        for name, weight in network.named_parameters():
            if name.endswith("heads.0.conv.weight"):
                weight.mul_(10)
    save_checkpoint(path, network, NETWORK, size=(64, 128))
    return str(path)


OBJECTIVES_MADE = {}


def shared_objective(case, tmp_path):
    """An objective in eval mode, the same for all tests, which only look at it."""
    return objectives_made(case, tmp_path)[1]


def objective_of(case, tmp_path):
    """An objective of one's own."""
    return copy.deepcopy(objectives_made(case, tmp_path)[0])


def objectives_made(case, tmp_path):
    """An objective as it is made, and a copy in eval mode, once for all tests; the random numbers go on as after it."""
    if case not in OBJECTIVES_MADE:
        objective = make_objective(case, tmp_path)
        OBJECTIVES_MADE[case] = (objective, copy.deepcopy(objective).eval()), torch.get_rng_state()
    made, state = OBJECTIVES_MADE[case]
    torch.set_rng_state(state)
    return made


def make_objective(case, tmp_path, **more):
    name, (frames, options) = case.split()[0], CASES[case]
    if name == "distillation":
        options = {"teacher": teacher_file(tmp_path), **options}
    torch.manual_seed(0)
    network = build_network(NETWORK)
    pose_network = build_pose_network(POSE_NETWORKS.get(name, tiny_networks.POSE_NETWORK))
    return build_objective(ObjectiveConfig(name, frames, {**options, **more}), network, pose_network)


# Twenty steps take seconds: `make test` trains the first case of every objective, `make test-slow` the others.
FIRST = {next(case for case in CASES if case.split()[0] == name) for name in OBJECTIVES}
TRAINED = [pytest.param(case, marks=[] if case in FIRST else [pytest.mark.slow]) for case in CASES]


@pytest.mark.parametrize("case", TRAINED)
def test_the_loss_is_finite_and_falls_in_20_steps(case, tmp_path):
    samples = 4 if case == "vid2depth M" else 1  # its clouds of 200 points are noisy
    batch = batch_of(tmp_path, CASES[case][0], samples)
    objective = objective_of(case, tmp_path)
    optimiser = torch.optim.Adam(objective.parameters(), 1e-2 if case.startswith("supervised") else 1e-3)
    losses = []
    for _ in range(20):
        output = objective(batch)
        assert all(value.ndim == 0 and torch.isfinite(value) for value in output.losses.values())
        optimiser.zero_grad()
        output.loss.backward()
        optimiser.step()
        losses.append(output.loss.item())
    assert sum(losses[-3:]) / 3 < 0.9 * sum(losses[:3]) / 3


def test_the_output_is_that_of_the_networks(case, tmp_path):
    """The disparities are the target's, poses and motions those of the sources; the losses are those of the output."""
    frames = CASES[case][0]
    batch = batch_of(tmp_path, frames)
    objective = shared_objective(case, tmp_path)
    torch.manual_seed(0)  # of the noise that breaks ties
    output = objective(batch)
    disparities = objective.network(batch["target_augmented"])
    assert output.disparities.keys() == disparities.keys()
    assert all(torch.equal(disparity, disparities[scale]) for scale, disparity in output.disparities.items())
    assert objective.frames == tuple(frames)
    assert output.poses.shape == (3, len(frames), 4, 4)
    assert torch.equal(output.intrinsics, batch["intrinsics"])
    neighbours = [index for index, frame in enumerate(frames) if frame != "s"]
    if neighbours:
        for motion in output.motions:
            assert motion.shape == (len(neighbours), 3, 3)
        lengths = output.poses[:, neighbours, :3, 3].norm(dim=-1)  # inverted or not
        torch.testing.assert_close(output.motions[1].norm(dim=-1).T, lengths)
    else:
        assert output.motions is None
    torch.manual_seed(0)
    again = objective.losses(objective.predict(batch), batch)
    assert output.losses.keys() == again.keys()
    assert all(torch.equal(value, again[name]) for name, value in output.losses.items())


def test_a_detached_output_gives_the_same_losses(case, tmp_path):
    batch = batch_of(tmp_path, CASES[case][0])
    objective = shared_objective(case, tmp_path)
    torch.manual_seed(0)
    output = objective(batch)
    detached = output.map(torch.Tensor.detach)
    assert output.loss.requires_grad
    assert not detached.loss.requires_grad
    assert type(detached) is type(output)
    torch.manual_seed(0)
    assert torch.equal(objective.losses(detached, batch)["loss"], output.loss)


def test_the_loss_stays_in_float32_under_autocast(case, tmp_path):
    batch = batch_of(tmp_path, CASES[case][0])
    objective = shared_objective(case, tmp_path)
    torch.manual_seed(0)  # of the noise that breaks ties
    exact = objective(batch).loss
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = objective(batch).loss
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)


def test_masked_pixels_give_no_gradient(case, tmp_path):
    """Neither as target nor as source; but for smoothness, which asks no image."""
    batch = batch_of(tmp_path, CASES[case][0])
    batch["mask"] = torch.ones_like(batch["target"][:, :1])
    batch["mask"][..., 40:, :] = 0
    objective = objective_of(case, tmp_path)
    for part in objective.modules():
        if hasattr(part, "smoothness"):
            part.smoothness = 0.0
    seen = []

    def keep(module, inputs, output):
        for disparity in output.values():
            if disparity.requires_grad:
                disparity.retain_grad()
        seen.append(output)

    objective.network.register_forward_hook(keep)
    objective(batch).loss.backward()
    gradients = [(s, d.grad.abs()) for output in seen for s, d in output.items() if d.grad is not None]
    assert gradients
    # Eight rows of scale 3's disparity reach down or up by bilinear interpolation, and one by SSIM's windows.
    assert all(gradient[..., -(-52 >> s) :, :].max() == 0 for s, gradient in gradients)
    assert any(gradient[..., : 40 >> s, :].max() > 0 for s, gradient in gradients)


def test_panels_can_be_drawn(case, tmp_path):
    batch = batch_of(tmp_path, CASES[case][0])
    objective = shared_objective(case, tmp_path)
    panels = objective.panels(objective.predict(batch), batch)
    assert {"target", "disparity", "error"} <= set(panels)
    assert ("teacher" in panels) == case.startswith("distillation")
    assert all(value.shape[0] == 3 and value.shape[2:] == (64, 96) for value in panels.values())
    assert training_panel(panels).shape == (64 * len(panels), 96 * 3, 3)


def test_the_pixels_that_the_auto_mask_keeps_are_known_without_panels(case, tmp_path):
    """`check.diagnosis` asks for them with samples that have no layers but the mask."""
    frames, _ = CASES[case]
    layers = ("hint", "label", "label_confidence", "depth", "objects")
    batch = {name: value for name, value in batch_of(tmp_path, frames).items() if name not in layers}
    objective = shared_objective(case, tmp_path)
    kept = objective.kept_pixels(objective.predict(batch), batch)
    without = ("sfmlearner", "struct2depth M", "distillation T", "distillation MTS", "supervised")
    assert (kept is None) == (case.startswith(without) and case not in ("struct2depth MS", "supervised M")), case
    if kept is not None:
        assert kept.shape == (3, 1, 64, 96)
        assert set(kept.unique().tolist()) <= {0.0, 1.0}


def test_a_copy_has_its_own_weights(case, tmp_path):
    """As averaging needs them; and the state is the trained networks' alone."""
    objective = shared_objective(case, tmp_path)
    again = copy.deepcopy(objective)
    own = {parameter.data_ptr() for parameter in objective.parameters()}
    assert own.isdisjoint(parameter.data_ptr() for parameter in again.parameters())
    trained = {parameter.data_ptr() for parameter in objective.network.parameters()}
    for part in (objective.pose_network, getattr(objective, "object_motion", None)):
        trained |= set() if part is None else {parameter.data_ptr() for parameter in part.parameters()}
    assert own == trained


def test_an_unknown_option_is_named(case, tmp_path):
    with pytest.raises(InputError, match="has no option 'smothness'"):
        make_objective(case, tmp_path, smothness=1.0)


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        (
            "view_synthesis",
            {"smoothness": "x"},
            "the option smoothness 'x' of objective 'view_synthesis' must be a num",
        ),
        ("view_synthesis", {"smoothness": -1}, "the option smoothness -1 .* must be 0 or more"),
        ("view_synthesis", {"tie_break": float("nan")}, "the option tie_break nan .* must be 0 or more, and finite"),
        ("view_synthesis", {"ssim_weight": 2}, "the option ssim_weight 2 .* must lie between 0 and 1"),
        ("view_synthesis", {"auto_mask": "no"}, "the option auto_mask 'no' .* must be true or false"),
        ("view_synthesis", {"scales": [7]}, r"the option scales \[7\] .*: give some of 0, 1, 2, 3"),
        ("view_synthesis", {"scales": 3}, "the option scales 3 .* must be a list of which each is a whole number"),
        ("view_synthesis", {"consistency": -1}, "the option consistency -1 .* must be 0 or more"),
        ("sfmlearner", {"scales": []}, r"the option scales \[\] of objective 'sfmlearner': give some"),
        ("sfmlearner", {"explainability": "x"}, "the option explainability 'x' .* must be a number"),
        ("sfmlearner", {"explainability": -0.1}, "the option explainability -0.1 .* must be 0 or more"),
        ("sfmlearner", {"smoothness": float("inf")}, "the option smoothness inf .* must be 0 or more, and finite"),
        ("vid2depth", {"alignment": "big"}, "the option alignment 'big' of objective 'vid2depth' must be a number"),
        ("vid2depth", {"alignment": -1}, "the option alignment -1 .* must be 0 or more"),
        ("vid2depth", {"points": 8.5}, "the option points 8.5 .* must be a whole number"),
        ("vid2depth", {"view_synthesis": 3}, "the option view_synthesis 3 .* must be names with values or null"),
        ("vid2depth", {"view_synthesis": {"scales": [7]}}, "of the view_synthesis of objective 'vid2depth': give some"),
        ("struct2depth", {"object_height": "tall"}, "the option object_height 'tall' .* must be a number"),
        ("struct2depth", {"object_options": ["x"]}, r"the option object_options \['x'\] .* must be names with values"),
        ("struct2depth", {"objects": True}, "the option objects True .* must be a whole number"),
        ("struct2depth", {"size_weight": -1}, "the option size_weight -1 .* must be 0 or more"),
        ("struct2depth", {"view_synthesis": {"smoothness": -1}}, "smoothness -1 of the view_synthesis of objective"),
        ("distillation", {"hints": "h", "norm": ["l1"]}, "the option norm .* of objective 'distillation' must be text"),
        (
            "distillation",
            {"hints": "h", "block": 0},
            "the option block 0 of .* must be at least 1",
        ),
        ("supervised", {"sky": -1}, "the option sky -1 of objective 'supervised' must be 0 or more"),
        (
            "supervised",
            {"other": {"name": "stereo"}},
            "unknown name in the option other of .* 'stereo'",
        ),
        ("supervised", {"other": {"name": "distillation", "x": 1}}, "the option other of .* has no 'x'; give name and"),
        (
            "supervised",
            {"other": {"name": "view_synthesis", "options": {"x": 1}}},
            "other of .* has no option 'x'",
        ),
        (
            "distillation",
            {"hints": "h", "unhinted_weight": 2},
            "the option unhinted_weight 2 .* must lie between 0 and 1",
        ),
    ],
)
def test_invalid_option_values_are_named(name, options, said):
    with pytest.raises(InputError, match=said):
        check_objective(ObjectiveConfig(name, [] if name in ("distillation", "supervised") else [1], options))


def test_valid_option_values_of_every_kind_are_accepted():
    options = {"points": 64, "alignment": 1, "view_synthesis": {"scales": (0, 2), "smoothness": 0, "compile": False}}
    check_objective(ObjectiveConfig("vid2depth", [1], options))
    check_objective(ObjectiveConfig("vid2depth", [1], {"view_synthesis": None}))
