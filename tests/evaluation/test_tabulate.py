"""Tests of evaluation/tabulate.py.

Several results in one table.
"""

import json
import re
import sys

import numpy as np
import pytest

from hrdepth.cli import main
from hrdepth.config import TabulateConfig
from hrdepth.errors import InputError
from hrdepth.evaluation import METRICS
from hrdepth.evaluation.extras import EXTRA_GROUPS
from hrdepth.evaluation.tabulate import tabulate
from hrdepth.io.provenance import provenance


def result(folder, value, **more):
    folder.mkdir()
    content = {"metrics": dict.fromkeys(METRICS, value), "protocol": {"crop": "garg"}, "ground_truth": "laser"}
    (folder / "metrics.json").write_text(json.dumps({**content, "images": 3, **more}))
    return str(folder)


def test_seeds_of_one_network_share_a_row(tmp_path, capsys):
    values = (0.1, 0.12, 0.17)
    folders = [result(tmp_path / str(seed), value) for seed, value in enumerate(values)]
    other = result(tmp_path / "other", 0.2)
    out = tmp_path / "table.tex"
    assert main(["tabulate", f"mine={','.join(folders)}", other, "--format", "markdown", "--out", str(out)]) == 0
    cell = f"{np.mean(values):.3f} ± {np.std(values, ddof=1):.3f}"
    printed = capsys.readouterr().out
    assert f"| mine | 3 | {' | '.join([cell] * 7)} |" in printed
    assert f"| other | 1 | {' | '.join(['0.200'] * 7)} |" in printed
    assert "standard deviation over seeds" in printed
    written = out.read_text()
    assert cell.replace("±", r"$\pm$") in written
    head = written.split("\\begin{table}")[0]
    assert all(line.startswith("% ") for line in head.splitlines())
    for message in ("% command: ", "% date: 20", "% versions: python ", "hrdepth ", f"% mine: {tmp_path.name}/0, "):
        assert message in head


def test_a_folder_may_have_an_equals_sign(tmp_path, capsys):
    assert main(["tabulate", result(tmp_path / "lr=0.1,a", 0.1)]) == 0
    assert "lr=0.1,a" in capsys.readouterr().out


def test_a_markdown_table_does_not_show_its_provenance(tmp_path):
    markdown = pytest.importorskip("markdown")
    out = tmp_path / "table.md"
    tabulate(TabulateConfig([f"a-->b={result(tmp_path / 'one', 0.1)}"], out=str(out)))
    text = out.read_text()
    assert f"{tmp_path.name}/one" in text.split("-->")[0]
    shown = re.sub("<!--.*?-->", "", markdown.markdown(text, extensions=["tables"]), flags=re.DOTALL).strip()
    assert shown.startswith("<table>")
    assert "versions" not in shown


def test_other_metrics_can_be_chosen(tmp_path, capsys):
    edges = {"extras": {"edge_accuracy": 1.5, "edge_completeness": 2.0, "boundary_f1": None}}
    how = {"edges": {"weak_ratio": 1.1}}
    one = result(tmp_path / "one", 0.1, **edges, extras_protocol=how)
    given = ["tabulate", f"mine={one}", "--format", "markdown", "--metrics"]
    assert main([*given, "[abs_rel, edges]"]) == 0
    printed = capsys.readouterr().out
    assert "| network | seeds | Abs Rel | edge accuracy (px) | edge completeness (px) | boundary F1 |" in printed
    assert "| mine | 1 | 0.100 | 1.500 | 2.000 | – |" in printed
    assert main([*given, "[edge]"]) == 2
    assert "unknown metric 'edge'" in capsys.readouterr().err
    other = result(tmp_path / "other", 0.1, **edges, extras_protocol={"edges": {"weak_ratio": 1.2}})
    tabulate(TabulateConfig([one, other]))  # the seven are the same
    for results, metrics, hint in (
        ([one, other], ["edges"], "differ in how edges are measured"),
        ([one], ["points"], "'one' lack chamfer, f_score"),
        ([one], [], "give some metrics: seven"),
    ):
        with pytest.raises(InputError, match=hint):
            tabulate(TabulateConfig(results, metrics))


def test_the_help_names_every_group_of_metrics():
    assert all(f"`{name}`" in TabulateConfig.__doc__ for name in ("seven", *EXTRA_GROUPS))


def test_near_edges_are_columns_and_older_results_lack_them(tmp_path, capsys):
    how = {"near_edges": {"ratio": 1.5}}
    near = {"near_edge_abs_rel": 0.31, "near_edge_points": 812.3}
    seeds = [result(tmp_path / str(i), 0.1, extras=near, extras_protocol=how) for i in range(2)]
    assert main(["tabulate", f"mine={','.join(seeds)}", "--format", "markdown", "--metrics", "[near_edges]"]) == 0
    printed = capsys.readouterr().out
    assert "| network | seeds | Abs Rel near edges | points near edges |" in printed
    assert "| mine | 2 | 0.310 ± 0.000 | 812.3 ± 0.0 |" in printed
    old = result(tmp_path / "old", 0.1)
    with pytest.raises(InputError, match="'old' lack near_edge_abs_rel, near_edge_points; evaluate again"):
        tabulate(TabulateConfig([old], ["near_edges"]))


def test_results_that_cannot_be_compared_are_refused(tmp_path):
    one, many = result(tmp_path / "one", 0.1), result(tmp_path / "many", 0.1, images=4)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "metrics.json").write_text("{}")
    for results, hint in [
        ([one, many], "differ in images"),
        ([one, one], "the same name"),
        ([f"a={tmp_path / 'none'}"], "does not exist"),
        ([str(tmp_path / "bad")], "damaged"),
        (["a="], "must read NAME=FOLDER"),
        ([f"a={one},{tmp_path}/many/../one"], "twice; give each seed's folder once"),
        ([], "give results"),
    ]:
        with pytest.raises(InputError, match=hint):
            tabulate(TabulateConfig(results))


def test_results_of_other_true_depth_are_refused(tmp_path):
    old = result(tmp_path / "old", 0.1)  # as earlier versions wrote it
    digests = {"one": "1", "same": "1", "other": "2"}
    one, same, other = (result(tmp_path / name, 0.1, truth_sha256=value) for name, value in digests.items())
    tabulate(TabulateConfig([old, one, same]))
    with pytest.raises(InputError, match="'other' differ in frames or their true depth"):
        tabulate(TabulateConfig([old, one, other]))


def test_the_command_names_each_seeds_folder(monkeypatch):
    monkeypatch.setattr(
        sys, "argv", ["/bin/hrdepth", "tabulate", "mine=/a/b/s0,/a/b/s1", "/x", "--out=/a/b/t.md", "c/d"]
    )
    assert provenance()["command"] == "hrdepth tabulate mine=b/s0,b/s1 x --out=b/t.md c/d"
