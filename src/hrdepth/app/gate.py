"""What the page's server lets in: who may ask, for which sessions and files, and how much."""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import json
import re
import secrets
import socket
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from hrdepth.app.uploads import Uploads
from hrdepth.errors import InputError

__all__ = ["VISITOR", "Gate"]

VISITOR = "x-hrdepth-visitor"
"""The header by which the page's functions learn who asks; the gate sets it, and removes what a client sends."""

MOST_BODY = 2**20
"""Bytes of a request that is no upload: they are settings."""
COOKIE = "hrdepth_visitor"
MOST_SESSIONS = 10_000
# Of a session that a client without the cookie chose: as long as a UUID, which cannot be guessed.
SHORTEST, LONGEST = 32, 128

BUSY = "the page is busy: too many images wait for their turn; come again in a minute"

_HOST = re.compile(r"(?P<name>[a-z0-9_.-]+|\[[0-9a-f:.]+\])(:\d+)?")
# Parts of Gradio that run programs on uploads, record what visitors did, or download.
_CLOSED = (
    "process_recording",
    "deep_link",
    "proxy=",
    "vibe",
    "undo-vibe",
    "monitoring",
    "runs",
    "run-history",
    "profiling",
)
_REMOTE = ("http:", "https:", "ftp:", "data:")


