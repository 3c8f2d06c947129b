"""Weights files by any name: on board, on disk, or on the Hugging Face Hub.

    weights/NAME.safetensors    a network on board
    weights/NAME.md             its card: data, terms, numbers, limits

Whatever lies here is on board; there is no list to keep. The package works without any.
"""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from hrdepth.errors import InputError
from hrdepth.io.files import existing_file
from hrdepth.weights.hub import MODEL_FILE, SCHEME, download
from hrdepth.weights.tensor_files import read_metadata

__all__ = ["DEFAULT", "FOLDER", "check_licence", "on_board", "weights_file"]

log = logging.getLogger(__name__)

# The network that is taken where none is named; without it the first on board.
DEFAULT = "street"
FOLDER = Path(__file__).parent
# An SPDX identifier, or several: "Apache-2.0", "MIT OR CC-BY-4.0".
SPDX = re.compile(r"[A-Za-z0-9.+-]+( (AND|OR|WITH) [A-Za-z0-9.+-]+)*")
_announced: set[Path] = set()


def on_board() -> dict[str, Path]:
    """Return the weights files that came with the package, by name, the default first."""
    found = {path.stem: path for path in sorted(FOLDER.glob("*.safetensors"))}
    return dict(sorted(found.items(), key=lambda item: item[0] != DEFAULT))


def weights_file(source: str | Path | None = None) -> Path:
    """Find a weights file. The first use of one that is not the user's own says its licence in a line of the log.

    Args:
        source: a file; a folder that `Predictor.save_pretrained` wrote; the name of a network on board;
            `hf://OWNER/REPO[@REVISION][/FILE]` on the Hugging Face Hub; None for the network on board.

    Raises:
        InputError: there is no such file; the sentence says what there is.
    """
    if source is None:
        return _supplied(next(iter(on_board()), DEFAULT))
    if str(source).startswith(SCHEME):
        return _announce(download(str(source)), str(source))
    path = Path(source)
    if path.is_file():
        return path
    if (path / MODEL_FILE).is_file():
        return path / MODEL_FILE
    if path.name == str(source) and not path.suffix and not path.exists():
        return _supplied(path.name)
    return existing_file(path, "the weights file")


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


def _supplied(name: str) -> Path:
    there = on_board()
    if name in there:
        return _announce(there[name], name)
    if not there:
        what = "this installation comes without weights"
        what += "" if name == DEFAULT else f", and the weights file {name} does not exist"
        raise InputError(f"{what}; name a weights file, such as --weights FILE.safetensors, or hf://OWNER/REPO")
    raise InputError(f"the weights file {name} does not exist; on board: {', '.join(there)}")


def _announce(path: Path, name: str) -> Path:
    """Say once what the weights may be used for."""
    if path not in _announced:
        _announced.add(path)
        metadata = read_metadata(path)
        licence = _text(metadata, "licence") or "not stated"
        terms = _text(metadata, "card", "terms")
        card = path.with_suffix(".md")
        where = f"; card: {card}" if card.is_file() else ""
        # A licence is to be seen without any set-up of logging.
        log.warning("weights '%s': licence %s%s%s", name, licence, f" ({terms})" if terms else "", where)
    return path


def _text(metadata: dict[str, str], key: str, *rest: str) -> str | None:
    try:
        value = json.loads(metadata.get(key, "null"))
        for part in rest:
            value = value[part]
    except (ValueError, KeyError, TypeError):
        return None  # reading the weights will say what is wrong with the file
    return str(value) if value else None
