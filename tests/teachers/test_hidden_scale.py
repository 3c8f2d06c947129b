"""The claim of docs/teachers.md in small: an unknown scale and shift of each image costs a student nothing."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from torch.utils.data import default_collate

import corridor
from hrdepth.config import DatasetConfig, DepthProtocol, GroundTruthConfig, ObjectiveConfig
from hrdepth.data import build_mix
from hrdepth.evaluation.evaluate import evaluate_network
from hrdepth.evaluation.extras import Extras
from hrdepth.inference.predictor import Predictor
from hrdepth.io.images import read_image
from hrdepth.networks import build_network
from hrdepth.objectives import build_objective
from hrdepth.teachers import Meaning, Teacher
from hrdepth.teachers.labelling import create_labels, label_images
from hrdepth.truth import build_ground_truth
from tiny_networks import NETWORK

FRAMES, SIZE, STEPS = 4, (64, 128), 200


class Exact(Teacher):
    """Knows 1/depth of the corridor; hidden behind a scale and a shift of each image, if it is affine."""

    licence = "MIT"

    def __init__(self, root, meaning):
        self.name = self.meaning = meaning
        self.metres_per_unit = 1.0 if meaning == Meaning.METRIC else None
        files = sorted((root / "drive" / "left").iterdir())
        depths = {file.stem: np.load(root / "drive" / "depth" / f"{file.stem}.npy") for file in files}
        self.known = {read_image(file).tobytes(): 1 / depths[file.stem] for file in files}
        self.random = np.random.default_rng(0)

    def digest(self):
        return "0"

    def maps(self, images, size):
        whole = [self.known[image.tobytes()] for image in images]
        maps = np.stack([cv2.resize(one, size[::-1], interpolation=cv2.INTER_AREA) for one in whole])
        if self.meaning == Meaning.AFFINE:
            maps = self.random.uniform(0.2, 5, (len(maps), 1, 1)) * maps + self.random.uniform(-3, 3, (len(maps), 1, 1))
        return maps.astype(np.float32)


def student(root, labels, frames, steps, options):
    """Train a small network on all frames at once, and return it."""
    torch.manual_seed(0)
    network = build_network(NETWORK)
    network.scale = replace(network.scale, metres_per_unit=1.0)
    network.start_at(6.0)
    config = ObjectiveConfig("distillation", frames, {"labels": str(labels.folder), "scales": [0], **options})
    objective = build_objective(config, network, None)
    part = DatasetConfig("folder", str(root), str(root / "train.txt"))
    data = build_mix([part], frames, SIZE, layers=[labels])
    batch = default_collate([data[item] for item in range(len(data))])
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(steps):
        optimiser.zero_grad()
        objective(batch).loss.backward()
        optimiser.step()
        schedule.step()
    return objective.network.eval()


@pytest.mark.slow
def test_an_unknown_scale_and_shift_of_each_image_costs_steps_and_no_accuracy(tmp_path):
    root = corridor.drive(tmp_path / "data", FRAMES, stereo=True)
    truths = build_ground_truth(GroundTruthConfig("drive", str(root), str(root / "train.txt")))
    images = sorted((root / "drive" / "left").iterdir())
    protocol, labels = DepthProtocol(crop="none"), {}
    for meaning in (Meaning.METRIC, Meaning.AFFINE):
        teacher = Exact(root, meaning)
        labels[meaning] = create_labels(tmp_path / meaning, teacher, SIZE)
        label_images(teacher, labels[meaning], images)

    def evaluated(meaning, steps, frames=(), **options):
        predictor = Predictor(student(root, labels[meaning], [*frames], steps, options), SIZE, device="cpu")
        assert predictor.scale.has_depth == (meaning == Meaning.METRIC or bool(frames))
        align = Extras(align=True)
        return evaluate_network(predictor.scaled_disparity, truths, protocol, extras=align, progress=False)

    plain, hidden = evaluated(Meaning.METRIC, STEPS), evaluated(Meaning.AFFINE, 2 * STEPS)
    assert hidden.extras["lsq_abs_rel"] < plain.extras["lsq_abs_rel"] + 0.01
    # In stereo, view synthesis beside it recovers metres.
    beside = evaluated(Meaning.AFFINE, STEPS, ["s"], self_supervision=1.0, view_synthesis={"scales": [0]})
    assert beside.ratio_median == pytest.approx(1, abs=0.05)
