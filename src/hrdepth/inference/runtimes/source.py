"""The source of a runtime: a network in memory or a file, with its description. PyTorch is not needed."""

from __future__ import annotations

import hashlib
import json
import logging
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from hrdepth.camera import DepthScale, LearnedCamera
from hrdepth.errors import MALFORMED, InputError, require
from hrdepth.inference.runtimes.openvino_core import shared_core
from hrdepth.io.arrays import check_checksums
from hrdepth.io.files import existing_file, file_sha256, parse_json, regular_file
from hrdepth.io.onnx_file import read_onnx, read_onnx_metadata
from hrdepth.weights.find import announce_licence, bundled_graph, read_cameras, read_metadata, stated_size

if TYPE_CHECKING:
    from hrdepth.weights.checkpoint import Checkpoint

__all__ = [
    "CONTENT",
    "FACTS_FILE",
    "SUFFIXES",
    "TENSORS",
    "UNSEALED",
    "Description",
    "Source",
    "export_files",
    "open_source",
    "read_description",
    "seal",
]

log = logging.getLogger(__name__)

# Exported files and the runtime that each is for.
SUFFIXES = {".onnx": "onnxruntime", ".xml": "openvino", ".pt2": "pytorch"}
# Prefix of keys in the files' metadata, to avoid conflicts with other tools.
PREFIX = "hrdepth_"
# What the metadata of exported files may say, the default first.
EXPORTED = {"precision": ("float32", "int8"), "output": ("disparity", "depth")}
# Where files of `torch.export` have them.
FACTS_FILE = "hrdepth.json"
# Where the ONNX file beside bundled weights has the hash of the tensors that it was made from.
TENSORS = f"{PREFIX}tensors_sha256"
CONTENT = f"{PREFIX}content"
SEAL = "hrdepth-sha256:"
UNSEALED = SEAL + 64 * "0"
"""The value of `CONTENT` in a file's metadata, until `seal` puts the hash of all files of the export in its place."""


