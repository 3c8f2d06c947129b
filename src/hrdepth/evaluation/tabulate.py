"""`hrdepth tabulate`: results of several evaluations in one table, several seeds in one row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrdepth.config import TabulateConfig
from hrdepth.errors import MALFORMED, InputError
from hrdepth.evaluation.depth import METRICS
from hrdepth.evaluation.extras import EXTRA_GROUPS, EXTRA_HEADINGS, decimals
from hrdepth.io.files import existing_file, output_file, parse_json
from hrdepth.io.provenance import provenance_lines
from hrdepth.io.tables import METRIC_HEADINGS, ResultTable, table_format
from hrdepth.registry import lookup

__all__ = ["tabulate"]

COLUMNS = {
    **METRIC_HEADINGS,
    **{f"lsq_{name}": f"{heading}, least squares" for name, heading in METRIC_HEADINGS.items()},
    **EXTRA_HEADINGS,
}
# Names for `metrics`, each with its columns.
NAMES: dict[str, tuple[str, ...]] = {"seven": METRICS, **{name: (name,) for name in COLUMNS}, **EXTRA_GROUPS}


def tabulate(config: TabulateConfig) -> ResultTable:
    """Print the table, and write it to `config.out`, if given.

    Raises:
        InputError: a result is missing or damaged, or results were measured in different ways.
    """
    if not config.results:
        raise InputError("give results: folders of `hrdepth evaluate --out`, or NAME=FOLDER,FOLDER,...")
    if config.out is not None:
        table_format(config.out)
        output_file(config.out, overwrite=config.overwrite)
    columns = list(dict.fromkeys(column for name in config.metrics for column in lookup(NAMES, name, "metric")))
    if not columns:
        raise InputError(f"give some metrics: {', '.join(NAMES)}")
    groups = dict(_group(text) for text in config.results)
    if len(groups) < len(config.results):
        raise InputError("two results have the same name; name them with NAME=FOLDER")
    results = {name: [_read(folder) for folder in folders] for name, folders in groups.items()}
    every = [one for found in results.values() for one in found]
    first = every[0]
    digest = next((one["truth_sha256"] for one in every if one["truth_sha256"]), None)
    for name, found in results.items():
        for one in found:
            _check(name, one, first, columns, digest)
    table = _table(results, first, columns)
    if config.out is not None:
        table.write(config.out, comment=_origin(groups))
    table.show(config.format)
    return table


def _check(
    name: str, one: Mapping[str, Any], first: Mapping[str, Any], columns: Sequence[str], digest: str | None
) -> None:
    """Refuse a result that lacks a column, or was measured in another way than the first.

    Of results without a hash of the true depth, from earlier versions, only description and number of images are known.
    """
    groups = [group for group, names in EXTRA_GROUPS.items() if not set(names).isdisjoint(columns)]
    lacking = [column for column in columns if column not in one["metrics"]]
    if lacking:
        raise InputError(f"the results of '{name}' lack {', '.join(lacking)}; evaluate again, with the options for it")
    differs = [key for key in ("protocol", "ground_truth", "images") if _values(one[key]) != _values(first[key])]
    differs += ["frames or their true depth"] if one["truth_sha256"] not in (None, digest) else []
    differs += [
        f"how {key} are measured"
        for key in groups
        if _values(one["extras"].get(key)) != _values(first["extras"].get(key))
    ]
    if differs:
        raise InputError(f"the results of '{name}' differ in {', '.join(differs)} and cannot be compared")


def _values(description: Any) -> Any:
    """Return the values of a description of metrics, without words, which may change between versions."""
    if not isinstance(description, dict):
        return description
    return {key: value for key, value in description.items() if key != "in_words"}


def _origin(groups: Mapping[str, Sequence[str]]) -> list[str]:
    """Return lines with the table's provenance; folders by their last two parts, as in `provenance`."""
    return provenance_lines() + [
        f"{name}: {', '.join('/'.join(Path(folder).resolve().parts[1:][-2:]) for folder in folders)}"
        for name, folders in groups.items()
    ]


def _table(
    results: Mapping[str, Sequence[Mapping[str, Any]]], first: Mapping[str, Any], columns: Sequence[str]
) -> ResultTable:
    rows = []
    for name, found in results.items():
        values = np.array([[one["metrics"][column] for column in columns] for one in found])
        digits = [decimals(column) for column in columns]
        cells = [f"{mean:.{places}f}" for mean, places in zip(values.mean(axis=0), digits, strict=True)]
        if len(found) > 1:
            spread = values.std(axis=0, ddof=1)
            cells = [f"{cell} ± {one:.{n}f}" for cell, one, n in zip(cells, spread, digits, strict=True)]
        known = np.isfinite(values).all(axis=0)  # edge metrics are NaN if no image has edges
        rows.append((name, str(len(found)), *(cell if one else "–" for cell, one in zip(cells, known, strict=True))))
    several = any(len(found) > 1 for found in results.values())
    return ResultTable(
        ("network", "seeds", *(COLUMNS[column] for column in columns)),
        tuple(rows),
        caption=f"{first['ground_truth']}, {first['images']} images"
        + ("; mean ± standard deviation over seeds" if several else ""),
    )


def _group(text: str) -> tuple[str, list[str]]:
    name, equals, folders = text.partition("=")
    if not equals or Path(text).is_dir():
        return Path(text).name, [text]
    found = [folder for folder in folders.split(",") if folder]
    if not name or not found:
        raise InputError(f"'{text}' must read NAME=FOLDER,FOLDER,...")
    resolved = [Path(folder).resolve() for folder in found]
    double = next((folder for folder, path in zip(found, resolved, strict=True) if resolved.count(path) > 1), None)
    if double is not None:
        raise InputError(f"'{name}' has the folder {double} twice; give each seed's folder once")
    return name, found


def _read(folder: str) -> dict[str, Any]:
    path = existing_file(Path(folder) / "metrics.json", "the result")
    try:
        content: dict[str, Any] = parse_json(path.read_text(encoding="utf-8"))
        metrics = {name: float(content["metrics"][name]) for name in METRICS}
        # JSON has no NaN: null stands for it.
        more = {name: float("nan" if value is None else value) for name, value in content.get("extras", {}).items()}
        found = {key: content[key] for key in ("protocol", "ground_truth", "images")}
        found |= {"extras": dict(content.get("extras_protocol", {})), "truth_sha256": content.get("truth_sha256")}
        return {"metrics": {**metrics, **more}, **found}
    except MALFORMED as error:
        raise InputError(f"{path} is damaged or was not written by `hrdepth evaluate` ({error!r})") from error
