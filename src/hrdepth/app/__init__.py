"""The page in the browser, `hrdepth app`; its functions are an API too.

networks      by name, in any runtime, at any size
gate          hosts, origins, cookies, sessions and uploads that the server admits
uploads       files that wait to be used: owners and quotas
visitors      uploads are checked; sessions, in a folder that is removed with them
answers       predict, depth at a point, points, files, clips: no Gradio in it
viewpoint     the viewpoint of the point cloud
page, training_tab   the two tabs

By default the page is served to this machine only; it downloads nothing.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import signal
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

from hrdepth.app.answers import warm_up
from hrdepth.app.gate import Gate
from hrdepth.app.networks import Networks
from hrdepth.app.uploads import Uploads
from hrdepth.app.visitors import IDLE_SECONDS, MOST_SESSIONS, PURGE_SECONDS, Sessions
from hrdepth.config import AppConfig, PackConfig
from hrdepth.config.inference import texts
from hrdepth.errors import InputError, require
from hrdepth.io.files import existing_file
from hrdepth.io.locks import temporary_folder
from hrdepth.io.parallel import repeated
from hrdepth.io.run_folder import find_runs
from hrdepth.web.onnxruntime_web import is_fetched
from hrdepth.web.pack import pack_page
from hrdepth.weights.find import bundled_graph

__all__ = ["run", "serve"]

log = logging.getLogger(__name__)

TITLE = (
    "# hrdepth\nDepth from one image. Images stay on the machine that serves this page, for as long as it is open.\n\n"
)
LINK = "[In the browser alone](web/): the same network, computed on your device, also on a phone."
COMMAND = "For a phone, without Python: `hrdepth pack street --web page/` writes a page that computes in the browser."


def run(config: AppConfig) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        InputError: gradio, a file or a folder is missing, or the port is in use.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the temporary folder is removed, too
    with serve(config) as (page, address):
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        page.block_thread()


@contextmanager
def serve(config: AppConfig) -> Iterator[tuple[Any, str]]:
    """Serve the page in the background; yield Gradio's `Blocks` and the address, and stop at the end.

    Raises:
        InputError: as `run`.
    """
    _disable_telemetry()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio sends a request to it
    gr = require("gradio", "app", "the page needs")
    if importlib.util.find_spec("matplotlib"):  # else Gradio imports it with the first call, which then waits for it
        importlib.import_module("matplotlib.pyplot")
    if int(gr.__version__.split(".")[0]) != 6:
        raise InputError(f"the page needs gradio 6, not {gr.__version__}; pip install 'hrdepth[app]'")
    weights, runs = texts(config.weights), texts(config.runs)
    networks = Networks(weights, config.device, trust=config.trust)
    with _private_folder() as folder:
        warm_up(networks.predictor(), folder / "warm-up")
        sessions, uploads = Sessions(folder), Uploads(folder, config.limits)
        web = _web_page(config, networks, folder / "web")
        page = _build(config, networks, sessions, uploads, find_runs(runs), TITLE + (LINK if web else COMMAND))
        try:
            address = _launch(page, config, uploads, web)
            with _purging(sessions, uploads, page):
                yield page, address
        finally:
            page.close(verbose=False)


def _web_page(config: AppConfig, networks: Networks, folder: Path) -> Path | None:
    """Return the folder of the page that computes in the browser: the given one, or one made without a download."""
    if config.web is not None:
        return existing_file(Path(config.web, "index.html"), "the page").parent
    network = networks.file(networks.names[0])
    if not is_fetched() or (network.suffix != ".onnx" and bundled_graph(network) is None):
        return None
    try:
        return pack_page(PackConfig(str(network), web=str(folder))).path
    except InputError as error:  # not every network suits a browser
        log.info("no page for phones: %s", error)
        return None


def _build(
    config: AppConfig, networks: Networks, sessions: Sessions, uploads: Uploads, runs: dict[str, Path], title: str
) -> Any:
    import gradio as gr

    from hrdepth.app.page import DepthTab
    from hrdepth.app.training_tab import TrainingTab

    # Files of visitors who disconnected are deleted within an hour.
    lifetime = (int(PURGE_SECONDS), int(IDLE_SECONDS))
    with gr.Blocks(title="hrdepth", analytics_enabled=False, delete_cache=lifetime) as page:
        gr.Markdown(title, elem_id="title")
        with gr.Tab("Depth"):
            DepthTab(networks, sessions, uploads, config.limits).build()
        with gr.Tab("Training"):
            training = TrainingTab(runs)
            training.build()
        training.load_with(page)

        def leave(request: gr.Request) -> None:
            sessions.close(request.session_hash)

        leave.__annotations__["request"] = gr.Request
        page.unload(leave)
    page.queue(max_size=MOST_SESSIONS, default_concurrency_limit=4)
    return page


def _launch(page: Any, config: AppConfig, uploads: Uploads, web: Path | None) -> str:
    import gradio as gr
    from starlette.middleware import Middleware
    from starlette.routing import Mount
    from starlette.staticfiles import StaticFiles

    here = Path(__file__).parent
    font = [gr.themes.Font("system-ui"), gr.themes.Font("sans-serif")]
    mono = [gr.themes.Font("ui-monospace"), gr.themes.Font("monospace")]
    try:
        _, address, _ = page.launch(
            server_name=config.host,
            server_port=config.port or _free_port(config.host),
            inbrowser=config.open,
            prevent_thread_lock=True,
            quiet=True,
            share=False,
            state_session_capacity=MOST_SESSIONS,
            show_error=False,
            footer_links=["api"],
            run_history=False,
            allowed_paths=[],
            max_file_size=int(config.limits.megabytes * 1e6),
            app_kwargs={
                "middleware": [Middleware(Gate, uploads=uploads, names=texts(config.names))],
                "routes": [Mount("/web", StaticFiles(directory=web, html=True))] if web else [],
            },
            enable_monitoring=False,
            ssr_mode=False,
            mcp_server=False,
            pwa=False,
            theme=gr.themes.Default(primary_hue="slate", font=font, font_mono=mono),
            css_paths=[here / "page.css"],
        )
    except OSError as error:
        raise InputError(
            f"the page cannot listen on {config.host}:{config.port} ({error}); choose another --port"
        ) from error
    return str(address)


def _free_port(host: str) -> int:
    import socket

    with socket.socket() as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


@contextmanager
def _private_folder() -> Iterator[Path]:
    """Yield a folder that only this user can read, in which Gradio then stores uploads; remove it at the end.

    What a killed page left is removed, too.
    """
    before = os.environ.get("GRADIO_TEMP_DIR")
    with temporary_folder(Path(tempfile.gettempdir()).resolve(), "hrdepth-app-") as folder:
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        try:
            yield folder
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def _purging(sessions: Sessions, uploads: Uploads, page: Any) -> AbstractContextManager[None]:
    """Remove what was not used for an hour, also when nobody comes."""

    def purge() -> None:
        sessions.purge()
        uploads.purge()
        for names in page.temp_file_sets:  # Gradio forgets only files that it has removed itself
            names.difference_update([name for name in list(names) if not os.path.lexists(name)])

    return repeated(purge, PURGE_SECONDS)


def _disable_telemetry() -> None:
    """Disable telemetry of Gradio and its dependencies, before they are imported."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", GRADIO_RUN_HISTORY="False"
    )
