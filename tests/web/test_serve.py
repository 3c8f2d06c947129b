"""Tests of web/serve.py."""

import http.client
import socket
import ssl
from urllib.parse import urlsplit

import pytest

from hrdepth.config import ServeConfig
from hrdepth.errors import InputError
from hrdepth.web.serve import serve


@pytest.fixture
def folder(tmp_path):
    page = tmp_path / "page"
    page.mkdir()
    (tmp_path / "secret.txt").write_text("secret")
    for name in ("index.html", "page.json", "page.js", "network.onnx.gz", ".hidden"):
        (page / name).write_text("{}")
    (page / "link.txt").symlink_to(tmp_path / "secret.txt")
    (page / "runtime").mkdir()
    return page


def ask(address, path, context=None):
    parts = urlsplit(address)
    kinds = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    options = {"context": context} if context else {}
    connection = kinds[parts.scheme](parts.hostname, parts.port, timeout=20, **options)
    connection.request("GET", path)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    return answer


def test_https_with_a_certificate_for_its_address_and_the_headers_of_threads(folder):
    pytest.importorskip("cryptography", reason="needs cryptography (extra web)")
    with serve(ServeConfig(str(folder), host="127.0.0.1", port=0)) as (address,):
        parts = urlsplit(address)
        pem = ssl.get_server_certificate((parts.hostname, parts.port), timeout=20)
        trusting = ssl.create_default_context(cadata=pem)
        answer = ask(address, "/", trusting)
    assert address.startswith("https://127.0.0.1:")
    assert answer.status == 200
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def test_a_client_that_never_speaks_holds_up_no_other(folder):
    pytest.importorskip("cryptography", reason="needs cryptography (extra web)")
    with serve(ServeConfig(str(folder), host="127.0.0.1", port=0)) as (address,):
        parts = urlsplit(address)
        with socket.create_connection((parts.hostname, parts.port)):
            assert ask(address, "/page.js", ssl._create_unverified_context()).status == 200


def test_only_files_of_the_folder_are_given(folder):
    with serve(ServeConfig(str(folder), host="127.0.0.1", port=0, https=False)) as (address,):
        assert ask(address, "/page.js").headers["Content-Type"] == "text/javascript"
        assert "Content-Encoding" not in ask(address, "/network.onnx.gz").headers
        for path in ("/../secret.txt", "/%2e%2e/secret.txt", "/link.txt", "/.hidden", "/runtime/", "/runtime", "/none"):
            assert ask(address, path).status in (301, 404), path


def test_ipv6_addresses_are_served(folder):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError as error:
        pytest.skip(f"this machine has no IPv6 ({error})")
    with serve(ServeConfig(str(folder), host="::1", port=0, https=False)) as (address,):
        assert address.startswith("http://[::1]:")
        assert ask(address, "/page.js").status == 200
    with serve(ServeConfig(str(folder), host="::", port=0, https=False)) as (local, *_):
        assert ask(local.replace("localhost", "127.0.0.1"), "/page.js").status == 200


def test_serve_yields_every_address_of_the_page(folder):
    with serve(ServeConfig(str(folder), port=0, https=False)) as addresses:
        assert addresses[0].startswith("http://localhost:")


def test_a_folder_without_a_page_and_a_port_in_use_are_refused(folder, tmp_path):
    with (
        pytest.raises(InputError, match="holds no page; write one with hrdepth pack NET --web"),
        serve(ServeConfig(str(tmp_path))),
    ):
        pass
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        config = ServeConfig(str(folder), host="127.0.0.1", port=taken.getsockname()[1], https=False)
        with pytest.raises(InputError, match="choose another --port"), serve(config):
            pass
