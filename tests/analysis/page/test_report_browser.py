"""The report in headless Chromium: painted, quiet, closed to the network, and usable on a telephone."""

from pathlib import Path
from typing import Any

import pytest

from analysis.load import load_results
from analysis.page.report import render
from tests.analysis.page.opened import Opened, write_report
from tests.analysis.tables import Row, unfinished, write_sweep
from tests.analysis.test_search import SECTION, write_search

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

FIGURES = [
    "trajectories",
    "overlaid",
    "onset",
    "loss-std",
    "rank-std",
    "spectrum",
    "effects",
    "slopes",
    "knn",
    "ecdf",
    "sensitivity",
]


def test_every_figure_is_painted_and_the_page_is_quiet(wide: Opened, report: Path) -> None:
    painted = wide.painted()
    assert sorted(painted) == sorted(f"s0-{name}" for name in FIGURES)
    assert min(painted.values()) > 0, painted
    assert wide.messages == []
    assert wide.requests == [report.as_uri()]
    assert wide.page.locator("#s0-loss-std .points path").count() == 48


def test_baselines_are_painted_and_named(wide: Opened) -> None:
    for figure, plots in (("s0-knn", 1), ("s0-ecdf", 1), ("s0-slopes", 4)):
        names = wide.page.locator(f"#{figure} .legendtext").all_text_contents()
        assert [name for name in names if name.startswith(("raw pixels", "untrained"))] == [
            "raw pixels 70.0 %", "untrained reference 66.8 %",
        ]  # fmt: skip
        dashed = wide.page.locator(f"#{figure} .scatterlayer .js-line[style*=dasharray]")
        assert dashed.count() == 2 * plots
        boxes = [line.bounding_box() for line in dashed.all()]
        assert min(box["width"] + box["height"] for box in boxes) > 50


def test_no_button_sends_the_figure_anywhere(wide: Opened) -> None:
    titles = wide.page.eval_on_selector_all(".modebar-btn", "all => all.map((one) => one.dataset.title)")
    assert titles
    assert not [title for title in titles if title and ("share" in title.lower() or "cloud" in title.lower())]
    assert wide.page.locator(".plotlyjsicon, .modebar-btn--logo").count() == 0


def test_every_figure_can_be_saved_as_png_and_svg(wide: Opened) -> None:
    page = wide.page
    saves = page.locator(".plot .modebar-btn[data-title='Download plot as a PNG']")
    assert (
        saves.count() == page.locator(".plot .modebar-btn[data-title='Save as SVG']").count() == len(FIGURES)
    )
    page.locator(".open").first.click()
    page.wait_for_selector("dialog[open] .curves .js-line", state="attached")
    trial = page.evaluate("() => location.hash").rpartition("open=")[2]
    names = []
    for box in ("dialog[open] .curves", "#s0-rank-std"):
        for title in ("Download plot as a PNG", "Save as SVG"):
            with page.expect_download() as download:
                page.locator(f"{box} .modebar-btn[data-title='{title}']").evaluate("one => one.click()")
            names.append(download.value.suggested_filename)
            start = Path(download.value.path()).read_bytes()[:4]
            assert start == (b"\x89PNG" if "PNG" in title else b"<svg")
    assert names == [
        f"made-up-{figure}.{kind}" for figure in (trial, "rank-std") for kind in ("png", "svg")
    ]  # fmt: skip


def test_the_map_is_painted_and_switches(wide: Opened) -> None:
    tile = wide.page.locator("button.tile").first
    assert tile.bounding_box()["height"] > 30
    assert tile.locator("strong:visible").inner_text() == "0/3"
    colour = "one => getComputedStyle(one).backgroundColor"
    faces = wide.page.locator(".face[data-face=representation]")
    assert faces.first.evaluate(colour) != faces.last.evaluate(colour)
    wide.page.locator("[data-view=projection]").last.click()
    assert wide.page.locator("button.tile").nth(3).locator("strong:visible").inner_text() == "3/3"
    wide.page.locator("button[data-view=representation]").click()


