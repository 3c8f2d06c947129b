"""Measure weights on the sets that choose between networks, and print one table.

    python results/choice/measure.py street --out results/choice/street.md
    python results/choice/measure.py runs/street-1/last.safetensors --size 192 640

Run it from the root of the repository, with kitti-mini, street-more and the rendered streets where the options below
expect them. README.md describes the sets and how the streets are rendered.
"""

from __future__ import annotations

from pathlib import Path

import sets

from hrdepth.evaluation.extras import Extras
from hrdepth.evaluation.results import Evaluation
from hrdepth.inference.predictor import Predictor
from hrdepth.io.tables import ResultTable
from hrdepth.weights.find import locate_weights

DDAD_SIZE = (320, 512)  # DDAD's own aspect
MEASURES = {"near_edge_abs_rel": "near edges", "boundary_f1": "boundary F1"}


def main() -> None:
    """Measure one weights file."""
    parser = sets.options(__doc__)
    parser.add_argument(
        "--size", nargs=2, type=int, metavar=("HEIGHT", "WIDTH"), help="of the network's input; default: of training"
    )
    parser.add_argument("--flip", action="store_true", help="blend with the mirrored image's prediction")
    parser.add_argument("--streets", type=Path, default="runs/verdict", help="the rendered streets")
    arguments = parser.parse_args()

    file = locate_weights(arguments.weights)
    size = None if arguments.size is None else (arguments.size[0], arguments.size[1])
    rows = []
    for name, compared, own_size in (
        ("KITTI, singles", sets.kitti(arguments), size),
        ("DDAD", sets.ddad(arguments), size),
        ("DDAD, own aspect", sets.ddad(arguments), DDAD_SIZE),
        ("rendered streets", sets.streets(arguments.streets), size),
    ):
        predictor = Predictor.from_file(file, runtime="pytorch", size=own_size, flip=arguments.flip)
        found = sets.measure(predictor, compared, extras=Extras(near_edges=True, edges="dense"))
        rows.append(row(name, predictor.size, found))
    table = ResultTable(
        ("set", "size", "images", "Abs Rel", *MEASURES.values()),
        tuple(rows),
        f"{file.name}{', flip' if arguments.flip else ''}",
        "Abs Rel with median scaling, to 80 m; Garg crop for KITTI, none for the others. Sizes: width x height.",
    )
    sets.finish(table, arguments.out, [file])


def row(name: str, size: tuple[int, int], found: Evaluation) -> tuple[str, ...]:
    """Return a row of the table."""
    values = [found.mean["abs_rel"], *(found.extras.get(measure, float("nan")) for measure in MEASURES)]
    cells = ["–" if value != value else f"{value:.3f}" for value in values]
    return name, f"{size[1]}x{size[0]}", str(len(found.rows)), *cells


if __name__ == "__main__":
    main()
