"""The audit of dependencies, against a database on loopback."""

import json
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests import audit

WEAK: set[str] = set()
ASKED: list[tuple[str, str]] = []


class Database(BaseHTTPRequestHandler):
    """The two requests of OSV's interface that are needed."""

    def do_POST(self) -> None:
        queries = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["queries"]
        ASKED.extend((query["package"]["name"], query["version"]) for query in queries)
        weakness = {"vulns": [{"id": "OSV-1", "modified": "2026-01-01T00:00:00Z"}]}
        self._answer({"results": [weakness if query["package"]["name"] in WEAK else {} for query in queries]})

    def do_GET(self) -> None:
        when = "2026-01-01T00:00:00Z"
        self._answer(
            {"id": "OSV-1", "modified": when, "published": when, "summary": "adds wrongly", "affected": []}
        )

    def log_message(self, *_: Any) -> None:
        pass

    def _answer(self, document: dict[str, Any]) -> None:
        content = json.dumps(document).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@pytest.fixture
def database() -> Iterator[str]:
    WEAK.clear()
    ASKED.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Database)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_known_weaknesses_fail_and_are_named(database: str, capsys: pytest.CaptureFixture[str]) -> None:
    lock = audit.ROOT / "requirements.lock"
    assert audit.audit(lock, database) == 0, capsys.readouterr().out
    pins = {line.split()[0].split(";")[0] for line in lock.read_text().splitlines() if line[:1].isalnum()}
    assert {f"{name}=={version}" for name, version in ASKED} == pins, "each version of the lock was asked for"
    WEAK.add("pillow")
    assert audit.audit(lock, database) == 1
    shown = capsys.readouterr().out
    assert "pillow" in shown
    assert "adds wrongly" in shown


def test_without_a_database_it_says_so_and_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        port = nobody.getsockname()[1]
    assert audit.audit(tmp_path / "lock", f"http://127.0.0.1:{port}") == 0
    assert capsys.readouterr().out.startswith("not audited: no database in reach")
