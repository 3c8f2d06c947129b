"""Measure whether a bundled network may also come in int8: its Abs Rel must hold within 0.003 of float32's on each set.

    python results/choice/int8.py street --calibration ../shared/street-more/train --out results/choice/int8.md

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

ALLOWED = 0.003
SIZES = {"KITTI, singles": (None, [None]), "DDAD": ("none", [None, (320, 512)])}  # crop; sizes, None: of training


def main() -> None:
    """Measure one weights file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", help="a weights file, or the name of bundled weights")
    parser.add_argument("--calibration", required=True, help="a folder of images for int8's ranges, none of these sets")
    parser.add_argument("--mini", type=Path, default="../shared/kitti-mini", help="the folder kitti-mini")
    parser.add_argument("--more", type=Path, default="../shared/street-more", help="the folder street-more")
    parser.add_argument("--out", type=Path, help="a file for the table, .md or .tex")
    arguments = parser.parse_args()

    file = locate_weights(arguments.weights)
    folders = {"KITTI, singles": arguments.mini / "singles", "DDAD": arguments.more / "depth"}
    rows = []
    for name, (crop, sizes) in SIZES.items():
        data = GroundTruthConfig("folder", str(folders[name]))
        protocol, truths = depth_protocol(data.kind, DepthProtocol(crop=crop)), build_ground_truth(data)
        for size in sizes:
            found = []
            for precision in ("float32", "int8"):
                calibration = arguments.calibration if precision == "int8" else None
                predictor = Predictor.from_file(
                    file, runtime="openvino", precision=precision, calibration=calibration, size=size
                )
                found.append(evaluate_network(predictor.scaled_disparity, truths, protocol).mean["abs_rel"])
            height, width = predictor.size
            holds = "yes" if abs(found[1] - found[0]) <= ALLOWED else "no"
            values = (f"{found[0]:.4f}", f"{found[1]:.4f}", f"{found[1] - found[0]:+.4f}", holds)
            rows.append((name, f"{width}x{height}", str(len(truths)), *values))
    table = ResultTable(
        ("set", "size", "images", "float32", "int8", "difference", f"within {ALLOWED}"),
        tuple(rows),
        file.name,
        "Abs Rel with median scaling, to 80 m; Garg crop for KITTI, none for DDAD. Sizes: width x height.",
    )
    table.show("markdown")
    if arguments.out is not None:
        made = provenance()
        versions = ", ".join(f"{package} {version}" for package, version in made["versions"].items())
        comment = [f"command: {made['command']}", f"date: {made['date']}", f"versions: {versions}"]
        table.write(arguments.out, comment=[*comment, f"SHA-256 of the weights file: {file_sha256(file)}"])


if __name__ == "__main__":
    main()
