"""Units of work through processes of a Ray cluster, each with one network; each has one result, whatever dies."""

from __future__ import annotations

import logging
import os
import pickle
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from rich.progress import track

from hrdepth.config import FleetConfig
from hrdepth.errors import InputError, first_line, require
from hrdepth.io.objects import is_url
from hrdepth.machine import limit_openmp_spin

__all__ = ["Done", "Work", "stream", "with_absolute_paths"]

log = logging.getLogger(__name__)

Config = TypeVar("Config", bound=Any)
Work = Callable[[Any], Any]
"""Does a unit and returns a small result; raises `InputError` where the unit cannot be done."""
RETRIES = 10
"""How often a unit is begun again whose process or machine died; then the unit itself is the likely cause."""
BLOCKS = 2000
SECONDS = 10  # to wait for an answer of a cluster
STORE_BYTES = 200_000_000  # of a cluster that is started here: units and results are small


class Done(NamedTuple):
    """What became of a unit.

    Attributes:
        number: of the unit.
        result: what the work returned, None if it failed.
        error: why it failed, in one sentence.
    """

    number: int
    result: Any
    error: str | None


def stream(make: Callable[[], Work], units: Sequence[Any], config: FleetConfig, name: str) -> Iterator[Done]:
    """Yield what becomes of each unit, in the order in which they end; of each exactly one.

    Args:
        make: makes the work in each process, such as a network; picklable.
        units: small, picklable descriptions.
        config: the cluster and its processes.
        name: of the progress bar.

    Raises:
        InputError: there is no such cluster, or it has not the cores or GPUs of one process.
    """
    if not units:
        return
    with _cluster(config) as ray:
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.max_errored_blocks = -1  # reported below
        rows = [{"number": number, "unit": pickle.dumps(unit)} for number, unit in enumerate(units)]
        workers = _workers(ray, config, len(units))
        data = ray.data.from_items(rows, override_num_blocks=min(len(rows), BLOCKS)).map(
            _Process,
            fn_constructor_args=(make,),
            # One unit at a time is with a process, so that one that kills it takes no other with it.
            compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
            num_cpus=config.ray_cpus,
            num_gpus=config.ray_gpus,
            max_restarts=-1,
            max_task_retries=RETRIES,
        )
        log.info("%d units of work on %d processes", len(units), workers)
        seen: set[int] = set()
        for row in track(data.iter_rows(), name, len(units), disable=len(units) < 2):
            result, error = pickle.loads(row["result"])  # from this program's own processes
            seen.add(row["number"])
            yield Done(row["number"], result, error)
        for number in range(len(units)):
            if number not in seen:
                yield Done(number, None, f"the process that did it died {RETRIES + 1} times")


def with_absolute_paths(config: Config, names: Sequence[str]) -> Config:
    """Return a config whose paths hold in the processes of the cluster, whose working folder is another one.

    Args:
        config: a dataclass.
        names: of its fields; URLs, and names of bundled weights, stay as they are.
    """
    values = {name: getattr(config, name) for name in names}
    paths = {name: Path(value) for name, value in values.items() if isinstance(value, str) and not is_url(value)}
    return replace(config, **{name: str(path.resolve()) for name, path in paths.items() if path.exists()})


class _Process:
    """What runs in a process of the cluster."""

    def __init__(self, make: Callable[[], Work]) -> None:
        limit_openmp_spin()
        self._make = make
        self._work: Work | None = None

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        done: tuple[Any, str | None]
        try:
            if self._work is None:
                self._work = self._make()
            done = self._work(pickle.loads(row["unit"])), None
        except InputError as error:
            done = None, str(error)
        except Exception as error:  # one input must not end the others
            log.exception("a unit failed")
            done = None, f"{type(error).__name__}: {error}"
        return {"number": row["number"], "result": pickle.dumps(done)}


def _workers(ray: Any, config: FleetConfig, most: int) -> int:
    """Return how many processes work at a time."""
    here = ray.cluster_resources()
    fits = [int(here.get("CPU", 0) / config.ray_cpus)]
    if config.ray_gpus:
        fits.append(int(here.get("GPU", 0) / config.ray_gpus))
    if min(fits) < 1:
        raise InputError(
            f"the cluster has {here.get('CPU', 0):g} cores and {here.get('GPU', 0):g} GPUs, a process wants "
            f"{config.ray_cpus:g} and {config.ray_gpus:g}; set --ray-cpus and --ray-gpus"
        )
    return max(1, min(config.ray_workers or min(fits), most))


def _check_address(address: str | None) -> None:
    """Raise InputError if nothing listens at HOST:PORT: Ray itself would try for ten minutes."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdigit() or "//" in host:  # "auto", "local", ray://: Ray answers soon
        return
    try:
        socket.create_connection((host, int(port)), timeout=SECONDS).close()
    except (OSError, OverflowError) as error:
        raise InputError(
            f"nothing answers at the Ray cluster's address {address} ({error}); start it there with ray start --head"
        ) from error


@contextmanager
def _cluster(config: FleetConfig) -> Iterator[Any]:
    """Yield Ray, connected to the cluster of the config; one that is started here ends with the command."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    ray = require("ray", "ray", "--ray needs")
    require("ray.data", "ray", "--ray needs")
    if ray.is_initialized():
        yield ray
        return
    _check_address(config.ray)
    settings: dict[str, Any] = {"address": config.ray}
    if config.ray == "local":
        settings |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    try:
        ray.init(**settings, logging_level=logging.WARNING, log_to_driver=False)
    except Exception as error:  # Ray raises `Exception` itself where a cluster does not start in time
        raise InputError(f"the Ray cluster {config.ray} cannot be reached ({first_line(error)})") from error
    try:
        yield ray
    finally:
        ray.shutdown()
