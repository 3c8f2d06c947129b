"""The paper's rows: against its text, the configs that give them, and what the report compares with."""

import re
from pathlib import Path

import pytest
import yaml

from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.networks.summary import summarise
from hrdepth.published import PUBLISHED
from hrdepth.reproduce.paper import paper_table, row_of

ROOT = Path(__file__).resolve().parents[2]
RECIPES = ROOT / "src" / "hrdepth" / "recipes"
COUNTS = {"table1": 2, "table2": 17, "table3": 8, "table4": 5}
# How a line of the text begins.
LINE = {
    "table1": "{system}\t{resolution}",
    "table2": "{system}\t{supervision}\t{resolution}\t{dataset}",
    "table3": "{system}\t{supervision}\t{resolution}",
    "table4": "{system}",
}


def printed(value):
    return value if isinstance(value, str) else f"{value:.3f}"


@pytest.mark.parametrize("name", COUNTS)
def test_rows_are_those_of_the_text(name, shared):
    text = (shared / "paper" / "hr-depth.txt").read_text(encoding="utf-8").replace(" × ", "x").replace("×", "x")
    lines = [line.rstrip() for line in text.splitlines() if re.search(r"\t0\.\d{3}\t\d\.\d{3}", line)]
    rows = paper_table(name).rows
    wanted = ["\t".join([LINE[name].format_map(vars(row)), *map(printed, row.values.values())]) for row in rows]
    if name == "table1":
        lines = [line for line in text.splitlines() if re.match(r"Monodepth2\t\d+x\d+\t", line)]
    places = [lines.index(line) for line in wanted]
    assert places == list(range(places[0], places[0] + len(rows)))  # all of them, in the same order


@pytest.mark.parametrize("name", COUNTS)
def test_counts_and_configs(name):
    table = paper_table(name)
    assert len(table.rows) == COUNTS[name]
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    assert table.reference in names
    assert len({table.label(row) for row in table.rows}) == len(names)
    for row in table.rows:
        assert row.config is None or (RECIPES / f"{row.config}.yaml").is_file()


def test_spot_values():
    values = {row.name: dict(row.values) for row in paper_table("table2").rows}
    assert values["kitti-hrdepth-ms-1024x320"]["rmse"] == 4.395
    assert values["sfmlearner-m-416x128"]["delta3"] == 0.960
    ablation = {row.system: row for row in paper_table("table4").rows}
    assert ablation["+dense SC"].values["parameters"] == "16.06M"
    repeated = row_of("kitti-monodepth2-ms-1024x320")
    assert (repeated.values["rmse"], repeated.elsewhere["rmse"], repeated.scaling) == (4.750, 4.630, 5.4)
    with pytest.raises(InputError, match="unknown table 'table5'"):
        paper_table("table5")


def test_what_the_note_says_of_dense_skips_is_counted():
    row = row_of("table4-dense")
    options = yaml.safe_load((RECIPES / f"{row.config}.yaml").read_text())["network"]["options"]
    options.pop("weights")
    counts = [
        summarise(NetworkConfig("hrdepth", {**options, "squeeze": squeeze}), sizes=()).parameters_as_in_paper
        for squeeze in (True, False)
    ]
    with_squeezes, without = (f"{count / 1e6:.2f}M" for count in counts)
    assert row.values["parameters"] == with_squeezes
    assert f"{with_squeezes} with the released 1x1 squeezes" in row.note
    assert f"without them {without}" in row.note


def test_published_rows_of_the_report_agree():
    known = {(row.metrics[0], row.metrics[2], row.metrics[4]) for row in PUBLISHED}
    ours = set()
    for number in (2, 3, 4):
        for row in paper_table(f"table{number}").rows:
            values = {**row.values, **{key: value for key, value in row.elsewhere.items() if value is not None}}
            ours.add(tuple(values[key] for key in ("abs_rel", "rmse", "delta1")))
    assert known <= ours
