"""Options, keys and files by the names that earlier versions gave them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["EARLIER_FOLDER", "RENAMED", "current_name", "note_name", "rename_keys"]

log = logging.getLogger(__name__)

# Options and keys of earlier versions and their present names.
RENAMED = {
    "pictures": "images",
    "picture_size": "image_size",
    "eyes": "folders",
    "hold_depth_steps": "freeze_depth_steps",
    "hold_steps": "freeze_steps",
    "elsewhere": "unhinted_weight",
    "everywhere": "other_with_depth",
}
# In earlier versions recipes, and the lists of frames that they name, were in this folder.
EARLIER_FOLDER, EARLIER_LISTS = "configs/", "configs/splits/"


def current_name(name: str) -> str:
    """Return the present name of an option or key; log once that an earlier one was used."""
    if name in RENAMED:
        note_name(name, RENAMED[name])
    return RENAMED.get(name, name)


def rename_keys(settings: Any) -> Any:
    """Return settings with the present names of all keys and of the recipes' lists of frames."""
    if isinstance(settings, Mapping):
        return {
            current_name(key) if isinstance(key, str) else key: rename_keys(value) for key, value in settings.items()
        }
    if isinstance(settings, list):
        return [rename_keys(value) for value in settings]
    if isinstance(settings, str) and settings.startswith(EARLIER_LISTS) and not Path(settings).exists():
        return settings.removeprefix(EARLIER_FOLDER)
    return settings


@cache  # once for each name
def note_name(name: str, present: str) -> None:
    """Log that something is now called otherwise."""
    log.warning("%s is now called %s", name, present)
