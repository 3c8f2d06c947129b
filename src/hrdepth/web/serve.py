"""Serve a page's folder by https on the local network: `hrdepth serve FOLDER`."""

from __future__ import annotations

import socket
import ssl
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta, timezone
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Event, Thread
from typing import Any

from hrdepth.config import ServeConfig
from hrdepth.errors import InputError, require

__all__ = ["ISOLATION", "POLICY", "run", "serve"]

# What the page may load: its own files. Blobs are files that the visitor chose; WebAssembly needs its own word.
POLICY = (
    "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self'; connect-src 'self'; "
    "style-src 'self'; img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; form-action 'none'"
)
ISOLATION = {
    "Cross-Origin-Opener-Policy": "same-origin",  # these two allow threads
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
}
HEADERS = {
    **ISOLATION,
    "Content-Security-Policy": f"{POLICY}; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-cache",
}
DAYS = 30
PATIENCE = 30.0


class Handler(SimpleHTTPRequestHandler):
    """Gives the folder's files and nothing else: no lists, no names that begin with a dot."""

    extensions_map = {  # noqa: RUF012  (as the base class has it)
        **SimpleHTTPRequestHandler.extensions_map, ".js": "text/javascript", ".gz": "application/gzip",
        ".json": "application/json", ".bin": "application/octet-stream",
    }  # fmt: skip
    timeout = PATIENCE

    def send_head(self) -> Any:
        """Refuse what leads out of the folder, by a link or a hidden name."""
        folder, path = Path(self.directory), Path(self.translate_path(self.path))
        hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
        if hidden or not path.resolve().is_relative_to(folder.resolve()):
            self.send_error(404)
            return None
        return super().send_head()

    def list_directory(self, path: Any) -> None:
        """Refuse to list a folder."""
        self.send_error(404)

    def end_headers(self) -> None:
        """Add the headers."""
        for name, value in HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_: Any) -> None:
        """Print nothing for each request."""


class Server(ThreadingHTTPServer):
    """Completes the handshake in the connection's own thread, so that none holds up the others."""

    daemon_threads = True
    context: ssl.SSLContext | None = None

    def __init__(self, address: tuple[str, int], handler: Any) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        super().__init__(address, handler)

    def server_bind(self) -> None:
        """Listen; on `::` to IPv4 too."""
        if self.address_family == socket.AF_INET6:
            with suppress(OSError, AttributeError):  # some systems keep the two apart
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        super().server_bind()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Answer one connection."""
        request.settimeout(PATIENCE)
        if self.context is not None:
            request = self.context.wrap_socket(request, server_side=True)
        super().finish_request(request, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore connections that break, as those of browsers that do not trust the certificate yet."""


def run(config: ServeConfig) -> None:
    """Serve the folder until Ctrl-C.

    Raises:
        InputError: as `serve`.
    """
    with serve(config) as addresses:
        print("\n".join(addresses))
        if config.https:
            print("Browsers warn of the certificate, which was made on the spot: accept it once. Ctrl-C ends it.")
        sys.stdout.flush()
        Event().wait()


@contextmanager
def serve(config: ServeConfig) -> Iterator[list[str]]:
    """Serve the folder in the background; yield its addresses, and stop at the end.

    Raises:
        InputError: the folder has no page, cryptography is not installed, or the port is in use.
    """
    folder = Path(config.folder)
    if not (folder / "page.json").is_file():
        raise InputError(f"{folder} holds no page; write one with hrdepth pack NET --web {folder}")
    names = _names(config.host)
    context = _context(names) if config.https else None
    try:
        server = Server((config.host, config.port), partial(Handler, directory=str(folder.resolve())))
    except OSError as error:
        raise InputError(
            f"{config.host}:{config.port} cannot be listened on ({error}); choose another --port"
        ) from error
    server.context = context
    scheme, port = ("https" if config.https else "http"), server.server_address[1]
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield [f"{scheme}://{f'[{name}]' if ':' in name else name}:{port}/" for name in names]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _names(host: str) -> list[str]:
    """Return the hosts of the page's addresses: this machine, and where others find it."""
    if host not in ("0.0.0.0", "::"):
        return [host]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # an address for documentation: nothing is sent, only the route is chosen
            found = [probe.getsockname()[0]]
        except OSError:
            found = []
    return ["localhost", *(address for address in found if address != "127.0.0.1")]


def _context(names: list[str]) -> ssl.SSLContext:
    """Make a key and a certificate for these hosts; they are on the disk only while they are read."""
    x509 = require("cryptography.x509", "web", "https needs")
    hashes = require("cryptography.hazmat.primitives.hashes", "web", "https needs")
    curves = require("cryptography.hazmat.primitives.asymmetric.ec", "web", "https needs")
    forms = require("cryptography.hazmat.primitives.serialization", "web", "https needs")
    key = curves.generate_private_key(curves.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "hrdepth serve")])
    now = datetime.now(timezone.utc)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=DAYS))
        .add_extension(x509.SubjectAlternativeName([_alternative(x509, name) for name in names]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.TemporaryDirectory() as folder:  # only this user can read it
        path = Path(folder) / "both.pem"
        private = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, forms.NoEncryption())
        path.write_bytes(private + certificate.public_bytes(forms.Encoding.PEM))
        context.load_cert_chain(path)
    return context


def _alternative(x509: Any, name: str) -> Any:
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)
