"""A hook of the documentation site: links into the code and the results lead to files that the site carries.

Pages link as they lie in the repository, `../src/hrdepth/geometry.py`; the site has these files below its root.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"\]\(\.\./([\w./-]+)\)")


def linked(markdown: str) -> list[str]:
    """Return the files outside docs/ that a page links to; of a folder its README, or its results."""
    return [_file(name.rstrip("/")) for name in LINK.findall(markdown)]


def carried(name: str) -> str:
    """Return where the site has a file: as text, since Markdown would become a page of its own."""
    return f"files/{name}.txt"


def _file(name: str) -> str:
    inside = (f"{name}/{file}" for file in ("README.md", "metrics.json"))
    return next((file for file in inside if (ROOT / file).is_file()), name)


def on_files(files: Any, config: Any) -> Any:
    """Add the files that pages link to."""
    from mkdocs.structure.files import File

    wanted = {name for page in Path(config["docs_dir"]).rglob("*.md") for name in linked(page.read_text("utf-8"))}
    for name in sorted(wanted):
        files.append(File.generated(config, carried(name), content=(ROOT / name).read_text("utf-8")))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Point the links there."""

    def moved(link: re.Match[str]) -> str:
        return f"]({carried(linked(link[0])[0])})"

    return LINK.sub(moved, markdown)
