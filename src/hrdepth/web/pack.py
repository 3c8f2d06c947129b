"""Write a network as a static page that a browser runs without a server: `hrdepth pack NET --web FOLDER`."""

from __future__ import annotations

import gzip
import hashlib
import html
import json
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import hrdepth
from hrdepth.config import PackConfig
from hrdepth.errors import InputError, require
from hrdepth.inference.runtimes.source import Description, open_source
from hrdepth.io import visualize
from hrdepth.io.files import output_folder, parse_json, write_bytes
from hrdepth.web.onnxruntime_web import WEBGPU, runtime_files
from hrdepth.web.serve import ISOLATION, POLICY
from hrdepth.weights.find import bundled_graph, locate_weights, read_metadata

__all__ = ["PageReport", "pack_page"]

PAGE = Path(__file__).with_name("page")
STREETS = Path(__file__).parents[1] / "app" / "examples"
# The rendered streets of the page, and their focal length in widths (`synthetic.rendering`).
EXAMPLES, EXAMPLE_FOCAL = ("street-1.jpg", "street-2.jpg"), 0.58
NETWORK = "network.onnx.gz"


@dataclass(frozen=True)
class PageReport:
    """What was written.

    Attributes:
        path: the folder.
        size: bytes of what a browser without WebGPU fetches.
        webgpu: bytes that browsers with WebGPU fetch instead of WebAssembly's.
    """

    path: Path
    size: int
    webgpu: int

    def __str__(self) -> str:
        return (
            f"{self.path}: {self.size / 1e6:.1f} MB, and {self.webgpu / 1e6:.1f} MB for browsers with WebGPU; "
            f"try it: hrdepth serve {self.path}"
        )


def pack_page(config: PackConfig) -> PageReport:
    """Write the page's folder.

    Raises:
        InputError: the weights cannot be read, give no depth or do not suit a browser, ONNX Runtime Web cannot be had,
            or the folder has files already.
    """
    assert config.web is not None
    source = locate_weights(config.weights)
    graph, description = _graph(source)
    description.scale.check_depth()  # the page shows depth
    files = {f"runtime/{name}": content for name, content in runtime_files(config.runtime).items()}
    files[NETWORK] = gzip.compress(graph, mtime=0)
    files["colours.bin"] = np.load(Path(visualize.__file__).with_name("colour_maps.npy")).tobytes()
    files |= {f"examples/{name}": (STREETS / name).read_bytes() for name in EXAMPLES}
    about = _about(config, source, description)
    about["bytes"] = {name: len(content) for name, content in files.items() if name.endswith(".gz")}
    files["page.json"] = json.dumps(about, indent=2).encode()
    files |= {path.name: path.read_bytes() for path in sorted(PAGE.iterdir()) if path.name != "service.js"}
    webgpu = sum(len(files[f"runtime/{name}"]) for name in WEBGPU)
    size = f"{(sum(map(len, files.values())) - webgpu) / 1e6:.0f}"
    files["index.html"] = _filled("index.html", policy=POLICY, name=html.escape(about["name"]), megabytes=size)
    version = hashlib.sha256(b"".join(hashlib.sha256(files[name]).digest() for name in sorted(files)))
    shell = ["./", *(name for name in files if not name.startswith("runtime/") and name != NETWORK)]
    headers = json.dumps({**ISOLATION, "Content-Security-Policy": POLICY})
    files["service.js"] = _filled("service.js", headers=headers, version=version.hexdigest(), shell=json.dumps(shell))
    folder = output_folder(config.web, overwrite=config.overwrite)
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_bytes(folder / name, content)
    return PageReport(folder, sum(map(len, files.values())) - webgpu, webgpu)


def _filled(file: str, **values: str) -> bytes:
    """Return a file of the page with its {{marks}} replaced."""
    text = (PAGE / file).read_text(encoding="utf-8")
    for mark, value in values.items():
        text = text.replace("{{" + mark + "}}", value)
    return text.encode()


def _graph(source: Path) -> tuple[bytes, Description]:
    """Return the network as an ONNX file that takes images in [0,1] and gives disparity."""
    if source.suffix not in (".onnx", ".safetensors"):
        raise InputError(f"{source} cannot run in a browser; give an .onnx file, or the weights (.safetensors)")
    opened = open_source(source) if source.suffix == ".onnx" or bundled_graph(source) is not None else None
    if opened is None or opened.graph is None:
        return _exported(source)
    described = opened.description
    if described.output != "disparity" or described.mean is not None:
        raise InputError(
            f"{source} was exported with --depth or --no_normalisation; export it without, or give weights"
        )
    return opened.graph.read_bytes(), described


def _exported(source: Path) -> tuple[bytes, Description]:
    checkpoint = require("hrdepth.weights.checkpoint", "train", f"reading {source} needs").read_checkpoint(source)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        require("hrdepth.inference.bundle", "train", "making an ONNX file needs").write_graph(checkpoint, path)
        return path.read_bytes(), Description.of(checkpoint)


def _about(config: PackConfig, source: Path, description: Description) -> dict[str, Any]:
    """Return what the page needs to know about the network."""
    card = parse_json(read_metadata(source).get("card") or "{}")
    return {
        "name": config.name or source.stem,
        "version": hrdepth.__version__,
        "licence": config.licence or description.licence,
        "terms": card.get("terms"),
        "scale": description.scale.as_dict(),
        "size": description.size,
        "stride": description.stride,
        "fixed": description.fixed,
        "examples": [{"file": f"examples/{name}", "focal": EXAMPLE_FOCAL} for name in EXAMPLES],
    }
