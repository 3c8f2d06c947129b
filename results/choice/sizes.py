"""Measure weights at several sizes of the network's input: the table in docs/predicting.md.

    python results/choice/sizes.py street --out results/choice/sizes.md

Run it from the root of the repository, with kitti-mini and street-more where the options below expect them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.evaluation.run import evaluate_network
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable
from hrdepth.truth import build_ground_truth, depth_protocol
from hrdepth.weights.find import locate_weights

WIDE = ((128, 416), (160, 512), (160, 480), (160, 544), (192, 576), (192, 640))  # KITTI's aspect, height x width
HIGH = ((160, 512), (224, 352), (256, 416), (288, 448), (320, 512), (352, 576))  # DDAD's, but for the first


def main() -> None:
    """Measure one weights file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a weights file, or the name of bundled weights")
    parser.add_argument("--mini", type=Path, default="../shared/kitti-mini", help="the folder kitti-mini")
    parser.add_argument("--more", type=Path, default="../shared/street-more", help="the folder street-more")
    parser.add_argument("--out", type=Path, help="a file for the table, .md or .tex")
    arguments = parser.parse_args()

    file, rows = locate_weights(arguments.weights), []
    for name, root, crop, sizes in (
        ("DDAD", arguments.more / "depth", "none", HIGH),
        ("KITTI, singles", arguments.mini / "singles", None, WIDE),
    ):
        data = GroundTruthConfig("folder", str(root))
        truths, protocol = build_ground_truth(data), depth_protocol(data.kind, DepthProtocol(crop=crop))
        for height, width in sizes:
            predictor = Predictor.from_file(file, runtime="pytorch", size=(height, width))
            found = evaluate_network(predictor.scaled_disparity, truths, protocol)
            rows.append((name, f"{width}x{height}", str(len(found.rows)), f"{found.mean['abs_rel']:.3f}"))
    note = "Abs Rel with median scaling, to 80 m; Garg crop for KITTI, none for DDAD. Sizes: width x height."
    table = ResultTable(("set", "size", "images", "Abs Rel"), tuple(rows), file.name, note)
    table.show("markdown")
    if arguments.out is not None:
        made = provenance()
        versions = ", ".join(f"{package} {version}" for package, version in made["versions"].items())
        comment = [f"command: {made['command']}", f"date: {made['date']}", f"versions: {versions}"]
        table.write(arguments.out, comment=[*comment, f"SHA-256 of the weights file: {file_sha256(file)}"])


if __name__ == "__main__":
    main()
