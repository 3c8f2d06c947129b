"""Tests of io/tables.py.

Tables as Markdown and as LaTeX.
"""

import pytest

from hrdepth.errors import InputError
from hrdepth.io.tables import ResultTable, table_format

TABLE = ResultTable(("a_b", "δ < 1.25"), (("x|y & 50 %", "0.1 ± 0.2"),), "A title", "a caption")


def test_a_table_is_written_as_markdown():
    assert TABLE.markdown().splitlines() == [
        "**A title**", "", "| a_b | δ < 1.25 |", "|---|---:|", r"| x\|y & 50 % | 0.1 ± 0.2 |", "", "a caption",
    ]  # fmt: skip


def test_a_table_is_written_as_latex():
    text = TABLE.latex()
    assert r"a\_b & $\delta$ $<$ 1.25 \\" in text
    assert r"x|y \& 50 \% & 0.1 $\pm$ 0.2 \\" in text
    assert r"\caption{A title. a caption}" in text
    assert r"\begin{tabular}{lr}" in text


def test_brackets_stay_in_the_printed_table(capsys):
    ResultTable(("[name]", "b"), (("ours [no fse]", "[red]1[/red]"),), "A [title]", "a [caption]").show()
    printed = capsys.readouterr().out
    for text in ("[name]", "ours [no fse]", "[red]1[/red]", "A [title]", "a [caption]"):
        assert text in printed


def test_tables_are_saved_and_bad_rows_refused(tmp_path):
    assert TABLE.write(tmp_path / "a.tex").read_text().startswith(r"\begin{table}")
    assert TABLE.write(tmp_path / "a.md").read_text().startswith("**A title**")
    lines = ["one 100 %\ntwo", "--> three"]
    assert (
        TABLE.write(tmp_path / "b.tex", comment=lines).read_text().startswith("% one 100 % two\n% --> three\n\\begin")
    )
    assert (
        TABLE.write(tmp_path / "b.md", comment=lines)
        .read_text()
        .startswith("<!--\none 100 % two\n-- > three\n-->\n\n**")
    )
    with pytest.raises(InputError, match=r"\.md"):
        table_format("a.doc")
    with pytest.raises(InputError, match="does not fit 2 headings"):
        ResultTable(("a", "b"), (("1",),))
