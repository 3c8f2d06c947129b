"""What the paper publishes for each row that learns from KITTI alone, and which row a training corresponds to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PUBLISHED", "PublishedRow", "corresponding_row"]

Metrics = tuple[float | None, ...]


@dataclass(frozen=True)
class PublishedRow:
    """A row of the paper's tables, on the 697 images of the Eigen split at 80 m.

    Attributes:
        row: table, network, mode, size (width x height), data (K is KITTI).
        network: a key of `networks.NETWORKS`.
        mode: what it learns from: `M` neighbours in time, `MS` the other eye too, `T` a teacher.
        size: (height, width).
        metrics: Abs Rel, Sq Rel, RMSE, RMSE log, and the shares within 1.25, 1.25^2, 1.25^3; None where none is given.
        options: of the network, where they are not the defaults.
        scaling: `median`, or the factor to metres.
    """

    row: str
    network: str
    mode: str
    size: tuple[int, int]
    metrics: Metrics
    options: Mapping[str, Any] = field(default_factory=dict)
    scaling: str | float = "median"


PUBLISHED = (
    PublishedRow(
        "Table 2, HR-Depth, M, 640x192, K",
        "hrdepth",
        "M",
        (192, 640),
        (0.109, 0.792, 4.632, 0.185, 0.884, 0.962, 0.983),
    ),
    PublishedRow(
        "Table 2, HR-Depth, M, 1024x320, K",
        "hrdepth",
        "M",
        (320, 1024),
        (0.106, 0.755, 4.472, 0.181, 0.892, 0.966, 0.984),
    ),
    PublishedRow(
        "Table 2, HR-Depth, M, 1280x384, K",
        "hrdepth",
        "M",
        (384, 1280),
        (0.104, 0.727, 4.41, 0.179, 0.894, 0.966, 0.984),
    ),
    PublishedRow(
        "Table 2, HR-Depth, MS, 640x192, K",
        "hrdepth",
        "MS",
        (192, 640),
        (0.107, 0.785, 4.612, 0.185, 0.887, 0.962, 0.982),
    ),
    PublishedRow(
        "Table 2, HR-Depth, MS, 1024x320, K",
        "hrdepth",
        "MS",
        (320, 1024),
        (0.101, 0.716, 4.395, 0.179, 0.899, 0.966, 0.983),
    ),
    PublishedRow(
        "Table 3, Lite-HR-Depth, M, 640x192",
        "lite_hrdepth",
        "M",
        (192, 640),
        (0.116, 0.845, 4.841, 0.19, 0.866, 0.957, 0.982),
    ),
    PublishedRow(
        "Table 3, Lite-HR-Depth, M, 1024x320",
        "lite_hrdepth",
        "M",
        (320, 1024),
        (0.111, 0.799, 4.612, 0.184, 0.878, 0.963, 0.984),
    ),
    PublishedRow(
        "Table 3, Lite-HR-Depth, T, 640x192",
        "lite_hrdepth",
        "T",
        (192, 640),
        (0.112, 0.767, 4.557, 0.184, 0.876, 0.963, 0.984),
    ),
    PublishedRow(
        "Table 3, Lite-HR-Depth, T, 1024x320",
        "lite_hrdepth",
        "T",
        (320, 1024),
        (0.105, 0.704, 4.374, 0.178, 0.891, 0.967, 0.985),
    ),
    PublishedRow(
        "Table 3, Lite-HR-Depth, T, 1280x384",
        "lite_hrdepth",
        "T",
        (384, 1280),
        (0.104, 0.697, 4.349, 0.176, 0.893, 0.967, 0.985),
    ),
    PublishedRow(
        "Tables 2 and 3, Monodepth2, M, 640x192, K",
        "monodepth2",
        "M",
        (192, 640),
        (0.115, 0.903, 4.863, 0.193, 0.877, 0.959, 0.981),
    ),
    PublishedRow(
        "Tables 2 and 3, Monodepth2, M, 1024x320, K",
        "monodepth2",
        "M",
        (320, 1024),
        (0.115, 0.882, 4.701, 0.19, 0.879, 0.961, 0.982),
    ),
    PublishedRow(
        "Table 2, Monodepth2, MS, 640x192, K",
        "monodepth2",
        "MS",
        (192, 640),
        (0.106, 0.818, 4.75, 0.196, 0.874, 0.957, 0.979),
        scaling=5.4,
    ),
    PublishedRow(
        "Table 2, Monodepth2, MS, 1024x320, K",
        "monodepth2",
        "MS",
        (320, 1024),
        (0.106, 0.806, 4.63, 0.193, 0.876, None, None),
        scaling=5.4,
    ),
    PublishedRow(
        "Table 4, +dense SC",
        "hrdepth",
        "M",
        (192, 640),
        (0.112, None, 4.706, None, 0.881, None, None),
        {"fusion": "conv"},
    ),
    PublishedRow(
        "Table 4, +fSE", "hrdepth", "M", (192, 640), (0.114, None, 4.821, None, 0.875, None, None), {"skip": "plain"}
    ),
    PublishedRow(
        "Table 4, +dense SC and SE",
        "hrdepth",
        "M",
        (192, 640),
        (0.11, None, 4.655, None, 0.882, None, None),
        {"fusion": "se"},
    ),
)
"""Source: paper, Tables 2 to 4; docs/configs.md says what is peculiar about some rows."""


def corresponding_row(settings: Mapping[str, Any]) -> PublishedRow | None:
    """Return the row that a training reproduces: the same network, mode and size, on KITTI's Eigen-Zhou frames.

    Args:
        settings: of the training, as its config.yaml holds them.
    """
    network = settings["network"]
    # Where the backbone starts from is no part of a row's name.
    options = {name: value for name, value in network.get("options", {}).items() if name != "weights"}
    if any((part["dataset"], part.get("split")) != ("kitti_raw", "eigen_zhou/train") for part in settings["train"]):
        return None
    if settings.get("init"):  # it has seen more than KITTI
        return None
    wanted = (network["name"], _mode(settings["objective"]), tuple(settings["size"]), options)
    return next(
        (one for one in PUBLISHED if (one.network, one.mode, one.size, dict(one.options)) == wanted),
        None,
    )


def _mode(objective: Mapping[str, Any]) -> str:
    frames = objective.get("frames", [-1, 1])
    parts = {"T": objective.get("name") == "distillation", "M": {-1, 1} <= set(frames), "S": "s" in frames}
    return "".join(letter for letter, there in parts.items() if there)
