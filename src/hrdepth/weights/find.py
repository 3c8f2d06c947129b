"""Weights files by any name: bundled with the package, on disk, or on the Hugging Face Hub.

    weights/NAME.safetensors    bundled weights
    weights/NAME.onnx           the same network for ONNX Runtime and OpenVINO, made by `make bundle`
    weights/NAME.md             their card: data, terms, numbers, limits

Whatever lies here is bundled; there is no list to maintain. The package works without any.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from hrdepth.camera import LearnedCamera
from hrdepth.errors import MALFORMED, InputError, first_line, require
from hrdepth.io.files import existing_file, parse_json
from hrdepth.io.local_copies import fetched
from hrdepth.io.objects import is_url

__all__ = [
    "DEFAULT",
    "FOLDER",
    "MODEL_FILE",
    "SCHEME",
    "announce_licence",
    "bundled",
    "bundled_graph",
    "check_licence",
    "download",
    "locate_weights",
    "read_cameras",
    "read_metadata",
    "stated_size",
    "teacher_kind",
]

log = logging.getLogger(__name__)

# The bundled weights that are used where none are named; without them the first ones.
DEFAULT = "street"
FOLDER = Path(__file__).parent
# An SPDX identifier, or several: "Apache-2.0", "MIT OR CC-BY-4.0".
SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")

SCHEME = "hf://"
MODEL_FILE = "model.safetensors"  # as the Hub's repositories call it
ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^/]+))?(/(?P<file>.+))?")
# Of the size that a network was trained at: ten times those of the largest in the paper.
MOST_PIXELS = 2**22
# OpenVINO's weights lie beside the graph.
COMPANIONS = {".xml": ".bin"}

# Weights that are not the user's own: the names they were requested by, and those whose licence was announced.
_names: dict[Path, str] = {}
_announced: set[Path] = set()


def bundled() -> dict[str, Path]:
    """Return the weights files that came with the package, by name, the default first."""
    found = {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}
    return dict(sorted(found.items(), key=lambda item: item[0] != DEFAULT))


def bundled_graph(path: Path) -> Path | None:
    """Return the ONNX file beside bundled weights, which needs no PyTorch; None for other weights, or without one."""
    graph = path.with_suffix(".onnx")
    return graph if path.resolve().parent == FOLDER.resolve() and graph.is_file() else None


def teacher_kind(name: str) -> str:
    """Return which kind of teacher a name stands for, a key of `teachers.TEACHERS`."""
    path = Path(name)
    if path.suffix == ".onnx":
        return "onnx"
    if path.suffix == ".safetensors" or name.startswith(SCHEME) or name in bundled():
        return "weights"
    return "transformers" if (path / "config.json").is_file() or ("/" in name and not path.exists()) else "weights"


def locate_weights(source: str | Path | None = None) -> Path:
    """Find a weights file; nothing is read yet.

    Args:
        source: a file; a folder that `Predictor.save_pretrained` wrote; the name of bundled weights;
            `hf://OWNER/REPO[@REVISION][/FILE]` on the Hugging Face Hub; a URL of a store, such as
            `s3://BUCKET/FILE`; None for the bundled network.

    Raises:
        InputError: there is no such file; the sentence says what there is.
    """
    if source is None:
        return _find_bundled(next(iter(bundled()), DEFAULT))
    if is_url(source):
        source = fetched(str(source))
    if str(source).startswith(SCHEME):
        path = download(str(source))
        _names.setdefault(path, str(source))
        return path
    path = Path(source)
    if path.is_file():
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    if path.name == str(source) and not path.suffix and not path.exists():
        return _find_bundled(path.name)
    return existing_file(path, "the weights file")


def read_metadata(path: Path) -> dict[str, str]:
    """Read only the metadata of a weights file, JSON values; empty for a file of another format."""
    try:
        with safe_open(path, framework="numpy") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def read_cameras(metadata: Mapping[str, str], path: Path) -> tuple[LearnedCamera, ...]:
    """Return the cameras whose intrinsics were learned with the weights.

    Raises:
        InputError: the metadata is damaged.
    """
    try:
        return tuple(
            LearnedCamera(**{**row, "size": (int(row["size"][0]), int(row["size"][1]))})
            for row in parse_json(metadata.get("cameras") or "[]") or []
        )
    except MALFORMED as error:
        raise InputError(f"the metadata of the weights file {path} is damaged ({error})") from error


def announce_licence(path: Path, licence: str | None, terms: str | None = None) -> None:
    """Log once, when weights are read that are bundled or from the Hub, what they may be used for."""
    if path in _announced or path not in _names:
        return
    _announced.add(path)
    card = path.with_suffix(".md")
    # A warning, so that it is seen without any set-up of logging.
    log.warning(
        "weights '%s': licence %s%s%s",
        _names[path],
        licence or "not stated",
        f" ({terms})" if terms else "",
        f"; card: {card}" if card.is_file() else "",
    )


def check_licence(licence: str) -> str:
    """Return `licence` if it may be an SPDX expression.

    Raises:
        InputError: it may not.
    """
    if SPDX.fullmatch(licence) is None:
        raise InputError(
            f"the licence '{licence}' is no SPDX identifier, such as CC-BY-NC-SA-3.0 or Apache-2.0; "
            "https://spdx.org/licenses lists them"
        )
    return licence


def stated_size(size: Any, max_pixels: int = MOST_PIXELS) -> tuple[int, int]:
    """Return the (height, width) that a file's metadata states, in pixels.

    Args:
        size: as JSON holds it.
        max_pixels: pixels that are accepted.

    Raises:
        ValueError: it is no size, or one that would take gigabytes.
    """
    if not isinstance(size, list) or len(size) != 2 or not all(type(side) is int and side > 0 for side in size):
        raise ValueError(f"size is {size!r:.40}, not a height and a width")
    height, width = size
    if height * width > max_pixels:
        raise ValueError(f"size is {height}x{width}; at most {max_pixels / 1e6:.0f} million pixels are accepted")
    return height, width


def _find_bundled(name: str) -> Path:
    files = bundled()
    if name in files:
        _names.setdefault(files[name], name)
        return files[name]
    if not files:
        what = "this installation comes without weights"
        what += "" if name == DEFAULT else f", and the weights file {name} does not exist"
        raise InputError(f"{what}; name a weights file, such as --weights FILE.safetensors, or hf://OWNER/REPO")
    raise InputError(f"the weights file {name} does not exist; bundled: {', '.join(files)}")


def download(address: str) -> Path:
    """Return a file of the Hub, downloaded on first use and stored in the Hub's cache.

    Args:
        address: `hf://OWNER/REPO[@REVISION][/FILE]`; FILE is `model.safetensors` where it is left out.

    Raises:
        InputError: the address is none, the file is not there or may not be read, or the Hub cannot be reached.
    """
    match = ADDRESS.fullmatch(address)
    if match is None:
        raise InputError(
            f"{address} is no address on the Hugging Face Hub; write hf://OWNER/REPO or {SCHEME}OWNER/REPO/FILE"
        )
    repo, revision, file = match["repo"], match["revision"], match["file"] or MODEL_FILE
    library = hub_library()
    with hub_errors(address):
        path = Path(library.hf_hub_download(repo, file, revision=revision, library_name="hrdepth"))
        if companion := COMPANIONS.get(path.suffix):
            library.hf_hub_download(repo, str(Path(file).with_suffix(companion)), revision=revision)
    return path


def hub_library() -> Any:
    return require("huggingface_hub", "hub", "the Hugging Face Hub needs")


@contextmanager
def hub_errors(address: str) -> Iterator[None]:
    """Turn an error of a download from the Hub into one sentence."""
    from huggingface_hub import errors

    try:
        yield
    # Not found in the cache, while the Hub could not be reached: this one is an EntryNotFoundError too.
    except errors.LocalEntryNotFoundError as error:
        raise InputError(
            f"{address} is not in the cache, and the Hugging Face Hub cannot be reached; "
            "connect to the internet, or pass a local file"
        ) from error
    except (errors.GatedRepoError, errors.RepositoryNotFoundError) as error:
        raise InputError(
            f"{address}: the Hugging Face Hub has no such repository, or it is not open to you; check the name, or "
            "log in with `hf auth login`"
        ) from error
    except errors.RevisionNotFoundError as error:
        raise InputError(f"{address}: the repository has no such revision") from error
    except errors.EntryNotFoundError as error:
        raise InputError(f"{address}: the repository holds no such file; name one with hf://OWNER/REPO/FILE") from error
    except errors.HfHubHTTPError as error:
        raise InputError(f"{address}: the Hugging Face Hub refuses this ({first_line(error)})") from error
    except errors.HFValidationError as error:
        raise InputError(f"{address} is no name of a repository: {error}") from error
    # What is left is the connection's; its classes differ between versions of the library.
    except Exception as error:
        raise InputError(
            f"{address}: the Hugging Face Hub cannot be reached ({type(error).__name__}); "
            "connect to the internet, or pass a local file"
        ) from error
