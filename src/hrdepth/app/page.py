"""The page's first tab: an image, its disparity, depth at a click, a point cloud, downloads."""

from __future__ import annotations

import html
import shutil
from collections.abc import Callable
from functools import wraps
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

import gradio as gr

from hrdepth.app import answers
from hrdepth.app.answers import EXAMPLES
from hrdepth.app.gate import VISITOR
from hrdepth.app.networks import AUTOMATIC, SIZES, Networks
from hrdepth.app.uploads import Uploads
from hrdepth.app.visitors import Session, Sessions
from hrdepth.config import UploadLimits
from hrdepth.errors import InputError

__all__ = ["DepthTab", "as_gradio_error"]

HERE = Path(str(package_files("hrdepth.app")))
BACKGROUND = (18, 20, 26)
"""Behind the point cloud."""
ASK = "Click into the image for the depth there."
DOWNLOADS = ("Colours (PNG)", "Depth (16-bit PNG)", "Arrays (npz)", "Points (PLY)")
# All visitors share the networks, which process one image at a time.
NETWORK = {"concurrency_id": "network", "concurrency_limit": 1}


def as_gradio_error(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function's `InputError` reach the page, or the API's caller, as its sentence."""

    @wraps(function)
    def with_sentence(*arguments: Any, **settings: Any) -> Any:
        try:
            return function(*arguments, **settings)
        except InputError as error:
            # The page shows messages as HTML.
            raise gr.Error(html.escape(str(error), quote=False), title="Not possible", print_exception=False) from error

    return with_sentence


class DepthTab:
    """The functions behind the tab; those that are public are the API too."""

    def __init__(self, networks: Networks, sessions: Sessions, uploads: Uploads, limits: UploadLimits) -> None:
        self.networks = networks
        self.sessions = sessions
        self.uploads = uploads
        self.limits = limits

    def build(self) -> None:
        """Lay the tab out inside the open `gr.Blocks`."""
        with gr.Row(equal_height=False):
            with gr.Column(scale=1, min_width=280):
                self._inputs()
            with gr.Column(scale=3, min_width=480):
                self._outputs()
        self._connect()

    def _inputs(self) -> None:
        self.upload = gr.File(label="Image or clip", file_types=["image", "video"], height=150, elem_id="upload")
        with gr.Accordion("Webcam", open=False):
            self.webcam = gr.Image(
                sources=["webcam"], type="filepath", image_mode=None, format="jpeg", show_label=False, height=220,
                webcam_options=gr.WebcamOptions(mirror=False), elem_id="webcam",
            )  # fmt: skip
        gr.Markdown("or a rendered street:", elem_id="or")
        self.gallery = gr.Gallery(
            [str(path) for path in EXAMPLES], show_label=False, columns=len(EXAMPLES), rows=1, container=False,
            allow_preview=False, object_fit="cover", buttons=[], interactive=False, elem_id="examples",
        )  # fmt: skip
        names, runtimes = self.networks.names, self.networks.runtimes
        self.network = gr.Dropdown(names, value=names[0], label="Network", elem_id="network")
        self.runtime = gr.Dropdown(runtimes, value=runtimes[0], label="Runtime", elem_id="runtime")
        self.size = gr.Dropdown(
            list(SIZES), value=AUTOMATIC, label="Network input", allow_custom_value=True, elem_id="size"
        )
        self.focal = gr.Number(
            0, label="Focal length in pixels", info="fx in pixels of the image; 0 if unknown", elem_id="focal"
        )

    def _outputs(self) -> None:
        self.slider = gr.ImageSlider(
            label="Image | disparity: near is bright", type="filepath", interactive=False, max_height=420,
            buttons=["fullscreen"], elem_id="comparison",
        )  # fmt: skip
        self.readout = gr.HTML(ASK, elem_id="depth", js_on_load=(HERE / "pointer.js").read_text(encoding="utf-8"))
        self.video = gr.Video(label="Clip", visible=False, autoplay=True, loop=True, interactive=False, elem_id="clip")
        self.model = gr.Model3D(
            label="Point cloud: drag to rotate, wheel to zoom", height=400, interactive=False, buttons=[],
            clear_color=(*(level / 255 for level in BACKGROUND), 1.0), elem_id="cloud",
        )  # fmt: skip
        with gr.Row():
            self.downloads = [
                gr.DownloadButton(label, size="sm", interactive=False, elem_id=f"download-{number}")
                for number, label in enumerate(DOWNLOADS)
            ]

    def _connect(self) -> None:
        settings = [self.network, self.runtime, self.size, self.focal]
        shown = [self.slider, self.readout]
        private = {"api_visibility": "private", **NETWORK}
        events = [
            self.upload.upload(
                self.predict,
                [self.upload, *settings],
                shown,
                api_name="predict",
                show_progress_on=[self.slider],
                **NETWORK,
            ),
            self.webcam.input(self.predict, [self.webcam, *settings], shown, show_progress_on=[self.slider], **private),
            self.gallery.select(self.example, settings, shown, show_progress_on=[self.slider], **private),
        ]
        events += [setting.input(self.again, settings, shown, **private) for setting in settings[:3]]
        events.append(self.focal.change(self.again, settings, shown, **private))
        quiet: dict[str, Any] = {"api_visibility": "private"}
        for event in events:
            after = event.success(self._show_cloud, None, self.model, **quiet)
            # The default is the function's name, which the API uses.
            after = after.success(self._files, None, self.downloads, api_name="page_files", **quiet)
            after = after.success(self._offer, None, self.downloads, **quiet)
            after.success(self._show_clip, settings, self.video, **private)
        self.readout.click(self.clicked, None, self.readout, show_progress="hidden", **quiet)
        self._connect_api(settings)

    def _connect_api(self, settings: list[Any]) -> None:
        """Return plain files to the API, and to the page's own events also updates of the page."""
        caller = gr.Button(visible=False)
        one, several = gr.File(visible=False), gr.File(visible=False, file_count="multiple")
        caller.click(self.point_cloud, None, one, api_name="point_cloud")
        caller.click(self.files, None, several, api_name="files")
        caller.click(self.clip, settings, one, api_name="clip", **NETWORK)
        gr.api(self.depth_at, api_name="depth_at")

    def _session(self, request: gr.Request) -> Session:
        return self.sessions.of(request.session_hash, str(request.headers[VISITOR]))

    @as_gradio_error
    def predict(
        self, file: str | None, network: str, runtime: str, size: str, focal: float | None, request: gr.Request
    ) -> tuple[tuple[str, str] | None, str]:
        """Take an image or a clip and predict its depth.

        Args:
            file: an image or a clip; of a clip, the first frame.
            network: its name.
            runtime: where it runs.
            size: of the network's input, such as 640x192, or "automatic".
            focal: fx in pixels of the image, or 0 where it is not known.
            request: the visitor's.

        Returns:
            The image and its coloured disparity, and what to do next.
        """
        session = self._session(request)
        if not file:
            session.clear()
            return None, ASK
        own = self.uploads.claim(Path(file), str(request.headers[VISITOR]), session.folder)
        answers.load_upload(session, own, self.limits)
        return answers.answer(session, self.networks.predictor(network, runtime, size), focal), ASK

    @as_gradio_error
    def example(
        self, network: str, runtime: str, size: str, focal: float | None, chosen: gr.SelectData, request: gr.Request
    ) -> tuple[tuple[str, str], str]:
        """Predict for one of the bundled images."""
        session = self._session(request)
        image = EXAMPLES[int(chosen.index) % len(EXAMPLES)]
        copy = Path(shutil.copy(image, session.folder / image.name))
        answers.load_upload(session, copy, self.limits)
        return answers.answer(session, self.networks.predictor(network, runtime, size), focal), ASK

    @as_gradio_error
    def again(self, network: str, runtime: str, size: str, focal: float | None, request: gr.Request) -> tuple[Any, str]:
        """Predict for the same image with different settings."""
        session = self._session(request)
        if session.image is None:
            return gr.skip(), ASK
        return answers.answer(session, self.networks.predictor(network, runtime, size), focal), ASK

    @as_gradio_error
    def point_cloud(self, request: gr.Request) -> str:
        """Return the last image's point cloud as GLB, without flying pixels and distant points."""
        return answers.cloud_for_page(self._session(request))[0]

    @as_gradio_error
    def files(self, request: gr.Request) -> list[str]:
        """Return coloured disparity (PNG), depth x 256 (16-bit PNG), arrays (npz) and points (PLY).

        Without depth, only disparity and arrays.
        """
        return answers.write_downloads(self._session(request))

    @as_gradio_error
    def clip(
        self,
        network: str,
        runtime: str,
        size: str,
        focal: float | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008  (Gradio finds it by its default)
    ) -> str | None:
        """Predict for every frame of the uploaded clip; return an MP4, or nothing after an image."""
        session = self._session(request)
        if session.clip is None:
            return None
        predictor = self.networks.predictor(network, runtime, size)
        return answers.clip_video(
            session, predictor, self.limits, focal, lambda done: progress((done, None), desc="frames", unit="frames")
        )

    @as_gradio_error
    def _show_cloud(self, request: gr.Request) -> Any:
        session = self._session(request)
        if session.prediction is None:
            return gr.skip()
        if not session.prediction.depth_scale.has_depth:
            return gr.Model3D(value=None)
        path, view = answers.cloud_for_page(session, BACKGROUND)
        return gr.Model3D(value=path, camera_position=(view.longitude, view.latitude, view.distance))

    @as_gradio_error
    def _files(self, request: gr.Request) -> list[str | None]:
        """Return a file for each button, or None."""
        files = answers.write_downloads(self._session(request))
        return [*files] if len(files) == len(DOWNLOADS) else [files[0], None, files[1], None]

    def _offer(self, request: gr.Request) -> list[Any]:
        prediction = self._session(request).prediction
        depth = prediction is None or prediction.depth_scale.has_depth
        return [gr.DownloadButton(interactive=depth or number in (0, 2)) for number in range(len(DOWNLOADS))]

    @as_gradio_error
    def _show_clip(
        self,
        network: str,
        runtime: str,
        size: str,
        focal: float | None,
        request: gr.Request,
        progress: gr.Progress = gr.Progress(),  # noqa: B008
    ) -> Any:
        path = self.clip(network, runtime, size, focal, request, progress)
        return gr.Video(value=path, visible=path is not None)

    @as_gradio_error
    def depth_at(self, x: float, y: float, request: gr.Request) -> dict[str, Any]:
        """Return the depth of the last image at (x, y), both from 0 to 1, from the upper left."""
        return answers.depth_at(self._session(request), x, y)

    @as_gradio_error
    def clicked(self, request: gr.Request, event: gr.EventData) -> str:
        """Describe the depth where the visitor clicked, as HTML."""
        session = self._session(request)
        found = answers.depth_at(session, float(event.x), float(event.y))
        depth = f"disparity {found['disparity']:.3f}"
        if found["depth"] is not None:
            depth = f"{found['depth']:.2f} {found['unit']}"
        return (
            f"<b>{depth}</b> at column {found['column']}, row {found['row']} "
            f"<span class='scale'>{answers.scale_caveat(session.answered)}</span>"
        )
