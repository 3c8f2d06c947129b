"""Results of several evaluations in one table, several seeds in one row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from hrdepth.config.robustness import TabulateConfig
from hrdepth.errors import InputError
from hrdepth.evaluation.depth import METRICS
from hrdepth.evaluation.results import HEADINGS
from hrdepth.files import existing_file, output_file
from hrdepth.tables import ResultTable, table_format

__all__ = ["tabulate"]


def tabulate(config: TabulateConfig) -> ResultTable:
    """Print the table, and write it where `config.out` says so.

    Raises:
        InputError: a result is missing or damaged, or results were measured in different ways.
    """
    if not config.results:
        raise InputError("give results: folders of `hrdepth evaluate --out`, or NAME=FOLDER,FOLDER,...")
    if config.out is not None:
        table_format(config.out)
        output_file(config.out, overwrite=config.overwrite)
    groups = dict(_group(text) for text in config.results)
    if len(groups) < len(config.results):
        raise InputError("two results have the same name; name them with NAME=FOLDER")
    results = {name: [_read(folder) for folder in folders] for name, folders in groups.items()}
    first = next(iter(results.values()))[0]
    for name, found in results.items():
        for one in found:
            differs = [key for key in ("protocol", "ground_truth", "images") if one[key] != first[key]]
            if differs:
                raise InputError(f"the results of '{name}' differ in {', '.join(differs)}; they do not compare")
    table = _table(results, first)
    table.show(config.format)
    if config.out is not None:
        table.write(config.out)
    return table


def _table(results: Mapping[str, Sequence[Mapping[str, Any]]], first: Mapping[str, Any]) -> ResultTable:
    rows = []
    for name, found in results.items():
        values = np.array([[one["metrics"][metric] for metric in METRICS] for one in found])
        cells = [f"{mean:.3f}" for mean in values.mean(axis=0)]
        if len(found) > 1:
            spread = values.std(axis=0, ddof=1)
            cells = [f"{cell} ± {one:.3f}" for cell, one in zip(cells, spread, strict=True)]
        rows.append((name, str(len(found)), *cells))
    several = any(len(found) > 1 for found in results.values())
    return ResultTable(
        ("network", "seeds", *HEADINGS),
        tuple(rows),
        caption=f"{first['ground_truth']}, {first['images']} pictures"
        + ("; mean ± standard deviation over seeds" if several else ""),
    )


def _group(text: str) -> tuple[str, list[str]]:
    name, equals, folders = text.partition("=")
    if not equals:
        return Path(text).name, [text]
    found = [folder for folder in folders.split(",") if folder]
    if not name or not found:
        raise InputError(f"'{text}' must read NAME=FOLDER,FOLDER,...")
    return name, found


def _read(folder: str) -> dict[str, Any]:
    path = existing_file(Path(folder) / "metrics.json", "the result")
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        metrics = {name: float(content["metrics"][name]) for name in METRICS}
        return {"metrics": metrics, **{key: content[key] for key in ("protocol", "ground_truth", "images")}}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is damaged or was not written by `hrdepth evaluate` ({error!r})") from error
