"""Many visitors at once, then some for a long time, then a kill: is all answered, is memory flat, is nothing left?

    python tests/attacks/page.py --clients 40 --each 5 --soak-minutes 120 --out page.json

The page runs a network of one operation, so that what is measured is the page.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).parents[1]), str(Path(__file__).parents[2] / "src")]

import httpx  # noqa: E402
import numpy as np  # noqa: E402
from PIL import Image  # noqa: E402

from attacks.commands import write_graph  # noqa: E402

PATIENCE = 900.0  # seconds that a client waits for an answer; the machine may be busy


class Page:
    """A page in a process of its own."""

    def __init__(self, folder: Path) -> None:
        environment = {**os.environ, "TMPDIR": str(folder / "tmp"), "PYTHONPATH": os.pathsep.join(sys.path)}
        (folder / "tmp").mkdir(exist_ok=True)
        command = [sys.executable, "-m", "hrdepth.cli", "app", "--port", "0", "--weights", str(folder / "net.onnx")]
        self.log = (folder / "page.log").open("a")
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=self.log, env=environment, text=True)
        assert self.process.stdout is not None
        self.address = self.process.stdout.readline().split()[0].rstrip("/")

    def megabytes(self) -> float:
        """Return the memory of the process that no file backs."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return float(re.findall(r"RssAnon:\s+(\d+)", status)[0]) / 1000

    def handles(self) -> int:
        """Return how many files and connections it has open."""
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def end(self, number: int) -> int:
        """Send it a signal; return its status."""
        self.process.send_signal(number)
        status = self.process.wait(timeout=PATIENCE)
        self.log.close()
        return status


def visit(
    address: str, times: int, seed: int, outcomes: Counter[str], seconds: list[float], pause: float = 0.0
) -> None:
    """Be a visitor: open the page, then send images, fetch the answers, ask for a depth and for the files."""
    chance = random.Random(seed)
    # A connection that is kept alive may be closed by the server just when it is used again, which browsers repeat.
    limits = httpx.Limits(max_keepalive_connections=0)
    with httpx.Client(base_url=address, timeout=PATIENCE, limits=limits) as http:
        session = uuid.UUID(int=chance.getrandbits(128)).hex
        http.get("/")
        for _ in range(times):
            time.sleep(pause * chance.uniform(0.5, 1.5))
            began = time.monotonic()
            try:
                outcomes[_one(http, session, chance)] += 1
            except httpx.HTTPError as error:
                outcomes[type(error).__name__] += 1
            seconds.append(time.monotonic() - began)


def _one(http: httpx.Client, session: str, chance: random.Random) -> str:
    """Send an image; return `answered`, or what came instead."""
    size = chance.randint(40, 400), chance.randint(40, 200)
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(chance.getrandbits(32)).integers(0, 255, (*size, 3), np.uint8)).save(
        file, "PNG"
    )
    sent = http.post("/gradio_api/upload", files={"files": ("same name.png", file.getvalue())})
    if sent.status_code != 200:
        return f"upload: {sent.status_code} {sent.text[:80]}"
    settings = ["net", "onnxruntime", "automatic", 0]
    answer = _call(http, session, "predict", {"path": sent.json()[0], "meta": {"_type": "gradio.FileData"}}, *settings)
    if "event: complete" not in answer:
        return f"predict: {answer[:120]}"
    images = re.findall(r'"url":\s*"([^"]+)"', answer)
    if http.get(images[0]).status_code != 200:
        return "the image of the answer is gone"
    for name, data in (("depth_at", (0.5, 0.5)), ("files", ())):
        answer = _call(http, session, name, *data)
        if "event: complete" not in answer:
            return f"{name}: {answer[:120]}"
    return "answered"


def _call(http: httpx.Client, session: str, name: str, *data: Any) -> str:
    answer = http.post(f"/gradio_api/call/{name}", json={"data": data, "session_hash": session})
    if answer.status_code != 200:
        return f"{answer.status_code} {answer.text}"
    return http.get(f"/gradio_api/call/{name}/{answer.json()['event_id']}").text


