"""What a long evaluation has measured so far: written at each step, so that the same command resumes there.

OUT/unfinished.json     settings that decide on the numbers, and what is measured; gone once the results are written
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hrdepth.config import GroundTruthConfig
from hrdepth.io.files import file_sha256, output_folder, resume, write_json

__all__ = ["UNFINISHED", "Unfinished", "data_digest"]

UNFINISHED = "unfinished.json"


class Unfinished:
    """What is measured already, by part, as JSON has it.

    Args:
        folder: of the results; None keeps nothing.
        settings: whatever decides on the numbers, JSON-able. What was measured with others is not resumed.
        results: names of files that are written in the end; where one is there already, it is another result.
        overwrite: begin anew where the folder holds something else.

    Raises:
        InputError: the folder holds results, or something unfinished of other settings, and `overwrite` is false; or
            it cannot be written.
    """

    def __init__(
        self, folder: str | Path | None, settings: Mapping[str, Any], results: Sequence[str], *, overwrite: bool = False
    ) -> None:
        self._settings: dict[str, Any] = json.loads(json.dumps(settings))  # tuples as lists, as they are read back
        self._measured: dict[str, Any] = {}
        self._file = None if folder is None else Path(folder) / UNFINISHED
        if self._file is None or folder is None:
            return
        finished = any((self._file.parent / name).exists() for name in results)
        output_folder(folder, overwrite=overwrite or (self._file.is_file() and not finished))
        if self._file.is_file():
            begun = resume(self._file, {"settings": self._settings}, overwrite=overwrite)
            self._measured = {} if begun is None else begun["measured"]

    def __getitem__(self, part: str) -> dict[str, Any]:
        """Return what is measured of a part; {} if nothing is."""
        found: dict[str, Any] = self._measured.get(part, {})
        return found

    def keep(self, part: str, measured: Mapping[str, Any]) -> None:
        """Keep what is measured of a part so far."""
        self._measured[part] = measured
        if self._file is not None:
            write_json(self._file, {"settings": self._settings, "measured": self._measured})

    def done(self) -> None:
        """Forget it: the results are written."""
        if self._file is not None:
            self._file.unlink(missing_ok=True)


def data_digest(config: GroundTruthConfig) -> str:
    """Return a hash of which images and true depth these are: settings, place and list."""
    settings = asdict(config)
    for name in ("root", "depths"):
        settings[name] = settings[name] and str(Path(settings[name]).resolve())
    if config.split is not None and Path(config.split).is_file():
        settings["split"] = file_sha256(config.split)
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()
