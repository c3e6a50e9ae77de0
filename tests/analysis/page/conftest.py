"""A report in headless Chromium, opened once for many tests.

Needs Chromium and playwright's Python package. Without them the tests are skipped, unless
REQUIRE_BROWSER=1 is set: then they fail.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.page.opened import ARGUMENTS, Opened, write_report


def chromium() -> str | None:
    """Where it is; None if it is not installed."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    """Chromium."""
    required = os.environ.get("REQUIRE_BROWSER") == "1"
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        if required:
            raise
        pytest.skip("playwright is not installed")
    path = chromium()
    if path is None:
        (pytest.fail if required else pytest.skip)("Chromium is not installed")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        yield started
        started.close()


@pytest.fixture(scope="session")
def report(sweep: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the made-up sweep."""
    return write_report(sweep, tmp_path_factory.mktemp("report") / "report.html")


@pytest.fixture(scope="session")
def opened_once(browser: Any, report: Path) -> Iterator[Opened]:
    """It on a wide screen."""
    opened = Opened(browser, report, width=1280)
    yield opened
    opened.context.close()


@pytest.fixture
def wide(opened_once: Opened) -> Iterator[Opened]:
    """The same, with nothing selected; whatever a test selects and opens is closed after it."""
    yield opened_once
    if opened_once.page.locator("dialog[open]").count():
        opened_once.page.keyboard.press("Escape")
    opened_once.clear()
