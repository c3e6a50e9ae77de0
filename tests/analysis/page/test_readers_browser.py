"""The page for any reader: paper, keyboard, forced colours, larger text, no script; and hostile tables."""

from pathlib import Path
from typing import Any

import pytest

from tests.analysis.page.opened import Opened, write_report
from tests.analysis.tables import Row, write_sweep

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]

OVERFLOWING = """() => [...document.querySelectorAll('main table, main svg, main p, main h1, .selection')]
  .filter((one) => one.offsetParent !== null || one.ownerSVGElement === null)
  .filter((one) => one.getBoundingClientRect().right > document.documentElement.clientWidth + 1)
  .filter((one) => !one.closest('.scroll, svg svg')).map((one) => one.outerHTML.slice(0, 80))"""


def sideways(opened: Opened) -> int:
    """Pixels by which the page is wider than its window."""
    return int(
        opened.page.evaluate(
            "() => document.documentElement.scrollWidth - document.documentElement.clientWidth"
        )
    )


def test_on_paper_it_is_light_and_whole(browser: Any, report: Path) -> None:
    opened = Opened(browser, report, width=1031, scheme="dark")
    page = opened.page
    page.emulate_media(media="print")
    page.evaluate("() => dispatchEvent(new Event('beforeprint'))")
    colours = page.evaluate(
        "() => [document.body, ...document.querySelectorAll('.lead, .plot .main-svg')]"
        ".map((one) => getComputedStyle(one).backgroundColor)"
    )
    assert set(colours) <= {"rgb(255, 255, 255)", "rgba(0, 0, 0, 0)"}
    assert (
        page.evaluate("() => getComputedStyle(document.querySelector('.lead p')).color") == "rgb(29, 39, 51)"
    )
    assert page.locator(".trials tbody tr").count() == 48
    assert page.locator("main details:not([open])").count() == 0
    cut = (
        "() => [...document.querySelectorAll('main .scroll')]"
        ".filter((one) => getComputedStyle(one).overflowX !== 'visible').length"
    )
    assert page.evaluate(cut) == 0
    wide = (
        "() => [...document.querySelectorAll('main table, .plot .main-svg')]"
        ".filter((one) => one.getBoundingClientRect().right > innerWidth).length"
    )
    assert page.evaluate(wide) == 0
    page.evaluate("() => dispatchEvent(new Event('afterprint'))")
    page.emulate_media(media="screen")
    opened.settle()
    assert page.locator(".trials tbody tr").count() == 25
    assert page.evaluate(
        "() => getComputedStyle(document.querySelector('.plot .main-svg')).backgroundColor"
    ) == ("rgb(20, 24, 30)")
    opened.context.close()


def test_the_keyboard_reaches_everything_in_few_steps(wide: Opened) -> None:
    page = wide.page
    # The next Tab goes on from what was clicked last, wherever that was.
    page.evaluate("() => { document.body.tabIndex = -1; document.body.focus(); scrollTo(0, 0); }")
    page.evaluate("() => { document.body.removeAttribute('tabindex'); getSelection().removeAllRanges(); }")
    seen: list[str] = []
    for _ in range(90):
        page.keyboard.press("Tab")
        what, outlined = page.evaluate(
            "() => { const one = document.activeElement; const style = getComputedStyle(one);"
            " return [one.className || one.tagName, style.outlineStyle !== 'none' || one.matches('.skip')]; }"
        )
        if what in ("BODY", "skip") and seen:
            break
        assert outlined, what
        seen.append(what)
    assert 20 < len(seen) < 75
    kinds = " ".join(map(str, seen))
    for kind in ("skip", "theme", "modebar-btn", "INPUT", "SUMMARY"):
        assert kind in kinds
    # One stop for the whole map, where it was left; the arrow keys go on from there.
    assert seen.count("tile") + seen.count("level") == 1
    page.locator(".map [tabindex='0']").first.focus()
    for key in ("End", "ArrowLeft", "ArrowUp", "Enter"):
        page.keyboard.press(key)
    assert wide.count == "1–3 of 3 (48 in all)"
    assert page.evaluate("() => document.activeElement.getAttribute('aria-pressed')") == "true"
    page.keyboard.press("Escape")
    assert wide.chips == []


def test_links_within_the_page_keep_the_selection_and_take_the_focus_along(wide: Opened) -> None:
    page = wide.page
    focus = "() => document.activeElement.id"
    page.locator("button.tile").last.click()
    page.locator(".skip").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(focus) == "main"
    page.locator("nav a", has_text="Factors").focus()
    page.keyboard.press("Enter")
    assert page.evaluate(focus) == "s0-factors"
    page.keyboard.press("Tab")
    assert page.evaluate("() => document.activeElement.closest('section').id") == "s0-factors"
    assert len(wide.chips) == 1
    assert wide.count == "1–3 of 3 (48 in all)"


