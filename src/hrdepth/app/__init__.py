"""The page in the browser, `hrdepth app`; its functions are an API too.

networks      by name, in any runtime, at any size
uploads       what visitors may send: told by content, measured, refused in a sentence
sessions      what is remembered of a visitor, and the folder that goes with them
answers       predict, depth at a place, points, files, clips: no Gradio in it
viewpoint     from where the cloud is seen
run_folder    what a training run's folder says
server        what the server refuses, and its temporary folder
page, training_tab   the two tabs
"""

from __future__ import annotations

import logging
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hrdepth.app.answers import warm_up
from hrdepth.app.networks import Networks
from hrdepth.app.server import LocalOnly, private_folder, without_telemetry
from hrdepth.app.sessions import Sessions
from hrdepth.config import AppConfig
from hrdepth.errors import InputError
from hrdepth.io.run_folder import find_runs

__all__ = ["run", "serve"]

TITLE = "# hrdepth\nDepth from one image. Images stay on the machine that serves this page, for as long as it is open."


def run(config: AppConfig) -> None:
    """Serve the page until Ctrl-C.

    Raises:
        InputError: gradio is missing, a file or folder is, or the port is taken.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the temporary folder goes then, too
    with serve(config) as (page, address):
        print(f"{address}  (Ctrl-C ends it)", flush=True)
        page.block_thread()


@contextmanager
def serve(config: AppConfig) -> Iterator[tuple[Any, str]]:
    """Serve the page in the background; yield Gradio's `Blocks` and the address, and stop at the end.

    Raises:
        InputError: as `run`.
    """
    without_telemetry()
    logging.getLogger("httpx").setLevel(logging.WARNING)  # Gradio looks whether it answers
    try:
        import gradio as gr
        import matplotlib.pyplot  # noqa: F401  (Gradio would with the first call, which then waits for half a second)
    except ModuleNotFoundError as error:
        raise InputError(f"the page needs {error.name}; install it with pip install 'hrdepth[app]'") from error
    if int(gr.__version__.split(".")[0]) != 6:
        raise InputError(f"the page needs gradio 6, not {gr.__version__}; pip install 'hrdepth[app]'")
    weights = (config.weights,) if isinstance(config.weights, str) else config.weights
    runs = (config.runs,) if isinstance(config.runs, str) else config.runs
    networks = Networks(weights, config.device)
    with private_folder() as folder:
        warm_up(networks.predictor(), folder / "warm-up")
        page = _build(config, networks, Sessions(folder), find_runs(runs))
        try:
            address = _launch(page, config)
            yield page, address
        finally:
            page.close(verbose=False)


def _build(config: AppConfig, networks: Networks, sessions: Sessions, runs: dict[str, Path]) -> Any:
    import gradio as gr

    from hrdepth.app.page import DepthTab
    from hrdepth.app.training_tab import TrainingTab

    # Files of visitors who left without a word go after an hour.
    with gr.Blocks(title="hrdepth", analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gr.Markdown(TITLE, elem_id="title")
        with gr.Tab("Depth"):
            DepthTab(networks, sessions, config.limits).build()
        with gr.Tab("Training"):
            training = TrainingTab(runs)
            training.build()
        training.load_with(page)

        def leave(request: gr.Request) -> None:
            sessions.close(request.session_hash)

        leave.__annotations__["request"] = gr.Request
        page.unload(leave)
    page.queue(max_size=32, default_concurrency_limit=4)
    return page


def _launch(page: Any, config: AppConfig) -> str:
    import gradio as gr
    from starlette.middleware import Middleware

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
            show_error=False,
            footer_links=["api"],
            run_history=False,
            allowed_paths=[],
            max_file_size=int(config.limits.megabytes * 1e6),
            app_kwargs={"middleware": [Middleware(LocalOnly)]},
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
