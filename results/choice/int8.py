"""Measure whether a bundled network may also come in int8: its Abs Rel must hold within 0.003 of float32's on each set.

    python results/choice/int8.py street --calibration ../shared/street-more/train --out results/choice/int8.md

Run it from the root of the repository, with kitti-mini and street-more where the options below expect them.
"""

from __future__ import annotations

import sets

from hrdepth.inference.predictor import Predictor
from hrdepth.io.tables import ResultTable
from hrdepth.weights.find import locate_weights

ALLOWED = 0.003
SIZES = {"KITTI, singles": (None,), "DDAD": (None, (320, 512))}  # None: of training


def main() -> None:
    """Measure one weights file."""
    parser = sets.options(__doc__)
    parser.add_argument("--calibration", required=True, help="a folder of images for int8's ranges, none of these sets")
    arguments = parser.parse_args()

    file = locate_weights(arguments.weights)
    compared = {"KITTI, singles": sets.kitti(arguments), "DDAD": sets.ddad(arguments)}
    rows = []
    for name, sizes in SIZES.items():
        for size in sizes:
            found = []
            for precision in ("float32", "int8"):
                calibration = arguments.calibration if precision == "int8" else None
                predictor = Predictor.from_file(
                    file, runtime="openvino", precision=precision, calibration=calibration, size=size
                )
                found.append(sets.measure(predictor, compared[name]).mean["abs_rel"])
            height, width = predictor.size
            holds = "yes" if abs(found[1] - found[0]) <= ALLOWED else "no"
            values = (f"{found[0]:.4f}", f"{found[1]:.4f}", f"{found[1] - found[0]:+.4f}", holds)
            rows.append((name, f"{width}x{height}", str(len(compared[name][0])), *values))
    table = ResultTable(
        ("set", "size", "images", "float32", "int8", "difference", f"within {ALLOWED}"),
        tuple(rows),
        file.name,
        sets.NOTE,
    )
    sets.finish(table, arguments.out, [file])


if __name__ == "__main__":
    main()
