"""Tests of web/page in headless Chromium: what is predicted, shown, saved and refused, on line and off."""

import io
import math
import os
import re
from base64 import b64decode, b64encode
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrdepth.camera import DepthScale, aspect_size, pinhole
from hrdepth.config import ServeConfig
from hrdepth.inference.predictor import Predictor
from hrdepth.io.pointcloud import point_cloud
from hrdepth.io.video_writer import VideoWriter
from hrdepth.io.visualize import colorize_disparity
from hrdepth.web import serve as server
from hrdepth.web.pack import EXAMPLE_FOCAL, EXAMPLES, STREETS
from hrdepth.web.serve import serve
from opened_page import (
    STATE,
    disparity,
    download,
    evaluate,
    opened,
    predict_example,
    shown,
    upload,
    wait_for_answer,
)  # fmt: skip

# Ask another host, and add a script: which parts of the policy forbid that.
FOREIGN = """async () => {
  const found = [];
  document.addEventListener("securitypolicyviolation", (event) => found.push(event.effectiveDirective));
  await fetch("https://other.test/").catch(() => {});
  new Image().src = "https://other.test/image.png";
  document.body.append(Object.assign(document.createElement("script"), { textContent: "document.title = 'changed'" }));
  await new Promise((done) => setTimeout(done, 100));
  return [...new Set(found)].sort(); // by the page's own policy, and by the service worker's
}"""


@pytest.fixture(scope="module")
def page(browser, address):
    """One page of the bundled network for the tests that change nothing of it for good."""
    page = opened(browser, address)
    yield page
    assert not page.errors
    foreign = [url for url in page.asked if not url.startswith((address, "data:", "blob:"))]
    assert not foreign, "the page sends requests only to its own server"
    page.context.close()


@pytest.mark.parametrize("number", range(2))
def test_the_disparity_is_that_of_python(page, number):
    predict_example(page, number)
    expected = Predictor.from_file("street")(STREETS / EXAMPLES[number]).disparity
    assert np.abs(disparity(page) - expected).max() < 2e-3


def test_threads_are_used_though_the_server_sends_no_headers_for_them(browser, small, monkeypatch):
    monkeypatch.setattr(server, "HEADERS", {})
    with serve(ServeConfig(str(small[0]), host="127.0.0.1", port=0, https=False)) as (address,):
        page = opened(browser, address, threads=2)
        assert page.evaluate("crossOriginIsolated")
        cores = page.evaluate("navigator.hardwareConcurrency")
        assert f"{min(cores, 2)} thread" in page.locator("#status").inner_text()
        assert page.evaluate(FOREIGN) == ["connect-src", "img-src", "script-src-elem"], "the page's own policy"
        page.context.close()


@pytest.mark.parametrize(("height", "width"), [(97, 301), (480, 160), (64, 512), (64, 160), (30, 50)])
def test_images_are_resized_as_pillow_does_it(page, height, width):
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 4), dtype=np.uint8)
    size = (64, 160)
    given = page.evaluate(
        "async ([text, shape, size]) => Array.from((await import('./depth.js')).networkInput("
        "Uint8Array.from(atob(text), (c) => c.charCodeAt(0)), shape, size))",
        [b64encode(pixels.tobytes()).decode(), [height, width], size],
    )
    expected = Image.fromarray(pixels[..., :3]).resize(size[::-1], Image.Resampling.LANCZOS)
    found = np.array(given).reshape(3, *size).transpose(1, 2, 0) * 255
    np.testing.assert_array_equal(np.rint(found), np.asarray(expected))


@pytest.mark.parametrize("image", [(375, 1242), (1216, 1936), (640, 480), (100, 1000), (288, 960)])
def test_the_network_sees_an_image_at_the_size_that_python_chooses(page, image):
    for trained in ((160, 512), (192, 640), (96, 320)):
        found = page.evaluate(
            "async (given) => (await import('./depth.js')).aspectSize(...given)", [image, trained, 32]
        )
        assert tuple(found) == aspect_size(image, trained)


