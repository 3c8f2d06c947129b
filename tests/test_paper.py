"""Tests of paper.py.

The paper's rows: against its text, the configs that give them, the networks and the trainings that correspond.
"""

import re
from pathlib import Path

import pytest
import yaml

from hrdepth.config import NetworkConfig
from hrdepth.errors import InputError
from hrdepth.networks.summary import summarise
from hrdepth.paper import corresponding_row, paper_networks, paper_table, row_of

ROOT = Path(__file__).resolve().parents[1]
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
def test_rows_agree_with_the_papers_text(name, shared):
    text = (shared / "paper" / "hr-depth.txt").read_text(encoding="utf-8").replace(" × ", "x").replace("×", "x")
    lines = [line.rstrip() for line in text.splitlines() if re.search(r"\t0\.\d{3}\t\d\.\d{3}", line)]
    rows = paper_table(name).rows
    wanted = ["\t".join([LINE[name].format_map(vars(row)), *map(printed, row.values.values())]) for row in rows]
    if name == "table1":
        lines = [line for line in text.splitlines() if re.match(r"Monodepth2\t\d+x\d+\t", line)]
    places = [lines.index(line) for line in wanted]
    assert places == list(range(places[0], places[0] + len(rows)))  # all of them, in the same order


@pytest.mark.parametrize("name", COUNTS)
def test_rows_have_their_counts_and_configs(name):
    table = paper_table(name)
    assert len(table.rows) == COUNTS[name]
    names = [row.name for row in table.rows]
    assert len(set(names)) == len(names)
    assert table.reference in names
    assert len({table.label(row) for row in table.rows}) == len(names)
    for row in table.rows:
        assert row.config is None or (RECIPES / f"{row.config}.yaml").is_file()


def test_selected_values_agree_with_the_paper():
    values = {row.name: dict(row.values) for row in paper_table("table2").rows}
    assert values["kitti-hrdepth-ms-1024x320"]["rmse"] == 4.395
    assert values["sfmlearner-m-416x128"]["delta3"] == 0.960
    ablation = {row.system: row for row in paper_table("table4").rows}
    assert ablation["+dense SC"].values["parameters"] == "16.06M"
    repeated = row_of("kitti-monodepth2-ms-1024x320")
    assert (repeated.values["rmse"], repeated.other_sources["rmse"], repeated.scaling) == (4.750, 4.630, 5.4)
    with pytest.raises(InputError, match="unknown table 'table5'"):
        paper_table("table5")


def test_the_notes_count_of_dense_skips_is_correct():
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


def settings_of(name):
    return yaml.safe_load((RECIPES / f"{name}.yaml").read_text(encoding="utf-8"))


def test_a_config_corresponds_to_the_row_that_names_it():
    found = {}
    for file in sorted(RECIPES.glob("*.yaml")):
        if (row := corresponding_row(settings_of(file.stem))) is not None:
            found[file.stem] = row.config
    rows = [row for number in (2, 3, 4) for row in paper_table(f"table{number}").rows]
    trained = {row.config for row in rows if row.dataset == "K" and row.config and not row.measured}
    assert found == {name: name for name in trained}


def test_another_size_or_data_set_corresponds_to_no_row():
    settings = settings_of("kitti-hrdepth-m-640x192")
    assert corresponding_row(settings).citation == "Table 2, HR-Depth, M, 640x192, K"
    assert corresponding_row(settings | {"size": [128, 416]}) is None
    assert corresponding_row(settings | {"init": "mine.safetensors"}) is None
    other = [part | {"split": "mine.txt"} for part in settings["train"]]
    assert corresponding_row(settings | {"train": other}) is None


def test_networks_of_the_paper_have_their_rows_and_counts():
    found = {(one.citation, one.parameters) for one in paper_networks()}
    assert found == {
        ("Table 2, HR-Depth; Table 4, +dense SC and fSE", 14.62),
        ("Table 3, Lite-HR-Depth", 3.1),
        ("Tables 2 and 3, Monodepth2; Table 4, baseline", 14.84),
        ("Table 3, PyD-Net", 1.9),
        ("Table 2, PackNet-SfM", 127.0),
        ("Table 4, +dense SC", 16.06),
        ("Table 4, +fSE", 13.48),
        ("Table 4, +dense SC and SE", 16.23),
    }
    counts = {text for one in paper_networks() for _, row in one.rows if (text := row.values.get("parameters"))}
    assert len(counts) == 7, "each network has one count; PackNet's stands in the text"


def test_the_page_on_configs_has_the_values_of_the_rows():
    page = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")
    assert configs_table() in page, f"docs/configs.md must have this table:\n{configs_table()}"


def configs_table():
    """Return the page's table: each config that gives a row, with the values that the paper prints."""
    metrics = paper_table("table2").columns
    lines = {}
    for row in (row for number in (2, 3, 4) for row in paper_table(f"table{number}").rows):
        if row.config == row.name and row.name not in lines:
            values = " | ".join("" if (value := row.values.get(name)) is None else f"{value:.3f}" for name in metrics)
            lines[row.name] = f"| `{row.name}` | {row.citation} | {values} |"
    return "\n".join(lines.values())
