"""Tests of docs/adding.md.

docs/adding.md is enough: its examples, added to a copy of the package as it says, pass the contract tests.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (src/hrdepth/\S+\.py)\n(.*?)```", PAGE, re.DOTALL))
LINES = re.findall(r'^The line: `("(\w+)": .*?,)` in `(\w+)` \(\[[^\]]*\]\(\.\./([^)]+)\)\)', PAGE, re.MULTILINE)
# Where each registry's members are tested.
CONTRACTS = {
    "NETWORKS": ("test_networks", "test_exports"),
    "DATASETS": ("test_datasets",),
    "OBJECTIVES": ("test_objectives",),
    "GROUND_TRUTHS": ("test_ground_truths",),
    "OUTPUTS": ("test_outputs",),
    "COMMANDS": ("test_commands",),
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """A copy of the package with the page's files, and its lines with their imports."""
    source = tmp_path_factory.mktemp("copy") / "src"
    shutil.copytree(ROOT / "src" / "hrdepth", source / "hrdepth", ignore=shutil.ignore_patterns("__pycache__"))
    for (name, content), (line, _, registry, file) in zip(FILES.items(), LINES, strict=True):
        assert not (source.parent / name).exists()
        (source.parent / name).write_text(content, encoding="utf-8")
        defined = re.findall(r"^(?:class|def) (\w+)", content, re.MULTILINE)
        [member] = [word for word in re.findall(r"\w+", line.partition(":")[2]) if word in defined]
        module = name.removeprefix("src/").removesuffix(".py").replace("/", ".")
        text = (source.parent / file).read_text(encoding="utf-8")
        text = text.replace("import annotations\n", f"import annotations\n\nfrom {module} import {member}\n", 1)
        text, count = re.subn(rf"^({registry}\b[^=\n]*= {{\n)", rf"\1    {line}\n", text, flags=re.MULTILINE)
        assert count == 1
        (source.parent / file).write_text(text, encoding="utf-8")
    return source


def test_the_page_has_a_file_and_a_line_for_each_registry():
    assert [registry for _, _, registry, _ in LINES] == list(CONTRACTS)
    assert len(FILES) == len(LINES)


@pytest.mark.slow
def test_the_contract_tests_pass_with_the_added_toys(package, tmp_path):
    names = [name for _, name, _, _ in LINES]
    results = tmp_path / "results.xml"
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", f"--junitxml={results}"]
    modules = [str(ROOT / "tests" / "contracts" / f"{name}.py") for tests in CONTRACTS.values() for name in tests]
    command += ["-k", " or ".join(names), *modules]
    environment = os.environ | {"PYTHONPATH": str(package)}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-2000:]
    passed = {
        (case.get("classname").rpartition(".")[2], case.get("name"))
        for case in ElementTree.parse(results).iter("testcase")
        if case.find("skipped") is None
    }
    for _, name, registry, _ in LINES:
        for module in CONTRACTS[registry]:
            found = [test for file, test in passed if file == module and re.search(rf"\[{name}\b", test)]
            assert len(found) >= 2, f"{module} was not run over {name}"


def test_the_new_output_and_command_are_on_the_command_line(package, tmp_path):
    shutil.copy(ROOT / "src" / "hrdepth" / "app" / "examples" / "street-1.jpg", tmp_path / "street.jpg")
    environment = os.environ | {"PYTHONPATH": str(package)}

    def hrdepth(*arguments):
        command = [sys.executable, "-m", "hrdepth.cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True).stdout

    width, height = map(int, hrdepth("size", "street.jpg").split("x"))
    assert int(hrdepth("size", "street.jpg", "--total")) == width * height
    assert "size" in hrdepth("--help")
    hrdepth("predict", "street.jpg", "--out", "out", "--runtime", "onnxruntime", "--write", "contours")
    assert (tmp_path / "out" / "street_contours.png").stat().st_size > 0
