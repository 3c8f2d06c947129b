"""Serve the page: to this machine, from this machine, with nothing fetched, and a folder that goes when it ends."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["LocalOnly", "private_folder", "without_telemetry"]

log = logging.getLogger(__name__)

MOST_BODY = 2**20
"""Bytes of a request that is no upload: they are settings."""

# Parts of Gradio that run programs on uploads, remember what visitors did, or fetch from elsewhere.
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


@contextmanager
def private_folder() -> Iterator[Path]:
    """Yield a folder that only this user can read, where Gradio then keeps what visitors send; remove it at the end."""
    before = os.environ.get("GRADIO_TEMP_DIR")
    with tempfile.TemporaryDirectory(prefix="hrdepth-app-", ignore_cleanup_errors=True) as name:
        folder = Path(name).resolve()
        os.environ["GRADIO_TEMP_DIR"] = str(folder)
        try:
            yield folder
        finally:
            os.environ.pop("GRADIO_TEMP_DIR")
            if before is not None:
                os.environ["GRADIO_TEMP_DIR"] = before


def without_telemetry() -> None:
    """Tell Gradio and what it uses, before they are imported, to send nothing."""
    os.environ.update(
        GRADIO_ANALYTICS_ENABLED="False", HF_HUB_DISABLE_TELEMETRY="1", DO_NOT_TRACK="1", GRADIO_RUN_HISTORY="False"
    )


class LocalOnly:
    """Refuse requests that would make the server fetch something, or that are too long; an ASGI middleware.

    Gradio downloads what a file's `path` names where that is an address, and serves addresses under `file=`.
    """

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Let a request through, or answer it with a sentence."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        part = scope["path"].lstrip("/").removeprefix("gradio_api/").lstrip("/").lower()
        if part.startswith(_CLOSED) or (part.startswith("file=") and part[5:].lstrip("/").startswith(_REMOTE)):
            await _refuse(send, 403, "this page serves its own files only")
        elif scope["method"] == "POST" and not part.startswith("upload"):
            await self._checked(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    async def _checked(self, scope: Any, receive: Any, send: Any) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > MOST_BODY:
                await _refuse(send, 413, "the request is too long; upload files instead of sending them inside it")
                return
        if _names_address(body):
            await _refuse(send, 403, "files must be uploaded; addresses are not fetched")
            return
        sent = False

        async def replay() -> Any:
            nonlocal sent
            if sent:
                return await receive()
            sent = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replay, send)


def _names_address(body: bytes) -> bool:
    """Whether a file in the request's JSON lies elsewhere: an address as its path, or data in place of it."""
    try:
        parts = [json.loads(body)]
    except (ValueError, RecursionError):
        return False
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


async def _refuse(send: Any, status: int, sentence: str) -> None:
    headers = [(b"content-type", b"application/json")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": json.dumps({"detail": sentence}).encode()})
