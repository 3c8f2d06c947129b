"""What the scripts that measure weights here have in common: options, the sets with LiDAR depth, and their table."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.evaluation.evaluate import evaluate_network
from hrdepth.evaluation.results import Evaluation
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256
from hrdepth.io.provenance import provenance_lines
from hrdepth.io.tables import ResultTable
from hrdepth.truth import GroundTruthSet, build_ground_truth, depth_protocol

NOTE = "Abs Rel with median scaling, to 80 m; Garg crop for KITTI, none for DDAD. Sizes: width x height."


def options(description: str, *, several: bool = False) -> argparse.ArgumentParser:
    """Return the options: weights, the sets' folders and the table's file."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    if several:
        parser.add_argument("weights", nargs="+", help="weights files, or names of bundled weights")
    else:
        parser.add_argument("weights", help="a weights file, or the name of bundled weights")
        parser.add_argument("--mini", type=Path, default="../shared/kitti-mini", help="the folder kitti-mini")
    parser.add_argument("--more", type=Path, default="../shared/street-more", help="the folder street-more")
    parser.add_argument("--out", type=Path, help="a file for the table, .md or .tex")
    return parser


def kitti(arguments: argparse.Namespace) -> tuple[GroundTruthSet, DepthProtocol]:
    """Return KITTI's singles, compared in Garg's crop."""
    return _set(GroundTruthConfig("folder", str(arguments.mini / "singles")), None)


def ddad(arguments: argparse.Namespace) -> tuple[GroundTruthSet, DepthProtocol]:
    """Return the images of DDAD, compared whole."""
    return _set(GroundTruthConfig("folder", str(arguments.more / "depth")), "none")


def streets(folder: Path) -> tuple[GroundTruthSet, DepthProtocol]:
    """Return the rendered streets, compared whole."""
    return _set(GroundTruthConfig("drive", str(folder), str(Path(__file__).with_name("streets.txt"))), "none")


def _set(data: GroundTruthConfig, crop: str | None) -> tuple[GroundTruthSet, DepthProtocol]:
    return build_ground_truth(data), depth_protocol(data.kind, DepthProtocol(crop=crop))


def measure(predictor: Predictor, compared: tuple[GroundTruthSet, DepthProtocol], **more: object) -> Evaluation:
    """Evaluate a predictor, without its canonical focal length, on one of the sets."""
    return evaluate_network(predictor.scaled_disparity, *compared, **more)


def finish(table: ResultTable, out: Path | None, files: Sequence[Path]) -> None:
    """Print the table, and write it with its provenance where a file was asked for."""
    table.show("markdown")
    if out is not None:
        names = ["the weights file"] if len(files) == 1 else [file.name for file in files]
        hashes = [f"SHA-256 of {name}: {file_sha256(file)}" for name, file in zip(names, files, strict=True)]
        table.write(out, comment=[*provenance_lines(), *hashes])
