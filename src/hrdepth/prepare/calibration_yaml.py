"""Read calibrations in YAML: each entry is used, known to be irrelevant, or refused by its name."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from hrdepth.camera import pinhole
from hrdepth.config.safe_yaml import PlainLoader, check_yaml
from hrdepth.data.camera_file import IRRELEVANT, number, plain_key
from hrdepth.errors import InputError
from hrdepth.prepare.lens import Lens, Model, refuse_entries, unique_entries

__all__ = ["read_yaml"]


class _Loader(PlainLoader):
    """YAML in which no key may be given twice, and with the tag of OpenCV's matrices."""


def _mapping(loader: _Loader, node: yaml.MappingNode) -> dict[Any, Any]:
    loader.flatten_mapping(node)
    pairs = [(loader.construct_object(key), loader.construct_object(value, deep=True)) for key, value in node.value]
    return unique_entries(pairs, str(loader.name))


_Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, _mapping)
_Loader.add_constructor("tag:yaml.org,2002:opencv-matrix", _mapping)


def read_yaml(text: str, source: str, camera: str | None) -> Lens:
    """Read a calibration in YAML or JSON: of OpenCV, ROS, Python scripts, or a camera.yaml.

    There may be several documents, as `rostopic echo` writes them, if they are equal.

    Args:
        text: the file's content.
        source: its name, for messages.
        camera: which one, if the file has several.

    Raises:
        InputError: an entry is not understood, or two contradict each other.
        ValueError: it is no calibration.
    """
    # OpenCV writes a directive that YAML does not have.
    text = re.sub(r"^%YAML.*$", "", text, flags=re.MULTILINE).strip()
    check_yaml(text)
    loader = _Loader(text)
    loader.name = source
    documents = []
    while loader.check_data():  # type: ignore[no-untyped-call]
        documents.append(loader.get_data())
    documents = [content for content in documents if content is not None]
    if not documents or not all(isinstance(content, dict) for content in documents):
        raise ValueError("it names no camera_matrix")
    cameras = [{key: value for key, value in content.items() if key != "header"} for content in documents]
    if any(content != cameras[0] for content in cameras):
        raise ValueError(f"it holds {len(cameras)} messages of different cameras or settings; leave one")
    return _Entries(cameras[0], source).lens(camera)


HEIGHT_WIDTH = (("imageheight", "imagewidth"), ("height", "width"), ("imgheight", "imgwidth"), ("h", "w"))
FLAT = ("fx", "fy", "cx", "cy")
MATRIX = ("cameramatrix", "K", "k", "M1", "intrinsics", "intrinsicmatrix", "mtx")
DISTORTION = ("distortioncoefficients", "distortioncoeffs", "distortion", "distcoeffs", "distcoeff", "distcoefs",
              "distcoef", "dist", "D", "d", "D1")  # fmt: skip
# OpenCV's orders, and the names of models in its, ROS's, RealSense's and Kalibr's files.
BROWN = ("k1", "k2", "p1", "p2", "k3", "k4", "k5", "k6", "s1", "s2", "s3", "s4")
FISHEYE = ("k1", "k2", "k3", "k4")
# None leaves the choice to the coefficients, `pinhole` says that there are none.
MODELS: dict[str, Model | None] = {
    "": None, "pinhole": None, "perspective": None, "none": "pinhole", "plumb_bob": "brown", "radtan": "brown",
    "rational_polynomial": "brown", "radial_tangential": "brown", "thin_prism": "brown", "brown_conrady": "brown",
    "opencv": "brown", "equidistant": "fisheye", "fisheye": "fisheye", "opencv_fisheye": "fisheye",
}  # fmt: skip
# What a stereo calibration and a ROS message give besides: they hold after a rectification, or for the other camera.
OTHER = frozenset(["R", "r", "P", "p", "T", "R1", "R2", "P1", "P2", "M2", "D2", "Q", "E", "F", "rectificationmatrix",
                   "projectionmatrix"])  # fmt: skip


