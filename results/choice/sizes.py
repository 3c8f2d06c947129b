"""Measure weights at several sizes of the network's input: the table in docs/predicting.md.

    python results/choice/sizes.py street --out results/choice/sizes.md

Run it from the root of the repository, with kitti-mini and street-more where the options below expect them.
"""

from __future__ import annotations

import sets

from hrdepth.inference.predictor import Predictor
from hrdepth.io.tables import ResultTable
from hrdepth.weights.find import locate_weights

WIDE = ((128, 416), (160, 512), (160, 480), (160, 544), (192, 576), (192, 640))  # KITTI's aspect, height x width
HIGH = ((160, 512), (224, 352), (256, 416), (288, 448), (320, 512), (352, 576))  # DDAD's, but for the first


def main() -> None:
    """Measure one weights file."""
    arguments = sets.options(__doc__).parse_args()

    file, rows = locate_weights(arguments.weights), []
    for name, compared, sizes in (
        ("DDAD", sets.ddad(arguments), HIGH),
        ("KITTI, singles", sets.kitti(arguments), WIDE),
    ):
        for height, width in sizes:
            predictor = Predictor.from_file(file, runtime="pytorch", size=(height, width))
            found = sets.measure(predictor, compared)
            rows.append((name, f"{width}x{height}", str(len(found.rows)), f"{found.mean['abs_rel']:.3f}"))
    table = ResultTable(("set", "size", "images", "Abs Rel"), tuple(rows), file.name, sets.NOTE)
    sets.finish(table, arguments.out, [file])


if __name__ == "__main__":
    main()
