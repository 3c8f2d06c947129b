"""Tables of results: on the terminal, as Markdown, as LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from hrdepth.errors import InputError
from hrdepth.io.files import write_text

__all__ = ["FORMATS", "METRIC_HEADINGS", "ResultTable", "table_format"]

METRIC_HEADINGS = {
    "abs_rel": "Abs Rel",
    "sq_rel": "Sq Rel",
    "rmse": "RMSE",
    "rmse_log": "RMSE log",
    "delta1": "δ < 1.25",
    "delta2": "δ < 1.25²",
    "delta3": "δ < 1.25³",
}
"""Names of the seven metrics in tables, in the paper's order."""

FORMATS = ("text", "markdown", "latex")
_SUFFIXES = {".md": "markdown", ".tex": "latex"}
# Characters that are LaTeX commands, or that its fonts lack.
_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": "$<$", ">": "$>$", "±": r"$\pm$", "δ": r"$\delta$",
    "×": r"$\times$", "²": "$^2$", "³": "$^3$", "–": "--", "→": r"$\to$",
}  # fmt: skip


@dataclass(frozen=True)
class ResultTable:
    """Rows of text under headings; the first column names the row, the others hold numbers.

    Attributes:
        headings: one a column.
        rows: one text a column each.
        title: above the table, or "".
        caption: below it, or "".

    Example:
        >>> print(ResultTable(("network", "Abs Rel"), (("HR-Depth", "0.109"),)).markdown())
        | network | Abs Rel |
        |---|---:|
        | HR-Depth | 0.109 |
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    title: str = ""
    caption: str = ""

    def __post_init__(self) -> None:
        wrong = next((row for row in self.rows if len(row) != len(self.headings)), None)
        if wrong is not None:
            raise InputError(f"a row of {len(wrong)} cells does not fit {len(self.headings)} headings: {wrong}")

    def rich(self) -> Table:
        """Return the table for the terminal."""
        table = Table(
            title=escape(self.title) or None,
            caption=escape(self.caption) or None,
            title_justify="left",
            caption_justify="left",
        )
        for column, heading in enumerate(self.headings):
            table.add_column(escape(heading), justify="right" if column else "left")
        for row in self.rows:
            table.add_row(*map(escape, row))
        return table

    def show(self, form: str = "text") -> None:
        """Print the table as `text`, `markdown` or `latex`; wider than the terminal rather than cut."""
        if form != "text":
            print(self.text(form))
            return
        console, table = Console(), self.rich()
        wide = Measurement.get(console, console.options.update(max_width=1000), table).maximum
        Console(width=max(console.width, wide)).print(table)

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [f"**{self.title}**", ""] if self.title else []
        lines += [_markdown_row(self.headings), "|---|" + "---:|" * (len(self.headings) - 1)]
        lines += [_markdown_row(row) for row in self.rows]
        return "\n".join([*lines, *(["", self.caption] if self.caption else [])])

    def latex(self) -> str:
        """Return the table as LaTeX, with the lines of the package booktabs."""
        title = ". ".join(text.replace("\n", ", ") for text in (self.title, self.caption) if text)
        body = [" & ".join(map(_escape, row)) + r" \\" for row in self.rows]
        return "\n".join(
            [
                r"\begin{table}",
                r"\centering",
                *([rf"\caption{{{_escape(title)}}}"] if title else []),
                rf"\begin{{tabular}}{{l{'r' * (len(self.headings) - 1)}}}",
                r"\toprule",
                " & ".join(map(_escape, self.headings)) + r" \\",
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}",
                r"\end{table}",
            ]
        )

    def text(self, form: str) -> str:
        """Return the table as `markdown` or `latex`."""
        return self.latex() if form == "latex" else self.markdown()

    def write(self, path: str | Path, form: str | None = None, comment: Sequence[str] = ()) -> Path:
        """Write the table, as LaTeX for `form` latex or the suffix .tex, else as Markdown.

        Args:
            path: of the file.
            form: `markdown` or `latex`; None goes by the ending.
            comment: invisible lines above the table, such as its provenance.
        """
        path = Path(path)
        form = form or table_format(path)
        write_text(path, _comment(comment, form) + self.text(form) + "\n")
        return path


def table_format(path: str | Path) -> str:
    """Return the format of a table's file.

    Raises:
        InputError: its name does not end in .md or .tex.
    """
    found = _SUFFIXES.get(Path(path).suffix.lower())
    if found is None:
        raise InputError(f"the table {path} must end in .md (Markdown) or .tex (LaTeX)")
    return found


def _comment(lines: Sequence[str], form: str) -> str:
    if not lines:
        return ""
    lines = [" ".join(line.split()) for line in lines]
    if form == "latex":
        return "".join(f"% {line}\n" for line in lines)
    return "\n".join(["<!--", *(line.replace("-->", "-- >") for line in lines), "-->", "", ""])


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", r"\|").replace("\n", " ") for cell in cells) + " |"


def _escape(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text)
