"""The served report: to this machine only, up to date, and gone when the sweep has ended."""

import contextlib
import http.client
import json
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from analysis.page.live import CLOSED, PLACE, LivePage, live_page, watch
from tests.analysis.page.opened import Opened, write_report
from tests.analysis.tables import unfinished, write_sweep


@dataclass(frozen=True)
class Now:
    running: bool
    text: str
    stamp: str


PAGE = f'<meta content="{CLOSED} script-src"><header>{PLACE}</header><h1>made-up</h1>'
"""What the server needs to find in a report."""


@pytest.fixture
def live() -> Iterator[LivePage]:
    with LivePage(PAGE) as served:
        yield served


def get(live: LivePage, path: str = "/", *hosts: str, method: str = "GET") -> tuple[int, dict[str, str], str]:
    """Status, headers and body of an answer to a request that names these hosts."""
    connection = http.client.HTTPConnection("127.0.0.1", live.port, timeout=5)
    connection.putrequest(method, path, skip_host=True)
    for host in hosts or (f"127.0.0.1:{live.port}",):
        connection.putheader("Host", host)
    connection.endheaders()
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read().decode()


def test_the_page_may_ask_its_own_server_and_nobody_else(live: LivePage) -> None:
    status, headers, body = get(live)
    assert status == 200
    assert f"{CLOSED} connect-src 'self';" in body
    assert body.count("connect-src") == 1
    assert headers["Content-Security-Policy"] == "frame-ancestors 'none'"
    assert not [name for name in headers if name.lower().startswith("access-control")]
    assert 'class="live" role="status" data-version=' in body


def test_a_name_that_was_made_to_point_here_is_refused(live: LivePage) -> None:
    port = live.port
    assert get(live, "/", f"localhost:{port}")[0] == 200
    hosts = [
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        f"127.0.0.1:{port + 1}",
        f"localhost:{port}.evil",
        "",
    ]
    for path in ("/", "/state"):
        assert [get(live, path, host)[0] for host in hosts] == [403] * len(hosts)
        assert get(live, path, f"127.0.0.1:{port}", "evil.example")[0] in (400, 403)
    assert "made-up" not in get(live, "/", "evil.example")[2]


def test_nothing_but_the_page_and_its_state_is_served(live: LivePage) -> None:
    for path in ("/report.html", "/../etc/passwd", "//etc/passwd", "/state/", "/%2e%2e/"):
        assert get(live, path)[0] == 404
    assert get(live, "/?x=1")[0] == 200
    assert get(live, "/state", method="HEAD")[2] == ""
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        assert get(live, "/", method=method)[0] == 501


def test_it_listens_on_loopback_only(live: LivePage) -> None:
    assert live._server.server_address[0] == "127.0.0.1"
    with pytest.raises(OSError, match="in use"):
        LivePage(PAGE, port=live.port)


def test_a_version_changes_with_the_content_alone() -> None:
    with LivePage(PAGE) as live:
        first = json.loads(get(live, "/state")[2])["version"]
        live.publish(PAGE)
        assert json.loads(get(live, "/state")[2])["version"] == first
        live.publish(PAGE + "more")
        assert json.loads(get(live, "/state")[2])["version"] != first
    with pytest.raises(AssertionError, match="not a page"):
        live_page("<p>", "v")


def test_it_is_built_again_when_there_is_news_and_ends_with_the_sweep() -> None:
    stamps = [("a", True), ("a", True), ("b", True), ("c", False)]
    nows = [Now(running=running, text=f"at {stamp}", stamp=stamp) for stamp, running in stamps]
    asked = iter(nows)
    built: list[int] = []
    said: list[str] = []
    served: list[tuple[bool, str]] = []

    def build() -> str:
        built.append(len(served))
        return PAGE + str(len(built))

    def sleep(seconds: float) -> None:
        url = said[0].rpartition(" ")[2]
        connection = http.client.HTTPConnection(url.removeprefix("http://").rstrip("/"), timeout=5)
        connection.request("GET", "/state")
        state = json.loads(connection.getresponse().read())
        served.append((state["running"], state["progress"]))

    watch(lambda: next(asked), build, show=said.append, sleep=sleep)
    assert served == [(True, "at a"), (True, "at a"), (True, "at b"), (False, "at c")]
    assert len(built) >= 3 - 1  # b may have come before a build was due; c is always built
    assert built[-1] == 3
    connection = http.client.HTTPConnection(said[0].rpartition("//")[2].rstrip("/"), timeout=5)
    with pytest.raises(ConnectionRefusedError):
        connection.request("GET", "/")


def test_what_a_client_does_is_not_told_on_standard_error(
    live: LivePage, capfd: pytest.CaptureFixture[str]
) -> None:
    for request in (
        b"GET http://[ HTTP/1.0\r\nHost: 127.0.0.1:%d\r\n\r\n" % live.port,
        b"GET / HTTP/1.1\r\n",
    ):
        with socket.create_connection(("127.0.0.1", live.port), timeout=5) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset
            connection.sendall(request)
            if b"[" in request:
                assert connection.recv(100) == b""
    assert get(live)[0] == 200
    live.close()  # waits for what is still being answered
    assert capfd.readouterr().err == ""


