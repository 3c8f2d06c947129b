"""Attacks on the page: other hosts and sites, other visitors' sessions and files, deletion by path, full disks."""

import asyncio
import gc
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import uuid
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from hrdepth.app import _purging, answers
from hrdepth.app.gate import Gate
from hrdepth.app.uploads import KEPT_SECONDS, Uploads
from hrdepth.app.visitors import Sessions
from hrdepth.config import AppConfig, UploadLimits
from hrdepth.errors import InputError
from hrdepth.inference.predictor import Predictor
from hrdepth.networks import build_network
from hrdepth.weights.checkpoint import save_checkpoint
from tiny_networks import NETWORK

LIMITS = UploadLimits(megabytes=1, megapixels=2, side=4000, seconds=2, visitor_megabytes=2.5, total_megabytes=30)
SETTINGS = ("tiny", "pytorch", "as trained", 0)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The address of a page with small quotas, also served as depth.example."""
    pytest.importorskip("gradio", reason="needs gradio (extra app)")
    pytest.importorskip("trimesh", reason="needs trimesh (extra app)")
    from hrdepth.app import serve

    path = tmp_path_factory.mktemp("weights") / "tiny.safetensors"
    save_checkpoint(path, build_network(NETWORK), NETWORK, size=(64, 96))
    config = AppConfig(weights=(str(path),), port=0, limits=LIMITS, names="depth.example")
    with serve(config) as (_, address):
        yield address.rstrip("/")


@pytest.fixture
def folder(served):
    """The page's folder on disk."""
    return Path(os.environ["GRADIO_TEMP_DIR"])


class Visitor:
    """A browser that has opened the page, or a client of the API without a cookie."""

    def __init__(self, address, *, browser=True):
        import httpx

        self.http = httpx.Client(base_url=address, timeout=60)
        self.session = uuid.uuid4().hex if not browser else "a1b2c3d4e5" + uuid.uuid4().hex[:4]
        if browser:
            assert self.http.get("/").status_code == 200
            assert "hrdepth_visitor" in self.http.cookies

    def close(self):
        self.http.close()

    def upload(self, content, name="a.png", **headers):
        return self.http.post("/gradio_api/upload", files={"files": (name, content)}, headers=headers)

    def call(self, function, *data, session=None):
        """Return the answer's events as text, or a status."""
        body = {"data": data, "session_hash": session or self.session}
        answer = self.http.post(f"/gradio_api/call/{function}", json=body)
        if answer.status_code != 200:
            return str(answer.status_code)
        return self.http.get(f"/gradio_api/call/{function}/{answer.json()['event_id']}").text

    def predict(self, path):
        return self.call("predict", {"path": str(path), "meta": {"_type": "gradio.FileData"}}, *SETTINGS)


@pytest.fixture
def visitor(served):
    with closing(Visitor(served)) as one:
        yield one


@pytest.fixture
def other(served):
    with closing(Visitor(served)) as one:
        yield one


@pytest.fixture
def program(served):
    with closing(Visitor(served, browser=False)) as one:
        yield one


def png(*, seed=0, size=(60, 40)):
    pixels = np.random.default_rng(seed).integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def complete(answer):
    return "event: complete" in answer


@pytest.mark.parametrize("who", ["visitor", "program"])
def test_a_visitor_uploads_and_predicts(request, who):
    one = request.getfixturevalue(who)
    [path] = one.upload(png()).json()
    assert complete(one.predict(path))
    assert not Path(path).exists()
    assert ".npz" in one.call("files")


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7860", "127.0.0.1.evil.example", "localhost.x.example",
                                  "evil.example@127.0.0.1", "", "[", "[::1"])  # fmt: skip
def test_other_hosts_are_refused(program, host):
    for method, path in (("GET", "/"), ("GET", "/config"), ("POST", "/gradio_api/call/files")):
        body = None if method == "GET" else json.dumps({"data": []})
        answer = program.http.request(method, path, headers={"host": host}, content=body)
        assert answer.status_code in (400, 421)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:1", "LOCALHOST", "[::1]:7", "192.168.1.2", "depth.example"])