def test_figures_and_controls_have_names_for_a_screen_reader(wide: Opened) -> None:
    nameless = wide.page.evaluate(
        """() => [...document.querySelectorAll('button, input, select, figure, nav, dialog')].filter((one) =>
          !one.textContent.trim() && !one.getAttribute('aria-label') && !one.getAttribute('aria-labelledby')
          && !one.title && !one.dataset.title && !one.labels?.length).map((one) => one.outerHTML)"""
    )
    assert nameless == []
    assert wide.page.locator("main [role=status]").count() == 2
    assert wide.page.locator("figure .scroll table").count() == wide.page.locator("figure").count()


def test_forced_colours_keep_marks_and_what_is_selected(browser: Any, report: Path) -> None:
    opened = Opened(browser, report, width=640, forced_colors="active", reduced_motion="reduce")
    page = opened.page
    page.locator(".level").first.click()
    assert (
        page.locator(".level[aria-pressed=true]").evaluate("one => getComputedStyle(one).forcedColorAdjust")
        == "none"
    )
    marks = "() => getComputedStyle(document.querySelector('#s0-loss-std path.point')).fill"
    assert page.evaluate(marks) == "rgb(43, 108, 164)"
    assert page.evaluate("() => getComputedStyle(document.documentElement).scrollBehavior") == "auto"
    assert sideways(opened) == 0  # 640 pixels are a window of 1280 at 200 %
    opened.context.close()


def test_without_a_script_there_are_answer_map_and_table(browser: Any, report: Path) -> None:
    opened = Opened(browser, report, width=1000, java_script_enabled=False)
    page = opened.page
    assert page.locator(".lead p").first.is_visible()
    assert page.locator(".tile strong:visible").count() == 16
    assert page.locator(".trials tbody tr:visible").count() == 48
    assert not page.locator(".tools, .theme, .plot, .switch").first.is_visible()
    assert page.locator("noscript p").is_visible()
    opened.context.close()


LONG = "x" * 20_000
NAMES = [
    "</script><img src=x onerror=alert(1)>",
    LONG,
    "\u202eright to left\u202c אבג",
    '"quoted", =1+1 \\ \u0000-',
]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a sweep with names, errors and numbers that nobody would choose."""
    folder = tmp_path_factory.mktemp("hostile")

    def edit(trials: list[Row], metrics: list[Row]) -> None:
        trials[0].update(state="FAIL", end_reason="error", error=f"{NAMES[0]} {LONG}", collapsed=None)
        trials[1].update(loss=float("nan"), representation_std=float("inf"), end_reason="diverged")
        trials[2].update(knn_accuracy=None, device=NAMES[2])
        for row in metrics[5:40]:
            row.update(loss=float("inf"), representation_std=float("nan"), effective_rank=None)

    texts = dict.fromkeys(("title", "question", "expected", "source"), f"{NAMES[0]} {NAMES[2]} {LONG[:3000]}")
    factors = {"encoder_norm": ["batch", "group"], "q": NAMES, "a" * 300: ["1", "2"]}
    write_sweep(folder, factors=factors, seeds=(0, 1), edit=edit, study=texts)
    return write_report(folder, folder / "report.html")


@pytest.mark.parametrize("width", [380, 1280])
def test_hostile_tables_stay_text_and_within_the_window(browser: Any, hostile: Path, width: int) -> None:
    opened = Opened(browser, hostile, width=width)
    page = opened.page
    assert sideways(opened) == 0
    assert page.evaluate(OVERFLOWING) == []
    for place in (1, 2, 3):
        page.locator(f"button.tile >> nth={place}").evaluate("one => one.click()")
        assert len(opened.chips) == 1
        assert opened.count.startswith("1–2 of 2")
        assert sideways(opened) == 0
        assert page.locator(".selection").bounding_box()["height"] < 330
    text = page.evaluate("() => location.hash")
    opened.clear()
    page.evaluate("(hash) => { location.hash = hash; }", text)
    page.wait_for_selector(".chip")
    opened.clear()
    page.locator(".open").first.evaluate("one => one.click()")
    page.wait_for_selector("dialog[open] .curves svg")
    assert LONG in page.locator(".error pre").inner_text()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    view = page.locator("dialog[open]")
    assert view.evaluate("one => one.scrollWidth - one.clientWidth") <= 0
    page.keyboard.press("Escape")
    assert page.locator("img, main a, svg a").count() == 0
    assert opened.messages == []
    assert opened.requests == [hostile.as_uri()]
    opened.context.close()