def test_the_three_files_hold_what_python_predicts(page):
    predict_example(page, 0)
    image = STREETS / EXAMPLES[0]
    width, height = Image.open(image).size
    intrinsics = pinhole(EXAMPLE_FOCAL * width, EXAMPLE_FOCAL * width, (width - 1) / 2, (height - 1) / 2)
    expected = Predictor.from_file("street")(image, intrinsics)
    metric = expected.metres_per_unit is not None
    name, content = download(page, "#save-colours")
    assert name == "street-1_disparity.png"
    low, high = evaluate(page, f"{STATE}.range")
    colours = np.asarray(Image.open(io.BytesIO(content)).convert("RGB")).astype(int)
    assert np.abs(colours - colorize_disparity(expected.disparity, low, high)).max() <= 8
    name, content = download(page, "#save-depth")
    depth = Image.open(io.BytesIO(content))
    assert name == "street-1_depth.png"
    assert depth.info["Comment"] == f"depth x 256 in {'metres' if metric else 'network units'}"
    reachable = np.minimum(expected.best_depth, 65535 / 256)  # sky is farther than a 16-bit PNG holds
    np.testing.assert_allclose(np.asarray(depth) / 256, reachable, rtol=0.01, atol=0.01)
    name, content = download(page, "#save-points")
    assert name == "street-1.ply"
    header, _, body = content.partition(b"end_header\n")
    assert f"unit: {'metres' if metric else 'network units'}".encode() in header
    points = np.frombuffer(body, [("point", "<f4", 3), ("colour", "u1", 3)])
    cloud = point_cloud(expected.best_depth, expected.image, intrinsics, far=20 * np.median(expected.best_depth))
    assert len(points) == int(re.search(rb"vertex (\d+)", header)[1]) == pytest.approx(len(cloud), rel=0.01)
    np.testing.assert_allclose(points["point"].mean(0), cloud.points.mean(0), rtol=0.02, atol=0.02)
    np.testing.assert_allclose(points["colour"].mean(0), cloud.colours.mean(0), rtol=0.02)


def test_metres_need_the_field_of_view(page, tmp_path):
    Image.open(STREETS / EXAMPLES[0]).save(tmp_path / "street.png")
    upload(page, tmp_path / "street.png")
    metric = evaluate(page, f"{STATE}.description.scale.metres_per_unit") is not None
    assert "metres" in page.locator("#unit").inner_text()
    assert " m" not in page.locator("#ticks").inner_text()
    page.locator("#angle").fill("81.5")
    assert float(page.locator("#focal").input_value()) == pytest.approx(557, abs=0.2)  # 480 / tan(81.5 / 2 degrees)
    assert (" m" in page.locator("#ticks").inner_text()) == metric
    far = float(re.match(r"[\d.]+", page.locator("#ticks").inner_text())[0])
    page.locator("#focal").fill("1114")
    assert float(page.locator("#angle").input_value()) == pytest.approx(46.6, abs=0.1)
    assert float(re.match(r"[\d.]+", page.locator("#ticks").inner_text())[0]) == pytest.approx(2 * far, rel=0.02)
    page.locator("#focal").fill("")
    assert " m" not in page.locator("#ticks").inner_text()


@pytest.mark.parametrize("scale", [DepthScale(), DepthScale(1.0, 50.0, 5.4, 0.58, 0.02), DepthScale(shift=-1.5)])
def test_depth_is_that_of_python_at_any_scale_and_shift(page, scale):
    values = np.linspace(0, 1, 9, dtype=np.float32)
    found = page.evaluate(
        "async ([scale, values]) => { const { depthScale } = await import('./depth.js');"
        " const { depth, unit } = depthScale(scale, 0.7); return [values.map(depth), unit]; }",
        [scale.as_dict(), values.tolist()],
    )
    expected = scale.depth(values[None], pinhole(0.7 * 9, 0.7 * 9, 4, 0))[0]
    np.testing.assert_allclose(found[0], expected * (scale.metres_per_unit or 1), rtol=1e-5)
    assert found[1] == ("m" if scale.metres_per_unit else "")


