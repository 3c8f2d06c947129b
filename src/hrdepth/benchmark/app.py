"""`hrdepth benchmark app`: the time until a visitor of the page gets the first and the following answers."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from PIL import Image
from rich.progress import track

from hrdepth.benchmark.report import Measurement, check_settings, report_measurements
from hrdepth.benchmark.subject import Subject, drawn_image
from hrdepth.benchmark.workers import Worker, start_workers
from hrdepth.config import AppConfig, BenchmarkAppConfig
from hrdepth.errors import InputError, require
from hrdepth.weights.find import locate_weights

__all__ = ["benchmark_app"]

Times = defaultdict[str, list[float]]


def benchmark_app(config: BenchmarkAppConfig) -> list[Measurement]:
    """Measure, print a table and write JSON.

    This process uploads an image through `gradio_client` and waits; another one serves the page.
    Seconds are the visitor's wall-clock time, processor seconds those of the page's process in that time, on all cores
    together.

    Raises:
        InputError: settings that cannot work, or as `hrdepth app`.
    """
    check_settings(config, pages=1, answers=2, size=1, image_size=1)
    require("gradio", "app", "the page needs")
    times: Times = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # Without a network, weights are named: those that are given, or the bundled ones.
        subject = Subject(config if config.network else replace(config, weights=str(locate_weights(config.weights))))
        weights = subject.save(folder, config.size)
        image = folder / "image.png"
        Image.fromarray(drawn_image(config.image_size)).save(image)
        page = partial(_serve_page, AppConfig(weights=(str(weights),), port=0, device=config.device))
        for _ in track(range(config.pages), description="pages", transient=True):
            begin = time.perf_counter()
            with start_workers({"page": page}) as workers:
                worker, loaded = workers["page"], time.perf_counter() - begin
                if worker.refused is not None:
                    raise InputError(worker.refused)
                times["loading, seconds"].append(loaded)
                times["loading, processor seconds"].append(worker.call("processor_seconds"))
                _visit(config, worker, image, times)
    measurements = [Measurement.of(name, values, "s") for name, values in times.items()]
    (height, width), (image_height, image_width) = config.size, config.image_size
    title = f"the page with {subject.name} at {width}x{height}, images of {image_width}x{image_height}"
    report_measurements(config, title, measurements, settings={"weights": subject.name}, values=times)
    return measurements


@dataclass
class Page:
    """A page that this process serves."""

    address: str

    def get_address(self) -> str:
        """Return the page's address."""
        return self.address

    def processor_seconds(self) -> float:
        """Return the processor time of this process so far, of all cores together."""
        return time.process_time()


@contextmanager
def _serve_page(config: AppConfig) -> Iterator[Page]:
    from hrdepth.app import serve

    with serve(config) as (_, address):
        yield Page(address)


def _visit(config: BenchmarkAppConfig, page: Worker, image: Path, times: Times) -> None:
    """Request answers, point clouds and files, one after the other, and note the times."""
    from gradio_client import Client, handle_file

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request
    settings = {} if config.runtime is None else {"runtime": config.runtime}
    client = Client(page.call("get_address"), verbose=False, download_files=str(image.parent / "downloads"))
    requests: dict[str, Callable[[], Any]] = {
        "answer": lambda: client.predict(handle_file(str(image)), api_name="/predict", **settings),
        "point cloud": lambda: client.predict(api_name="/point_cloud"),
        "files": lambda: client.predict(api_name="/files"),
    }
    try:
        for number in range(config.answers):
            for what, request in requests.items():
                processor, begin = page.call("processor_seconds"), time.perf_counter()
                request()
                passed = time.perf_counter() - begin
                name = f"{'following' if number else 'first'} {what}"
                times[f"{name}, seconds"].append(passed)
                times[f"{name}, processor seconds"].append(page.call("processor_seconds") - processor)
    finally:
        client.close()
