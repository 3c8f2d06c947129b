"""A run's folder in words: settings, environment, data, images that it drew."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hrdepth.config import DatasetConfig
from hrdepth.data.splits import read_split
from hrdepth.errors import MALFORMED, InputError
from hrdepth.io.files import last_parts
from hrdepth.io.run_folder import RunStatus, drawn_panels, read_run
from hrdepth.weights.find import locate_weights

__all__ = ["DataPart", "RunFolder"]


@dataclass(frozen=True)
class DataPart:
    """A data set of the mix, in words.

    Attributes:
        use: `training` or `validation`.
        name: the kind of data set.
        root: the last two parts of its folder.
        split: the last two parts of its list, or "" where it has every frame.
        lines: how many the list has; None where it is missing.
        weight: how often an epoch has each.
        options: other settings, in words.
    """

    use: str
    name: str
    root: str
    split: str
    lines: int | None
    weight: float
    options: str


@dataclass(frozen=True)
class RunFolder:
    """A folder that `hrdepth train` wrote.

    Attributes:
        folder: itself.
        status: settings, progress and curves.
    """

    folder: Path
    status: RunStatus

    @property
    def settings(self) -> dict[str, Any]:
        """Of the training, as config.yaml holds them."""
        return self.status.settings

    @property
    def about(self) -> dict[str, Any]:
        """Command, versions, samples and more, as run.json holds them."""
        return self.status.about

    @classmethod
    def read(cls, folder: str | Path) -> RunFolder:
        """Read it.

        Raises:
            InputError: it is no run's folder, or damaged.
        """
        folder = Path(folder)
        if not folder.is_dir():
            raise InputError(f"the run folder {folder} does not exist; name one that hrdepth train wrote")
        status = read_run(folder)
        settings = status.settings
        missing = [name for name in ("train", "validation", "objective", "size") if name not in settings]
        if missing:
            raise InputError(f"{folder / 'config.yaml'} has no {missing[0]}; it is not what hrdepth train wrote")
        run = cls(folder, status)
        try:
            _ = run.validation, run.parts, run.samples, run.frames, run.main_settings, run.environment
        except MALFORMED as error:
            raise InputError(f"config.yaml or run.json in {folder} is damaged ({str(error)[:200]})") from error
        return run

    @property
    def name(self) -> str:
        """Of the folder."""
        return self.folder.resolve().name

    def weights(self, given: str | None) -> Path:
        """Return the weights file to look at.

        Raises:
            InputError: there is none.
        """
        if given is not None:
            return locate_weights(given)
        found = [path for name in ("best", "last") if (path := self.folder / f"{name}.safetensors").is_file()]
        if not found:
            raise InputError(f"{self.folder} holds neither best.safetensors nor last.safetensors; give --weights")
        return found[0]

    @property
    def validation(self) -> list[DatasetConfig]:
        """The data sets that the run validates on."""
        return [DatasetConfig(**part) for part in self.settings["validation"]]

    @property
    def best_validation_loss(self) -> float | None:
        """The lowest validation loss, or None before the first validation."""
        return min((value for _, value in self.status.curves.get("validation loss", [])), default=None)

    @property
    def panels(self) -> list[Path]:
        """The first and the newest image that the run drew of itself, and that of the guard's stop."""
        drawn = drawn_panels(self.folder)
        stopped = self.folder / "panels" / "stopped.png"
        return [*dict.fromkeys(drawn[:1] + drawn[-1:]), *([stopped] if stopped.is_file() else [])]

    @property
    def result_folders(self) -> list[Path]:
        """Folders of the run that hold what `hrdepth evaluate --out` writes."""
        found = [*self.folder.glob("metrics.json"), *sorted(self.folder.glob("*/metrics.json"))]
        return [path.parent for path in found]

    @property
    def parts(self) -> list[DataPart]:
        """The data sets, in words."""
        uses = (("training", "train"), ("validation", "validation"))
        return [_part(use, part) for use, key in uses for part in self.settings[key]]

    @property
    def samples(self) -> tuple[int, int] | None:
        """How many there were to train and to validate on, or None where that is unknown."""
        known = self.about.get("samples", {})
        return (int(known["train"]), int(known["validation"])) if {"train", "validation"} <= known.keys() else None

    @property
    def frames(self) -> str:
        """The source frames, in words; "" where they are unknown."""
        return ", ".join(map(str, self.settings["objective"].get("frames") or ()))

    @property
    def main_settings(self) -> dict[str, str]:
        """The most important settings, in words."""
        found = {name.replace("_", " "): _network(self.settings.get(name)) for name in ("network", "pose_network")}
        found["batch size"] = str(self.settings.get("batch_size", ""))
        found["optimiser"] = _listed(self.settings.get("optimiser"))
        found["augmentation"] = _listed(self.settings.get("augment"))
        return {name: value for name, value in found.items() if value}

    @property
    def environment(self) -> dict[str, str]:
        """Command, date, seed, versions and machine, in words."""
        unknown = "not known"
        found = {name: str(self.about.get(name, unknown)) for name in ("command", "date", "seed")}
        if resumed := self.about.get("resumed"):
            found["resumed"] = ", ".join(str(again.get("date", unknown)) for again in resumed)
        return found | {name: _listed(self.about.get(name)) or unknown for name in ("versions", "machine")}

    @property
    def shown_settings(self) -> dict[str, Any]:
        """The settings, with absolute paths cut to their last two parts, so that the page has none of its machine."""
        return dict(_short(self.settings))


def _part(use: str, part: dict[str, Any]) -> DataPart:
    split = part.get("split")
    try:
        lines = None if split is None else len(read_split(split))
    except InputError:
        lines = None
    more = {name: value for name, value in part.get("options", {}).items() if value is not None}
    for name, usual in (("distances", [1]), ("missing", "error"), ("min_motion", None)):
        if part.get(name, usual) != usual:
            more[name] = part[name]
    return DataPart(
        use,
        str(part["dataset"]),
        last_parts(str(part["root"])),
        "" if split is None else last_parts(str(split)),
        lines,
        float(part.get("weight", 1.0)),
        ", ".join(f"{name}: {_short(value)}" for name, value in more.items()),
    )


def _network(settings: dict[str, Any] | None) -> str:
    if not settings:
        return ""
    options = _listed(settings.get("options"))
    return f"{settings['name']} ({options})" if options else str(settings["name"])


def _listed(values: dict[str, Any] | None) -> str:
    return ", ".join(f"{name.replace('_', ' ')} {_short(value)}" for name, value in (values or {}).items())


def _short(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _short(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_short(one) for one in value]
    return last_parts(value) if isinstance(value, str) and Path(value).is_absolute() else value