def test_own_hosts_are_served(program, host):
    assert program.http.get("/config", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("origin", ["http://evil.example", "https://evil.example:7860", "null", "http://localhost:1", "http://[",
                                    "http://127.0.0.1.evil.example", "x"])  # fmt: skip
def test_requests_of_other_pages_are_refused(visitor, folder, origin):
    before = set(folder.rglob("*.png"))
    assert visitor.upload(png(seed=1), origin=origin).status_code == 403
    assert set(folder.rglob("*.png")) == before
    for kind in ("application/json", "text/plain", "multipart/form-data; boundary=x"):
        headers = {"origin": origin, "content-type": kind}
        answer = visitor.http.post("/gradio_api/call/files", content=json.dumps({"data": []}), headers=headers)
        assert answer.status_code == 403
        assert "localhost" in origin or "access-control-allow-origin" not in answer.headers
    answer = visitor.http.get("/config", headers={"origin": origin})
    assert answer.status_code == 403


def test_a_cross_site_form_without_origin_is_refused(visitor):
    assert visitor.upload(png(), **{"sec-fetch-site": "cross-site"}).status_code == 403


def test_requests_of_the_page_itself_are_served(visitor, served):
    assert visitor.http.get("/config", headers={"origin": served}).status_code == 200
    assert visitor.upload(png(), origin=served).status_code == 200
    headers = {"origin": "https://depth.example", "host": "127.0.0.1:7860"}  # a proxy that changes the host
    assert visitor.http.get("/config", headers=headers).status_code == 200


def test_the_cookie_cannot_be_read_sent_by_others_or_made(visitor, served):
    import httpx

    cookie = httpx.get(served).headers["set-cookie"]
    assert re.fullmatch(r"hrdepth_visitor=[\w-]{32}\.[0-9a-f]{64}; Path=/; HttpOnly; SameSite=Strict", cookie)
    assert cookie != httpx.get(served).headers["set-cookie"]
    made = {"cookie": "hrdepth_visitor=" + "a" * 32 + "." + "0" * 64}
    body = {"data": [], "session_hash": "short"}
    assert httpx.post(f"{served}/gradio_api/call/files", json=body, headers=made).status_code == 403


@pytest.mark.parametrize("others", ['pref={"dark":true}', "name=\xe4\xf6", "x", "a=b", "hrdepth_visitor=a.b", ""])
def test_the_cookie_is_found_beside_any_others(others, tmp_path):
    gate = Gate(None, Uploads(tmp_path, LIMITS), ())
    own = f"hrdepth_visitor=token.{gate._seal('token')}"
    for cookies in (f"{others}; {own}", f"{own}; {others}", f"{others};{own}"):
        assert gate._token(cookies) == "token"
    assert gate._token(others) is None


def test_a_session_belongs_to_who_began_it(visitor, other, program):
    [path] = visitor.upload(png(seed=2)).json()
    assert complete(visitor.predict(path))
    for thief in (other, program):
        for function in ("files", "point_cloud", "depth_at"):
            data = (0.5, 0.5) if function == "depth_at" else ()
            assert thief.call(function, *data, session=visitor.session) == "403"
        for address in (f"queue/data?session_hash={visitor.session}", f"heartbeat/{visitor.session}"):
            assert thief.http.get(f"/gradio_api/{address}").status_code == 403
        forged = {"x-hrdepth-visitor": "cookie x"}
        body = {"data": [], "session_hash": visitor.session}
        assert thief.http.post("/gradio_api/call/files", json=body, headers=forged).status_code == 403
    assert ".npz" in visitor.call("files")


@pytest.mark.parametrize("session", ["short", "a" * 31, "", "x" * 129, ["x"], {"a": 1}, 5])
def test_sessions_that_can_be_guessed_are_refused(program, session):
    answer = program.http.post("/gradio_api/call/files", json={"data": [], "session_hash": session})
    assert answer.status_code in (400, 403)


def test_a_body_that_is_no_json_is_refused(program):
    for body in (b"{", b"[" * 100_000, b"\xff\xfe", b'{"session_hash":'):
        headers = {"content-type": "application/json"}
        assert program.http.post("/gradio_api/call/files", content=body, headers=headers).status_code == 400


def test_no_file_is_deleted_by_its_path(visitor, other, folder, served):
    config = visitor.http.get("/config").text
    examples = {path for path in re.findall(r'"path": ?"([^"]+)"', config) if path.endswith(".jpg")}
    assert examples
    [used] = other.upload(png(seed=3)).json()
    results = set(re.findall(r'"path": ?"([^"]+)"', other.predict(used)))
    [waiting] = other.upload(png(seed=4)).json()
    assert results
    precious = [*examples, *results, waiting, __file__, str(folder / "none.png"), str(folder)]
    there = [path for path in precious if Path(path).exists()]
    for path in precious:
        assert not complete(visitor.predict(path))
    assert [path for path in precious if Path(path).exists()] == there
    assert complete(other.predict(waiting))


def test_an_upload_is_used_once(visitor):
    [path] = visitor.upload(png(seed=5)).json()
    assert complete(visitor.predict(path))
    assert not complete(visitor.predict(path))


def test_equal_uploads_of_two_visitors_do_not_meet(visitor, other):
    [one], [two] = visitor.upload(png(seed=6)).json(), other.upload(png(seed=6)).json()
    assert one != two
    assert complete(visitor.predict(one))
    assert complete(other.predict(two))
    assert ".npz" in visitor.call("files")


@pytest.mark.parametrize("name", ["../../x.png", "..\\x.png", "/etc/x.png", "a" * 300 + ".png", "<img src=x>.png",
                                  ".png", "con.png", "%2e%2e%2fx.png", "é\u202egnp.png", ";rm -rf.png"])  # fmt: skip
def test_names_of_uploads_stay_in_the_folder(visitor, folder, name):
    answer = visitor.upload(png(seed=7), name)
    assert answer.status_code == 200
    [path] = answer.json()
    assert Path(path).resolve().parent.parent == folder.resolve()
    visitor.predict(path)


def test_uploads_beyond_the_quotas_are_refused(served, folder):
    content = os.urandom(900_000)
    with closing(Visitor(served)) as one:
        statuses = [one.upload(content).status_code for _ in range(4)]
        assert statuses == [200, 200, 413, 413]
        assert "a visitor may have 2.5 MB" in one.upload(content).text
    many = [("files", (f"{index}.png", content)) for index in range(6)]
    with closing(Visitor(served)) as one:
        assert one.http.post("/gradio_api/upload", files=many).status_code == 413
        assert one.upload(os.urandom(3_000_000)).status_code == 413
        parts = (content[:1000] for _ in range(3))
        headers = {"content-type": "multipart/form-data; boundary=x"}
        assert one.http.post("/gradio_api/upload", content=parts, headers=headers).status_code == 411
    answers = []
    for _ in range(40):
        with closing(Visitor(served)) as one:
            answers.append(one.upload(content))
    assert answers[-1].status_code == 413
    assert "disk quota is used up; come again in an hour" in answers[-1].text
    assert sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) < 31e6


