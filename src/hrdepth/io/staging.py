"""Replace the URLs in a command's options by local copies while it runs; `main` does this for every command."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import fields, is_dataclass, replace
from typing import Any, TextIO

from hrdepth.config import TrainConfig
from hrdepth.errors import InputError
from hrdepth.io.local_copies import LocalCopy
from hrdepth.io.objects import is_url, plain_path
from hrdepth.io.parallel import repeated

__all__ = ["staged"]

log = logging.getLogger(__name__)

PUBLISH_SECONDS = 30.0
"""Between two publications while a command runs: the work that a lost machine costs, besides its last checkpoint."""
RANKS = ("RANK", "LOCAL_RANK", "NODE_RANK", "SLURM_PROCID")


@contextmanager
def staged(config: Any) -> Iterator[Any]:
    """Yield a command's config with local paths in place of URLs; publish what the command writes there.

    Data sets of kind `shards`, and commands that run on Ray, fetch what they need themselves.

    Args:
        config: a dataclass with URLs among its values, at any depth.

    Raises:
        InputError: a store cannot be read or written. Results that could not be published are in the local copy.
    """
    urls = list(dict.fromkeys(_urls(config)))
    if not urls:
        yield config
        return
    with ExitStack() as stack:
        copies = [stack.enter_context(LocalCopy(url)) for url in urls if not url.startswith("file://")]
        for copy in copies:
            copy.fetch()
        paths = {copy.url: str(copy.local) for copy in copies}
        paths |= {url: str(plain_path(url)) for url in urls if url.startswith("file://")}
        names = {path: url for url, path in paths.items()}
        if copies and not (isinstance(config, TrainConfig) and any(os.environ.get(r, "0") != "0" for r in RANKS)):
            stack.enter_context(_published(copies, names))
        stack.enter_context(redirect_stdout(_Renaming(sys.stdout, names)))
        try:
            yield _replaced(config, paths)
        except InputError as error:
            text = _renamed(str(error), names)
            raise InputError(text) if text != str(error) else error from error


@contextmanager
def _published(copies: list[LocalCopy], names: Mapping[str, str]) -> Iterator[None]:
    """Publish time and again, and at the end, also where it is an error or Ctrl-C."""

    def publish() -> None:
        for copy in copies:
            try:
                copy.publish(names)
            except (InputError, OSError) as error:
                log.warning("warning: %s; it is tried again", error)

    try:
        with repeated(publish, PUBLISH_SECONDS):
            yield
    finally:
        failed = []
        for copy in copies:
            try:
                count = copy.publish(names)
            except InputError as error:
                failed.append(f"{error}; what could not be published is in {copy.local}")
                continue
            if count:
                log.info("published %d files in %s", count, copy.url)
        if failed:
            raise InputError.several(failed)


def _urls(value: Any) -> Iterator[str]:
    """Yield the URLs in a config that are to be local, at any depth."""
    if is_url(value):
        yield value
    elif is_dataclass(value):
        on_ray = getattr(value, "ray", None) is not None
        if getattr(value, "dataset", None) != "shards":
            found = (url for field in fields(value) for url in _urls(getattr(value, field.name)))
            yield from (url for url in found if url.startswith("file://") or not on_ray)
    elif isinstance(value, Mapping):
        yield from (url for part in value.values() for url in _urls(part))
    elif isinstance(value, list | tuple):
        yield from (url for part in value for url in _urls(part))


def _replaced(value: Any, paths: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        return paths.get(value) or paths.get(value.rstrip("/"), value)
    if is_dataclass(value) and not isinstance(value, type):
        if getattr(value, "dataset", None) == "shards":
            return value
        new = {field.name: _replaced(getattr(value, field.name), paths) for field in fields(value) if field.init}
        return replace(value, **new)
    if isinstance(value, Mapping):
        return {key: _replaced(part, paths) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replaced(part, paths) for part in value)
    return value


def _renamed(text: str, names: Mapping[str, str]) -> str:
    for local, url in names.items():
        text = text.replace(local, url)
    return text


class _Renaming:
    """Standard output on which local copies have the names of their URLs."""

    def __init__(self, stream: TextIO, names: Mapping[str, str]) -> None:
        self._stream = stream
        self._names = names

    def write(self, text: str) -> int:
        return self._stream.write(_renamed(text, self._names))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