@contextlib.contextmanager
def early_page(browser: Any, folder: Path, *, after: int) -> Iterator[tuple[LivePage, Opened]]:
    """A served page of a sweep of which `after` of 48 trials have ended, and a browser that has opened it."""
    sweep = write_sweep(folder, edit=unfinished(after=after))
    early = write_report(sweep, folder / "early.html").read_text(encoding="utf-8")
    with LivePage(early) as live:
        live.tell(Now(running=True, text=f"{after} of 48 trials ended", stamp="a"))
        yield live, Opened(browser, live.url, width=1280)


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_the_last_version_is_taken_however_long_the_reader_is_busy(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    with early_page(browser, tmp_path, after=20) as (live, opened):
        page = opened.page
        page.locator(".open").first.click()
        live.publish(report.read_text(encoding="utf-8"))
        live.tell(Now(running=False, text="48 of 48 trials ended", stamp="b"))
        page.wait_for_selector('.live.ended:has-text("newer results are ready")')
    # The server is gone.
    assert page.locator(".counts", has_text="48 ran").count() == 0
    page.keyboard.press("Escape")
    page.wait_for_selector('.counts:has-text("48 ran")')
    page.wait_for_selector(
        '.live.ended:text-is("Ended · 48 of 48 trials ended"), .live:has-text("No longer")'
    )
    opened.settle()
    assert min(opened.painted().values()) > 0
    opened.context.close()


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_new_results_keep_ticks_pages_views_and_the_focus(browser: Any, report: Path, tmp_path: Path) -> None:
    with early_page(browser, tmp_path, after=40) as (live, opened):
        page = opened.page
        page.locator('.level[data-term="predictor=none"]').first.click()
        page.locator(".acts button", has_text="Add").click()
        page.locator(".tools [data-do=all]").click()
        for place in (0, 1):
            page.locator(".trials tbody input").nth(place).check()
        page.locator(".tools [data-do=after]").click()
        chooser = page.locator('select[data-for="s0-onset"]')
        chooser.select_option("2")
        view = chooser.locator("option").nth(2).inner_text()
        tile = page.locator("button.tile").nth(3)
        term = tile.get_attribute("data-term")
        tile.focus()
        live.publish(report.read_text(encoding="utf-8"))
        live.tell(Now(running=False, text="48 of 48 trials ended", stamp="b"))
        page.wait_for_selector('.counts:has-text("48 ran")', timeout=60_000)
        opened.settle()
        assert page.evaluate("() => document.activeElement.dataset.term") == term
        assert opened.count == "26–48 of 48"
        assert page.locator(".tools [data-do=compare]").inner_text() == "Compare 2"
        assert page.locator('select[data-for="s0-onset"] option:checked').inner_text() == view
        assert view in page.locator("#s0-onset .legendtext").first.text_content()
        page.keyboard.press("Enter")
        assert page.locator(".acts button", has_text="Add").get_attribute("aria-pressed") == "true"
        opened.clear()
        assert opened.messages == []
        opened.context.close()


@pytest.mark.browser
@pytest.mark.timeout(180)
def test_new_results_come_in_without_losing_what_is_selected_or_where(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    with early_page(browser, tmp_path, after=20) as (live, opened):
        page = opened.page
        page.locator('.level[data-term="predictor=none"]').first.click()
        page.locator("[data-view=projection]").first.click()
        page.locator("#s0-how summary").first.click()
        opened.page.locator("#s0-factors").evaluate("one => one.scrollIntoView({behavior: 'instant'})")
        place = "() => document.querySelector('#s0-factors').getBoundingClientRect().top"
        before = page.evaluate(place)
        page.wait_for_selector('.live:has-text("20 of 48")')
        live.publish(report.read_text(encoding="utf-8"))
        live.tell(Now(running=False, text="48 of 48 trials ended", stamp="b"))
        page.wait_for_selector('.counts:has-text("48 ran")', timeout=60_000)
        opened.settle()
        assert opened.chips == ["predictor = none"]
        assert opened.count == "1–24 of 24 (48 in all)"
        assert page.locator(".map").get_attribute("data-view") == "projection"
        assert page.locator("#s0-how details[open]").count() == 1
        assert abs(page.evaluate(place) - before) < 3
        assert min(opened.painted().values()) > 0
        page.wait_for_selector('.live.ended:has-text("48 of 48")')
        page.mouse.wheel(0, -600)
        page.locator("#s0-loss-std .legendtoggle").first.click()  # the figures are those of the new results
        page.wait_for_selector('.chip:has-text("outcome")')
        assert opened.messages == []
        assert {request.partition("?")[0].rpartition("/")[2] for request in opened.requests} <= {"", "state"}
        opened.context.close()
