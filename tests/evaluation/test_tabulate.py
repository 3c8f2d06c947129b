"""Several results in one table."""

import json

import numpy as np
import pytest

from hrdepth.cli import main
from hrdepth.config import TabulateConfig
from hrdepth.errors import InputError
from hrdepth.evaluation import METRICS
from hrdepth.evaluation.tabulate import tabulate


def result(folder, value, **more):
    folder.mkdir()
    content = {"metrics": dict.fromkeys(METRICS, value), "protocol": {"crop": "garg"}, "ground_truth": "laser"}
    (folder / "metrics.json").write_text(json.dumps({**content, "images": 3, **more}))
    return str(folder)


def test_seeds_in_one_row(tmp_path, capsys):
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
    assert cell.replace("±", r"$\pm$") in out.read_text()


def test_results_that_do_not_go_together(tmp_path):
    one, many = result(tmp_path / "one", 0.1), result(tmp_path / "many", 0.1, images=4)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "metrics.json").write_text("{}")
    for results, hint in [
        ([one, many], "differ in images"),
        ([one, one], "the same name"),
        ([f"a={tmp_path / 'none'}"], "does not exist"),
        ([str(tmp_path / "bad")], "damaged"),
        (["a="], "must read NAME=FOLDER"),
        ([], "give results"),
    ]:
        with pytest.raises(InputError, match=hint):
            tabulate(TabulateConfig(results))
