"""Measure what the page's smaller sizes of a network's input cost: Abs Rel with true depth of real cameras.

    python results/web/sizes.py street --out results/web/sizes.md

Run it from the root of the repository, with kitti-mini and street-more where the options expect them; results/choice
describes them.
"""

import argparse
from pathlib import Path

from hrdepth.camera import aspect_size
from hrdepth.config import DepthProtocol, GroundTruthConfig
from hrdepth.evaluation.run import evaluate_network
from hrdepth.inference.predictor import Predictor
from hrdepth.io.files import file_sha256
from hrdepth.io.provenance import provenance
from hrdepth.io.tables import ResultTable
from hrdepth.truth import build_ground_truth, depth_protocol
from hrdepth.weights.find import locate_weights

FACTORS = {"as trained": 1.0, "three quarters": 0.75, "half": 0.5}
IMAGES = {"KITTI, singles": (375, 1242), "DDAD": (1216, 1936)}


def main() -> None:
    """Measure one network at the three sizes, each with the images' own aspect as on the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights")
    parser.add_argument("--mini", type=Path, default="../shared/kitti-mini")
    parser.add_argument("--more", type=Path, default="../shared/street-more")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    file = locate_weights(given.weights)
    trained, stride = Predictor.from_file(file).size, 32
    sets = {
        "KITTI, singles": (GroundTruthConfig("folder", str(given.mini / "singles")), None),
        "DDAD": (GroundTruthConfig("folder", str(given.more / "depth")), "none"),
    }
    rows = []
    for name, factor in FACTORS.items():
        base = tuple(max(2, int(side * factor / stride + 0.5)) * stride for side in trained)  # as depth.js, smallerSize
        for images, (data, crop) in sets.items():
            size = aspect_size(IMAGES[images], base, stride)
            predictor = Predictor.from_file(file, runtime="onnxruntime", size=size)
            protocol = depth_protocol(data.kind, DepthProtocol(crop=crop))
            found = evaluate_network(predictor.scaled_disparity, build_ground_truth(data), protocol)
            rows.append((name, images, f"{size[1]}x{size[0]}", str(len(found.rows)), f"{found.mean['abs_rel']:.3f}"))
    table = ResultTable(
        ("size", "set", "network's input", "images", "Abs Rel"),
        tuple(rows),
        file.name,
        "Abs Rel with median scaling, to 80 m; Garg crop for KITTI. Sizes: width x height.",
    )
    table.show("markdown")
    if given.out is not None:
        made = provenance()
        versions = ", ".join(f"{package} {version}" for package, version in made["versions"].items())
        comment = [f"command: {made['command']}", f"date: {made['date']}", f"versions: {versions}"]
        table.write(given.out, comment=[*comment, f"SHA-256 of the weights file: {file_sha256(file)}"])


if __name__ == "__main__":
    main()
