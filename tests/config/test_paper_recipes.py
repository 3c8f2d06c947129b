"""Tests of the recipes and of paper.yaml: every value that a row of the paper is trained with, against one table.

Nothing here is read from the package but what is tested, so that a changed recipe or default fails.
"""

import dataclasses
import inspect
from pathlib import Path

import pytest
import torch
from torch import nn

import fake_datasets
from hrdepth.config import DatasetConfig, OptimiserConfig, ReproduceConfig, TrainConfig
from hrdepth.data import build_mix
from hrdepth.networks import NETWORKS
from hrdepth.networks.base import NORMALISATIONS
from hrdepth.objectives import OBJECTIVES
from hrdepth.objectives.distillation import Distillation
from hrdepth.objectives.view_synthesis import ViewSynthesis
from hrdepth.paper import paper_table
from hrdepth.reproduce.plan import plan_training
from hrdepth.training.optimiser import build_optimiser, learning_rate_factor

RECIPES = Path(__file__).resolve().parents[2] / "src" / "hrdepth" / "recipes"

TV, V1 = "imagenet:tv_in1k", "imagenet:IMAGENET1K_V1"  # torchvision's first weights of ResNet-18 and of MobileNetV3
POSENET = ("posenet", {"weights": TV})
M, MS = [-1, 1], [-1, 1, "s"]

# By the row's name: the network with its options, size (height, width), and what differs from COMMON.
HRDEPTH = ("hrdepth", {"weights": TV})
LITE = ("lite_hrdepth", {"weights": V1})
MONODEPTH2 = ("monodepth2", {"weights": TV})
LEARNED_BY_PAIRS = ("sfmlearner", {"batch_norm": True})
STEREO = {"frames": MS, "metres_per_unit": 5.4, "data": {"intrinsics": "paper", "baseline": 0.1}}
FROM_CITYSCAPES = {"pose": ("posenet", {})}
AUTHORS = {"batch_size": 4, "optimiser": {"learning_rate": 2e-4, "schedule": "constant"}}
SFMLEARNER = AUTHORS | {
    "objective": ("sfmlearner", {}), "pose": ("posecnn", {"batch_norm": True, "explainability": True}),
}  # fmt: skip
VID2DEPTH = AUTHORS | {
    "objective": ("vid2depth", {"view_synthesis": {"ssim_weight": 0.15, "auto_mask": False}}),
    "pose": ("posecnn", {"batch_norm": True}),
}
STRUCT2DEPTH = AUTHORS | {
    "objective": (
        "struct2depth", {"size_weight": 5e-4, "view_synthesis": {"ssim_weight": 0.15, "smoothness": 0.04}}
    ),
}  # fmt: skip
CITYSCAPES = {"dataset": "cityscapes", "splits": ("train", "val")}


def taught(size):
    """By a teacher of that size, without neighbouring frames or poses."""
    teacher = f"runs/kitti-hrdepth-m-{size}/best.safetensors"
    return {"frames": [], "objective": ("distillation", {"teacher": teacher}), "pose": ("posenet", {})}


