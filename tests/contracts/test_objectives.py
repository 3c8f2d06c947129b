"""Every objective in the registry gives finite losses that training lowers, and panels."""

import copy

import pytest
import torch
from torch.utils.data import default_collate

import small
import trees
from hrdepth.checkpoints import save_checkpoint
from hrdepth.config import DatasetConfig, NetworkConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.data.objects import use_objects
from hrdepth.errors import InputError
from hrdepth.networks import build_network, build_pose_network
from hrdepth.objectives import OBJECTIVES, build_objective
from hrdepth.training.panels import training_panel

OBJECT_NETWORK = {"object_network": small.POSE_NETWORK.name, "object_options": small.POSE_NETWORK.options}
# Every way to use every objective: its sources and options.
WAYS = {
    "view_synthesis M": ([-1, 1], {}),
    "view_synthesis M consistency": ([-1, 1], {"consistency": 0.5}),
    "view_synthesis MS": ([-1, 1, "s"], {}),
    "view_synthesis S": (["s"], {}),
    "sfmlearner M": ([-1, 1], {}),
    "sfmlearner MS": ([-1, 1, "s"], {"explainability": 0.1}),
    "vid2depth M": ([-1, 1], {"points": 200}),
    "vid2depth S": (["s"], {"points": 200, "iterations": 2}),
    "struct2depth M": ([-1, 1], OBJECT_NETWORK),
    "struct2depth MS": ([-1, 1, "s"], {**OBJECT_NETWORK, "objects": 1, "view_synthesis": {"auto_mask": True}}),
    "distillation T": ([], {}),
    "distillation T l2": ([], {"norm": "l2", "scales": [0]}),
    "distillation T log-l1": ([], {"norm": "log-l1"}),
    "distillation MT": ([-1, 1], {"self_supervision": 1.0}),
    "distillation MTS": ([-1, 1, "s"], {"self_supervision": 0.5, "view_synthesis": {"auto_mask": False}}),
}
# A first guess of one unit: the true shift of three pixels is within reach of noise that repeats every eight.
NETWORK = NetworkConfig(small.NETWORK.name, {**small.NETWORK.options, "min_depth": 0.5})
POSE_NETWORKS = {"sfmlearner": NetworkConfig("posecnn", {"explainability": True})}


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


def batch_of(tmp_path, frames):
    trees.objects(trees.drive(tmp_path))
    # The eyes 0.1 units apart, as in the paper's configs.
    config = DatasetConfig("folder", str(tmp_path), str(tmp_path / "train.txt"), options={"baseline": 0.1})
    data = build_mix([config], frames, (64, 96))
    use_objects(data.datasets)  # which most objectives leave alone
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


def objective_of(way, tmp_path, **more):
    name, (frames, options) = way.split()[0], WAYS[way]
    if name == "distillation":
        options = {"teacher": teacher_file(tmp_path), **options}
    torch.manual_seed(0)
    network = build_network(NETWORK)
    pose_network = build_pose_network(POSE_NETWORKS.get(name, small.POSE_NETWORK))
    return build_objective(ObjectiveConfig(name, frames, {**options, **more}), network, pose_network)


def test_every_objective_is_here():
    assert {way.split()[0] for way in WAYS} == set(OBJECTIVES)


def test_the_loss_is_finite_and_falls_in_20_steps(way, tmp_path):
    batch = batch_of(tmp_path, WAYS[way][0])
    objective = objective_of(way, tmp_path)
    optimiser = torch.optim.Adam(objective.parameters(), 1e-3)
    losses = []
    for _ in range(20):
        values = objective(batch)
        assert all(value.ndim == 0 and torch.isfinite(value) for value in values.values())
        optimiser.zero_grad()
        values["loss"].backward()
        optimiser.step()
        losses.append(values["loss"].item())
    assert sum(losses[-3:]) / 3 < 0.9 * sum(losses[:3]) / 3


def test_the_network_sees_the_target_itself_once(way, tmp_path):
    """As the guard and the validation know by, which of its disparities is the target's."""
    batch = batch_of(tmp_path, WAYS[way][0])
    objective = objective_of(way, tmp_path)
    seen = []
    objective.network.register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    objective(batch)
    assert sum(image is batch["target_augmented"] for image in seen) == 1


def test_the_loss_stays_in_float32_under_autocast(way, tmp_path):
    batch = batch_of(tmp_path, WAYS[way][0])
    objective = objective_of(way, tmp_path).eval()
    torch.manual_seed(0)  # of the noise that breaks ties
    exact = objective(batch)["loss"]
    torch.manual_seed(0)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = objective(batch)["loss"]
    assert rough.dtype == torch.float32
    assert rough.item() == pytest.approx(exact.item(), rel=0.05)


def test_panels_can_be_drawn(way, tmp_path):
    batch = batch_of(tmp_path, WAYS[way][0])
    objective = objective_of(way, tmp_path).eval()
    panels = objective.panels(batch)
    assert {"target", "disparity", "error"} <= set(panels)
    assert ("teacher" in panels) == way.startswith("distillation")
    assert all(value.shape[0] == 4 and value.shape[2:] == (64, 96) for value in panels.values())
    assert training_panel(panels).shape == (64 * len(panels), 96 * 4, 3)


def test_a_copy_has_weights_of_its_own(way, tmp_path):
    """As averaging needs them; and the state is the trained networks' alone."""
    objective = objective_of(way, tmp_path)
    again = copy.deepcopy(objective)
    own = {parameter.data_ptr() for parameter in objective.parameters()}
    assert own.isdisjoint(parameter.data_ptr() for parameter in again.parameters())
    trained = {parameter.data_ptr() for parameter in objective.network.parameters()}
    for part in (objective.pose_network, getattr(objective, "object_motion", None)):
        trained |= set() if part is None else {parameter.data_ptr() for parameter in part.parameters()}
    assert own == trained


def test_an_unknown_option_is_named(way, tmp_path):
    with pytest.raises(InputError, match="has no option 'smothness'"):
        objective_of(way, tmp_path, smothness=1.0)