def crowd(page: Page, clients: int, each: int) -> dict[str, Any]:
    """Let clients visit at once; return what they got, and how memory changed."""
    outcomes: Counter[str] = Counter()
    seconds: list[float] = []
    before, began = page.megabytes(), time.monotonic()
    threads = [
        threading.Thread(target=visit, args=(page.address, each, number, outcomes, seconds))
        for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {
        "clients": clients,
        "images": sum(outcomes.values()),
        "outcomes": dict(outcomes),
        "minutes": round((time.monotonic() - began) / 60, 1),
        "seconds_median": round(float(np.median(seconds)), 2),
        "seconds_longest": round(max(seconds), 2),
        "megabytes": [round(before), round(page.megabytes())],
    }


def soak(page: Page, minutes: float, clients: int, pause: float) -> dict[str, Any]:
    """Let clients come and go for a long time; return memory, open files and folders each minute."""
    outcomes: Counter[str] = Counter()
    seconds: list[float] = []
    samples, began = [], time.monotonic()
    ended = threading.Event()

    def come_and_go(number: int) -> None:
        visits = 0
        while not ended.is_set():
            # Then a new visitor, of no seed of the crowd's, whose sessions it would be refused.
            visit(page.address, 4, 1_000_000 * (number + 1) + visits, outcomes, seconds, pause)
            visits += 1

    threads = [threading.Thread(target=come_and_go, args=(number,)) for number in range(clients)]
    for thread in threads:
        thread.start()
    while time.monotonic() - began < 60 * minutes:
        ended.wait(min(60.0, 6 * minutes))
        samples.append((round(page.megabytes()), page.handles(), sum(outcomes.values())))
    ended.set()
    for thread in threads:
        thread.join()
    quarter = max(1, len(samples) // 4)
    second, last = samples[quarter : 2 * quarter] or samples, samples[-quarter:]
    return {
        "minutes": round((time.monotonic() - began) / 60, 1),
        "clients": clients,
        "pause": pause,
        "images": sum(outcomes.values()),
        "outcomes": dict(outcomes),
        "megabytes_second_quarter": round(float(np.median([sample[0] for sample in second])), 1),
        "megabytes_last_quarter": round(float(np.median([sample[0] for sample in last])), 1),
        "open_files_second_quarter": float(np.median([sample[1] for sample in second])),
        "open_files_last_quarter": float(np.median([sample[1] for sample in last])),
        "samples": samples,
    }


def campaign(clients: int, each: int, minutes: float, pause: float, folder: Path) -> dict[str, Any]:
    """Crowd, soak, kill and restart a page; return what was found."""
    write_graph(folder / "net.onnx")
    page, found = Page(folder), dict[str, Any]()
    found["crowd"] = crowd(page, clients, each)
    print(json.dumps(found["crowd"]), flush=True)
    if minutes:
        found["soak"] = soak(page, minutes, 4, pause)
        print(json.dumps({name: value for name, value in found["soak"].items() if name != "samples"}), flush=True)
    page.end(signal.SIGKILL)
    left = {path.name for path in (folder / "tmp").glob("hrdepth-app-*")}
    page = Page(folder)
    still = left & {path.name for path in (folder / "tmp").iterdir()}
    status = page.end(signal.SIGTERM)
    found["kill"] = {
        "folders_left_by_the_killed_page": len(left),
        "left_after_the_next_start": len(still),
        "status_after_sigterm": status,
        "left_after_sigterm": len(list((folder / "tmp").glob("hrdepth-app-*"))),
        "tracebacks": (folder / "page.log").read_text().count("Traceback (most recent call last)"),
    }
    print(json.dumps(found["kill"]), flush=True)
    return found


def main() -> int:
    """Run a campaign from the command line; the status says whether anything failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=40)
    parser.add_argument("--each", type=int, default=5, help="images of a client")
    parser.add_argument("--soak-minutes", type=float, default=120.0)
    parser.add_argument("--pause", type=float, default=5.0, help="seconds between two images of a client in the soak")
    parser.add_argument("--out", type=Path, help="a JSON file for what was found")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = campaign(options.clients, options.each, options.soak_minutes, options.pause, Path(folder))
    if options.out is not None:
        from hrdepth.io.files import write_json
        from hrdepth.io.provenance import provenance

        write_json(options.out, provenance(**found))
    kill = found["kill"]
    unanswered = [name for part in ("crowd", "soak") for name in found.get(part, {"outcomes": {}})["outcomes"]]
    failed = set(unanswered) - {"answered"}
    return int(bool(failed) or kill["left_after_the_next_start"] > 0 or kill["tracebacks"] > 0)


if __name__ == "__main__":
    sys.exit(main())
