"""Tests of README.md and docs/.

Every snippet of README.md and docs/ holds: commands are read by the command line, Python runs, YAML is a config.

Snippets with `>>>` run as doctests (see conftest.py); the one of docs/app.md runs against a page in tests/app.
"""

import contextlib
import inspect
import io
import re
import shlex
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

import fake_datasets
from hrdepth.cli.parser import parse
from hrdepth.config import NetworkConfig, TrainConfig
from hrdepth.errors import InputError
from hrdepth.networks import build_network
from hrdepth.weights import share
from hrdepth.weights.checkpoint import save_checkpoint

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
FENCED = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def fenced(kind):
    """All blocks of a kind: (page, which, text)."""
    blocks = []
    for page in PAGES:
        found = [text for name, text in FENCED.findall(page.read_text(encoding="utf-8")) if name == kind]
        blocks += [pytest.param(text, id=f"{page.stem}-{number}") for number, text in enumerate(found, 1)]
    return blocks


def commands():
    """Every `hrdepth ...` in an indented or fenced block, continued lines joined."""
    found = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8").replace("\\\n", " ")
        lines = [line.strip() for line in text.splitlines() if re.match(r"( {4,}|\$ ?)?hrdepth [a-z]", line)]
        found += [pytest.param(line, id=f"{page.stem}: {line[:60]}") for line in lines if not line.endswith(".")]
    return found


@pytest.fixture(scope="module")
def named(tmp_path_factory):
    """A folder with what the snippets name."""
    tmp_path = tmp_path_factory.mktemp("named")
    shutil.copy(ROOT / "src" / "hrdepth" / "recipes" / "demo.yaml", tmp_path / "run.yaml")
    (tmp_path / "shards").mkdir()
    shutil.copy(tmp_path / "run.yaml", tmp_path / "shards" / "train.yaml")
    fake_datasets.drive(tmp_path / "drives", frames=6)
    for folder in ("data", "rendered"):
        fake_datasets.drive(tmp_path / folder, frames=6)
    shutil.copy(ROOT / "results" / "street" / "card.yaml", tmp_path)
    Image.linear_gradient("L").resize((96, 64)).save(tmp_path / "street.jpg")
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    network = NetworkConfig("lite_hrdepth")
    save_checkpoint(tmp_path / "runs" / "mine" / "best.safetensors", build_network(network), network, size=(64, 96))
    return tmp_path


@pytest.fixture
def working_folder(named, tmp_path, monkeypatch):
    """A working folder of one's own."""
    shutil.copytree(named, tmp_path / "place")
    monkeypatch.chdir(tmp_path / "place")
    return tmp_path / "place"


def read(line):
    """Read a command line up to its settings, as `hrdepth` does; return the config."""
    line = re.sub(r"\[(--[^\]]*)\]", r"\1", line)  # [--poses poses.txt]: what may be left out
    given = shlex.split(line, comments=True)[1:]
    given = given[: given.index("...")] if "..." in given else given
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return parse(given)[1]
    except SystemExit as stop:
        if stop.code:
            raise AssertionError(said.getvalue()) from stop
        return None


@pytest.mark.parametrize("line", commands())
def test_every_command_in_the_documentation_parses(line, named, monkeypatch):
    monkeypatch.chdir(named)  # reading changes nothing
    made = read(line)
    assert made is not None or "--help" in line or "--print_config" in line or "..." in line


@pytest.mark.parametrize("text", [block for block in fenced("python") if ">>>" not in block.values[0]])
def test_every_python_snippet_runs(text, working_folder, monkeypatch):
    if "Client(" in text:
        pytest.skip("runs against a page, in tests/app/test_api.py")
    if "hrdepth.training" in text:
        pytest.importorskip("lightning", reason="needs lightning (extra train)")
    from hrdepth.data import DATASETS

    # Nothing leaves the machine: of the call to the Hub, the arguments are looked at.
    hub = inspect.signature(share.push_to_hub)
    monkeypatch.setattr("hrdepth.weights.share.push_to_hub", lambda *given, **named: hub.bind(*given, **named))
    known = dict(DATASETS)
    try:
        exec(compile(text, "snippet", "exec"), {"__name__": "snippet"})
    finally:
        DATASETS.clear()
        DATASETS.update(known)


@pytest.mark.parametrize("text", fenced("yaml"))
def test_every_yaml_snippet_is_part_of_a_config(text, working_folder):
    part = yaml.safe_load(text)
    whole = yaml.safe_load((working_folder / "run.yaml").read_text()) | part
    (working_folder / "whole.yaml").write_text(yaml.safe_dump(whole))
    made = read("hrdepth train --config whole.yaml")
    assert isinstance(made, TrainConfig)
    assert holds(made, part)


def holds(made, part):
    """Whether a config, or a part of it, has the values that YAML gives."""
    if isinstance(part, dict):
        return all(holds(made[key] if isinstance(made, dict) else getattr(made, key), part[key]) for key in part)
    if isinstance(part, list):
        return len(made) == len(part) and all(map(holds, made, part))
    return made == part or made == type(made)(part)  # YAML reads 1e-3 as text


@pytest.mark.parametrize("line", ["hrdepth predict a.jpg --wieghts b", "hrdepth trian", "hrdepth report"])
def test_a_wrong_command_is_detected(line, working_folder):
    with pytest.raises((AssertionError, InputError)):
        read(line)


def test_snippets_are_found():
    assert len(commands()) > 60
    assert len(fenced("python")) > 10
