"""Measure what the page's smaller sizes of a network's input cost: Abs Rel with true depth of real cameras.

    python results/choice/page_sizes.py street --out results/web/sizes.md

Run it from the root of the repository, with kitti-mini and street-more where the options expect them.
"""

import sets

from hrdepth.camera import aspect_size
from hrdepth.inference.predictor import Predictor
from hrdepth.io.tables import ResultTable
from hrdepth.weights.find import locate_weights

FACTORS = {"as trained": 1.0, "three quarters": 0.75, "half": 0.5}
IMAGES = {"KITTI, singles": (375, 1242), "DDAD": (1216, 1936)}


def main() -> None:
    """Measure one network at the three sizes, each with the images' own aspect as on the page."""
    given = sets.options(__doc__).parse_args()
    file = locate_weights(given.weights)
    trained, stride = Predictor.from_file(file).size, 32
    compared = {"KITTI, singles": sets.kitti(given), "DDAD": sets.ddad(given)}
    rows = []
    for name, factor in FACTORS.items():
        base = tuple(max(2, int(side * factor / stride + 0.5)) * stride for side in trained)  # as depth.js, smallerSize
        for images, size_of_images in IMAGES.items():
            size = aspect_size(size_of_images, base, stride)
            predictor = Predictor.from_file(file, runtime="onnxruntime", size=size)
            found = sets.measure(predictor, compared[images])
            rows.append((name, images, f"{size[1]}x{size[0]}", str(len(found.rows)), f"{found.mean['abs_rel']:.3f}"))
    table = ResultTable(
        ("size", "set", "network's input", "images", "Abs Rel"),
        tuple(rows),
        file.name,
        sets.NOTE,
    )
    sets.finish(table, given.out, [file])


if __name__ == "__main__":
    main()
