"""`hrdepth benchmark app`: the time until a visitor of the page gets the first and the following answers."""

from __future__ import annotations

import logging
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from PIL import Image
from rich.progress import track

from hrdepth.benchmark.measurement import Measurement, check_benchmark, report_measurements
from hrdepth.benchmark.subject import drawn_image, find_subject
from hrdepth.benchmark.workers import Worker, start_workers
from hrdepth.config import AppConfig, BenchmarkAppConfig
from hrdepth.errors import InputError, require
from hrdepth.weights.checkpoint import read_checkpoint, save_checkpoint
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
    check_benchmark(config, pages=1, answers=2, size=1, image_size=1)
    require("gradio", "app", "the page needs")
    times: Times = defaultdict(list)
    if config.network is None:  # given weights, or the bundled ones
        config = replace(config, weights=str(locate_weights(config.weights)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        name, weights = find_subject(config, folder, config.size)
        if config.network is None:  # a copy, as the page has no option for its networks' size
            checkpoint, weights = read_checkpoint(weights), folder / weights.name
            save_checkpoint(weights, checkpoint.network, checkpoint.network_config, size=config.size)
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
    title = f"the page with {name} at {width}x{height}, images of {image_width}x{image_height}"
    report_measurements(config, title, measurements, settings={"weights": name}, values=times)
    return measurements


@contextmanager
def _serve_page(config: AppConfig) -> Iterator[SimpleNamespace]:
    """Serve a page; yield functions that return its address and the processor seconds of this process so far."""
    from hrdepth.app import serve

    with serve(config) as (_, address):
        yield SimpleNamespace(address=lambda: address, processor_seconds=time.process_time)


def _visit(config: BenchmarkAppConfig, page: Worker, image: Path, times: Times) -> None:
    """Request answers, point clouds and files, one after the other, and note the times."""
    from gradio_client import Client, handle_file

    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request
    settings = {} if config.runtime is None else {"runtime": config.runtime}
    with closing(Client(page.call("address"), verbose=False, download_files=str(image.parent / "downloads"))) as client:
        requests: dict[str, Callable[[], Any]] = {
            "answer": lambda: client.predict(handle_file(str(image)), api_name="/predict", **settings),
            "point cloud": lambda: client.predict(api_name="/point_cloud"),
            "files": lambda: client.predict(api_name="/files"),
        }
        for number in range(config.answers):
            for what, request in requests.items():
                processor, begin = page.call("processor_seconds"), time.perf_counter()
                request()
                passed = time.perf_counter() - begin
                name = f"{'following' if number else 'first'} {what}"
                times[f"{name}, seconds"].append(passed)
                times[f"{name}, processor seconds"].append(page.call("processor_seconds") - processor)
