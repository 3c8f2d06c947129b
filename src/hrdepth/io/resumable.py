"""Resume work that was interrupted, if its settings are still the same.

Long work writes a JSON record of its settings before it begins; `resume` compares it with those of now.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hrdepth.errors import InputError

__all__ = ["resume"]

log = logging.getLogger(__name__)

SHORT = 24  # characters of a value that is worth showing


def resume(record: Path, settings: Mapping[str, Any], *, overwrite: bool = False) -> dict[str, Any] | None:
    """Read the record of work that was begun with the same settings.

    Args:
        record: the JSON file that was written when the work began.
        settings: what decides on the results, JSON-able; compared with the record's values of the same names.
        overwrite: begin anew instead of refusing.

    Returns:
        The record; None if `overwrite` lets the work begin anew.

    Raises:
        InputError: there is no record, it is damaged, or its settings differ, which are named.

    Example:
        >>> import tempfile
        >>> record = Path(tempfile.mkdtemp()) / "manifest.json"
        >>> _ = record.write_text('{"size": [192, 640], "fit": "crop", "complete": false}')
        >>> resume(record, {"size": (192, 640), "fit": "crop"})["complete"]
        False
    """
    try:
        content: dict[str, Any] = json.loads(record.read_text(encoding="utf-8"))
        before = {name: content.get(name) for name in settings}
    except FileNotFoundError:
        why = f"{record.parent} has no {record.name} that says how its content was made"
    except (OSError, ValueError, AttributeError) as error:
        why = f"{record} is damaged ({error!r})"
    else:
        differing = list(_differing(before, json.loads(json.dumps(settings))))  # tuples as lists, as they are read
        if not differing:
            log.info("resuming from %s", record)
            return content
        why = f"{record} was written with other settings ({', '.join(differing)})"
    if not overwrite:
        raise InputError(f"{why}; choose another folder, or pass --overwrite true to begin anew")
    log.info("%s; beginning anew", why)
    return None


def _differing(before: Mapping[str, Any], now: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the names of settings that differ, with their values where they are short enough to read."""
    for name in dict.fromkeys([*now, *before]):
        old, new, full_name = before.get(name), now.get(name), f"{prefix}{name}"
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differing(old, new, f"{full_name}.")
        elif old != new:
            values = [json.dumps(value) for value in (old, new)]
            shown = f" {values[0]}, now {values[1]}" if max(map(len, values)) <= SHORT else ""
            yield f"{full_name.removeprefix('settings.')}{shown}"
