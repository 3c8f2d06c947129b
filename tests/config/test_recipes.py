"""Tests of the YAML files of recipes/.

Every recipe is one that `hrdepth train` reads, and takes a step.
"""

import dataclasses
import functools
import re
from pathlib import Path

import pytest
import torch
from torch.utils.data import default_collate

import fake_datasets
from hrdepth.cli.parser import parse
from hrdepth.config import OptimiserConfig
from hrdepth.data import build_mix
from hrdepth.data.layers import Depth
from hrdepth.data.splits import SPLITS
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import load_network, save_checkpoint
from tiny_networks import NETWORK, POSE_NETWORK

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "src" / "hrdepth" / "recipes"
FILES = sorted(RECIPES.glob("*.yaml"))
# Of a config, what the loss of one step and its gradients depend on.
OF_A_STEP = (
    "train", "network", "pose_network", "objective", "augment", "seed", "size", "canonical_focal", "metres_per_unit",
    "initial_depth", "channels_last", "compile_networks",
)  # fmt: skip


@functools.cache
def read(file):
    return parse(["train", "--config", str(file)])[1]


def miniature(config, folder):
    """The same run on miniature recordings of the same layout, at a tiny size, from scratch."""

    def tiny(part):
        root = folder / part.dataset
        if not root.exists():
            fake_datasets.TREES[part.dataset].make(root)
        return dataclasses.replace(part, root=str(root), split=str(root / "train.txt"))

    def from_scratch(network):
        return dataclasses.replace(network, options={k: v for k, v in network.options.items() if k != "weights"})

    here = ("compile", "hints", "labels", "cache")  # what the miniature does without
    teacher = folder / f"teacher-{config.canonical_focal}.safetensors"
    options = {key: value for key, value in config.objective.options.items() if key not in here}
    if nested := options.get("view_synthesis"):
        options["view_synthesis"] = {key: value for key, value in nested.items() if key not in here}
    if other := options.get("other"):
        kept = {key: value for key, value in other.get("options", {}).items() if key not in here}
        if other["name"] == "distillation":
            kept["teacher"] = str(teacher)
            save_teacher(teacher, config)
        options["other"] = {**other, "options": kept}
    if config.objective.name == "distillation":  # also where hints are the teacher
        options["teacher"] = str(teacher)
        save_teacher(teacher, config)
    return dataclasses.replace(
        config,
        train=[tiny(part) for part in config.train],
        validation=[tiny(part) for part in config.validation],
        network=from_scratch(config.network),
        pose_network=from_scratch(config.pose_network),
        objective=dataclasses.replace(config.objective, options=options),
        init=None,
        size=(64, 64),
        sizes=[],
    )


def save_teacher(path, config):
    """What the run before would have left: a network of the same camera, here of another size."""
    if path.exists():
        return
    save_checkpoint(path, build_network(NETWORK), NETWORK, size=(64, 96), canonical_focal=config.canonical_focal)


@pytest.fixture(scope="module", params=FILES, ids=lambda file: file.stem)
def file(request):
    """A recipe; its tests follow each other, mostly in one process, which then reads it once."""
    return request.param


def test_a_recipes_teacher_is_the_output_of_another_recipe(file):
    config = read(file)
    if (teacher := config.objective.options.get("teacher")) is not None:
        source = read(RECIPES / f"{Path(teacher).parent.name}.yaml")
        assert Path(teacher).parent == Path(source.output)
        assert source.canonical_focal == config.canonical_focal
        assert not config.objective.frames or config.objective.options["self_supervision"] > 0


def test_a_recipes_initial_weights_are_the_output_of_another_recipe():
    started = {file.stem: config for file in FILES if (config := read(file)).init is not None}
    assert "mini-effnet-fine" in started
    for config in started.values():
        source = read(RECIPES / f"{Path(config.init).parent.name}.yaml")
        assert Path(config.init).parent == Path(source.output)
        assert source.canonical_focal == config.canonical_focal
        assert (source.network.name, source.pose_network.name) == (config.network.name, config.pose_network.name)


