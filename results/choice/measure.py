"""Measure weights on the sets that choose between networks, and print one table.

    python results/choice/measure.py street --out results/choice/street.md
    python results/choice/measure.py runs/street-1/last.safetensors --size 192 640

Run it from the root of the repository, with kitti-mini, street-more and the rendered streets where the options below
expect them. README.md describes the sets and how the streets are rendered.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.evaluation.extras import Extras
from hrdepth.evaluation.results import Evaluation
from hrdepth.evaluation.run import evaluate_network
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable
from hrdepth.truth import build_ground_truth, depth_protocol
from hrdepth.weights.find import locate_weights

FRAMES = Path(__file__).with_name("streets.txt")
DDAD_SIZE = (320, 512)  # DDAD's own aspect
MEASURES = {"near_edge_abs_rel": "near edges", "boundary_f1": "boundary F1"}


def main() -> None:
    """Measure one weights file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a weights file, or the name of bundled weights")
    parser.add_argument(
        "--size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"), help="of the network's input; default: of training"
    )
    parser.add_argument("--flip", action="store_true", help="blend with the mirrored image's prediction")
    parser.add_argument("--mini", type=Path, default="../shared/kitti-mini", help="the folder kitti-mini")
    parser.add_argument("--more", type=Path, default="../shared/street-more", help="the folder street-more")
    parser.add_argument("--streets", type=Path, default="runs/verdict", help="the rendered streets")
    parser.add_argument("--out", type=Path, help="a file for the table, .md or .tex")
    arguments = parser.parse_args()

    file = locate_weights(arguments.weights)
    size = None if arguments.size is None else (arguments.size[0], arguments.size[1])
    singles = GroundTruthConfig("folder", str(arguments.mini / "singles"))
    ddad = GroundTruthConfig("folder", str(arguments.more / "depth"))
    streets = GroundTruthConfig("drive", str(arguments.streets), str(FRAMES))
    rows = []
    for name, data, crop, own_size in (
        ("KITTI, singles", singles, None, size),
        ("DDAD", ddad, "none", size),
        ("DDAD, own aspect", ddad, "none", DDAD_SIZE),
        ("rendered streets", streets, "none", size),
    ):
        predictor = Predictor.from_file(file, runtime="pytorch", size=own_size, flip=arguments.flip)
        protocol = depth_protocol(data.kind, DepthProtocol(crop=crop))
        extras = Extras(near_edges=True, edges="dense")
        found = evaluate_network(predictor.scaled_disparity, build_ground_truth(data), protocol, extras=extras)
        rows.append(row(name, predictor.size, found))
    table = ResultTable(
        ("set", "size", "images", "Abs Rel", *MEASURES.values()),
        tuple(rows),
        f"{file.name}{', flip' if arguments.flip else ''}",
        "Abs Rel with median scaling, to 80 m; Garg crop for KITTI, none for the others. Sizes: width x height.",
    )
    table.show("markdown")
    if arguments.out is not None:
        made = provenance()
        versions = ", ".join(f"{package} {version}" for package, version in made["versions"].items())
        comment = [f"command: {made['command']}", f"date: {made['date']}", f"versions: {versions}"]
        table.write(arguments.out, comment=[*comment, f"SHA-256 of the weights file: {file_sha256(file)}"])


def row(name: str, size: tuple[int, int], found: Evaluation) -> tuple[str, ...]:
    """Return a row of the table."""
    values = [found.mean["abs_rel"], *(found.extras.get(measure, float("nan")) for measure in MEASURES)]
    cells = ["–" if value != value else f"{value:.3f}" for value in values]
    return name, f"{size[1]}x{size[0]}", str(len(found.rows)), *cells


if __name__ == "__main__":
    main()
