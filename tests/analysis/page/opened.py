"""A report in a page of the browser, for tests."""

from pathlib import Path
from typing import Any

from analysis.load import load_results
from analysis.page.report import render

ARGUMENTS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_PAINTED = """() => [...document.querySelectorAll('.plot')].map((plot) => {
  const marks = [...plot.querySelectorAll('.trace path, .trace use, .point, .js-line, .textpoint text')];
  const boxes = marks.map((mark) => mark.getBoundingClientRect());
  return [plot.id, boxes.filter((box) => box.width + box.height > 0).length];
})"""


class Opened:
    """A report in a page, and what the page said and asked for while it opened."""

    def __init__(
        self,
        browser: Any,
        path: Path | str,
        *,
        width: int,
        scheme: str = "light",
        hash: str = "",
        **options: Any,
    ) -> None:
        """Opens a file or an address. `options` are playwright's, of a context."""
        self.messages: list[str] = []
        self.requests: list[str] = []
        self.context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, accept_downloads=True, **options
        )
        self.context.set_default_timeout(15_000)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.messages.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.messages.append(f"error: {error}"))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto((path if isinstance(path, str) else path.as_uri()) + hash)
        if options.get("java_script_enabled", True):
            self.settle()

    def settle(self) -> None:
        """Waits until all figures are drawn. By attribute: the page's policy forbids evaluated strings."""
        self.page.wait_for_selector('html[data-ready="yes"]', state="attached", timeout=90_000)

    def painted(self) -> dict[str, int]:
        """Id of each figure's box -> marks that take up space."""
        return dict(self.page.evaluate(_PAINTED))

    @property
    def count(self) -> str:
        """What the table says of its rows."""
        return str(self.page.locator(".count").inner_text())

    @property
    def chips(self) -> list[str]:
        """What is selected, by its chips."""
        return list(map(str, self.page.locator(".chip > span").all_inner_texts()))

    def filter(self, text: str) -> None:
        """Types into the filter of the table."""
        self.page.locator(".trials-box input[type=search]").fill(text)

    def clear(self) -> None:
        """Presses Escape, outside of any field."""
        self.page.locator("h1").first.focus()
        self.page.keyboard.press("Escape")

    def still(self, element: Any) -> dict[str, float]:
        """Scrolls to an element; returns its box once it stays there: figures that come into view move it."""
        box: dict[str, float] | None = None
        while box is None or box != element.bounding_box():
            element.evaluate("one => one.scrollIntoView({block: 'center', behavior: 'instant'})")
            self.settle()
            box = element.bounding_box()
            assert box is not None, "it is not displayed"
            self.page.wait_for_timeout(500)
        return box

    def brush(self, figure: str, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Draws a range in a figure, between two points in shares of its plot's width and height."""
        box = self.still(self.page.locator(f"#{figure} .nsewdrag"))
        (left, top), (right, bottom) = (
            (box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in (start, end)
        )
        self.page.mouse.move(left, top)
        self.page.mouse.down()
        self.page.mouse.move((left + right) / 2, (top + bottom) / 2, steps=3)
        self.page.mouse.move(right, bottom, steps=3)
        self.page.mouse.up()
        self.page.wait_for_selector(".chip:nth-child(1)")

    def rest(self) -> None:
        """Closes and clears whatever a test has opened, selected and ticked."""
        while self.page.locator("dialog[open]").count():
            self.page.keyboard.press("Escape")
        self.filter("")
        self.clear()


def write_report(directory: Path, path: Path) -> Path:
    """Builds the report of a sweep at `path`."""
    path.write_text(render(load_results([directory])), encoding="utf-8")
    return path
