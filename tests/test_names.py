"""Tests of the names in all of src: one name means one thing."""

import ast
from collections import defaultdict
from pathlib import Path

import hrdepth

SRC = Path(hrdepth.__file__).parent
# A command is named as the function that it calls; servers of two pages, and two programs, are run alike.
ALIKE = {"main", "run", "serve"}


def test_no_two_public_classes_or_functions_have_one_name():
    places = defaultdict(list)
    for file in SRC.rglob("*.py"):
        where = file.relative_to(SRC)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                places[node.name] += [where] if where.parts[0] != "cli" else []
    assert {name: files for name, files in places.items() if len(files) > 1 and name not in ALIKE} == {}