class RefusedError(Exception):
    """A request that is answered with a status and a sentence."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status


class Gate:
    """An ASGI middleware before Gradio.

    It refuses requests for other hosts and from other sites' pages; gives each browser a cookie that cannot be guessed;
    lets a session be used only by the visitor who began it; gives uploads an owner; and refuses what would make the
    server fetch something, or is too long. Gradio downloads what a file's `path` names where that is an address, and
    serves addresses under `file=`.

    Args:
        app: the next application.
        uploads: those of the page.
        names: hosts by which the page may be addressed, besides localhost, IP addresses and this machine's name.
    """

    def __init__(self, app: Any, uploads: Uploads, names: Iterable[str] = ()) -> None:
        self.app = app
        self.uploads = uploads
        own = {"localhost", socket.gethostname().lower(), socket.getfqdn().lower()}
        self.names = {name.lower() for name in names}
        self.hosts = own | self.names
        self._secret = secrets.token_bytes(32)
        self._visitors: OrderedDict[str, str] = OrderedDict()  # by session

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it with an error message."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # Gradio needs no other
            return
        try:
            await self._admit(scope, receive, send)
        except RefusedError as error:
            await _answer(send, error.status, {"detail": str(error)})

    async def _admit(self, scope: Any, receive: Any, send: Any) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._check_origin(scope["method"], headers)
        part = scope["path"].lstrip("/").removeprefix("gradio_api/").lstrip("/").lower()
        if part.startswith(_CLOSED) or (part.startswith("file=") and part[5:].lstrip("/").startswith(_REMOTE)):
            raise RefusedError(403, "this page serves its own files only")
        token = self._token(headers.get("cookie", ""))
        visitor = f"cookie {token}" if token else f"address {(scope.get('client') or ['unknown'])[0]}"
        kept = [(name, value) for name, value in scope["headers"] if name != VISITOR.encode()]
        scope = {**scope, "headers": [*kept, (VISITOR.encode(), visitor.encode())]}
        for session in parse_qs(scope.get("query_string", b"").decode("latin-1")).get("session_hash", []):
            self._check_session(session, visitor)
        if part.startswith(("heartbeat/", "stream/")):
            self._check_session(
                scope["path"].split("/stream/" if "stream/" in part else "heartbeat/")[-1].split("/")[0], visitor
            )
        if scope["method"] == "POST" and part.startswith("upload"):
            await self._upload(scope, receive, send, headers, visitor)
        elif scope["method"] == "POST":
            await self.app(scope, await self._checked_body(receive, visitor), _when_busy(send))
        else:
            await self.app(scope, receive, send if token or part else self._with_cookie(send))

    def _check_origin(self, method: str, headers: dict[str, str]) -> None:
        """Refuse other hosts, as a page would use whose name was made to lead here, and requests of other pages."""
        host = headers.get("host", "")
        if not self._known(host):
            raise RefusedError(
                421, f"this page is not served as {host[:100]!r}; start it with --names to allow that name"
            )
        origin = headers.get("origin")
        if origin is None:
            from_another = method != "GET" and headers.get("sec-fetch-site") == "cross-site"
        else:
            from_another = not self._same_site(origin, host)
        if from_another:
            raise RefusedError(403, "requests of other pages are refused")

    def _same_site(self, origin: str, host: str) -> bool:
        try:
            address = urlsplit(origin)
            return address.netloc == host or address.hostname in self.names
        except ValueError:
            return False

    def _known(self, host: str) -> bool:
        found = _HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = found["name"].strip("[]").rstrip(".")
        if name in self.hosts:
            return True
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _token(self, cookies: str) -> str | None:
        """Return the visitor that a cookie of this server names."""
        # Not by SimpleCookie, which drops all that follow one that it cannot read, and other applications have such.
        for cookie in cookies.split(";"):
            name, _, value = cookie.strip().partition("=")
            token, _, seal = value.partition(".")
            if name == COOKIE and hmac.compare_digest(seal.encode(), self._seal(token).encode()):
                return token
        return None

    def _seal(self, token: str) -> str:
        return hmac.new(self._secret, token.encode(), hashlib.sha256).hexdigest()

    def _with_cookie(self, send: Any) -> Any:
        token = secrets.token_urlsafe(24)
        cookie = f"{COOKIE}={token}.{self._seal(token)}; Path=/; HttpOnly; SameSite=Strict"

        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (b"set-cookie", cookie.encode())]}
            await send(message)

        return sending

    def _check_session(self, session: Any, visitor: str) -> None:
        """Let a session be used only by the visitor who used it first."""
        if not isinstance(session, str) or not 0 < len(session) <= LONGEST:
            raise RefusedError(400, f"a session is a text of up to {LONGEST} characters")
        if len(session) < SHORTEST and visitor.startswith("address"):
            raise RefusedError(
                403, f"without the page's cookie a session needs {SHORTEST} characters that nobody can guess: a UUID"
            )
        if self._visitors.setdefault(session, visitor) != visitor:
            raise RefusedError(403, "this session is another visitor's")
        self._visitors.move_to_end(session)
        while len(self._visitors) > MOST_SESSIONS:
            self._visitors.popitem(last=False)

    async def _checked_body(self, receive: Any, visitor: str) -> Any:
        """Read a request's settings, check them, and return a `receive` that repeats them."""
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise RefusedError(400, "the request was not finished")
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > MOST_BODY:
                raise RefusedError(413, "the request is too long; upload files instead of sending them inside it")
        try:
            content = json.loads(body) if body.strip() else None
        except (ValueError, RecursionError) as error:
            raise RefusedError(400, "the request is no JSON") from error
        if _names_address(content):
            raise RefusedError(403, "files must be uploaded; addresses are not fetched")
        if isinstance(content, dict) and content.get("session_hash") is not None:
            self._check_session(content["session_hash"], visitor)
        sent = False

        async def replay() -> Any:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        return replay

    async def _upload(self, scope: Any, receive: Any, send: Any, headers: dict[str, str], visitor: str) -> None:
        """Let Gradio store an upload, and answer with the paths of the visitor's own copies."""
        length = headers.get("content-length", "")
        if not length.isdecimal():
            raise RefusedError(411, "an upload must state its length")
        start: dict[str, Any] = {}
        answer = b""

        async def collect(message: Any) -> None:
            nonlocal answer
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                answer += message.get("body", b"")

        try:
            with self.uploads.expect(visitor, int(length)):
                await self.app(scope, receive, collect)
                if start.get("status") == 200:
                    paths = [str(self.uploads.adopt(Path(path), visitor)) for path in json.loads(answer)]
                    await _answer(send, 200, paths)
                    return
        except InputError as error:
            raise RefusedError(413, str(error)) from error
        except OSError as error:
            raise RefusedError(409, "the same file was sent at the same time; send it again") from error
        await send(start)
        await send({"type": "http.response.body", "body": answer})


def _when_busy(send: Any) -> Any:
    """Say when to come again, where Gradio says that its queue is full."""
    busy = False

    async def sending(message: Any) -> None:
        nonlocal busy
        if message["type"] == "http.response.start" and message["status"] == 503:
            busy = True
            await _answer(send, 503, {"detail": BUSY}, (b"retry-after", b"60"))
        elif not busy:
            await send(message)

    return sending


def _names_address(content: Any) -> bool:
    """Whether a request's JSON has a file with an address as its path, or with data in place of a path."""
    parts = [content]
    while parts:
        part = parts.pop()
        if isinstance(part, dict):
            path, url = str(part.get("path") or ""), str(part.get("url") or "")
            if path.strip().lower().startswith(_REMOTE) or url.strip().lower().startswith("data:"):
                return True
            parts.extend(part.values())
        elif isinstance(part, list):
            parts.extend(part)
    return False


async def _answer(send: Any, status: int, content: Any, *headers_too: tuple[bytes, bytes]) -> None:
    headers = [(b"content-type", b"application/json"), *headers_too]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps(content).encode()})