ROWS = {
    "kitti-monodepth2-m-640x192": (MONODEPTH2, (192, 640), {}),
    "kitti-monodepth2-m-1024x320": (MONODEPTH2, (320, 1024), {}),
    "kitti-monodepth2-ms-640x192": (MONODEPTH2, (192, 640), STEREO),
    "kitti-monodepth2-ms-1024x320": (MONODEPTH2, (320, 1024), STEREO),
    "kitti-hrdepth-m-640x192": (HRDEPTH, (192, 640), {}),
    "kitti-hrdepth-m-1024x320": (HRDEPTH, (320, 1024), {}),
    "kitti-hrdepth-m-1280x384": (HRDEPTH, (384, 1280), {}),
    "kitti-hrdepth-ms-640x192": (HRDEPTH, (192, 640), STEREO),
    "kitti-hrdepth-ms-1024x320": (HRDEPTH, (320, 1024), STEREO),
    "cs-k-hrdepth-m-640x192": (("hrdepth", {}), (192, 640),
        FROM_CITYSCAPES | {"init": "runs/cityscapes-hrdepth-m-640x192/best.safetensors"}),
    "cs-k-hrdepth-ms-640x192": (("hrdepth", {}), (192, 640),
        STEREO | FROM_CITYSCAPES | {"init": "runs/cityscapes-hrdepth-ms-640x192/best.safetensors"}),
    "cityscapes-hrdepth-m-640x192": (HRDEPTH, (192, 640), CITYSCAPES | {"data": {}}),
    "cityscapes-hrdepth-ms-640x192": (HRDEPTH, (192, 640), STEREO | CITYSCAPES | {"data": {"baseline": 0.0388}}),
    "table4-dense": (("hrdepth", {"fusion": "conv", "weights": TV}), (192, 640), {}),
    "table4-fse": (("hrdepth", {"skip": "plain", "weights": TV}), (192, 640), {}),
    "table4-dense-se": (("hrdepth", {"fusion": "se", "weights": TV}), (192, 640), {}),
    "kitti-lite-hrdepth-m-640x192": (LITE, (192, 640), {}),
    "kitti-lite-hrdepth-m-1024x320": (LITE, (320, 1024), {}),
    "kitti-lite-t-640x192": (LITE, (192, 640), taught("640x192")),
    "kitti-lite-t-1024x320": (LITE, (320, 1024), taught("1024x320")),
    "kitti-lite-t-1280x384": (LITE, (384, 1280), taught("1280x384")),
    "pydnet-m-512x256": (("pydnet", {}), (256, 512), {}),
    "packnet-m-640x192": (("packnet", {}), (192, 640), {}),
    "packnet-m-1280x384": (("packnet", {}), (384, 1280), {}),
    "dualnets-m-1248x384": (("dualnets", {"weights": TV}), (384, 1248), {}),
    "struct2depth-m-416x128": (MONODEPTH2, (128, 416), STRUCT2DEPTH),
    "sfmlearner-m-416x128": (LEARNED_BY_PAIRS, (128, 416),
        SFMLEARNER | {"epochs": 15, "init": "runs/cityscapes-sfmlearner-m-416x128/best.safetensors"}),
    "vid2depth-m-416x128": (LEARNED_BY_PAIRS, (128, 416),
        VID2DEPTH | {"init": "runs/cityscapes-vid2depth-m-416x128/best.safetensors"}),
    "cityscapes-sfmlearner-m-416x128": (LEARNED_BY_PAIRS, (128, 416),
        SFMLEARNER | CITYSCAPES | {"data": {}, "epochs": 7}),
    "cityscapes-vid2depth-m-416x128": (LEARNED_BY_PAIRS, (128, 416),
        VID2DEPTH | CITYSCAPES | {"data": {}, "epochs": 10}),
}  # fmt: skip

# Of every row, unless it says otherwise.
COMMON = {
    "pose": POSENET,
    "frames": M,
    "objective": ("view_synthesis", {}),
    "dataset": "kitti_raw",
    "splits": ("eigen_zhou/train", "eigen_zhou/val"),
    "data": {"intrinsics": "paper"},
    "batch_size": 12,
    "epochs": 20,
    "metres_per_unit": None,
    "init": None,
}
# Adam, 1e-4 divided by 10 after 15 epochs.
OPTIMISER = {
    "learning_rate": 1e-4, "schedule": "step", "decay_after": 15, "decay": 0.1, "weight_decay": 0.0,
    "floor": 0.01, "warmup_steps": 0, "gradient_clip": None, "reference_batch": None,
}  # fmt: skip
AUGMENTATION = {
    "flip": 0.5, "jitter": 0.5, "brightness": 0.2, "contrast": 0.2, "saturation": 0.2, "hue": 0.1,
    "zoom": 1.0, "crop": False, "grey": 0.0, "blur": 0.0, "blur_sigma": (0.3, 1.5), "noise": 0.0,
}  # fmt: skip
# Settings that no row has: float32, one step a batch, no average, all cameras known.
PLAIN = {
    "precision": "32-true", "accumulate": 1, "average": None, "early_stop": None, "sizes": [], "canonical_focal": None,
    "freeze_depth_steps": 0, "initial_depth": None, "max_minutes": None, "devices": 1, "nodes": 1,
}  # fmt: skip


def trained(name):
    """Return the config that `hrdepth reproduce` trains a row with."""
    rows = {row.name: row for number in range(1, 5) for row in paper_table(f"table{number}").rows}
    return plan_training(ReproduceConfig("out", runs="runs"), rows.get(name, name)).config


@pytest.mark.parametrize("name", ROWS)
def test_a_rows_training_has_the_values_of_the_table(name):
    network, size, own = ROWS[name]
    expected = COMMON | own
    config = trained(name)
    assert (config.network.name, config.network.options) == network
    assert (config.pose_network.name, config.pose_network.options) == expected["pose"]
    assert config.size == size
    assert (config.objective.name, config.objective.options) == expected["objective"]
    assert config.objective.frames == expected["frames"]
    for part, split in zip((*config.train, *config.validation), expected["splits"], strict=True):
        assert (part.dataset, part.split, part.options) == (expected["dataset"], split, expected["data"])
        assert (part.weight, part.distances, part.min_motion) == (1.0, [1], None)
    for key in ("batch_size", "epochs", "metres_per_unit", "init"):
        assert getattr(config, key) == expected[key], key
    assert dataclasses.asdict(config.optimiser) == OPTIMISER | expected.get("optimiser", {})
    assert dataclasses.asdict(config.augment) == AUGMENTATION
    assert {key: getattr(config, key) for key in PLAIN} == PLAIN