class _Entries:
    """The entries of a YAML file; what a method has read is removed."""

    def __init__(self, content: Mapping[Any, Any], source: str) -> None:
        self.source = source
        self.names = {plain_key(key): str(key) for key in content}
        self.values = unique_entries(((plain_key(key), value) for key, value in content.items()), source)

    def lens(self, camera: str | None) -> Lens:
        """Return the camera that all entries describe.

        Raises:
            InputError: an entry is not understood, or two contradict each other.
        """
        self._choose(camera)
        intrinsics, model, size = self._intrinsics(), self._model(), self._size()
        distortion = self._distortion(model)
        if model != "fisheye":
            model = "brown" if any(distortion) else "pinhole"
        learn = self.values.pop("learn", False)
        if not isinstance(learn, bool):
            raise InputError(f"{self.source}: learn must be true or false, not {learn!r}")
        lens = Lens(intrinsics, size, model, () if model == "pinhole" else distortion, self.source, learn)
        lens = self._binned(self._window(lens))
        # Others' P1 and P2 are matrices; as single numbers they are coefficients of this lens.
        other = {key for key in OTHER & self.values.keys() if isinstance(self.values[key], list | dict)}
        refuse_entries(
            [self.names[key] for key in self.values if key not in other | IRRELEVANT | {"baseline"}], self.source
        )
        return lens

    def _choose(self, camera: str | None) -> None:
        if camera == "2" and "M2" in self.values:
            self.values |= {"M1": self.values["M2"], "D1": self.values.get("D2")}
        elif camera not in (None, self.values.get("cameraname"), "1" if "M1" in self.values else None):
            raise InputError(f"{self.source} has no camera {camera}; leave --camera out")

    def _one(self, names: Iterable[str]) -> tuple[str, Any]:
        """Return an entry that has several usual names, with the file's name of it."""
        found = {self.names[name]: value for name in names if (value := self.values.pop(name, None)) is not None}
        if len({str(value) for value in found.values()}) > 1:
            raise InputError(f"{self.source}: {' and '.join(found)} differ; remove the wrong one")
        return next(iter(found.items()), ("", None))

    def _list(self, key: str, value: Any, counts: Iterable[int]) -> tuple[float, ...]:
        if isinstance(value, dict):
            refuse_entries([f"{key}.{name}" for name in value if name not in ("data", "rows", "cols", "dt", "type_id")],
                    self.source)  # fmt: skip
            value = value["data"]
        numbers = tuple(number(one) for row in (value if isinstance(value, list | tuple) else [value])
                        for one in (row if isinstance(row, list | tuple) else [row]))  # fmt: skip
        if len(numbers) not in counts:
            raise InputError(
                f"{self.source}: '{key}' has {len(numbers)} numbers, where there are {' or '.join(map(str, counts))}"
            )
        return numbers

    def _intrinsics(self) -> NDArray[np.float64]:
        key, value = self._one(MATRIX)
        flat = [self.values.pop(name, None) for name in FLAT]
        if value is None and None in flat:
            others = ", ".join(self.names[name] for name in self.values) or "nothing else"
            raise ValueError(f"it names no camera_matrix, nor all of fx, fy, cx and cy, but {others}")
        matrix = None if value is None else np.array(self._list(key, value, (9,))).reshape(3, 3)
        if any(number is not None for number in flat):
            alone = pinhole(*map(number, flat))
            if matrix is not None and not np.allclose(matrix, alone):
                raise InputError(f"{self.source}: '{key}' and {', '.join(FLAT)} differ; remove the wrong one")
            matrix = alone
        assert matrix is not None
        if skew := number(self.values.pop("skew", None) or 0.0):
            matrix[0, 1] = skew
        return matrix

    def _model(self) -> Model | None:
        """Return the model that the file names, None if it does not."""
        named: set[Model] = {"fisheye"} if self.values.pop("fisheyemodel", 0) else set()
        for key in ("distortionmodel", "distortiontype", "cameramodel", "modeltype", "model"):
            value = str(self.values.pop(key, None) or "")
            name = re.sub(r"\W+", "_", value.strip().lower())
            if name not in MODELS:
                raise InputError(f"{self.source}: its {self.names[key]} '{value}' is none of {', '.join(MODELS)[2:]}")
            if model := MODELS[name]:
                named.add(model)
        if len(named) > 1:
            raise InputError(f"{self.source} names two distortion models, {' and '.join(sorted(named))}; remove one")
        return next(iter(named), None)

    def _distortion(self, model: Model | None) -> tuple[float, ...]:
        """Return the coefficients in OpenCV's order; all zero or none if there is no distortion."""
        key, value = self._one(DISTORTION)
        named = {name: self.values.pop(name) for name in BROWN if name in self.values}
        if named and value is not None:
            raise InputError(f"{self.source}: {key} and {', '.join(named)} both give the distortion; remove one")
        if isinstance(value, dict) and "data" not in value:
            refuse_entries([f"{key}.{name}" for name in value if name not in BROWN], self.source)
            named, value = value, None
        order, counts = (FISHEYE, (4,)) if model == "fisheye" else (BROWN, (0, 4, 5, 8, 12, 14))
        if value is not None or not named:
            found = self._list(key or "distortion_coefficients", () if value is None else value, counts)
        else:
            refuse_entries([name for name, number in named.items() if name not in order and float(number)], self.source)
            if model is None and float(named.get("k4", 0)) and not {"k5", "k6"} & named.keys():
                raise InputError(
                    f"{self.source} has k4; set its distortion_model to equidistant or rational_polynomial"
                )
            found = tuple(float(named.get(name, 0)) for name in order)
            last = max((number for number, factor in enumerate(found, 1) if factor), default=0)
            found = found[: next(count for count in counts if count >= last)]
        if model == "pinhole" and any(found):
            raise InputError(f"{self.source} has distortion coefficients, but a distortion_model 'none'; remove one")
        return found

    def _size(self) -> tuple[int, int] | None:
        """Return (height, width) of the whole sensor, None if it is not given."""
        found: dict[str, tuple[int, int]] = {}
        for height, width in HEIGHT_WIDTH:
            pair = self.values.pop(height, None), self.values.pop(width, None)
            if (pair[0] is None) != (pair[1] is None):
                raise InputError(f"{self.source} gives only one of the images' height and width")
            if pair[0] is not None:
                found[self.names[height]] = self._pixels(height, pair[0]), self._pixels(width, pair[1])
        for key in ("imagesize", "imgsize", "resolution"):
            value = self.values.pop(key, None)
            if isinstance(value, dict):
                value = value["width"], value["height"]
            if isinstance(value, str):
                value = re.split(r"[x, ]+", value.strip().lower())
            if value is not None and len(value) != 2:
                raise InputError(f"{self.source}: '{key}' must be [width, height]")
            if value is not None:
                found[self.names[key]] = self._pixels(key, value[1]), self._pixels(key, value[0])
        if len(set(found.values())) > 1:
            raise InputError(f"{self.source}: {' and '.join(found)} name different sizes; remove the wrong one")
        size = next(iter(found.values()), None)
        if size is not None and min(size) < 1:
            raise InputError(f"{self.source}: the images' size {size[1]}x{size[0]} (width x height) must be positive")
        return size

    def _pixels(self, key: str, value: Any) -> int:
        pixels = number(value)
        if not pixels.is_integer():
            raise InputError(f"{self.source}: '{self.names.get(key, key)}' must be a whole number, not {value}")
        return int(pixels)

    def _window(self, lens: Lens) -> Lens:
        """Return the camera of ROS's region of interest, the part of the sensor that the images show."""
        roi = dict(self.values.pop("roi", None) or {})
        left, top, width, height = (
            self._pixels(f"roi.{name}", roi.pop(name, 0)) for name in ("x_offset", "y_offset", "width", "height")
        )
        roi.pop("do_rectify", None)
        refuse_entries([f"roi.{name}" for name in roi], self.source)
        if not any((left, top, width, height)) or (left, top, height, width) == (0, 0, *(lens.size or ())):
            return lens
        if lens.size is None or min(left, top) < 0 or min(width, height) < 1:
            raise InputError(f"{self.source}: its roi needs x_offset, y_offset, width, height and the sensor's size")
        if left + width > lens.size[1] or top + height > lens.size[0]:
            raise InputError(
                f"{self.source}: its roi goes beyond the {lens.size[1]}x{lens.size[0]} (width x height) sensor"
            )
        shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
        return replace(lens, intrinsics=shift @ lens.intrinsics, size=(height, width), is_window=True)

    def _binned(self, lens: Lens) -> Lens:
        """Return the camera of images in which ROS's binning has joined pixels."""
        x, y = (self._pixels(name, self.values.pop(name, None) or 1) for name in ("binningx", "binningy"))
        if min(x, y) < 1:
            raise InputError(f"{self.source}: its binning {x}x{y} must be positive")
        if x == y == 1:
            return lens
        if lens.size is None:
            raise InputError(f"{self.source}: its binning needs the sensor's height and width")
        size = lens.size[0] // y, lens.size[1] // x
        return replace(lens, intrinsics=np.diag([1 / x, 1 / y, 1]) @ lens.intrinsics, size=size)