def test_fine_tuning_starts_from_the_output_of_another_recipe(file):
    config = read(file)
    if (config.init or "").startswith("runs/cityscapes-"):
        before = read(RECIPES / f"{Path(config.init).parent.name}.yaml")
        assert Path(config.init).parent == Path(before.output)
        assert before.network.name == config.network.name
        assert before.pose_network.name == config.pose_network.name
        assert before.size == config.size
        assert before.objective == config.objective
        assert before.metres_per_unit == config.metres_per_unit


@pytest.fixture(scope="module")
def step(tmp_path_factory):
    """Check a recipe's step in miniature: once for recipes that differ in the size, or in what follows the step."""
    training = pytest.importorskip("hrdepth.training", reason="training needs lightning")
    folder, taken = tmp_path_factory.mktemp("recordings"), set()

    def take(config):
        torch.manual_seed(0)
        layers = [Depth(1.0)] if config.objective.name == "supervised" else []
        mix = build_mix(config.train, config.objective.frames, config.size, config.augment, config.seed, layers=layers)
        objective = training.build_training_objective(config)
        loss = objective(default_collate([mix[0], mix[0]])).loss  # batch norm of a single pixel needs two samples
        loss.backward()
        assert loss.isfinite()
        # True depth compares the finest disparity alone, so that the coarser scales' last layers learn nothing.
        unused = ("heads.1", "heads.2", "heads.3") if config.objective.name == "supervised" else ()
        named = objective.named_parameters()
        gradients = [parameter.grad for name, parameter in named if not any(part in name for part in unused)]
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.any() for gradient in gradients)

    def step(config):
        torch.manual_seed(0)
        config = miniature(config, folder)
        key = repr([getattr(config, name) for name in OF_A_STEP])
        if key not in taken:
            take(config)
            taken.add(key)

    return step


@pytest.mark.slow
def test_every_recipe_takes_a_step_with_finite_gradients(file, step):
    step(read(file))


def test_every_recipe_states_its_purpose(file):
    text = file.read_text(encoding="utf-8")
    assert text.startswith("# ")
    config = read(file)
    systems = ("sfmlearner-", "vid2depth-", "struct2depth-")
    if file.stem.startswith(("kitti-", "cs-k-", "table4-", *systems)):
        assert config.output == f"runs/{file.stem}"
        width, height = map(int, (re.search(r"(\d+)x(\d+)$", file.stem) or re.search(r"(\d+)x(\d+)", text)).groups())
        assert config.size == (height, width)
        assert ("s" in config.objective.frames) == ("-ms-" in file.stem) == (config.metres_per_unit == 5.4)
        assert {part.root for part in (*config.train, *config.validation)} == {"kitti/raw"}
        assert [part.split for part in (*config.train, *config.validation)] == ["eigen_zhou/train", "eigen_zhou/val"]
        assert {"eigen_zhou/train", "eigen_zhou/val"} <= set(SPLITS)


def test_the_documentation_lists_every_recipe():
    page = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")
    for file in FILES:
        assert f"`{file.stem}`" in page or f"`{file.stem}." in page, file.stem
    named = set(re.findall(r"^\| `([a-z][^`]*-[^`]+)`", page, flags=re.MULTILINE))
    assert named <= {file.stem for file in FILES}


@pytest.mark.parametrize("mode", ["m", "ms"])
def test_cityscapes_to_kitti_is_two_commands(mode, tmp_path):
    training = pytest.importorskip("hrdepth.training", reason="training needs lightning")
    left = None
    for name, learning_rate in ((f"cityscapes-hrdepth-{mode}-640x192", 1e-3), (f"cs-k-hrdepth-{mode}-640x192", 1e-12)):
        config = dataclasses.replace(
            miniature(read(RECIPES / f"{name}.yaml"), tmp_path),
            network=NETWORK,
            pose_network=POSE_NETWORK,
            output=str(tmp_path / name),
            init=left,
            batch_size=2,
            epochs=1,
            optimiser=OptimiserConfig(learning_rate=learning_rate),
            workers=0,
            device="cpu",
        )
        training.train(config)
        before, left = left, str(tmp_path / name / "best.safetensors")
    # The second command went on from what the first had left, and there, so slowly, it still is.
    weights = zip(load_network(before).named_parameters(), load_network(left).parameters(), strict=True)
    for (key, parameter), after in weights:
        torch.testing.assert_close(after, parameter, msg=key)
    assert torch.load(tmp_path / name / "last.ckpt", weights_only=True)["hrdepth"]["epoch"] == 1