def test_the_table_has_every_row_and_every_recipe_of_the_paper():
    rows = {row.name for number in range(1, 5) for row in paper_table(f"table{number}").rows}
    other = ("demo", "mini-", "moving-", "street-")
    recipes = {file.stem for file in RECIPES.glob("*.yaml") if not file.stem.startswith(other)}
    assert set(ROWS) == rows | recipes


def test_a_new_setting_of_a_training_is_pinned_too():
    """What is no value of the paper's recipe: where a run is written, how fast it is, when it is stopped."""
    free = {"output", "resume", "train", "validation", "network", "pose_network", "objective", "optimiser", "augment",
            "intrinsics", "log", "guard", "size", "checkpoint_minutes", "channels_last", "compile_networks", "workers",
            "cache", "seed", "deterministic", "scan", "device", "strategy", "sync_batch_norm"}  # fmt: skip
    pinned = {"batch_size", "epochs", "metres_per_unit", "init", *PLAIN}
    assert {field.name for field in dataclasses.fields(TrainConfig)} == free | pinned


def defaults(kind):
    return {name: one.default for name, one in inspect.signature(kind).parameters.items()}


def test_the_objectives_constants_are_those_of_the_paper_and_its_release():
    own = defaults(ViewSynthesis)
    assert (own["ssim_weight"], own["smoothness"], own["auto_mask"]) == (0.85, 1e-3, True)  # alpha, lambda
    assert (own["scales"], own["tie_break"], own["consistency"]) == ((0, 1, 2, 3), 1e-5, 0.0)
    assert defaults(Distillation)["self_supervision"] == 0.0  # T alone
    assert NORMALISATIONS["released"] == ((0.45,) * 3, (0.225,) * 3)
    for name in ("hrdepth", "lite_hrdepth", "monodepth2"):
        network = defaults(NETWORKS[name])
        assert (network["min_depth"], network["max_depth"], network["normalisation"]) == (0.1, 100.0, "released")
    dense = defaults(NETWORKS["hrdepth"])
    assert (dense["backbone"], dense["fse_reduction"], dense["skip"], dense["fusion"]) == (
        "resnet18",
        16,
        "dense",
        "fse",
    )
    assert (dense["widths"], dense["squeeze"]) == (None, True)
    lite = defaults(NETWORKS["lite_hrdepth"])
    assert (lite["backbone"], lite["widths"], lite["squeeze"]) == ("mobilenet_v3_large", (8, 24, 40, 80), False)


def test_the_constants_of_the_other_systems_are_their_papers():
    packnet = defaults(NETWORKS["packnet"])
    assert (packnet["width"], packnet["min_depth"], packnet["max_depth"]) == (64, 0.5, 100.0)
    vid2depth = defaults(OBJECTIVES["vid2depth"])
    assert (vid2depth["alignment"], vid2depth["points"], vid2depth["iterations"]) == (0.1, 1024, 5)
    assert defaults(OBJECTIVES["struct2depth"])["objects"] == 3
    assert defaults(NETWORKS["dualnets"])["reduction"] == 3


def test_the_learning_rate_falls_once_after_epoch_15_of_20_and_adam_has_the_papers_betas():
    config = OptimiserConfig()
    factors = [learning_rate_factor(config, step, 40, 2) for step in range(40)]
    assert factors == pytest.approx([1.0] * 30 + [0.1] * 10)
    optimiser = build_optimiser([nn.Parameter(torch.ones(1))], config)
    assert isinstance(optimiser, torch.optim.Adam)
    assert (optimiser.defaults["lr"], optimiser.defaults["betas"]) == (1e-4, (0.9, 0.999))


def test_the_papers_camera_has_the_released_focal_lengths_and_the_middle(tmp_path):
    fake_datasets.TREES["kitti_raw"].make(tmp_path)
    part = DatasetConfig("kitti_raw", str(tmp_path), str(tmp_path / "train.txt"), options={"intrinsics": "paper"})
    k = build_mix([part], [-1, 1], (192, 640))[0]["intrinsics"]
    assert k.tolist() == [pytest.approx(row) for row in ([0.58 * 640, 0, 320], [0, 1.92 * 192, 96], [0, 0, 1])]