def test_disparity_beside_over_and_instead_of_the_image_in_any_colours(page):
    predict_example(page, 0)
    picture, over = page.locator("#picture"), page.locator("#disparity")
    assert over.bounding_box()["x"] > picture.bounding_box()["x"]
    page.get_by_label("over it").check()
    assert over.bounding_box() == picture.bounding_box()
    page.locator("#opacity").fill("25")
    assert over.evaluate("e => e.style.opacity") == "0.25"
    page.get_by_label("instead of it").check()
    assert not picture.is_visible()
    assert over.evaluate("e => e.style.opacity") == "1"
    page.locator("#map").select_option("gray")
    level = over.evaluate("e => [...e.getContext('2d').getImageData(0, 0, 9, 9).data]")
    assert level[0] == level[1] == level[2]
    page.locator("#map").select_option("magma")
    page.get_by_label("beside the image").check()


def test_the_points_turn_by_mouse_and_keys(page):
    predict_example(page, 0)
    page.locator("#points summary").click()
    page.wait_for_selector("#points-note:not(:empty)")
    assert int(page.locator("#points-note").inner_text().split()[0].replace(",", "")) > 10_000

    def seen():
        page.wait_for_timeout(500)
        return np.asarray(Image.open(io.BytesIO(page.locator("#cloud").screenshot())).convert("L")).astype(float)

    before = seen()
    assert before.std() > 10, "there is something to see"
    box = page.locator("#cloud").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2 + 80, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    turned = seen()
    assert np.abs(turned - before).mean() > 1
    page.locator("#cloud").press("0")
    assert np.abs(seen() - before).mean() < 1
    page.locator("#points summary").click()


def test_a_smaller_size_is_chosen(page):
    predict_example(page, 0)
    full = evaluate(page, f"{STATE}.answer.size")
    before = shown(page)
    page.locator("#size").select_option("half")
    wait_for_answer(page, before)
    assert 0.2 < np.prod(evaluate(page, f"{STATE}.answer.size")) / np.prod(full) < 0.4
    before = shown(page)
    page.locator("#size").select_option("as trained")
    wait_for_answer(page, before)


@pytest.mark.parametrize("kind", ["text", "cut", "100 megapixels"])
def test_a_bad_image_gets_a_sentence(page, tmp_path, kind):
    path = tmp_path / "bad.png"
    if kind == "text":
        path.write_text("no image")
    elif kind == "cut":
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(20))
    else:
        Image.new("L", (10_000, 10_000)).save(path)
    page.locator("#image-file").set_input_files(path)
    page.wait_for_selector("#status.refused")
    said = page.locator("#status").inner_text()
    assert said.startswith("bad.png ")
    assert ("has 100 megapixels; this page takes up to 40" if "100" in kind else "is not an image") in said
    predict_example(page, 0)
    assert page.locator("#status.refused").count() == 0


def test_off_line_after_the_first_load(browser, small_address):
    page = opened(browser, small_address)
    page.context.set_offline(True)
    page.reload()
    page.wait_for_selector("body[data-ready]")
    predict_example(page, 1)
    page.context.close()


def test_a_plain_http_address_of_another_machine_gets_images_but_no_camera(browser, small_address):
    page = opened(browser, small_address.replace("127.0.0.1", "plain.test"))
    assert page.locator("#camera").is_disabled()
    assert "only to pages opened by https or on localhost" in page.locator("#camera-note").inner_text()
    assert "1 thread." in page.locator("#status").inner_text()
    predict_example(page, 0)
    page.context.close()


def test_without_webgl_points_can_still_be_saved(launch, small_address):
    page = opened(launch("--disable-gpu", "--disable-3d-apis"), small_address)
    predict_example(page, 0)
    page.locator("#points summary").click()
    page.wait_for_selector("#points-note:not(:empty)")
    assert "no WebGL" in page.locator("#points-note").inner_text()
    assert download(page, "#save-points")[0] == "street-1.ply"
    page.context.close()