def test_uploads_that_nobody_uses_go_after_an_hour(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path, LIMITS)
    (tmp_path / "hash").mkdir()
    (tmp_path / "hash" / "a.png").write_bytes(b"1234")
    own = uploads.adopt(tmp_path / "hash" / "a.png", "one")
    assert own.read_bytes() == b"1234"
    broken_off, arriving = tmp_path / "tmp1", tmp_path / "tmp2"  # as Gradio names what is not complete yet
    for file, age in ((broken_off, KEPT_SECONDS + 60), (arriving, 60)):
        file.write_bytes(b"12")
        os.utime(file, (time.time() - age,) * 2)
    monkeypatch.setattr("hrdepth.app.uploads.monotonic", lambda: KEPT_SECONDS * 10**6)
    uploads.purge()
    assert not own.exists()
    assert not broken_off.exists()
    assert arriving.exists()
    with pytest.raises(InputError, match="not a file that you uploaded"):
        uploads.claim(own, "one", tmp_path)


def test_an_upload_that_arrives_twice_at_once_is_owned_twice(tmp_path):
    uploads = Uploads(tmp_path, LIMITS)
    (tmp_path / "hash").mkdir()
    (tmp_path / "hash" / "a.png").write_bytes(b"1234")
    one, two = (uploads.adopt(tmp_path / "hash" / "a.png", owner) for owner in ("one", "two"))
    assert one.read_bytes() == two.read_bytes() == b"1234"
    with pytest.raises(InputError):
        uploads.claim(one, "two", tmp_path)
    assert uploads.claim(one, "one", tmp_path).read_bytes() == b"1234"


