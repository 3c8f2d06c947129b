"""Does it matter that a teacher's scale and shift are unknown? Four students on rendered streets, in stereo.

    python results/hidden-teacher/claim.py render runs/hidden-teacher
    python results/hidden-teacher/claim.py train runs/hidden-teacher --teacher TEACHER --backbone BACKBONE
    python results/hidden-teacher/claim.py measure runs/hidden-teacher results/hidden-teacher/metrics.json

The teacher is a network of this package, once as it is and once hidden behind a scale and a shift that are drawn anew
for each image. From both, one student learns the teacher alone (T) and one also by view synthesis (MT).
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from hrdepth.config import (
    AugmentConfig,
    DatasetConfig,
    DepthProtocol,
    GroundTruthConfig,
    NetworkConfig,
    ObjectiveConfig,
    OptimiserConfig,
    TrainConfig,
)
from hrdepth.evaluation.evaluate import evaluate_network
from hrdepth.evaluation.extras import Extras
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import write_json
from hrdepth.io.provenance import provenance
from hrdepth.synthetic import render_drive
from hrdepth.teachers import Meaning, Teacher, open_teacher
from hrdepth.teachers.labelling import create_labels, label_images
from hrdepth.training import train
from hrdepth.truth import build_ground_truth

SIZE, TRAINED = (96, 320), (64, 224)
STREETS, FRAMES, UNSEEN = 20, 5, 5
LEARNING = {"T": ([], 0.0), "MT": (["s"], 1.0)}
TEACHERS = ("plain", "hidden")


class Hidden(Teacher):
    """A teacher's 1/depth times 1/5 to 5, plus up to three times its spread, drawn anew for each image."""

    def __init__(self, teacher: Teacher) -> None:
        self.teacher = teacher
        self.name, self.meaning, self.licence = f"hidden {teacher.name}", Meaning.AFFINE, teacher.licence
        self._random = np.random.default_rng(0)

    def digest(self) -> str:
        """See `Teacher.digest`."""
        return f"hidden {self.teacher.digest()}"

    def maps(self, images, size):
        """See `Teacher.maps`."""
        maps = self.teacher.maps(images, size)
        factors = np.exp(self._random.uniform(-np.log(5), np.log(5), len(maps)))[:, None, None]
        shifts = self._random.uniform(-3, 3, len(maps))[:, None, None] * maps.std((1, 2), keepdims=True)
        return (factors * (maps + shifts)).astype(np.float32)


def render(out: Path) -> None:
    """Render streets to learn from, and others to measure on."""
    for part, first, count in (("train", 3000, STREETS), ("unseen", 4000, UNSEEN)):
        lines = []
        for seed in range(first, first + count):
            name = f"street_{seed}"
            if not (out / part / name / "depth" / f"{FRAMES - 1:06d}.npy").is_file():
                render_drive(out / part, name=name, frames=FRAMES, size=SIZE, seed=seed, stereo=True)
            lines += [f"{name} {frame} l" for frame in range(FRAMES)]
        (out / part / "all.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def config(out: Path, learning: str, teacher: str, backbone: str | None, steps: int) -> TrainConfig:
    """Return the training of one student."""
    frames, synthesis = LEARNING[learning]
    options = {"labels": str(out / f"labels-{teacher}"), "self_supervision": synthesis}
    if teacher == "plain":
        options["norm"] = "log-l1"
    network = {"backbone": "tf_efficientnet_lite0"} | ({"weights": backbone} if backbone else {})
    batch = 4
    return TrainConfig(
        [DatasetConfig("folder", str(out / "train"), str(out / "train" / "all.txt"))],
        [DatasetConfig("folder", str(out / "unseen"), str(out / "unseen" / "all.txt"))],
        str(out / f"{learning}-{teacher}"), network=NetworkConfig("hrdepth", network),
        objective=ObjectiveConfig("distillation", frames, options), size=TRAINED, batch_size=batch,
        epochs=round(steps * batch / (STREETS * FRAMES)), canonical_focal=0.58, metres_per_unit=1.0, initial_depth=10.0,
        optimiser=OptimiserConfig(learning_rate=3e-4, schedule="cosine", warmup_steps=20, gradient_clip=10.0),
        augment=AugmentConfig(jitter=0.5), average=0.95, channels_last=True, precision="bf16-mixed", workers=0,
        device="cpu",
    )  # fmt: skip


def teach(out: Path, name: str, backbone: str | None, steps: int) -> None:
    """Label the images by the plain and the hidden teacher, and train the four students."""
    images = sorted((out / "train").glob("*/left/*.png")) + sorted((out / "unseen").glob("*/left/*.png"))
    plain = open_teacher(name)
    for kind, teacher in zip(TEACHERS, (plain, Hidden(plain)), strict=True):
        label_images(teacher, create_labels(out / f"labels-{kind}", teacher, TRAINED), images)
    for learning in LEARNING:
        for kind in TEACHERS:
            if not (out / f"{learning}-{kind}" / "last.safetensors").is_file():
                train(config(out, learning, kind, backbone, steps))


def measure(out: Path, file: Path, steps: int) -> None:
    """Compare the students with the true depth of streets that none has seen."""
    truths = build_ground_truth(GroundTruthConfig("drive", str(out / "unseen"), str(out / "unseen" / "all.txt")))
    found = {}
    for learning in LEARNING:
        for kind in TEACHERS:
            predictor = Predictor.from_file(out / f"{learning}-{kind}" / "last.safetensors", device="cpu")
            focal, extras = predictor.canonical_focal, Extras(align=True)
            protocol = DepthProtocol(crop="none")
            evaluation = evaluate_network(predictor.scaled_disparity, truths, protocol, canonical_focal=focal,
                                          extras=extras)  # fmt: skip
            found[f"{learning} {kind}"] = {
                "abs_rel, median": evaluation.mean["abs_rel"],
                "abs_rel, scale and shift": evaluation.extras["lsq_abs_rel"],
                "metres: true / predicted median": evaluation.ratio_median,
            }
    write_json(file, {"students": found, "size": TRAINED, "steps": steps, **provenance(seed=0)})
    print(json.dumps(found, indent=2))


def main() -> None:
    """Run one step."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("step", choices=("render", "train", "measure"))
    parser.add_argument("out", type=Path)
    parser.add_argument("file", type=Path, nargs="?")
    parser.add_argument("--teacher")
    parser.add_argument("--backbone", help="ImageNet weights of the students' encoder")
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    if given.step == "render":
        render(given.out)
    elif given.step == "train":
        teach(given.out, given.teacher, given.backbone, given.steps)
    else:
        measure(given.out, given.file, given.steps)


if __name__ == "__main__":
    main()
