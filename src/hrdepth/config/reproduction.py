"""The paper's tables and figures, and where they are measured."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hrdepth.config.bounds import LEAST_RESAMPLES, MOST_DPI, MOST_RESAMPLES, check_counts
from hrdepth.config.data import GroundTruthConfig, RenderConfig
from hrdepth.config.evaluation import DepthProtocol, TableFormat
from hrdepth.config.inference import DeviceConfig
from hrdepth.errors import InputError

__all__ = [
    "ReproduceConfig",
    "ReproduceFigureConfig",
    "ReproduceRegionsConfig",
    "ReproduceResolutionConfig",
    "ReproduceTableConfig",
]


@dataclass(frozen=True)
class ReproduceConfig(DeviceConfig):
    """Which networks stand for the paper's, and what they are compared with.

    Attributes:
        out: the folder of tables and figures. Measurements are stored in its `measured/`, and what is there is not
            measured again while weights, true depth and protocol are the same.
        weights: NAME=FILE, or NAME=FILE,FILE,... with one a seed: weights of rows, by the names that a table prints,
            instead of those in `runs`.
        data: images with true depth; null measures nothing.
        protocol: how depth is compared.
        rows: names of the rows to measure and train; `*` stands for any letters. The others are marked as not measured.
        runs: the folder of trainings, one a row: RUNS/NAME, with `seeds` RUNS/NAME-seed0 and so on.
        checkpoint: which weights of a training are measured: `best`, of the lowest validation loss, or `last`, of the
            last epoch, as Monodepth2 reports; `--weights last` is short for it. Trainings that start or learn from
            another read its best.
        configs: a folder of training configs; null takes the recipes.
        seeds: seeds of the trainings, one training of each row for each; empty for one, with the config's own seed.
        train: train what is missing, and resume what was interrupted; of a figure's rows the first seed alone.
        roots: folders of data sets for training, by the data set's name: `{kitti_raw: /data/kitti}`.
        training: settings of `hrdepth train` that go over each row's config, such as fewer epochs.
        row_training: settings of `hrdepth train` for single rows, by name, which go over `training`:
            `{table4-dense: {network: ...}}`.
        resolution: factor of each row's size, rounded to multiples of 32.
        render: drives to render where they are absent; those that are there stay.
        runtime: the runtime that evaluates, see `hrdepth evaluate`; null takes the fastest that is there.
        bootstrap: resamples for intervals over images.
        overwrite: write into a folder that holds something else.

    Raises:
        InputError: a factor, a number of resamples or a seed that makes no sense.
    """

    out: str
    weights: list[str] = field(default_factory=list)
    data: GroundTruthConfig | None = None
    protocol: DepthProtocol = field(default_factory=lambda: DepthProtocol().complete())
    rows: list[str] = field(default_factory=lambda: ["*"])
    runs: str = "runs"
    checkpoint: Literal["best", "last"] = "best"
    configs: str | None = None
    seeds: list[int] = field(default_factory=list)
    train: bool = False
    roots: dict[str, str] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    row_training: dict[str, dict[str, Any]] = field(default_factory=dict)
    resolution: float = 1.0
    render: list[RenderConfig] = field(default_factory=list)
    runtime: str | None = "pytorch"
    bootstrap: int = 1000
    overwrite: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "protocol", self.protocol.complete())  # as KITTI's, whatever the data
        if not 0.05 <= self.resolution <= 4:
            raise InputError(f"resolution {self.resolution:g} is a factor of the rows' sizes; give 0.05 to 4")
        check_counts(self, LEAST_RESAMPLES, "bootstrap", most=MOST_RESAMPLES)
        if len(set(self.seeds)) < len(self.seeds) or any(seed < 0 for seed in self.seeds):
            raise InputError(f"seeds {self.seeds}: give different numbers from 0 up")


@dataclass(frozen=True)
class ReproduceTableConfig(ReproduceConfig):
    """A table of the paper.

    Attributes:
        format: format of the printed table: `text`, `markdown` or `latex`.
        reference: the row that the others are compared with; null for the paper's baseline.
    """

    format: TableFormat = "text"
    reference: str | None = None


@dataclass(frozen=True)
class ReproduceResolutionConfig(ReproduceTableConfig):
    """Whether a network gains more from a higher resolution than the reference, by region of dense true depth.

    Attributes:
        rows: not read here: the rows are `reference` and `network`.
        resolution: not read here, but `resolutions`.
        reference: the row that `network` is compared with.
        network: the row that may gain more from a higher resolution.
        resolutions: two factors of the rows' size, the lower first; trainings are in RUNS/x0.3 and so on.

    Raises:
        InputError: as `ReproduceConfig`, or the factors do not grow.
    """

    reference: str = "kitti-monodepth2-m-640x192"
    network: str = "kitti-hrdepth-m-640x192"
    resolutions: tuple[float, float] = (1.0, 1.6)

    def __post_init__(self) -> None:
        super().__post_init__()
        low, high = self.resolutions
        if not 0 < low < high:
            raise InputError(f"resolutions {low:g}, {high:g}: give two positive factors, the lower first")


@dataclass(frozen=True)
class ReproduceFigureConfig(ReproduceConfig):
    """Figure 4 or 5: networks on images.

    Attributes:
        images: which images of the data, by their place in it; null takes `count`, evenly.
        count: how many images are drawn, if `images` is null.
        formats: formats of the figures; `svg` and `pdf` are vector graphics.
        dpi: dots an inch of `png` figures, and of images within the others.

    Raises:
        InputError: as `ReproduceConfig`, or no image or no dot is asked for.
    """

    images: list[int] | None = None
    count: int = 4
    formats: list[Literal["svg", "pdf", "png"]] = field(default_factory=lambda: ["svg", "pdf"])
    dpi: int = 150

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, 1, "count")
        check_counts(self, 1, "dpi", most=MOST_DPI)


@dataclass(frozen=True)
class ReproduceRegionsConfig(ReproduceConfig):
    """Figure 2: where errors lie. Networks at low and high resolution are those of Table 1, or `low` and `high`.

    Attributes:
        rows: not read here: the figure's rows are `low` and `high`, whatever a file of settings has for the tables.
        low: the row at low resolution.
        high: the row at high resolution.
        low_size: (height, width), on the command line WIDTHxHEIGHT, such as 640x192, to which the true depth is reduced
            and enlarged again, to see what interpolation alone costs; null takes that of the network at low resolution,
            without one a third of the true depth's size.
        gradient: the jump of true depth from one pixel to the next, as a share of it, where a high gradient begins; of
            sparse depth that between neighbouring points, for each pixel between them.
        image_gradient: the jump of brightness from one pixel to the next, as a share of its range, where a high
            gradient of the image begins; a region of sparse true depth.
        edge_width: pixels from an edge of dense true depth that belong to it.
        formats: formats of the plot; `svg` and `pdf` are vector graphics.
        format: format of the printed table: `text`, `markdown` or `latex`.

    Raises:
        InputError: as `ReproduceConfig`, or a gradient, width of edges or size that makes no sense.
    """

    low: str = "kitti-monodepth2-m-640x192"
    high: str = "kitti-monodepth2-m-1024x320"
    low_size: tuple[int, int] | None = None
    gradient: float = 0.05
    image_gradient: float = 0.1
    edge_width: int = 2
    formats: list[Literal["svg", "pdf", "png"]] = field(default_factory=lambda: ["svg", "pdf"])
    format: TableFormat = "text"

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.gradient < 1:
            raise InputError(f"gradient {self.gradient:g} is a share of depth from pixel to pixel; give 0 to 1")
        if not 0 < self.image_gradient < 1:
            raise InputError(f"image_gradient {self.image_gradient:g} is a share of the brightness range; give 0 to 1")
        check_counts(self, 1, "edge_width", "low_size", most=2**14)
