"""A proxy before an S3 server, which answers some requests with errors, delays, or a cut connection."""

import http.client
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

FAULTS = ("500", "503", "delay", "cut before", "cut after", "half")
_SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"


class FaultyProxy:
    """Forwards requests on loopback; some of them meet a fault, drawn by a seed."""

    def __init__(self, port: int) -> None:
        """Forwards to `port` of this machine; without faults until `disturb` is called."""
        self.met: list[str] = []
        """The faults up to now."""
        self._share, self._draws, self._target = 0.0, random.Random(0), port
        self._lock = threading.Lock()
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                try:
                    super().handle_one_request()
                except (ConnectionError, TimeoutError):
                    self.close_connection = True

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return lambda: proxy.answer(self)
                raise AttributeError(name)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        """Where it listens."""
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def disturb(self, share: float, seed: object = 0) -> None:
        """From now on this share of the requests meets a fault."""
        with self._lock:
            self._share, self._draws = share, random.Random(f"proxy {seed}")

    def close(self) -> None:
        """Stops listening."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Forwards one request, or does to it what its fault is."""
        with self._lock:
            fault = self._draws.choice(FAULTS) if self._draws.random() < self._share else ""
            self.met += [fault] * bool(fault)
        body = _body(handler)
        if fault == "delay":
            time.sleep(0.2)
        if fault == "cut before":
            handler.close_connection = True
            return
        if fault in ("500", "503"):
            _send(handler, int(fault), [("Content-Type", "application/xml")], _SLOW_DOWN)
            return
        status, headers, content = self._forwarded(handler, body)
        if fault == "cut after":  # done, but nobody is told
            handler.close_connection = True
            return
        _send(handler, status, headers, content, half=fault == "half")

    def _forwarded(
        self, handler: BaseHTTPRequestHandler, body: bytes
    ) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self._target, timeout=30)
        try:
            headers = {
                name: value
                for name, value in handler.headers.items()
                if name.lower() not in ("transfer-encoding", "content-length", "expect", "connection")
            }
            connection.request(handler.command, handler.path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()


def _body(handler: BaseHTTPRequestHandler) -> bytes:
    if handler.headers.get("Transfer-Encoding", "").lower() != "chunked":
        return handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
    body = b""
    while size := int(handler.rfile.readline().partition(b";")[0], 16):
        body += handler.rfile.read(size)
        handler.rfile.readline()
    while handler.rfile.readline().strip():  # trailers
        pass
    return body


def _send(
    handler: BaseHTTPRequestHandler, status: int, headers: list[tuple[str, str]], content: bytes,
    *, half: bool = False,
) -> None:  # fmt: skip
    """Sends an answer; only half of its body, and then nothing more, if `half`."""
    handler.send_response_only(status)
    length = str(len(content))
    for name, value in headers:
        if name.lower() not in ("content-length", "connection", "transfer-encoding"):
            handler.send_header(name, value)
        elif name.lower() == "content-length" and handler.command == "HEAD":
            length = value
    handler.send_header("Content-Length", length)
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(content[: len(content) // 2] if half else content)
    handler.close_connection = handler.close_connection or half