@pytest.fixture(scope="module")
def filmed(launch, address, tmp_path_factory):
    """A page whose camera is Chromium's own, playing a street again and again."""
    path = tmp_path_factory.mktemp("camera") / "street.mjpeg"
    content = io.BytesIO()
    Image.open(STREETS / EXAMPLES[0]).resize((640, 480)).save(content, "JPEG", quality=95, subsampling=2)
    path.write_bytes(content.getvalue() * 3)
    flags = ["--use-fake-device-for-media-stream", f"--use-file-for-fake-video-capture={path}"]
    page = opened(launch(*flags, "--use-fake-ui-for-media-stream"), address)
    yield page
    assert not page.errors
    page.context.close()


# Note which camera is asked for.
WANTED = """() => {
  const devices = navigator.mediaDevices;
  const open = devices.getUserMedia.bind(devices);
  window.wanted = [];
  devices.getUserMedia = (given) => {
    window.wanted.push(given.video.facingMode.ideal);
    return open(given);
  };
}"""


@pytest.mark.slow
def test_the_camera_is_predicted_live_at_half_the_size_as_python_does(filmed):
    filmed.evaluate(WANTED)
    before = shown(filmed)
    filmed.locator("#camera").click()
    wait_for_answer(filmed, before)
    filmed.locator("#facing").select_option("user")
    assert filmed.evaluate("window.wanted") == ["environment", "user"]
    wait_for_answer(filmed, shown(filmed) + 2)
    assert re.search(
        r"[\d.]+ frames a second, the network alone [\d.]+; \d+ x \d+", filmed.locator("#rate").inner_text()
    )
    filmed.locator("#stop").click()
    assert filmed.evaluate("document.getElementById('video').srcObject") is None, "the camera is given back"
    answer = f"const {{ answer }} = {STATE};"
    frame = filmed.evaluate(
        f"(async () => {{ {answer} const canvas = document.createElement('canvas'); canvas.width = answer.bitmap.width;"
        " canvas.height = answer.bitmap.height; canvas.getContext('2d').drawImage(answer.bitmap, 0, 0);"
        " return canvas.toDataURL('image/png'); })()"
    )
    image = Image.open(io.BytesIO(b64decode(frame.partition(",")[2]))).convert("RGB")
    assert image.size == (640, 480)
    size = tuple(evaluate(filmed, f"{STATE}.answer.size"))
    trained = evaluate(filmed, f"{STATE}.description.size")
    assert size == aspect_size((480, 640), tuple(max(2, math.floor(side / 64 + 0.5)) * 32 for side in trained))
    expected = Predictor.from_file("street", size=size)(image).disparity
    assert np.abs(disparity(filmed) - expected).max() < 2e-3


