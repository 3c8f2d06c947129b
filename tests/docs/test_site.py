"""Tests of docs/ and mkdocs.yml.

The documentation site: every page is reached, every link leads somewhere, every command is told.
"""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from hrdepth.cli.commands import COMMANDS
from hrdepth.errors import InputError
from hrdepth.web.onnxruntime_web import FILES

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.md"))
LINK = re.compile(r"(?<!`)\[([^\]]*)\]\(([^)\s]+)\)")


@pytest.fixture(scope="module")
def hook():
    spec = importlib.util.spec_from_file_location("source_links", ROOT / ".ci" / "source_links.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def pages_of(nav):
    for entry in nav:
        (value,) = entry.values()
        yield from pages_of(value) if isinstance(value, list) else [value]


def prose(page):
    """Its text without code blocks."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    return "\n".join(line for line in text.splitlines() if not line.startswith("    "))


def anchors(page):
    titles = re.findall(r"^#+ (.*)$", prose(page), flags=re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}


def test_every_page_is_in_the_navigation():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    assert sorted(pages_of(nav)) == sorted(page.name for page in PAGES)


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES], ids=lambda page: page.stem)
def test_every_link_has_a_target(page):
    for name, link in LINK.findall(prose(page)):
        if link.startswith(("http://", "https://", "mailto:")):
            continue
        place, _, anchor = link.partition("#")
        target = (page.parent / place) if place else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{page.name}: {link}"
        if target.suffix == ".py" and re.fullmatch(r"`\w+`", name):
            word = name.strip("`")
            assert re.search(rf"\b(?:def|class) {word}\b", target.read_text(encoding="utf-8")), f"{page.name}: {name}"


def test_every_command_is_documented():
    text = (DOCS / "commands.md").read_text(encoding="utf-8")
    told = re.findall(r"^### hrdepth (.+)$", text, flags=re.MULTILINE)
    assert sorted(told) == sorted(COMMANDS)
    for part in text.split("\n### ")[1:]:
        name = part.splitlines()[0]
        # `prepare drive.mp4` stands for `prepare video drive.mp4`.
        assert f"    {name}" in part or name == "hrdepth prepare video", f"{name} has no example"


def test_links_to_code_become_links_to_the_repository(hook):
    markdown = "See [`project`](../src/hrdepth/geometry.py) and [data](data.md)."
    assert hook.linked(markdown) == ["src/hrdepth/geometry.py"]
    moved = hook.on_page_markdown(markdown, page=None, config=None, files=None)
    assert moved == "See [`project`](files/src/hrdepth/geometry.py.txt) and [data](data.md)."


def test_a_link_to_a_folder_leads_to_its_readme(hook):
    assert hook.linked("[results](../results/mini-hrdepth)") == ["results/mini-hrdepth/README.md"]
    for page in PAGES:
        for name in hook.linked(page.read_text(encoding="utf-8")):
            assert (ROOT / name).is_file(), f"{page.name}: {name}"


def test_the_site_builds_strictly(tmp_path):
    pytest.importorskip("mkdocs", reason="needs mkdocs-material (extra docs)")
    pytest.importorskip("material", reason="needs mkdocs-material (extra docs)")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "site" / "files" / "src" / "hrdepth" / "geometry.py.txt").is_file()
    assert (tmp_path / "site" / "method" / "index.html").is_file()


def test_the_site_carries_the_page_without_a_server(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("demonstration", ROOT / ".ci" / "demonstration.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = SimpleNamespace(file=SimpleNamespace(src_uri="web.md"))
    linked = module.on_page_markdown("# Title\n\ntext", page)
    assert 'href="../demonstration/index.html"' in linked
    assert linked.endswith("text")

    def refuse(*_):
        raise InputError("off line")

    monkeypatch.setattr("hrdepth.web.pack.runtime_files", refuse)
    module.on_post_build({"site_dir": str(tmp_path)})  # off line the site has none
    assert not (tmp_path / "demonstration").exists()
    monkeypatch.setattr("hrdepth.web.pack.runtime_files", lambda *_: dict.fromkeys(FILES, b""))
    module.on_post_build({"site_dir": str(tmp_path)})
    assert (tmp_path / "demonstration" / "index.html").is_file()