def test_quotas_are_counted_while_other_visitors_folders_are_removed(tmp_path, monkeypatch):
    scan = os.scandir
    for number in range(5):
        (tmp_path / f"session-{number}").mkdir()
        (tmp_path / f"session-{number}" / "a.png").write_bytes(b"1234")

    def scan_and_remove(folder):
        if str(folder).endswith("session-3"):
            shutil.rmtree(folder)
        return scan(folder)

    monkeypatch.setattr(os, "scandir", scan_and_remove)
    with Uploads(tmp_path, LIMITS).expect("one", 100):
        pass


def test_names_of_files_that_are_gone_are_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr("hrdepth.app.PURGE_SECONDS", 0.01)
    here, gone = tmp_path / "here.png", tmp_path / "gone.png"
    here.write_bytes(b"")
    page = SimpleNamespace(temp_file_sets=[{str(here), str(gone)}])
    with _purging(Sessions(tmp_path), Uploads(tmp_path, LIMITS), page):
        deadline = time.monotonic() + 60
        while str(gone) in page.temp_file_sets[0] and time.monotonic() < deadline:
            time.sleep(0.01)
    assert page.temp_file_sets == [{str(here)}]


KILLED = """
import os, signal
from hrdepth.app import _private_folder
with _private_folder() as folder:
    (folder / "session").mkdir()
    (folder / "session" / "private.png").write_bytes(b"an image")
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_the_next_start_removes_what_a_killed_page_left(tmp_path, monkeypatch):
    from hrdepth.app import _private_folder

    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    done = subprocess.run([sys.executable, "-c", KILLED], capture_output=True, text=True, check=False)
    left = Path(done.stdout.strip())
    assert left.parent == tmp_path
    assert (left / "session" / "private.png").exists()
    with _private_folder() as living:
        assert [living] == list(tmp_path.iterdir())
        with _private_folder() as second:  # of another page, which lives too
            assert {living, second} == set(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_full_queue_says_when_to_come_again(tmp_path):
    sent = []

    async def full(scope, receive, send):
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b'{"detail": "Queue is full. Max size is 32."}'})

    async def receive():
        return {"type": "http.request", "body": b'{"data": []}'}

    async def send(message):
        sent.append(message)

    headers = [(b"host", b"localhost")]
    scope = {"type": "http", "method": "POST", "path": "/gradio_api/queue/join", "headers": headers}
    asyncio.run(Gate(full, Uploads(tmp_path, LIMITS))(scope, receive, send))
    assert len(sent) == 2
    assert (b"retry-after", b"60") in sent[0]["headers"]
    assert b"come again in a minute" in sent[1]["body"]


@pytest.mark.parametrize("size", [(16384, 2), (2, 16384), (1, 1)])
def test_odd_shapes_are_answered(tmp_path, size):
    session = Sessions(tmp_path).of("a")
    Image.new("RGB", size, (90, 30, 7)).save(session.folder / "a.png")
    answers.load_upload(session, session.folder / "a.png", UploadLimits())
    predictor = Predictor(lambda image: {0: image[:, :1].clamp(0.01, 0.99)}, (64, 96))
    for path in (*answers.answer(session, predictor), *answers.write_downloads(session)):
        assert Path(path).stat().st_size
    assert Path(answers.cloud_for_page(session, (1, 2, 3))[0]).stat().st_size
    assert answers.depth_at(session, 0.5, 0.5)["column"] == size[0] // 2


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux says how much memory no file backs")
def test_an_image_of_33_megapixels_costs_a_visitor_tens_of_megabytes(tmp_path):
    predictor, sessions = Predictor(lambda image: {0: image[:, :1].clamp(0.01, 0.99)}, (64, 96)), Sessions(tmp_path)

    def visit(number):
        session = sessions.of(str(number), str(number))
        Image.new("RGB", (5760, 5760), (number, 30, 7)).save(session.folder / "a.png", compress_level=1)
        answers.load_upload(session, session.folder / "a.png", UploadLimits())
        answers.answer(session, predictor)
        answers.depth_at(session, 0.5, 0.5)
        gc.collect()
        status = Path("/proc/self/status").read_text()
        return int(re.findall(r"RssAnon:\s+(\d+)", status)[0]) / 1000

    first = visit(0)  # which includes what is loaded once
    visit(1)
    assert visit(2) - first < 2 * 40
