"""The report while its sweep runs: served on loopback, built again as results come in.

The file stays the product. What is served is that file, and may in addition ask its own server for news.
"""

import hashlib
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Protocol
from urllib.parse import urlsplit

HOST = "127.0.0.1"
PLACE = '<span class="live" hidden></span>'
"""Where a page says that it is live."""
CLOSED = "default-src 'none';"
"""The policy of a page that asks for nothing."""
_LOOK_EVERY_S = 2.0
_BUILDS_PER_TIME = 0.1
"""Share of the time that is spent on building."""
_LINGER_S = 8.0
"""How long the last version is served, so that open pages take it."""


class Progress(Protocol):
    """What is known of a sweep without reading its results."""

    @property
    def running(self) -> bool:
        """Whether somebody is at work on it."""

    @property
    def text(self) -> str:
        """How far it is, in a few words."""

    @property
    def stamp(self) -> str:
        """Changes when there are new results."""


class LivePage:
    """Serves one page to this machine alone, until it is closed.

    A request must name this server as its host: a page from elsewhere whose name was made to point here (DNS
    rebinding) is refused. Nothing is written and nothing else is served.
    """

    def __init__(self, page: str, port: int = 0) -> None:
        """Starts to serve.

        Args:
            page: the report, as `render` made it.
            port: 0 is any that is free.

        Raises:
            OSError: the port is in use.
        """
        self._lock = threading.Lock()
        self._state: dict[str, Any] = {"running": True, "progress": "", "version": ""}
        self._page = b""
        self.publish(page)
        self._server = _Server((HOST, port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.2})
        self._thread.daemon = True
        self._thread.start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://{HOST}:{self.port}/"

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self._server.server_address[1])

    def publish(self, page: str) -> None:
        """Takes a new version of the report; open pages fetch it when they next ask."""
        version = hashlib.sha256(page.encode()).hexdigest()[:16]
        served = live_page(page, version).encode()
        with self._lock:
            self._page = served
            self._state["version"] = version

    def tell(self, progress: Progress) -> None:
        """What open pages say of the sweep."""
        with self._lock:
            self._state |= {"running": progress.running, "progress": progress.text}

    def answer(self, path: str) -> tuple[str, bytes] | None:
        """Type and content of what is at a path; None where there is nothing."""
        with self._lock:
            if path == "/":
                return "text/html; charset=utf-8", self._page
            if path == "/state":
                return "application/json", json.dumps(self._state).encode()
        return None

    def close(self) -> None:
        """Ends to serve."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> "LivePage":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def live_page(page: str, version: str) -> str:
    """A report with what makes `follow` in `script/live.js` ask its server for news, and with leave to."""
    assert page.count(PLACE) == page.count(CLOSED) == 1, "not a page of render"
    place = f'<span class="live" role="status" data-version="{version}"></span>'
    return page.replace(PLACE, place).replace(CLOSED, f"{CLOSED} connect-src 'self';")


def watch(
    progress: Callable[[], Progress],
    build: Callable[[], str],
    *,
    port: int = 0,
    show: Callable[[str], None] = print,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Serves a report, builds it again whenever there is news, and returns when the sweep has ended.

    Args:
        progress: asked every other second.
        build: makes the report; a tenth of the time at most is spent on it.
        port: 0 is any that is free.
        show: is given the address.
        sleep: waits for seconds.

    Raises:
        OSError: the port is in use.
    """
    now = progress()
    page, took = _timed(build)
    due = time.monotonic() + took / _BUILDS_PER_TIME
    with LivePage(page, port) as live:
        live.tell(now)
        show(f"Live while the sweep runs: {live.url}")
        built = now.stamp
        while True:
            if now.stamp != built and (time.monotonic() >= due or not now.running):
                page, took = _timed(build)
                live.publish(page)
                due = time.monotonic() + took / _BUILDS_PER_TIME
                built = now.stamp
            live.tell(now)
            if not now.running:
                break
            sleep(_LOOK_EVERY_S)
            now = progress()
        sleep(_LINGER_S)


def _timed(build: Callable[[], str]) -> tuple[str, float]:
    start = time.monotonic()
    return build(), time.monotonic() - start


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Says nothing, as of a tab that was closed: standard error is for the sweep."""


def _handler(page: LivePage) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "byol-sweeps", ""

        def do_GET(self) -> None:
            if self.headers.get_all("Host") not in ([f"{HOST}:{page.port}"], [f"localhost:{page.port}"]):
                self._send(403, "text/plain", b"This page is for the machine that serves it.\n")
                return
            answer = page.answer(urlsplit(self.path).path)
            if answer is None:
                self._send(404, "text/plain", b"There is nothing here.\n")
            else:
                self._send(200, *answer)

        do_HEAD = do_GET

        def _send(self, status: int, kind: str, content: bytes) -> None:
            self.send_response(status)
            headers = {
                "Content-Type": kind,
                "Content-Length": str(len(content)),
                "Cache-Control": "no-store",
                "Content-Security-Policy": "frame-ancestors 'none'",
                "Cross-Origin-Resource-Policy": "same-origin",
                "X-Content-Type-Options": "nosniff",
                "Referrer-Policy": "no-referrer",
            }
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing: standard error is for the sweep."""

    return Handler
