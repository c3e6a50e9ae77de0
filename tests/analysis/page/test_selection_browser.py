"""One selection filters every view, the table and the address; what is of the whole study stays apart."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote_plus

import pandas as pd
import pytest

from tests.analysis.page.opened import Opened

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


def shown(opened: Opened, figure: str) -> tuple[int, int]:
    """How many marks of a figure are not dimmed, and how many there are."""
    marks = opened.page.locator(f"#s0-{figure} path.point")
    return marks.count() - opened.page.locator(f"#s0-{figure} path.point.dim").count(), marks.count()


def address(opened: Opened) -> str:
    return unquote_plus(opened.page.evaluate("() => location.hash"))


def middle(opened: Opened, selector: str, place: int = 0) -> tuple[float, float]:
    """Where an element is on the screen, after scrolling to it."""
    box = opened.still(opened.page.locator(selector).nth(place))
    return box["x"] + box["width"] / 2, box["y"] + box["height"] / 2


def test_a_tile_selects_its_trials_in_every_view(wide: Opened) -> None:
    tiles = wide.page.locator("button.tile")
    tiles.last.click()
    assert wide.chips == [str(tiles.last.get_attribute("title")).partition(": select")[0]]
    assert wide.count == "1–3 of 3 (48 in all)"
    assert (
        wide.page.locator(".selected-count").inner_text().startswith("3 of 48 trials selected · 3 collapsed")
    )
    assert shown(wide, "loss-std") == shown(wide, "rank-std") == (3, 48)
    assert wide.page.locator("button.tile.dim").count() == 15
    assert f"?s0={tiles.last.get_attribute('data-term')}" in address(wide)
    tiles.first.click(modifiers=["Control"])  # as well
    assert len(wide.chips) == 1
    assert wide.count == "1–6 of 6 (48 in all)"
    tiles.nth(1).click()  # instead
    assert wide.count == "1–3 of 3 (48 in all)"
    wide.clear()
    assert wide.chips == []
    assert "s0=" not in address(wide)
    assert wide.page.locator("main .dim").count() == 0


def test_levels_legends_and_marks_select(wide: Opened) -> None:
    page = wide.page
    page.locator('.level[data-term="predictor=none"]').first.click()
    assert wide.chips == ["predictor = none"]
    assert shown(wide, "loss-std") == (24, 48)
    page.mouse.click(*middle(wide, "#s0-loss-std .legendtoggle", 1))
    page.wait_for_selector('.chip:has-text("outcome = collapsed")')
    assert wide.count == "1–6 of 6 (48 in all)"
    page.locator(".chip", has_text="outcome").click()
    assert wide.count.endswith("of 24 (48 in all)")
    wide.clear()
    page.mouse.move(*middle(wide, "#s0-loss-std path.point", 7))
    page.wait_for_selector("#s0-loss-std .hovertext")  # a click counts for the point under the pointer
    page.mouse.down()
    page.mouse.up()
    page.wait_for_selector(".chip")
    assert wide.count == "1–1 of 1 (48 in all)"
    assert shown(wide, "rank-std") == (1, 48)
    wide.clear()


def test_a_range_that_is_drawn_selects(wide: Opened, sweep: Path) -> None:
    page = wide.page
    wide.brush("s0-loss-std", (0.03, 0.05), (0.5, 0.97))
    column, low, high = address(wide).partition("?s0=")[2].split()[0].replace("..", "=").split("=")
    trials = pd.read_parquet(sweep / "trials.parquet")
    inside = trials[trials[column].between(float(low), float(high))]
    assert 0 < len(inside) < 48
    assert wide.count.endswith(f"of {len(inside)} (48 in all)")
    assert [chip.split()[2] for chip in wide.chips] == ["representation_std", "loss"]
    assert shown(wide, "loss-std")[0] == len(inside)
    assert page.locator("#s0-loss-std .selectionlayer path").count() == 0  # the box is gone
    wide.clear()


QUERIES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "predictor=none knn>0.7": lambda t: (t["f_predictor"] == "none") & (t["knn_accuracy"] > 0.7),
    "knn>70%": lambda t: t["knn_accuracy"] > 0.7,
    "seed=1,2 outcome!=collapsed": lambda t: t["seed"].isin([1, 2]) & ~t["collapsed"],
    "loss=0.01..0.05": lambda t: t["loss"].between(0.01, 0.05),
    "loss>=0.01 loss<0.04": lambda t: (t["loss"] >= 0.01) & (t["loss"] < 0.04),
    "tau_base<0.5": lambda t: t["f_tau_base"] < 0.5,
    "projection_collapsed=yes": lambda t: t["projection_collapsed"],
    '"encoder_norm"="group" head_norm=none': lambda t: (
        (t["f_encoder_norm"] == "group") & (t["f_head_norm"] == "none")
    ),
    "onset_step=–": lambda t: t["onset_step"].isna(),
    "collapsed": lambda t: t["collapsed"],
    "no_such_column=1": lambda t: t["seed"] < 0,
    'cell="': lambda t: t["seed"] < 0,
}


def test_the_filter_understands_columns_bounds_ranges_and_words(wide: Opened, sweep: Path) -> None:
    trials = pd.read_parquet(sweep / "trials.parquet")
    found = {}
    for query in QUERIES:
        wide.filter(query)
        found[query] = int(wide.count.partition(" of ")[2].split()[0])
    wide.filter("")
    assert found == {query: int(meets(trials).sum()) for query, meets in QUERIES.items()}
    assert wide.count == "1–25 of 48"


def test_the_address_brings_everything_back(wide: Opened, browser: Any, report: Path) -> None:
    wide.page.locator('.level[data-term="predictor=none"]').first.click()
    wide.filter('knn>0.6 "seed=1,2"')
    wide.filter("knn>0.6 seed=1,2")
    wide.page.keyboard.press("Enter")
    assert wide.page.locator(".trials-box input[type=search]").input_value() == ""
    wide.page.locator(".trials th button", has_text="loss").click()
    wide.page.locator(".open").nth(1).click()
    seen = wide.chips, wide.count, wide.page.locator("#trial-title").inner_text()
    again = Opened(browser, report, width=900, hash=wide.page.evaluate("() => location.hash"))
    assert (again.chips, again.count, again.page.locator("#trial-title").inner_text()) == seen
    assert again.chips == ["predictor = none", "0.6 < knn_accuracy", "seed = 1 or 2"]
    assert again.page.locator(".trials th[aria-sort=ascending]").inner_text() == "loss"
    assert again.messages == []
    again.context.close()
    wide.page.keyboard.press("Escape")  # the trial first,
    assert wide.chips == seen[0]
    wide.clear()  # and then the selection
    assert wide.chips == []


def test_an_address_that_cannot_be_read_is_ignored(browser: Any, report: Path) -> None:
    opened = Opened(browser, report, width=900, hash="#?s0.compare=cells:%25&s0=predictor%3Dnone")
    assert opened.chips == ["predictor = none"]
    assert opened.page.locator("dialog[open]").count() == 0
    assert opened.messages == []
    opened.context.close()


def test_what_is_of_the_whole_study_says_so(wide: Opened) -> None:
    page = wide.page
    label = "one => getComputedStyle(one, '::before').content"
    verdict = page.locator(".lead")
    text = verdict.inner_text()
    assert verdict.evaluate(label) == "none"
    page.locator("button.tile").last.click()
    assert verdict.evaluate(label) == '"whole study"'
    assert page.locator("figure:has(#s0-effects)").evaluate(label) == '"whole study"'
    assert page.locator("figure:has(#s0-loss-std)").evaluate(label) == "none"
    assert verdict.inner_text() == text
    assert page.locator(".counts").inner_text().startswith("48")
    wide.clear()
