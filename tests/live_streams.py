"""Live sources on this machine: MPEG-TS over TCP and HTTP, and a small RTSP server that sends it, too."""

from __future__ import annotations

import io
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import av
import numpy as np

PACKETS = 7 * 188  # of a transport stream, in one of RTP
SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"


def transport_stream(frames: int, size: tuple[int, int] = (64, 96)) -> bytes:
    """Return a video of a grey that grows lighter, every frame a key frame."""
    out = io.BytesIO()
    with av.open(out, "w", format="mpegts") as container:
        stream = container.add_stream("mpeg2video", rate=25, options={"g": "1"})
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            image = np.full((*size, 3), 40 + index % 200, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))
    return out.getvalue()


class Server:
    """Serves connections one after the other in a thread; `connections` counts them."""

    def __init__(self, content: list[bytes], kind: str = "tcp", *, pause: float = 0.01) -> None:
        self.content, self.kind, self.pause = content, kind, pause
        self.connections = 0
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.address = f"{kind}://127.0.0.1:{self.port}" + ("" if kind == "tcp" else "/street")

    def run(self) -> None:
        """Send the first content to the first connection and so on, the last to all others."""
        with suppress(OSError):  # closed
            while True:
                connection, _ = self.socket.accept()
                content = self.content[min(self.connections, len(self.content) - 1)]
                self.connections += 1
                with connection, suppress(OSError):
                    getattr(self, f"_{self.kind}")(connection, content)

    def _tcp(self, connection: socket.socket, content: bytes) -> None:
        for start in range(0, len(content), PACKETS):
            connection.sendall(content[start : start + PACKETS])
            time.sleep(self.pause)

    def _http(self, connection: socket.socket, content: bytes) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\n\r\n")
        self._tcp(connection, content)

    def _rtsp(self, connection: socket.socket, content: bytes) -> None:
        requests = connection.makefile("rb")
        while True:
            lines = []
            while line := requests.readline().strip():
                lines.append(line.decode())
            method = lines[0].split()[0] if lines else "TEARDOWN"
            number = next((line for line in lines if line.lower().startswith("cseq")), "CSeq: 0")
            body = SDP if method == "DESCRIBE" else ""
            more = {
                "OPTIONS": "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n",
                "DESCRIBE": f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n",
                "SETUP": "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n",
            }.get(method, "Session: 1\r\n")
            connection.sendall(f"RTSP/1.0 200 OK\r\n{number}\r\n{more}\r\n{body}".encode())
            if method == "TEARDOWN":
                return
            if method == "PLAY":
                break
        for number, start in enumerate(range(0, len(content), PACKETS)):
            packet = struct.pack("!BBHII", 0x80, 33, number & 0xFFFF, 3600 * number, 1) + content[start:][:PACKETS]
            connection.sendall(b"$\0" + struct.pack("!H", len(packet)) + packet)
            time.sleep(self.pause)


@contextmanager
def served(*content: bytes, kind: str = "tcp", pause: float = 0.01) -> Iterator[Server]:
    """Serve while the context lasts."""
    server = Server(list(content), kind, pause=pause)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.socket.close()
