"""Tests of app/page.py and app/answers.py through HTTP.

The page's functions through gradio_client, and what its server refuses.
"""

import json
import os
import re
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hrdepth.inference.predictor import Predictor
from hrdepth.io.video_writer import VideoWriter
from uploads import HOSTILE, claim, clip

SETTINGS = ("tiny", "pytorch", "as trained", 0)


@pytest.fixture(scope="module")
def connection(served, tmp_path_factory):
    got = tmp_path_factory.mktemp("got")
    client = pytest.importorskip("gradio_client").Client(served, verbose=False, download_files=got)
    yield client
    client.close()


@pytest.fixture
def client(connection):
    """A visitor of the page whom it has not seen before."""
    connection.reset_session()
    return connection


@pytest.fixture
def image(tmp_path):
    rng = np.random.default_rng(0)
    small = Image.fromarray(rng.integers(0, 255, (9, 12, 3), dtype=np.uint8))
    small.resize((120, 90), Image.Resampling.BICUBIC).save(tmp_path / "a street.png")
    return tmp_path / "a street.png"


def send(client, path, settings=SETTINGS):
    from gradio_client import handle_file

    return client.predict(handle_file(str(path)), *settings, api_name="/predict")


def fetch(address, data=None, headers=None):
    request = urllib.request.Request(address, data=data, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


def test_the_api_returns_the_predictors_disparity_for_an_image(client, image, weights):
    (left, right), _ = send(client, image)
    assert Image.open(left).size == Image.open(right).size == (120, 90)
    expected = Predictor.from_file(weights)(image)
    found = client.predict(0.25, 0.5, api_name="/depth_at")
    assert (found["column"], found["row"], found["unit"]) == (30, 45, "m")
    assert found["depth"] == pytest.approx(float(expected.depth_metres[45, 30]), abs=1e-3)
    colours, depth, arrays, points = client.predict(api_name="/files")
    assert Path(colours).name == "a_street_disparity.png"
    assert np.asarray(Image.open(depth)).dtype == np.uint16
    np.testing.assert_allclose(np.asarray(Image.open(depth)) / 256, expected.depth_metres, atol=0.01)
    np.testing.assert_allclose(np.load(arrays)["disparity"], expected.disparity, atol=1e-5)
    assert Path(points).read_bytes().startswith(b"ply")
    assert b"comment unit: metres\n" in Path(points).read_bytes()[:600]
    assert Path(client.predict(api_name="/point_cloud")).read_bytes().startswith(b"glTF")


def test_the_api_uses_the_given_size_and_focal_length(client, image, weights):
    send(client, image, ("tiny", "pytorch", "64x64", 100.0))
    expected = Predictor.from_file(weights, size=(64, 64))(image)
    arrays = np.load(client.predict(api_name="/files")[2])
    np.testing.assert_allclose(arrays["disparity"], expected.disparity, atol=1e-5)
    assert arrays["intrinsics"][0, 0] == pytest.approx(100)


def test_the_api_predicts_a_clip(client, tmp_path):
    import av

    (left, _), _ = send(client, clip(tmp_path / "ride.mp4", frames=5, size=(64, 96)))
    assert Image.open(left).size == (96, 64)
    path = client.predict(*SETTINGS, api_name="/clip")
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    assert (len(frames), frames[0].width, frames[0].height) == (5, 192, 64)


@pytest.mark.parametrize(
    "settings",
    [
        ("no", "pytorch", "64x64", 0),
        ("tiny", "no", "64x64", 0),
        ("tiny", "pytorch", "65x64", 0),
        ("tiny", "pytorch", "9999x9999", 0),
    ],
)
def test_wrong_settings_are_named(client, image, settings):
    with pytest.raises(Exception, match=r"not in the list of choices|multiples of|too large"):
        send(client, image, settings)


@pytest.mark.parametrize("name", [name for name in HOSTILE if name not in ("heavy.jpg", "empty.png", "large.png")])
def test_hostile_uploads_are_refused_with_a_message(client, tmp_path, name):
    content, sentence = HOSTILE[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(Exception, match=sentence.replace("0.5", "2")):
        send(client, tmp_path / name)


@pytest.fixture
def noisy(tmp_path):
    """A clip that does not become small: most of its bytes are images, its header lies before them."""
    rng = np.random.default_rng(0)
    with VideoWriter(tmp_path / "ride.mp4", 10) as video:
        for _ in range(10):
            video.write(rng.integers(0, 255, (64, 96, 3), dtype=np.uint8))
    return tmp_path / "ride.mp4"


def cut(path, share):
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    return path


def test_a_clip_without_image_data_is_refused_with_a_message(client, noisy):
    with pytest.raises(Exception, match=r"ride\.mp4"):
        send(client, cut(noisy, 0.02))


def test_a_clip_that_ends_early_is_refused_with_a_message(client, noisy):
    send(client, cut(noisy, 0.6))  # the first frame is there
    with pytest.raises(Exception, match=r"clip\.mp4 is damaged after frame [1-9]"):
        client.predict(*SETTINGS, api_name="/clip")


def test_a_clip_whose_header_claims_fewer_frames_is_refused_with_a_message(client, tmp_path):
    send(client, claim(clip(tmp_path / "ride.mp4", frames=60, size=(16, 16)), length=1))
    with pytest.raises(Exception, match="longer than 2 s"):
        client.predict(*SETTINGS, api_name="/clip")


def test_a_clip_whose_header_claims_more_frames_is_refused_with_a_message(client, tmp_path):
    with pytest.raises(Exception, match=r"ride\.mp4 is longer than 2 s"):
        send(client, claim(clip(tmp_path / "ride.mp4", frames=5, size=(64, 96)), length=10**9, each=10**8))


def test_a_clip_whose_header_claims_smaller_images_is_refused_with_a_message(client, tmp_path):
    with pytest.raises(Exception, match=r"ride\.mp4 has 1800x1200 pixels"):
        send(client, claim(clip(tmp_path / "ride.mp4", frames=3, size=(1200, 1800)), size=(64, 96)))


def test_a_clip_whose_header_claims_larger_images_has_the_size_of_its_frames(client, tmp_path):
    (left, _), _ = send(client, claim(clip(tmp_path / "ride.mp4", frames=3, size=(64, 96)), size=(6000, 9000)))
    assert Image.open(left).size == (96, 64)


def test_an_upload_above_the_size_limit_is_refused(client, tmp_path):
    (tmp_path / "heavy.jpg").write_bytes(b"\xff\xd8\xff" + b"\0" * 5_000_000)
    with pytest.raises(Exception):  # noqa: B017  (the client's own, for status 413)
        send(client, tmp_path / "heavy.jpg")


def test_depth_at_a_point_needs_an_image_first(client):
    with pytest.raises(Exception, match="there is no image yet"):
        client.predict(0.5, 0.5, api_name="/depth_at")


def test_an_image_that_is_removed_has_no_depth(client, image):
    send(client, image, ("tiny", "pytorch", "64x64", 0))
    assert client.predict(0.5, 0.5, api_name="/depth_at")["depth"] > 0
    with pytest.raises(Exception, match="two numbers, from 0 to 1"):
        client.predict("a", 0.4, api_name="/depth_at")
    client.predict(None, "tiny", "pytorch", "64x64", 0, api_name="/predict")
    with pytest.raises(Exception, match="there is no image yet"):
        client.predict(0.5, 0.5, api_name="/depth_at")


def test_the_training_endpoint_returns_a_runs_state(client):
    status = client.predict("first", api_name="/training")
    assert (status["state"], status["epoch"], status["step"], status["steps"]) == ("stopped", 2, 40, 80)
    assert status["message"].startswith("training stopped at step 40")
    with pytest.raises(Exception, match="unknown run"):
        client.predict("../..", api_name="/training")


@pytest.mark.parametrize(
    "path",
    ["/etc/passwd", "//etc/passwd", "../../../../etc/passwd", "/proc/self/environ", "%2Fetc%2Fpasswd",
     "http://127.0.0.1:1/", "https://example.com/", "HTTP://127.0.0.1:1/", "file:///etc/passwd", __file__],
)  # fmt: skip
def test_no_path_of_the_server_can_be_read(served, path):
    for start in ("gradio_api/file=", "file=", "gradio_api/file/"):
        status, body = fetch(served + start + path)
        assert status in (403, 404)
        assert b"root:" not in body


def test_weights_runs_and_source_cannot_be_read(served, weights):
    assert fetch(f"{served}gradio_api/file={weights}")[0] == 403
    assert fetch(f"{served}gradio_api/file={Path.cwd()}/pyproject.toml")[0] == 403


@pytest.mark.parametrize("path", ["/etc/passwd", "http://127.0.0.1:1/a.png", "https://example.com/a.png"])
def test_a_file_that_was_not_uploaded_is_refused(served, path):
    file = {"path": path, "meta": {"_type": "gradio.FileData"}}
    body = json.dumps({"data": [file, *SETTINGS], "session_hash": "abc"}).encode()
    status, answer = fetch(f"{served}gradio_api/call/predict", body, {"Content-Type": "application/json"})
    if status == 200:  # taken into the queue, where it fails
        event = json.loads(answer)["event_id"]
        answer = fetch(f"{served}gradio_api/call/predict/{event}")[1]
        assert b"event: error" in answer
        assert b"root:" not in answer
    else:
        assert status == 403


def test_the_page_that_computes_in_the_browser_is_linked_and_served_and_nothing_beside_it(served):
    assert b"(web/)" in fetch(f"{served}config")[1]
    with urllib.request.urlopen(f"{served}web/", timeout=20) as answer:
        assert answer.headers["content-type"].startswith("text/html")
        assert b"computed in the browser" in answer.read()
    with urllib.request.urlopen(f"{served}web/page.js", timeout=20) as answer:
        assert "javascript" in answer.headers["content-type"]
    for path in ("web/../secret.txt", "web/%2e%2e/secret.txt", "web/..%2fsecret.txt", "web/nothing.js"):
        status, body = fetch(served + path)
        assert status == 404
        assert b"secret" not in body


def test_a_request_of_megabytes_is_refused(served):
    body = json.dumps({"data": ["x" * 2_000_000]}).encode()
    assert fetch(f"{served}gradio_api/call/predict", body, {"Content-Type": "application/json"})[0] == 413


def test_unused_gradio_endpoints_are_closed(served):
    for part in ("monitoring", "gradio_api/runs", "gradio_api/proxy=http://127.0.0.1:1/", "gradio_api/deep_link"):
        assert fetch(served + part)[0] in (403, 404)


def test_an_upload_is_deleted_once_it_is_read(served, client, image):
    folder = Path(os.environ["GRADIO_TEMP_DIR"])
    waiting = set(folder.rglob("a street.png"))  # of requests that were refused before the file was read
    send(client, image)
    assert list(folder.glob("session-*"))
    assert set(folder.rglob("a street.png")) == waiting
    assert folder.stat().st_mode & 0o077 == 0


def test_the_documentations_snippet_runs_against_the_page(served, tmp_path, monkeypatch):
    pytest.importorskip("gradio_client")
    text = (Path(__file__).resolve().parents[2] / "docs" / "app.md").read_text(encoding="utf-8")
    [snippet] = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    monkeypatch.chdir(tmp_path)
    Image.linear_gradient("L").convert("RGB").save("street.jpg")
    place = {"__name__": "snippet"}
    exec(compile(snippet.replace("http://127.0.0.1:7860", served), "docs/app.md", "exec"), place)
    assert Image.open(place["image"]).size == (256, 256)
