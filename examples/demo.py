"""The main path on a street that is made on the spot: render, train, evaluate, look.

Run by `make demo`. Writes demo/report.html.
"""

from __future__ import annotations

import argparse
import base64
import io
import logging
import sys
from pathlib import Path

import numpy as np
import yaml
from jsonargparse import ArgumentParser
from PIL import Image

from hrdepth.checkpoints import save_checkpoint
from hrdepth.config import DepthProtocol, GroundTruthConfig, TrainConfig
from hrdepth.data.ground_truth import build_ground_truth
from hrdepth.data.synthetic import render_drive
from hrdepth.errors import InputError
from hrdepth.evaluation import METRICS
from hrdepth.evaluation.run import constant_depth_baseline, evaluate_network
from hrdepth.networks import build_network
from hrdepth.predictor import Predictor
from hrdepth.provenance import provenance
from hrdepth.training import train
from hrdepth.visualize import colorize_disparity, side_by_side

HERE = Path(__file__).resolve().parents[1]
FRAMES, VALIDATION, SEED = 110, 20, 3


def main() -> None:
    """Run the demo from end to end."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--minutes", type=float, help="train for so long; the config's by default")
    minutes = arguments.parse_args().minutes
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    config = read_config(HERE / "configs" / "demo.yaml", minutes)
    drive = Path(config.train[0].root)

    print(f"1/4 rendering {FRAMES} stereo frames of a synthetic street into {drive}")
    try:
        render_drive(drive, frames=FRAMES, size=config.size, seed=SEED, validation=VALIDATION)
    except InputError as error:
        sys.exit(f"{error}; or remove {drive}")

    print(f"2/4 training {config.network.name} for at most {config.max_minutes:g} minutes")
    clear(Path(config.output))
    weights = train(config)

    print("3/4 evaluating against exact depth on frames that were not trained on")
    truths = build_ground_truth(GroundTruthConfig("drive", root=str(drive), split=str(drive / "val.txt")))
    untrained = Path(config.output) / "untrained.safetensors"
    save_checkpoint(untrained, build_network(config.network), config.network, size=config.size)
    protocol = DepthProtocol(crop="none")
    trained = Predictor.from_file(weights)
    rows = {
        "trained": evaluate_network(trained.scaled_disparity, truths, protocol),
        "trained, its own metres": evaluate_network(
            trained.scaled_disparity, truths, DepthProtocol(crop="none", scaling=config.metres_per_unit or "median")
        ),
        "untrained network": evaluate_network(Predictor.from_file(untrained).scaled_disparity, truths, protocol),
        "constant depth": constant_depth_baseline(truths, protocol),
    }
    for name, evaluation in rows.items():
        print(f"  {name:24s} Abs Rel {evaluation.mean['abs_rel']:.3f}   δ<1.25 {evaluation.mean['delta1']:.3f}")

    print("4/4 writing demo/report.html")
    pictures = [panel(trained, Path(truth.picture), truth.depth) for truth in list(truths)[:: max(1, len(truths) // 5)]]
    report = drive.parent / "report.html"
    report.write_text(page({name: row.mean for name, row in rows.items()}, pictures), encoding="utf-8")
    print(f"done: open {report}; the weights are {weights}")
    abs_rel = {name: row.mean["abs_rel"] for name, row in rows.items()}
    if abs_rel["trained"] > 0.8 * min(abs_rel["untrained network"], abs_rel["constant depth"]):
        sys.exit("the trained network does not clearly beat the untrained one and a constant depth: train longer")


def read_config(path: Path, minutes: float | None) -> TrainConfig:
    """Read the YAML as `hrdepth train --config` does."""
    parser = ArgumentParser()
    parser.add_class_arguments(TrainConfig, as_group=False)
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    if minutes is not None:
        settings["max_minutes"] = minutes
    made = parser.instantiate(parser.parse_object(settings))
    return TrainConfig(**made.as_dict())


def clear(run: Path) -> None:
    """Remove the demo's own earlier run, file by file."""
    for path in sorted(run.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def panel(predictor: Predictor, picture: Path, depth: np.ndarray) -> Image.Image:
    """Picture, predicted and exact disparity side by side, in one colour range."""
    prediction = predictor(picture)
    exact = np.divide(1, depth, out=np.zeros_like(depth), where=depth > 0)
    high = float(np.percentile(exact, 95))
    predicted = prediction.scaled_disparity * np.median(exact[depth > 0] / prediction.scaled_disparity[depth > 0])
    views = [prediction.image, colorize_disparity(predicted, 0, high), colorize_disparity(exact, 0, high)]
    return Image.fromarray(side_by_side(views, ["picture", "predicted", "exact"]))


def page(rows: dict[str, dict[str, float]], pictures: list[Image.Image]) -> str:
    """One self-contained page."""
    cells = "".join(
        f"<tr><th>{name}</th>" + "".join(f"<td>{mean[metric]:.3f}</td>" for metric in METRICS) + "</tr>"
        for name, mean in rows.items()
    )
    images = "".join(f'<p><img src="data:image/png;base64,{encode(picture)}"></p>' for picture in pictures)
    about = provenance(SEED)
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>hrdepth demo</title>
<style>body{{font:16px system-ui;max-width:75em;margin:2em auto;padding:0 1em}}img{{max-width:100%}}
td,th{{padding:.3em .8em;text-align:right;border-bottom:1px solid #ccc}}th:first-child{{text-align:left}}</style>
<h1>hrdepth demo</h1>
<p>Lite-HR-Depth, trained for minutes on a rendered street, without any depth label: it learnt by explaining each
frame from its neighbours and from the second eye. Below, frames that it was not trained on.</p>
<table><tr><th></th>{"".join(f"<th>{metric}</th>" for metric in METRICS)}</tr>{cells}</table>
<p>Mean over pictures of per-picture values, up to 80 m, the whole picture, each prediction scaled by its median
except in the row "its own metres".</p>{images}
<p>Disparity: near is bright. Made {about["date"]} with seed {SEED}; {versions}.</p></html>"""


def encode(picture: Image.Image) -> str:
    """PNG as base64."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


if __name__ == "__main__":
    main()
