"""Selecting and comparing where names, levels and values are easily taken for others."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.analysis.page.opened import Opened, write_report
from tests.analysis.tables import Row, write_sweep

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ALIKE: dict[str, list[Any]] = {
    "loss": ["byol", "simsiam"],
    "cell": ["a", "b"],
    "crop": ["0.2..1", "0.5..1"],
    "norm": ["BN", "bn"],
}
CLOSE: dict[str, list[Any]] = {
    "encoder_norm": ["batch", "group"],
    "head_norm": ["batch", "none"],
    "tau_base": [0.99, 0.996],
}
MANY: dict[str, list[Any]] = {
    "encoder_norm": ["batch", "group"],
    "head_norm": ["batch", "none"],
    "predictor": ["mlp", "none"],
    "q": [str(level) for level in range(9)],
}


def opened_sweep(browser: Any, folder: Path, **options: Any) -> Opened:
    write_sweep(folder, **options)
    return Opened(browser, write_report(folder, folder / "report.html"), width=1280)


@pytest.fixture(scope="module")
def alike_once(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """Factors that are called like columns of the table, seeds of which none is 1."""
    opened = opened_sweep(browser, tmp_path_factory.mktemp("alike"), factors=ALIKE, seeds=(10, 11, 12))
    yield opened
    opened.context.close()


def _edited(trials: list[Row], metrics: list[Row]) -> None:
    """Collapsed trials have no spread at all; their onsets differ by cell, but overlap; one ends early."""
    onsets = iter((40, 50, 60, 40, 50, 90))
    for row in sorted(trials, key=lambda row: (row["f_tau_base"], row["seed"])):
        if row["collapsed"]:
            row.update(representation_std=1e-6, onset_step=next(onsets))
    trials[0].update(steps_run=40, knn_accuracy=0.1, end_reason="collapsed", collapsed=True)


@pytest.fixture(scope="module")
def close_once(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Opened]:
    """A factor whose levels differ by less than a hundredth."""
    opened = opened_sweep(browser, tmp_path_factory.mktemp("close"), factors=CLOSE, edit=_edited)
    yield opened
    opened.context.close()


@pytest.fixture
def alike(alike_once: Opened) -> Iterator[Opened]:
    yield alike_once
    alike_once.rest()


@pytest.fixture
def close(close_once: Opened) -> Iterator[Opened]:
    yield close_once
    close_once.rest()


def test_factors_that_are_called_like_columns(alike: Opened) -> None:
    page = alike.page
    heads = page.locator(".trials th button").all_inner_texts()
    assert heads[:5] == ["f_loss", "f_cell", "crop", "norm", "seed"]
    assert heads.count("loss") == 1
    page.locator('.level[data-term="f_loss=simsiam"]').first.click()
    assert alike.count.endswith("of 24 (48 in all)")
    assert page.locator(".open").count() == 24
    page.locator(".open").first.click()
    rerun = page.locator(".command pre").first.inner_text()
    [line] = [line for line in rerun.splitlines() if line.startswith("factors:")]
    settings = json.loads(line.removeprefix("factors: "))[0]["levels"][0]["settings"]
    assert settings == {"loss": "simsiam", "cell": "a", "crop": "0.2..1", "norm": "BN"}
    assert page.locator("dialog tr.differs th").all_inner_texts() == ["loss"]
    page.keyboard.press("Escape")
    alike.clear()
    tile = page.locator("button.tile").last
    tile.click()
    assert alike.count == "1–3 of 3 (48 in all)"
    assert tile.get_attribute("aria-pressed") == "true"


def test_values_mean_themselves_first(alike: Opened) -> None:
    page = alike.page
    found = {}
    for query in (
        "loss>0",
        "f_cell=b",
        "norm=bn",
        "norm=BN",
        "norm=Bn",
        'crop="0.2..1"',
        "seed=1",
        "seed=10.0",
    ):
        alike.filter(query)
        found[query] = int(alike.count.partition(" of ")[2].split()[0])
    alike.filter("")
    assert found == {
        "loss>0": 48, "f_cell=b": 24, "norm=bn": 24, "norm=BN": 24, "norm=Bn": 48, 'crop="0.2..1"': 24,
        "seed=1": 0, "seed=10.0": 16,
    }  # fmt: skip
    page.locator(".level", has_text="0.2..1").first.click()
    assert alike.count.endswith("of 24 (48 in all)")
    hash = page.evaluate("() => location.hash")
    alike.clear()
    page.evaluate("(hash) => { location.hash = hash; }", hash)
    page.wait_for_selector('.chip:has-text("0.2..1")')
    assert alike.count.endswith("of 24 (48 in all)")
    assert alike.messages == []


def test_any_difference_between_levels_is_marked(close: Opened) -> None:
    page = close.page
    heads = page.locator(".trials th").all_inner_texts()
    rows = page.locator(".trials tbody tr")
    taus = rows.locator(f"td:nth-child({heads.index('tau_base') + 1})").all_inner_texts()
    for place in (taus.index("0.99"), taus.index("0.996")):
        rows.locator("input").nth(place).check()
    page.locator(".tools [data-do=compare]").click()
    differs = page.locator(".compare-view tr.differs th[scope=row]").all_inner_texts()
    assert "tau_base" in differs
    assert "steps_planned" not in differs


def test_means_whose_ranges_overlap_are_not_marked(close: Opened) -> None:
    page = close.page
    close.filter("encoder_norm=group head_norm=none")
    page.locator(".acts button", has_text="Compare").click()
    assert page.locator("#compare-title").inner_text() == "2 cells side by side"
    rows = page.locator(".compare-view tbody tr")
    shown = {row.locator("th").inner_text(): row.locator("td").all_inner_texts() for row in rows.all()}
    differs = page.locator(".compare-view tr.differs th[scope=row]").all_inner_texts()
    assert shown["onset_step"] == ["50 (40 to 60)", "60 (40 to 90)"]
    assert "tau_base" in differs
    assert "onset_step" not in differs


def test_means_are_those_of_the_map(close: Opened) -> None:
    """Over the trials that ran to their planned end."""
    page = close.page
    tile = page.locator("button.tile").first
    mean = tile.locator("[data-face=knn] strong").text_content()
    tile.click()
    assert f"mean kNN {mean}" in page.locator(".selected-count").inner_text().replace(
        "\N{NO-BREAK SPACE}", " "
    )
    page.locator("button.tile").nth(1).click(modifiers=["Control"])
    page.locator(".acts button", has_text="Compare").click()
    row = page.locator(".compare-view tr", has=page.locator("th", has_text="knn_accuracy")).first
    shown = float(row.locator("td").first.inner_text().split()[0])
    assert f"{100 * shown:.1f} %" == mean


def test_a_range_from_the_floor_holds_what_is_drawn_there(close: Opened) -> None:
    close.brush("s0-loss-std", (0.5, 0.05), (-0.05, 1.05))
    assert close.chips[0].startswith("representation_std ≤ ")
    assert close.count.endswith("of 6 (24 in all)")
    assert close.messages == []


def test_groups_of_cells_are_added_to_each_other(browser: Any, tmp_path: Path) -> None:
    opened = opened_sweep(browser, tmp_path, factors=MANY, seeds=(0,))
    groups = opened.page.locator(".group .level")
    terms = [str(group.get_attribute("data-term")) for group in groups.all()]
    first = set(terms[0].split())
    other = next(place for place, term in enumerate(terms) if len(first - set(term.split())) == 1)
    groups.first.click()
    of_one = int(opened.count.partition(" of ")[2].split()[0])
    groups.nth(other).click(modifiers=["Control"])
    assert opened.count.partition(" of ")[2].startswith(f"{2 * of_one} ")
    pressed = [
        place for place, group in enumerate(groups.all()) if group.get_attribute("aria-pressed") == "true"
    ]
    assert pressed == [0, other]
    titles = opened.page.locator("button.mini").evaluate_all("all => all.map((one) => one.title)")
    assert all("projection " in title and "kNN " in title for title in titles)
    opened.context.close()
