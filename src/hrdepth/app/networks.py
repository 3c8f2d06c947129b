"""The networks of the page: by name, in any available runtime, at any size, a few of them kept in memory."""

from __future__ import annotations

import re
from collections import OrderedDict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Lock

from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.inference.runtimes import RUNTIMES, SUFFIXES, default_runtime, unavailable
from hrdepth.inference.runtimes.device import find_device
from hrdepth.registry import lookup
from hrdepth.weights.find import SCHEME, bundled, bundled_graph, locate_weights

__all__ = ["AUTOMATIC", "SIZES", "Networks"]

AUTOMATIC = "automatic"
SIZES = (AUTOMATIC, "320x96", "640x192", "1024x320", "1280x384")
MOST_PIXELS = 2**21
MOST_PREDICTORS = 3


class Networks:
    """Predictors by name, runtime and size, made on first use.

    Args:
        weights: files, or other sources of `weights.locate_weights`; none for the bundled network.
        device: see `Predictor`.
        trust: see `Predictor.from_file`.

    Raises:
        InputError: a file is missing, or none is given and none is bundled.
    """

    def __init__(self, weights: Sequence[str | Path], device: str | None = None, *, trust: bool = False) -> None:
        self.device = device
        self._load: dict[str, Callable[..., Predictor]] = {}
        self._files: dict[str, Path] = {}
        sources: list[str | Path | None] = [*weights] or [*bundled()] or [None]
        for path in sources:
            file = locate_weights(path)
            name = str(path) if str(path).startswith(SCHEME) else file.stem
            name = name if name not in self._load else f"{file.parent.name}/{file.stem}"
            if name in self._load:
                raise InputError(f"two weights files are called {name}; rename one")
            self._load[name] = partial(Predictor.from_file, file, trust=trust)
            self._files[name] = file
        self._made: OrderedDict[tuple[str, str, str], Predictor] = OrderedDict()
        self._lock = Lock()

    @property
    def names(self) -> list[str]:
        """Names of the networks, the first is the default."""
        return list(self._load)

    def file(self, name: str) -> Path:
        """Return the weights file of a network."""
        return self._files[name]

    @property
    def runtimes(self) -> list[str]:
        """The available runtimes, the one for the first network first: the fastest, or an exported file's own."""
        available = [name for name in RUNTIMES if unavailable(name) is None]
        first = self._runtime_for(self.names[0])
        return sorted(available, key=lambda name: name != first)

    def predictor(self, name: str = "", runtime: str = "", size: str = "") -> Predictor:
        """Return a predictor; empty arguments take the defaults.

        Args:
            name: of `names`.
            runtime: of `runtimes`; by default the fastest, or the one that an exported file is for.
            size: "WIDTHxHEIGHT" of the network's input, or `AUTOMATIC`: the aspect of the image.

        Raises:
            InputError: one of them is unknown, or they do not fit together.
        """
        name = name or self.names[0]
        load = lookup(self._load, name, "network")
        runtime = runtime or self._runtime_for(name)
        lookup(dict.fromkeys(self.runtimes), runtime, "runtime")
        wanted = _parse(size)
        key = name, runtime, size if wanted else AUTOMATIC
        with self._lock:
            if key not in self._made:
                self._made[key] = load(size=wanted, device=self.device, runtime=runtime)
            self._made.move_to_end(key)
            while len(self._made) > MOST_PREDICTORS:
                self._made.popitem(last=False)
            return self._made[key]

    def _runtime_for(self, name: str) -> str:
        file = self._files[name]
        ready = bundled_graph(file) is not None
        return SUFFIXES.get(file.suffix) or default_runtime(find_device(self.device), ready=ready)


def _parse(size: str) -> tuple[int, int] | None:
    """Turn "640x192" into (192, 640)."""
    size = str(size)  # a program may send anything
    if size in ("", AUTOMATIC, "as trained"):  # the last is what earlier versions called it
        return None
    match = re.fullmatch(r"(\d{2,4})x(\d{2,4})", size)
    if match is None:
        raise InputError(f"the size '{size[:40]}' must be WIDTHxHEIGHT, such as 640x192, or '{AUTOMATIC}'")
    width, height = int(match[1]), int(match[2])
    if width * height > MOST_PIXELS:
        raise InputError(f"a network's input of {size} is too large for the page; use hrdepth predict")
    return height, width
