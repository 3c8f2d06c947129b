"""The page's second tab: follow a training run by its folder."""

from __future__ import annotations

import html
from pathlib import Path
from typing import Any

import gradio as gr
import pandas

from hrdepth.app.page import as_gradio_error
from hrdepth.io.images import read_image
from hrdepth.io.run_folder import RunStatus, read_run
from hrdepth.registry import lookup

__all__ = ["TrainingTab"]

SECONDS = 10
PANEL = "Newest panel: image, disparity, synthesised view, error, auto-mask"


class TrainingTab:
    """The functions behind the tab.

    Args:
        runs: folders by name; no other can be read.
    """

    def __init__(self, runs: dict[str, Path]) -> None:
        self.runs = runs

    def build(self) -> None:
        """Lay the tab out inside the open `gr.Blocks`."""
        if not self.runs:
            gr.Markdown("No run to follow. Start the page with `hrdepth app --runs FOLDER`.")
            return
        names = list(self.runs)
        run = gr.Dropdown(names, value=names[0], label="Run", elem_id="run")
        state = gr.HTML(elem_id="run-state")
        with gr.Row():
            curves = gr.LinePlot(
                x="step", y="loss", color="curve", title="Loss", height=380, elem_id="curves", x_title="step",
                color_map={"training loss": "#4c78a8", "validation loss": "#f58518"},
            )  # fmt: skip
            panel = gr.Image(
                label=PANEL, height=380, interactive=False, buttons=["fullscreen"],
                elem_id="run-panel",
            )  # fmt: skip
        shown = [state, curves, panel]
        run.input(self.show, run, shown, show_progress="hidden", api_visibility="private")
        gr.Timer(SECONDS).tick(self.show, run, shown, show_progress="hidden", api_visibility="private")
        gr.api(self.training, api_name="training")
        self._load = (run, shown)

    def load_with(self, blocks: Any) -> None:
        """Fill the tab when the page opens."""
        if self.runs:
            run, shown = self._load
            blocks.load(self.show, run, shown, show_progress="hidden", api_visibility="private")

    @as_gradio_error
    def show(self, run: str) -> tuple[str, Any, Any]:
        """Read the run's folder: its state as HTML, its curves, its newest panel."""
        status = read_run(lookup(self.runs, run, "run"))
        rows = [
            {"step": step, "loss": value, "curve": name}
            for name, curve in status.curves.items()
            for step, value in curve
        ]
        table = pandas.DataFrame(rows, columns=["step", "loss", "curve"])
        return state_as_html(status), table, None if status.panel is None else read_image(status.panel)

    @as_gradio_error
    def training(self, run: str) -> dict[str, Any]:
        """Return a run's progress: state, epoch, step, samples per second, seconds left, message, curves."""
        status = read_run(lookup(self.runs, run, "run"))
        return {name: value for name, value in vars(status).items() if name != "panel"}


def state_as_html(status: RunStatus) -> str:
    """Put a run's state into a line of HTML, and the guard's message below it."""
    steps = f"{status.step}" if status.steps is None else f"{status.step} of {status.steps}"
    facts = {
        "State": "stopped by the guard" if status.state == "stopped" else status.state,
        "Network": status.network,
        "Epoch": f"{status.epoch} of {status.epochs}",
        "Step": steps,
        "Samples per second": "–" if status.samples_per_second is None else f"{status.samples_per_second:.2f}",
        "Trained": duration(60 * status.minutes),
        "Left": "–" if status.seconds_left is None else duration(status.seconds_left),
    }
    cells = "".join(f"<div><span>{name}</span><b>{html.escape(value)}</b></div>" for name, value in facts.items())
    message = f"<p class='message'>{html.escape(status.message)}</p>" if status.message else ""
    return f"<div class='facts {status.state}'>{cells}</div>{message}"


def duration(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds.

    Example:
        >>> duration(3725)
        '1:02:05'
    """
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"
