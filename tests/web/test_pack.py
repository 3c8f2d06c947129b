"""Tests of web/pack.py: the folder."""

import gzip
import json
import re

import pytest

from hrdepth.cli import main
from hrdepth.config import ExportConfig, PackConfig
from hrdepth.errors import InputError
from hrdepth.inference.export import export
from hrdepth.inference.runtimes.source import Description, read_onnx_metadata
from hrdepth.web.onnxruntime_web import WEBGPU
from hrdepth.web.pack import pack_page
from hrdepth.web.serve import POLICY
from hrdepth.weights.find import bundled_graph, locate_weights


def test_the_folder_of_the_bundled_network_is_small_and_complete(street):
    files = {str(path.relative_to(street)): path.stat().st_size for path in street.rglob("*") if path.is_file()}
    webgpu = sum(files[f"runtime/{name}"] for name in WEBGPU)
    assert sum(files.values()) - webgpu < 25e6
    assert {"index.html", "page.js", "worker.js", "service.js", "page.json", "network.onnx.gz"} < set(files)
    assert (street / "runtime" / "LICENSE").read_text().startswith("MIT License")
    graph = bundled_graph(locate_weights("street"))
    assert gzip.decompress((street / "network.onnx.gz").read_bytes()) == graph.read_bytes()
    about = json.loads((street / "page.json").read_text())
    described = Description.read(read_onnx_metadata(graph), graph)
    assert (about["scale"]["metres_per_unit"], tuple(about["size"])) == (
        described.scale.metres_per_unit,
        described.size,
    )
    assert about["licence"] == described.licence
    assert about["bytes"]["network.onnx.gz"] == files["network.onnx.gz"]


def test_nothing_in_the_page_names_another_host(street):
    for path in [*street.glob("*.js"), *street.glob("*.html"), *street.glob("*.css")]:
        text = path.read_text()
        assert not re.search(r"https?://|//[a-z]+\.", text), path
        assert "{{" not in text, path
    assert f'content="{POLICY}"' in (street / "index.html").read_text()
    assert "unsafe-inline" not in POLICY
    assert "<script>" not in (street / "index.html").read_text()


@pytest.fixture(scope="module")
def exported(small, tmp_path_factory):
    """The small network as an ONNX file of one size."""
    path = tmp_path_factory.mktemp("exported") / "net.onnx"
    export(ExportConfig(str(small[1]), str(path), size=(64, 96)))
    return path


def test_the_service_worker_changes_with_any_file(exported, tmp_path):
    versions = set()
    for name in ("one", "other"):
        pack_page(PackConfig(str(exported), web=str(tmp_path / name), name=name))
        versions.add(re.search(r'VERSION = "(\w{64})"', (tmp_path / name / "service.js").read_text())[1])
    assert len(versions) == 2


def test_weights_and_page_are_written_by_one_command(small, tmp_path, capsys):
    _, weights = small
    arguments = ["pack", weights, "--out", tmp_path / "packed.safetensors", "--web", tmp_path / "page"]
    assert main([str(argument) for argument in arguments]) == 0
    assert (tmp_path / "packed.safetensors").is_file()
    assert (tmp_path / "page" / "index.html").is_file()
    assert "hrdepth serve" in capsys.readouterr().out
    assert main([str(argument) for argument in arguments[:2] + arguments[4:]]) == 2
    assert "page" in capsys.readouterr().err


def test_an_exported_file_gives_a_page_of_its_size(exported, tmp_path):
    pack_page(PackConfig(str(exported), web=str(tmp_path / "page")))
    about = json.loads((tmp_path / "page" / "page.json").read_text())
    assert (about["size"], about["fixed"]) == ([64, 96], True)


def test_what_a_browser_cannot_run_is_refused(small, tmp_path, capsys):
    _, weights = small
    export(ExportConfig(str(weights), str(tmp_path / "net.onnx"), depth=True))
    with pytest.raises(InputError, match="was exported with --depth"):
        pack_page(PackConfig(str(tmp_path / "net.onnx"), web=str(tmp_path / "page")))
    (tmp_path / "net.pt2").write_bytes(b"")
    with pytest.raises(InputError, match=r"net.pt2 cannot run in a browser; give an .onnx file"):
        pack_page(PackConfig(str(tmp_path / "net.pt2"), web=str(tmp_path / "page")))
    assert not (tmp_path / "page").exists()
    assert main(["pack", str(weights)]) == 2
    assert "--out, or a folder for a page with --web" in capsys.readouterr().err
