"""Which network, with which cameras."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

from hrdepth.errors import InputError

__all__ = ["IntrinsicsConfig", "ModelsConfig", "NetworkConfig", "RecipeConfig", "RecipeCopyConfig", "RecipeListConfig"]


@dataclass(frozen=True)
class NetworkConfig:
    """A network by name.

    Attributes:
        name: the network's name, a key of `networks.NETWORKS` (`hrdepth models` lists them) or of `POSE_NETWORKS`.
        options: arguments of the network, such as `backbone`, `weights`, `normalisation`, `min_depth`, `max_depth`;
            of `hrdepth` also `skip`, `fusion`, `fse_reduction`.
    """

    name: str = "hrdepth"
    options: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ModelsConfig:
    """The list of networks.

    Attributes:
        json: print JSON instead of a table.
    """

    json: bool = False


@dataclass(frozen=True)
class RecipeListConfig:
    """The list of recipes.

    Attributes:
        json: print JSON instead of a table.
    """

    json: bool = False


@dataclass(frozen=True)
class RecipeConfig:
    """A recipe to print.

    Attributes:
        name: the recipe's name, such as `kitti-hrdepth-m-640x192` or `reproduce/mini`.
    """

    name: str


@dataclass(frozen=True)
class RecipeCopyConfig(RecipeConfig):
    """A recipe to copy, for changes of one's own.

    Attributes:
        out: the file to write, also `recipes copy NAME FILE`; null for NAME.yaml in the working folder.
        overwrite: replace an existing file.
    """

    out: str | None = None
    overwrite: bool = False


@dataclass(frozen=True)
class IntrinsicsConfig:
    """Which cameras are learned with depth and pose, and how. See docs/unknown-cameras.md.

    Attributes:
        learn: `marked` learns the cameras of recordings that ask for it (`learn: true` in camera.yaml), `all` every
            one, `none` none.
        field_of_view: the horizontal field of view, in degrees, that learning starts from, with square pixels and a
            centred principal point. Null starts from the recording's intrinsics.
        shared: all recordings are of one camera; else each has its own.
        separate_fy: learn fy separately; else its ratio to fx is fixed, 1 from a field of view. Rotations about the
            vertical axis, the only ones of a car, do not determine fy.
        principal_point: learn cx and cy too, within a quarter of the image around their start.
        learning_rate_factor: the focal length's logarithm changes this many times as fast as the networks' weights,
            the principal point (in image widths) a tenth of that.
        freeze_steps: steps after which learning begins: an untrained pose network would spoil K.

    Raises:
        InputError: a value is invalid.
    """

    learn: Literal["marked", "all", "none"] = "marked"
    field_of_view: float | None = None
    shared: bool = False
    separate_fy: bool = False
    principal_point: bool = True
    learning_rate_factor: float = 10.0
    freeze_steps: int = 500

    def __post_init__(self) -> None:
        if self.learn not in ("marked", "all", "none"):
            raise InputError(f"intrinsics.learn '{self.learn}': give marked, all or none")
        if self.field_of_view is not None and not 5 < self.field_of_view < 150:
            raise InputError(f"intrinsics.field_of_view {self.field_of_view:g}: give 5 to 150 degrees, such as 70")
        if not 0 < self.learning_rate_factor <= 1000:
            raise InputError(
                f"intrinsics.learning_rate_factor {self.learning_rate_factor:g} must lie between 0 and 1000"
            )
