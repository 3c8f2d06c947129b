"""A network at work: where it runs, what is written, and the page."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from hrdepth.config.bounds import check_counts, check_numbers
from hrdepth.errors import InputError

__all__ = [
    "AppConfig",
    "DeviceConfig",
    "FleetConfig",
    "Outputs",
    "PredictConfig",
    "RuntimeConfig",
    "ServeConfig",
    "UploadLimits",
    "texts",
]


@dataclass(frozen=True, kw_only=True)
class DeviceConfig:
    """Where a network runs.

    Attributes:
        device: `auto` (the best that is available), `cpu`, `cuda` or `mps`.
        trust: also open weights in a format that can run code (.pt2); only for files whose origin you know.
    """

    device: str | None = "auto"
    trust: bool = False


@dataclass(frozen=True, kw_only=True)
class FleetConfig:
    """Many machines, by Ray (extra `ray`).

    Attributes:
        ray: the cluster to work on: its address, `auto` for the one that this machine belongs to, or `local` for
            processes on this machine. Null works without Ray.
        ray_workers: with `ray`, processes at a time, each with a network of its own; null for as many as there is room
            for.
        ray_cpus: with `ray`, cores of each process, which it computes with.
        ray_gpus: with `ray`, GPUs of each process; 0.5 lets two processes share one.

    Raises:
        InputError: numbers that cannot work.
    """

    ray: str | None = None
    ray_workers: int | None = None
    ray_cpus: float = 1.0
    ray_gpus: float = 0.0

    def __post_init__(self) -> None:
        check_counts(self, 1, "ray_workers")
        check_numbers(self, "ray_cpus")
        check_numbers(self, "ray_gpus", positive=False)


@dataclass(frozen=True, kw_only=True)
class RuntimeConfig(DeviceConfig):
    """Where and how a network runs; commands that run one inherit these options.

    Attributes:
        size: (height, width) that the network works at, on the command line WIDTHxHEIGHT, such as 640x192; null for
            that of its training, with which `predict` keeps the aspect ratio of images.
        runtime: `pytorch`, `onnxruntime`, `openvino` or `tensorrt`; null uses the fastest that is installed.
        precision: `float32`, `bfloat16` or `int8`, if the runtime supports it; null for float32, or that of an
            exported file.
        threads: cores to compute with; null for all.
        calibration: for int8 from weights: a folder of images like those that the network will see.
        compile: for PyTorch: compile the network, which takes about a minute.
        cache: for OpenVINO: keep the compiled network in the user's cache folder, so that the next start is faster.
    """

    size: tuple[int, int] | None = None
    runtime: str | None = None
    precision: str | None = None
    threads: int | None = None
    calibration: str | None = None
    compile: bool = False
    cache: bool = True

    def keywords(self) -> dict[str, Any]:
        """Return these options by name, as `Predictor.from_file` takes them."""
        return {option.name: getattr(self, option.name) for option in fields(RuntimeConfig)}


@dataclass(frozen=True, kw_only=True)
class Outputs:
    """What is written of each prediction. NAME is that of the image, or of the video's frame.

    Attributes:
        npz: write NAME.npz with disparity and depth; null writes it for images and folders, not for videos.
        depth_png: write NAME_depth.png, 16 bits, depth x 256.
        panel: write image and disparity side by side: of an image NAME_panel.png, of a video NAME_panel.mp4, which
            takes the place of NAME_disparity.mp4.
        depth_video: of a video, write NAME_depth.mkv: 16-bit FFV1 without loss, depth x 256.
        ply: write NAME.ply, a point cloud for tools; without `intrinsics` for a camera like KITTI's.
        glb: write NAME.glb, a point cloud for viewers; without `intrinsics` for a camera like KITTI's.
        write: further outputs to write, by their names in `inference.outputs.OUTPUTS`.
        smooth: smooth disparity over time: `exponential` each pixel with its past, `flow` along the motion (extra
            `video`); null does not.
        flicker: measure how much disparity flickers, and write it into predict.json (extra `video`).
    """

    npz: bool | None = None
    depth_png: bool = False
    panel: bool = True
    depth_video: bool = False
    ply: bool = False
    glb: bool = False
    write: tuple[str, ...] | str = ()
    smooth: str | None = None
    flicker: bool = False


@dataclass(frozen=True)
class PredictConfig(Outputs, RuntimeConfig, FleetConfig):
    """A prediction.

    Attributes:
        input: an image, a folder of images or a video; a camera of this machine, such as camera:0; or the address of a
            live stream, such as rtsp://host/stream.
        weights: a weights file of this package, or one that `hrdepth export` wrote; the name of bundled weights;
            `hf://OWNER/REPO` on the Hugging Face Hub; null for the bundled network.
        out: the folder to write into; null for NAME_depth here, after the input's name.
        flip: blend with the prediction for the mirrored image.
        intrinsics: fx, fy, cx, cy in pixels of the images, if they are known: stored in the .npz files, and needed by
            weights with a `canonical_focal` for depth in their units.
        camera: the learned camera of the weights that the images are of, if there are several and `intrinsics` is not
            given.
        shift: what is added to 1/depth, in 1/units, of weights that learned alone from a teacher with an unknown
            shift; without it such weights give disparity and no depth.
        overwrite: replace results in `out`.
        resume: continue an interrupted run with the same options from what is in `out`.
        show: open a window with the results, if there is a display.
        batch: images that the network sees at once; 8 suits a GPU.
        more: further images, where `input` is one.
    """

    input: str
    weights: str | None = None
    out: str | None = None
    flip: bool = False
    intrinsics: tuple[float, float, float, float] | None = None
    camera: str | None = None
    shift: float | None = None
    overwrite: bool = False
    resume: bool = False
    show: bool = False
    batch: int = 1
    more: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_counts(self, 1, "batch")
        if self.more and self.ray is not None:
            raise InputError("on a Ray cluster give one input, such as the folder or the store of the recordings")

    @property
    def source(self) -> str | list[str]:
        """What is predicted, as `io.media.probe` takes it."""
        return [self.input, *self.more] if self.more else self.input


@dataclass(frozen=True)
class UploadLimits:
    """How large an image or clip may be; larger ones are refused with a sentence.

    Attributes:
        megabytes: the largest file, in megabytes.
        megapixels: the largest image, or frame of a clip, in megapixels.
        side: the longest side of an image, or of a frame of a clip, in pixels.
        seconds: the longest clip, in seconds.
        visitor_megabytes: the most megabytes of a visitor's uploads that were not used yet.
        total_megabytes: the most megabytes of all files of the page: uploads and results of all visitors.
    """

    megabytes: float = 50.0
    megapixels: float = 40.0
    side: int = 16384
    seconds: float = 20.0
    visitor_megabytes: float = 200.0
    total_megabytes: float = 4000.0

    def __post_init__(self) -> None:
        check_numbers(self, *(field.name for field in fields(self)))


@dataclass(frozen=True)
class AppConfig(DeviceConfig):
    """The page in the browser.

    Attributes:
        weights: weights files to choose from, names or `hf://OWNER/REPO`; none for all that are bundled.
        runs: run folders of `hrdepth train` to follow, or folders of such folders.
        host: the address to listen on; 0.0.0.0 lets other machines in.
        port: the port to listen on; 0 for a free one.
        names: hosts by which browsers address the page, such as a proxy's; besides localhost, IP addresses and this
            machine's name.
        limits: how large an upload may be.
        open: open the page in a browser.
        web: the folder that `hrdepth pack NET --web FOLDER` wrote, to serve it as `web/`; null makes one of the first
            network if that is bundled or exported, and ONNX Runtime Web has been fetched before.

    Raises:
        InputError: there is no such port.
    """

    weights: tuple[str, ...] | str = ()
    runs: tuple[str, ...] | str = ()
    host: str = "127.0.0.1"
    port: int = 7860
    names: tuple[str, ...] | str = ()
    limits: UploadLimits = UploadLimits()
    open: bool = False
    web: str | None = None

    def __post_init__(self) -> None:
        _check_port(self.port)


@dataclass(frozen=True)
class ServeConfig:
    """A page's folder to serve.

    Attributes:
        folder: the folder that `hrdepth pack NET --web FOLDER` wrote.
        host: the address to listen on; 0.0.0.0 (:: with IPv6) lets other machines, such as a phone, in.
        port: the port to listen on; 0 for a free one.
        https: serve by https, with a certificate made on the spot, which browsers ask to accept; without it, other
            machines get no camera.

    Raises:
        InputError: there is no such port.
    """

    folder: str
    host: str = "0.0.0.0"
    port: int = 8443
    https: bool = True

    def __post_init__(self) -> None:
        _check_port(self.port)


def texts(value: tuple[str, ...] | str) -> tuple[str, ...]:
    """Return the texts of a setting that may be a single one."""
    return (value,) if isinstance(value, str) else value


def _check_port(port: int) -> None:
    if not 0 <= port < 2**16:
        raise InputError(f"port {port} must lie between 0, for a free one, and 65535")