def test_frames_are_dropped_and_the_page_answers_meanwhile(filmed):
    filmed.locator("#size").select_option("as trained")
    before = shown(filmed)
    filmed.locator("#camera").click()
    wait_for_answer(filmed, before)
    # One image is in the worker at a time, and one waits to be drawn.
    waits = filmed.evaluate(
        "async () => { const waits = []; for (let k = 0; k < 10; k++) { const from = performance.now();"
        " await new Promise((done) => setTimeout(done)); waits.push(performance.now() - from); }"
        " return waits.sort((a, b) => a - b); }"
    )
    assert waits[len(waits) // 2] < 1000 * 0.5 * evaluate(filmed, f"{STATE}.answer.seconds.network")
    filmed.locator("#stop").click()


def test_a_refused_camera_gets_a_sentence(launch, small_address):
    page = opened(launch("--use-fake-device-for-media-stream", "--deny-permission-prompts"), small_address)
    page.locator("#camera").click()
    page.wait_for_selector("#status.refused")
    assert "The camera was refused" in page.locator("#status").inner_text()
    predict_example(page, 0)
    page.context.close()


# A camera that is allowed when the visitor has chosen something else.
LATE = """() => {
  window.allow = [];
  window.streams = [];
  navigator.mediaDevices.getUserMedia = () => new Promise((done) => window.allow.push(() => {
    window.streams.push(document.createElement("canvas").captureStream(5));
    done(window.streams.at(-1));
  }));
}"""


def test_a_camera_that_is_allowed_too_late_is_given_back(page):
    page.evaluate(LATE)
    page.locator("#camera").click()
    page.locator("#camera").click()
    predict_example(page, 0)
    states = page.evaluate(
        "async () => { window.allow.forEach((allow) => allow()); await new Promise((done) => setTimeout(done, 100));"
        " delete navigator.mediaDevices.getUserMedia;"
        " return window.streams.map((one) => one.getTracks()[0].readyState); }"
    )
    assert states == ["ended", "ended"]
    assert page.evaluate("document.getElementById('video').srcObject") is None


def test_a_video_is_predicted_and_can_be_stopped(browser, small_address, tmp_path):
    image = np.asarray(Image.open(STREETS / EXAMPLES[0]).resize((320, 96)))
    with VideoWriter(tmp_path / "drive.mp4", 10) as video:
        for shift in range(20):
            video.write(np.roll(image, 4 * shift, axis=1))
    page = opened(browser, small_address)
    page.locator("#video-file").set_input_files(tmp_path / "drive.mp4")
    page.wait_for_selector("#stop:not([hidden]), #status.refused")
    if page.locator("#status.refused").count():
        assert "is not a video that this browser can play" in page.locator("#status").inner_text()
        pytest.skip("this Chromium has no H.264")
    wait_for_answer(page, 3)
    page.locator("#stop").click()
    count = shown(page)
    page.wait_for_timeout(500)
    assert shown(page) <= count + 1
    page.context.close()


def memory(page):
    """Megabytes of the page and its workers, once garbage is collected."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    return evaluate(page, "(await performance.measureUserAgentSpecificMemory()).bytes") / 1e6


@pytest.mark.slow
def test_memory_does_not_grow_over_a_thousand_frames(launch, small_address):
    frames = 1000
    page = opened(launch("--enable-blink-features=ForceEagerMeasureMemory"), small_address)
    predict_example(page, 0)
    run = (
        "async (count) => { const { state } = await import('./page.js');"
        " const { size } = state.description; for (let k = 0; k < count; k++) {"
        "  const answer = await state.network.predict(await createImageBitmap(state.answer.bitmap), size);"
        "  answer.bitmap.close(); } }"
    )
    page.evaluate(run, 20)
    before = memory(page)
    page.evaluate(run, frames)
    assert memory(page) - before < 5
    page.context.close()


@pytest.mark.parametrize(("name", "width"), [("web.jpg", 1000), ("web-phone.jpg", 360)])
def test_screenshots_show_image_disparity_and_points(browser, request, tmp_path, name, width):
    # With HRDEPTH_IMAGES=docs/images these become the documentation's, of the bundled network.
    address = request.getfixturevalue("address" if "HRDEPTH_IMAGES" in os.environ else "small_address")
    page = opened(browser, address, width=width)
    predict_example(page, 0)
    page.locator("#points summary").click()
    page.wait_for_selector("#points-note:not(:empty)")
    page.locator("#rate").evaluate("element => (element.hidden = true)")  # times of a busy machine
    page.wait_for_timeout(500)
    path = Path(os.environ.get("HRDEPTH_IMAGES", tmp_path)) / name
    page.screenshot(path=path, full_page=True, type="jpeg", quality=85)
    image = Image.open(path)
    assert image.width == width
    cloud = page.locator("#cloud").bounding_box()
    part = image.crop([round(cloud["x"]), round(cloud["y"]), round(cloud["x"] + cloud["width"]), image.height])
    assert np.asarray(part.convert("L")).std() > 10
    page.context.close()
