"""Measure the page in Chromium beside native ONNX Runtime, in turns, on one image: time, processor time, disparity.

    hrdepth pack street --web page/
    python results/web/measure.py page/ --out results/web/speed.md

On a busy machine times are of little use: the processor time of one thread, and its ratio to native, still are.
"""

import argparse
import os
import platform
import shutil
import time
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image
from playwright.sync_api import sync_playwright

from hrdepth.config import ServeConfig
from hrdepth.inference.runtimes import load_runtime
from hrdepth.io.files import file_sha256
from hrdepth.web.onnxruntime_web import VERSION
from hrdepth.web.pack import EXAMPLES, STREETS
from hrdepth.web.serve import serve
from hrdepth.weights.find import locate_weights

# Name: factor of the trained size, and the shape that the image is brought to before, such as a camera's.
STREET, CAMERA = (288, 960), (480, 640)
SIZES = {
    "as trained": (1.0, STREET),
    "three quarters": (0.75, STREET),
    "half": (0.5, STREET),
    "half, camera of 640x480": (0.5, CAMERA),
}
FLAGS = ["--no-first-run", "--no-sandbox", "--disable-background-networking"]
RUN = """async ([factor, [resizeHeight, resizeWidth], count]) => {
  const { state } = await import('./page.js');
  const { smallerSize } = await import('./depth.js');
  const size = smallerSize(state.description.size, factor, state.description.stride);
  const rows = [];
  for (let k = 0; k < count; k++) {
    const started = performance.now();
    const image = await createImageBitmap(state.answer.bitmap, { resizeWidth, resizeHeight });
    const answer = await state.network.predict(image, size);
    rows.push([answer.seconds.network, answer.seconds.prepare, (performance.now() - started) / 1000]);
    answer.bitmap.close();
    if (k + 1 === count) return { rows, size: answer.size, disparity: Array.from(answer.disparity) };
  }
}"""


class Browser:
    """A page with so many threads, and its processor time."""

    def __init__(self, playwright, address, threads):
        self.browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        self.page = self.browser.new_page()
        self.page.set_default_timeout(300_000)
        self.page.goto(f"{address}?threads={threads}")
        self.page.wait_for_selector("body[data-ready]")
        self.page.locator("#examples button").first.click()
        self.page.wait_for_selector("#views:not([hidden])")
        self.session = self.browser.new_browser_cdp_session()
        self.run(1.0, STREET, 30)  # WebAssembly is compiled twice, the second time better

    def seconds(self):
        """Return the processor time of the page and its workers so far."""
        found = self.session.send("SystemInfo.getProcessInfo")["processInfo"]
        return sum(process["cpuTime"] for process in found if process["type"] == "renderer")

    def run(self, factor, shape, count):
        """Predict so many times; return the last answer with all times, and the mean processor time."""
        before = self.seconds()
        answer = self.page.evaluate(RUN, [factor, shape, count])
        return answer, (self.seconds() - before) / count


def native(runtime, image, count):
    """Predict so many times with ONNX Runtime; return the last disparity, the times, and the mean processor time."""
    times, started = [], time.process_time()
    for _ in range(count):
        one = time.perf_counter()
        disparity = runtime(image)
        times.append(time.perf_counter() - one)
    return disparity, times, (time.process_time() - started) / count


def main():
    """Measure all sizes, with one thread and two."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--network", default="street")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--count", type=int, default=5)
    parser.add_argument("--out", default="results/web/speed.md")
    given = parser.parse_args()
    picture = Image.open(STREETS / EXAMPLES[0]).convert("RGB")
    rows = {}
    with (
        serve(ServeConfig(given.folder, host="127.0.0.1", port=0, https=False)) as (address,),
        sync_playwright() as playwright,
    ):
        browsers = {threads: Browser(playwright, address, threads) for threads in (1, 2)}
        version = browsers[1].browser.version
        natives = {n: load_runtime(locate_weights(given.network), "onnxruntime", threads=n) for n in (1, 2)}
        for _ in range(given.rounds):
            for name, (factor, shape) in SIZES.items():
                for threads in (1, 2):
                    answer, used = browsers[threads].run(factor, shape, given.count)
                    height, width = answer["size"]
                    resized = np.asarray(picture.resize((width, height), Image.Resampling.LANCZOS))
                    image = np.ascontiguousarray(resized.transpose(2, 0, 1)[None], np.float32) / np.float32(255)
                    disparity, times, native_used = native(natives[threads], image, given.count)
                    row = rows.setdefault((name, f"{width}x{height}", threads), [[], [], [], [], [], 0.0])
                    row[0] += [one[0] for one in answer["rows"]]
                    row[1] += [one[2] for one in answer["rows"]]
                    row[2].append(used)
                    row[3] += times
                    row[4].append(native_used)
                    found = np.reshape(np.float32(answer["disparity"]), (height, width))
                    if shape == STREET:  # a camera's image is made by the browser
                        row[5] = max(row[5], float(np.abs(found - disparity[0, 0]).max()))
        for browser in browsers.values():
            browser.browser.close()
    columns = ["size", "network's input", "threads", "page: network, ms", "whole, ms", "its processor time, ms"]
    columns += ["native, ms", "its processor time, ms", "processor time, page / native", "largest difference"]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for (name, size, threads), (network, whole, used, times, native_used, worst) in rows.items():
        numbers = [1000 * min(values) for values in (network, whole, used, times, native_used)]
        shown = " | ".join(f"{number:.0f}" for number in numbers)
        ratio, difference = f"{numbers[2] / numbers[4]:.1f}", f"{worst:.0e}" if worst else "–"
        lines.append(f"| {name} | {size} | {threads} | {shown} | {ratio} | {difference} |")
    load = ", ".join(f"{one:.0f}" for one in os.getloadavg())
    file = locate_weights(given.network)
    about = f"""Least of {given.rounds * given.count} frames (processor time: of {given.rounds} rounds), page and
native in turns. Whole: from an image in memory to disparity with its range of colours. Difference: of disparity
at the network's size. Command: `python results/web/measure.py page/ --rounds {given.rounds} --count {given.count}`; no
random numbers. Weights {given.network}, SHA-256 {file_sha256(file)}. Chromium {version},
ONNX Runtime Web {VERSION}, ONNX Runtime {onnxruntime.__version__}, {platform.machine()},
{os.cpu_count()} logical cores, load averages at the end {load}."""
    Path(given.out).write_text("\n".join([*lines, "", about, ""]), encoding="utf-8")
    print(Path(given.out).read_text(encoding="utf-8"))


if __name__ == "__main__":
    main()