def test_the_table_sorts_filters_and_exports(wide: Opened) -> None:
    page = wide.page
    place = page.locator(".trials th").all_inner_texts().index("knn_accuracy")
    header = page.locator(".trials th").nth(place)
    column = page.locator(f".trials tbody td:nth-child({place + 1})")
    for state in ("ascending", "descending"):
        header.locator("button").click()
        assert header.get_attribute("aria-sort") == state
        values = [float(value) for value in column.all_inner_texts()]
        assert values == sorted(values, reverse=state == "descending")
    assert len(values) == 25  # a page
    page.locator("[data-do=after]").click()
    assert page.locator(".count").inner_text() == "26–48 of 48"
    page.locator(".trials-box select").select_option("collapsed")
    assert page.locator(".count").inner_text() == "1–12 of 12 (48 in all)"
    assert wide.chips == ["outcome = collapsed"]
    with page.expect_download() as download:
        page.locator("[data-do=csv]").click()
    lines = Path(download.value.path()).read_text().splitlines()
    assert len(lines) == 13
    assert lines[0].startswith('"encoder_norm","head_norm","predictor","tau_base","seed","outcome"')
    page.locator("[data-do=all]").click()
    page.locator("button.tile").last.click()
    assert wide.count == "1–3 of 3 (48 in all)"
    page.locator("[data-do=all]").click()


def test_views_change_what_is_drawn(wide: Opened) -> None:
    chooser = wide.page.locator('select[data-for="s0-onset"]')
    assert chooser.locator("option").count() == 5
    chooser.select_option("2")
    name = chooser.locator("option").nth(2).inner_text()
    wide.page.wait_for_timeout(300)
    assert name in wide.page.locator("#s0-onset .legendtext").first.text_content()
    assert wide.painted()["s0-onset"] > 0


def test_dark_paper(wide: Opened, browser: Any, report: Path) -> None:
    background = "() => getComputedStyle(document.querySelector('#s0-onset .main-svg')).backgroundColor"
    light = wide.page.evaluate(background)
    wide.page.locator(".theme").click()
    wide.settle()
    dark = wide.page.evaluate(background)
    assert (light, dark) == ("rgb(255, 255, 255)", "rgb(20, 24, 30)")
    assert min(wide.painted().values()) > 0
    wide.page.locator(".theme").click()
    wide.settle()
    by_system = Opened(browser, report, width=1280, scheme="dark")
    assert by_system.page.evaluate(background) == dark
    by_system.context.close()


def test_a_telephone_needs_no_sideways_scrolling(browser: Any, report: Path) -> None:
    narrow = Opened(browser, report, width=380)
    width, inner = narrow.page.evaluate("() => [document.documentElement.scrollWidth, innerWidth]")
    assert width <= inner == 380
    assert min(narrow.painted().values()) > 0
    assert narrow.messages == []
    narrow.context.close()


def test_the_overview_of_several_sweeps(browser: Any, sweep: Path, tmp_path: Path) -> None:
    def shift(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row["knn_accuracy"] += 0.02 + 0.001 * row["seed"]

    again = write_sweep(tmp_path / "a-long-name-of-a-directory-of-the-same-study", edit=shift)
    path = tmp_path / "report.html"
    path.write_text(render(load_results([sweep, again])), encoding="utf-8")
    for width in (1280, 380):
        opened = Opened(browser, path, width=width)
        assert opened.messages == []
        assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= width
        assert opened.page.locator("#overview tbody a").count() == 2
        assert opened.page.locator("#overview .card").first.bounding_box()["y"] < 200
        opened.context.close()


def test_the_figures_of_a_search(browser: Any, tmp_path: Path) -> None:
    objectives = {"knn_accuracy": "maximize", "wall_seconds": "minimize"}
    write_search(tmp_path, section={**SECTION, "objectives": objectives})
    path = write_report(tmp_path, tmp_path / "report.html")
    for width in (1280, 380):
        opened = Opened(browser, path, width=width)
        painted = opened.painted()
        assert {"s0-history", "s0-search", "s0-front"} <= set(painted)
        assert min(painted.values()) > 0, painted
        assert opened.messages == []
        assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= width
        opened.context.close()


def test_hostile_names_are_shown_as_they_are(browser: Any, tmp_path: Path) -> None:
    hostile = ["<b>bold</b>", '<a href="http://example.org">x</a>']
    write_sweep(
        tmp_path, factors={"encoder_norm": ["batch", "group"], "q": hostile}, study={"title": "<i>title</i>"}
    )
    opened = Opened(browser, write_report(tmp_path, tmp_path / "report.html"), width=1000)
    assert opened.page.locator("h1").inner_text() == "<i>title</i>"
    assert opened.page.locator("main a, svg a").count() == 0
    ticks = " ".join(opened.page.locator("#s0-knn .ytick").all_text_contents())
    assert f"q {hostile[1]}" in ticks
    assert opened.messages == []
    assert min(opened.painted().values()) > 0
    opened.context.close()


def test_an_empty_sweep_opens_quietly(browser: Any, tmp_path: Path) -> None:
    write_sweep(tmp_path, edit=unfinished(after=0))
    opened = Opened(browser, write_report(tmp_path, tmp_path / "report.html"), width=1000)
    assert opened.messages == []
    assert opened.page.locator("button.tile").count() == 16
    opened.context.close()