@dataclass(frozen=True)
class Description:
    """The description in an exported file's metadata.

    Attributes:
        network: name and options.
        size: (height, width) of the graph, or of training if it accepts any size.
        fixed: the graph accepts only that size.
        stride: what height and width must be multiples of.
        scale: what disparity means.
        output: `disparity` in (0,1), or `depth`: metres where metres_per_unit is known, else network units.
        mean: None where the graph takes images in [0,1]; else what the caller subtracts first, and
        std: divides by.
        precision: of the file: `float32` or `int8`.
        licence: of the weights, as far as known.
        provenance: how the weights and the file came about.
    """

    network: dict[str, Any] = field(default_factory=dict)
    size: tuple[int, int] = (192, 640)
    fixed: bool = False
    stride: int = 32
    scale: DepthScale = field(default_factory=DepthScale)
    output: str = "disparity"
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
    precision: str = "float32"
    licence: str | None = None
    provenance: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, checkpoint: Checkpoint) -> Description:
        """Describe a weights file."""
        config, network = checkpoint.network_config, checkpoint.network
        return cls(
            {"name": config.name, "options": {k: v for k, v in config.options.items() if k != "weights"}},
            checkpoint.size,
            stride=network.stride,
            scale=network.scale,
            licence=checkpoint.licence or checkpoint.provenance.get("licence"),
            provenance=checkpoint.provenance,
        )

    def metadata(self) -> dict[str, str]:
        """Return it as text for a file's metadata: JSON values."""
        facts = self.scale.as_dict() | {key: value for key, value in asdict(self).items() if key != "scale"}
        return {PREFIX + name: json.dumps(value) for name, value in facts.items()}

    @classmethod
    def read(cls, metadata: Mapping[str, str], path: Path) -> Description:
        """Read it from a file's metadata.

        Raises:
            InputError: the file was not exported by this package, or its metadata is damaged.
        """
        names = {one.name for one in fields(cls)}
        found = {key.removeprefix(PREFIX): value for key, value in metadata.items() if key.startswith(PREFIX)}
        if not found:
            raise InputError(f"{path} was not written by `hrdepth export`; export the weights again")
        try:
            values = {name: parse_json(value) for name, value in found.items() if name in names}
            for name in ("size", "mean", "std"):
                values[name] = tuple(values[name]) if values.get(name) is not None else None
            height, width = stated_size([*values.pop("size")], 2**25)
            if type(values.get("stride", 1)) is not int or not values.get("stride", 1) > 0:
                raise TypeError(f"stride is {values['stride']!r:.40}")
            for name, known in EXPORTED.items():
                if values.get(name, known[0]) not in known:
                    raise ValueError(f"{name} is {values[name]!r:.40}, not {' or '.join(known)}")
            for name in ("mean", "std"):
                _check_channels(name, values[name])
            scale = {one.name: parse_json(found[one.name]) for one in fields(DepthScale) if one.name in found}
            return cls(size=(int(height), int(width)), scale=DepthScale(**scale), **values)
        except MALFORMED as error:
            raise InputError(f"the metadata of {path} is damaged ({error}); export the weights again") from error

    def disparity(self, output: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert the graph's output to disparity in (0,1)."""
        if self.output != "depth":
            return output
        low, high = 1 / self.scale.max_depth, 1 / self.scale.min_depth
        return np.asarray((self.depth_unit / output - low) / (high - low), dtype=np.float32)

    @property
    def depth_unit(self) -> float:
        """The unit of the graph's depth in network units: metres if they are known."""
        return 1.0 if self.scale.metres_per_unit is None else self.scale.metres_per_unit


def _check_channels(name: str, values: tuple[Any, ...] | None) -> None:
    """Raise `ValueError` unless there are none, or three finite numbers; those of `std` are positive."""
    if values is None:
        return
    if len(values) != 3 or not all(type(value) in (int, float) and abs(value) < np.inf for value in values):
        raise ValueError(f"{name} is {values!r:.40}, not three numbers")
    if name == "std" and min(values) <= 0:
        raise ValueError(f"{name} is {values!r:.40}, not positive")


@dataclass(frozen=True)
class Source:
    """A network in memory, or a file, read once.

    Attributes:
        description: what is known about it.
        network: the depth network in PyTorch; None for an exported file, and for weights with a `graph`.
        path: of the file; None for a network that came from none.
        suffix: of an exported file; "" for a network.
        program: of an OpenVINO or `torch.export` file, as read by its library; each runtime loads ONNX itself.
        sha256: of the file.
        cameras: whose intrinsics were learned with the weights.
        graph: an ONNX file of the network: the exported file itself, or the one beside bundled weights.
    """

    description: Description
    network: Any = None
    path: Path | None = None
    suffix: str = ""
    program: Any = None
    sha256: str | None = None
    cameras: tuple[LearnedCamera, ...] = ()
    graph: Path | None = None

    def load_network(self) -> Any:
        """Return the depth network in PyTorch, read from the weights file where that has not happened yet."""
        if self.network is not None:
            return self.network
        assert self.path is not None
        return _checkpoint(self.path).network

    def __reduce__(self) -> Any:
        """Pickle the name of the file, if there is one: what it is unpickled in opens it again."""
        if self.path is None:
            return super().__reduce__()
        return partial(open_source, trust=True), (self.path.absolute(),)  # it was opened here


def open_source(weights: Any, *, trust: bool = False) -> Source:
    """Open a weights file, an exported file, or use a network as it is.

    Args:
        weights: a path, or a depth network (contract 1).
        trust: also open a .pt2 file, which can run code.

    Raises:
        InputError: the file is missing, damaged, of another kind, or could run code and `trust` is false; or weights
            need PyTorch, which is not installed.
    """
    if not isinstance(weights, str | Path):
        return Source(Description(stride=int(getattr(weights, "stride", 32)), scale=DepthScale.of(weights)), weights)
    path = existing_file(weights, "the weights file")
    if path.suffix not in SUFFIXES:
        return _bundled(path) or _weights(path)
    if path.suffix == ".pt2" and not trust:
        raise InputError(
            f"{path} is a file of torch.export, which can run any code when it is opened; if you know where it comes "
            "from, open it with --trust (in Python trust=True), or use .onnx or .safetensors instead"
        )
    if path.suffix in (".onnx", ".xml") and not trust:
        check_seal(export_files(path))
    program, metadata = _READERS[path.suffix](path)
    described = Description.read(metadata, path)
    announce_licence(path, described.licence)
    graph = path if path.suffix == ".onnx" else None
    return Source(described, None, path, path.suffix, program, file_sha256(path), graph=graph)


def export_files(path: Path) -> list[Path]:
    """Return the files of an export: the weights before the graph that needs them."""
    return [path.with_suffix(".bin"), path] if path.suffix == ".xml" else [path]


def seal(files: Sequence[Path]) -> None:
    """Write the hash of an export's files into the last one, whose metadata has `UNSEALED`."""
    content = files[-1].read_bytes()
    sealed = (SEAL + _content_sha256(files)[0]).encode()
    files[-1].write_bytes(content.replace(UNSEALED.encode(), sealed, 1))


def check_seal(files: Sequence[Path]) -> None:
    """Check an export's files against the hash in the last one; those of earlier versions have none.

    Raises:
        InputError: they are not as they were exported.
    """
    try:
        found, stored = _content_sha256(files)
    except OSError:  # reading it says what is missing
        return
    if stored not in (None, found):
        raise InputError(
            f"{files[-1]} is not as it was exported: it is damaged, another program changed it, or the file beside it "
            "is another's; export the weights again, or pass --trust (in Python trust=True)"
        )


def _content_sha256(files: Sequence[Path]) -> tuple[str, str | None]:
    """Return the hash of the files, without the one in the last of them; and that one, or None."""
    digest = hashlib.sha256()
    for file in files[:-1]:
        digest.update(file.read_bytes())
    content = regular_file(files[-1]).read_bytes()
    place, stored = content.find(SEAL.encode()), None
    if place >= 0:
        end = place + len(UNSEALED)
        stored = content[place + len(SEAL) : end].decode("ascii", "replace")
        content = content[:place] + UNSEALED.encode() + content[end:]
    digest.update(content)
    return digest.hexdigest(), stored


def _bundled(path: Path) -> Source | None:
    """Open bundled weights by the ONNX file beside them, without PyTorch; None where there is none of these tensors."""
    graph = bundled_graph(path)
    if graph is None:
        return None
    header, metadata = read_metadata(path), read_onnx_metadata(graph)
    if metadata.get(TENSORS) != header.get("sha256"):
        log.warning("%s was made from other weights than %s and is not used; remake it: make bundle", graph, path.name)
        return None
    described = Description.read(metadata, graph)
    card = parse_json(header.get("card") or "{}")
    announce_licence(path, described.licence, card.get("terms"))
    return Source(described, None, path, sha256=file_sha256(path), cameras=read_cameras(header, path), graph=graph)


def _weights(path: Path) -> Source:
    found = _checkpoint(path)
    return Source(Description.of(found), found.network, path, sha256=found.file_sha256, cameras=found.cameras)


def _checkpoint(path: Path) -> Checkpoint:
    checkpoint = require("hrdepth.weights.checkpoint", "train", f"reading {path} needs")
    found: Checkpoint = checkpoint.read_checkpoint(path)
    return found


def read_description(path: Path) -> Description:
    """Read what an exported file holds, without its graph; nothing in it is run.

    Raises:
        InputError: the file is damaged, or was not written by this package.
    """
    if path.suffix != ".pt2":
        return open_source(path).description
    try:
        with zipfile.ZipFile(regular_file(path)) as archive:
            [name] = [name for name in archive.namelist() if name.endswith(f"extra/{FACTS_FILE}")]
            metadata = parse_json(archive.read(name))
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is damaged, or was not written by `hrdepth export` ({error})") from error
    return Description.read(metadata, path)


def _read_openvino(path: Path) -> tuple[Any, dict[str, str]]:
    require("openvino", "openvino", f"reading {path} needs")
    try:
        model = shared_core().read_model(path)
    except RuntimeError as error:
        beside = "" if path.with_suffix(".bin").is_file() else f"; {path.stem}.bin is missing"
        raise InputError(f"{path} is damaged or not a model of OpenVINO{beside} ({str(error)[:200]})") from error
    if not model.has_rt_info(["hrdepth"]):
        return model, {}
    try:
        facts = model.get_rt_info(["hrdepth"]).value
        return model, {key: str(getattr(value, "value", value)) for key, value in facts.items()}
    except (*MALFORMED, RuntimeError) as error:
        raise InputError(f"the metadata of {path} is damaged ({error}); export the weights again") from error


def _read_torch_export(path: Path) -> tuple[Any, dict[str, str]]:
    library = require("torch.export", "train", f"reading {path} needs")
    extra: dict[str, Any] = {FACTS_FILE: ""}
    try:
        check_checksums(path)
        program = library.load(path, extra_files=extra)
    except Exception as error:  # a damaged archive raises many kinds
        raise InputError(f"{path} is damaged or not a file of torch.export ({error})") from error
    return program, parse_json(extra[FACTS_FILE]) if extra[FACTS_FILE] else {}


_READERS: dict[str, Callable[[Path], tuple[Any, dict[str, str]]]] = {
    ".onnx": lambda path: (None, read_onnx(path)),
    ".xml": _read_openvino,
    ".pt2": _read_torch_export,
}
