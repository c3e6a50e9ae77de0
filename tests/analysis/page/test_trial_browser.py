"""A trial's own view, and cells or trials side by side."""

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from sweeps.study import load_study, study_from_text
from tests.analysis.page.opened import Opened, write_report
from tests.analysis.tables import Row, sink_spectra, write_sweep

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

ERROR = "RuntimeError: out of memory\n  <b>at step</b> 37"


def lines(opened: Opened) -> dict[str, list[tuple[str, list[float], list[float]]]]:
    """Axis -> name, x and y of each line in the view that is open."""
    drawn = opened.page.evaluate(
        "() => document.querySelector('dialog[open] .curves').data.map((t) => [t.yaxis, t.name, t.x, t.y])"
    )
    found: dict[str, list[tuple[str, list[float], list[float]]]] = {}
    for axis, name, x, y in drawn:
        found.setdefault(axis, []).append((name, x, y))
    return found


def drawn(opened: Opened) -> None:
    opened.page.wait_for_selector("dialog[open] .curves .js-line", state="attached")


@pytest.fixture(scope="module")
def real(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Opened, Path]]:
    """A sweep of a study that ships, with the ids that its trials would have, and a trial that failed."""
    study = load_study("collapse-quickstart")
    trials = {(*map(str, trial.labels.values()), trial.seed): trial for trial in study.trials()}
    path = tmp_path_factory.mktemp("real") / "quickstart"

    def edit(rows: list[Row], metrics: list[Row]) -> None:
        names = [factor.name for factor in study.factors]
        new = {}
        for row in rows:
            trial = trials.get((*(str(row[f"f_{name}"]) for name in names), row["seed"]))
            if trial is not None:
                new[row["trial_id"]] = trial.trial_id
                row.update(trial_id=trial.trial_id, cell_id=trial.cell_id)
        rows[:] = [row for row in rows if row["trial_id"] in new.values()]
        metrics[:] = [row | {"trial_id": new[row["trial_id"]]} for row in metrics if row["trial_id"] in new]
        rows[1].update(state="FAIL", end_reason="error", error=ERROR, collapsed=None)

    factors = {factor.name: [level.label for level in factor.levels] for factor in study.factors}
    write_sweep(path, factors=factors, seeds=study.seeds, edit=edit)
    (path / "study.yaml").write_text(study.to_yaml())
    opened = Opened(browser, write_report(path, path / "report.html"), width=1280)
    yield opened, path
    opened.context.close()


def test_its_curves_are_those_that_were_measured(wide: Opened, sweep: Path) -> None:
    page = wide.page
    page.locator(".open").nth(4).click()
    drawn(wide)
    trial = wide.page.evaluate("() => location.hash").rpartition("open=")[2]
    metrics = pd.read_parquet(sweep / "metrics.parquet")
    metrics = metrics[metrics["trial_id"] == trial]
    found = lines(wide)
    for axis, names in (
        ("y", ("representation_std", "projection_std")),
        ("y2", ("effective_rank", "projection_effective_rank")),
        ("y3", ("knn_accuracy",)),
        ("y4", ("loss",)),
    ):
        for (_, x, y), name in zip(found[axis][-len(names) :], names, strict=True):
            known = metrics.dropna(subset=[name])
            assert x == known["step"].tolist()
            span = known[name].max() - known[name].min()
            np.testing.assert_allclose(y, known[name], atol=0.51 * span / 254 + 1e-6)
    spectra = pd.read_parquet(sweep / "spectra.parquet")
    spectra = spectra[(spectra["trial_id"] == trial) & (spectra["step"] == 100)]
    for (_, x, y), values in zip(found["y5"][-2:], spectra["eigenvalues"], strict=True):
        assert (x[0], x[-1]) == (1, len(values))
        decades = np.log10(y) - np.log10(values[np.array(x) - 1])
        assert np.abs(decades).max() < 0.02
    assert len(found["y"]) == 4  # thin: the reference with the same seed
    page.keyboard.press("Escape")


def test_labels_of_a_spectrum_over_many_decades_do_not_overlap(browser: Any, tmp_path: Path) -> None:
    write_sweep(tmp_path, factors={"encoder_norm": ["batch", "group"]}, seeds=(0,))
    sink_spectra(tmp_path)
    opened = Opened(browser, write_report(tmp_path, tmp_path / "report.html"), width=1280)
    opened.page.locator(".open").first.click()
    drawn(opened)
    texts = opened.page.locator("dialog[open] .curves .y5tick text, dialog[open] .curves .y4tick text")
    boxes = [box for box in (text.bounding_box() for text in texts.all()) if box]
    assert len(boxes) > 5
    tops = sorted((round(box["x"] / 300), box["y"], box["height"]) for box in boxes)
    for (column, top, height), (next_column, next_top, _) in pairwise(tops):
        assert column != next_column or next_top > top + 0.6 * height, (
            "a line of small text has air around it"
        )
    opened.context.close()


def test_next_and_previous_by_keyboard_in_the_order_of_the_table(wide: Opened) -> None:
    page = wide.page
    wide.filter("seed=1")
    page.locator(".open").first.click()
    title = page.locator("#trial-title")
    first = title.inner_text()
    assert page.locator(".where").inner_text() == "1 of 16"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.locator(".where").inner_text() == "3 of 16"
    assert title.inner_text() != first
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert title.inner_text() == first
    page.keyboard.press("Escape")
    assert page.locator("dialog[open]").count() == 0
    assert wide.chips == ["seed = 1"]
    wide.clear()


def test_the_commands_run_this_very_trial(real: tuple[Opened, Path]) -> None:
    opened, path = real
    page = opened.page
    for place in (0, 8, 14):
        page.locator(".open").nth(place).click()
        rerun, export = page.locator(".command pre").all_inner_texts()
        trial = page.evaluate("() => location.hash").rpartition("open=")[2]
        text = rerun.partition("\n")[2].rpartition("\nEND\n")[0]
        [again] = study_from_text(text, "trial.yaml").trials()
        assert again.trial_id == trial
        assert rerun.endswith(f"run trial-{trial}.yaml --out runs/trial-{trial}")
        assert f" export {path.name} {trial} --to {trial}.safetensors" in export
        page.keyboard.press("Escape")
    opened.page.locator(".open").first.click()
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator(".command button").first.click()
    page.wait_for_selector('.command button:has-text("Copied")')
    assert (
        page.evaluate("() => navigator.clipboard.readText()")
        == page.locator(".command pre").first.inner_text()
    )
    page.keyboard.press("Escape")


def test_outcome_error_and_differences_are_told(real: tuple[Opened, Path]) -> None:
    opened, path = real
    page = opened.page
    opened.filter("outcome=failed")
    page.locator(".open").first.click()
    assert page.locator(".error pre").inner_text() == ERROR
    assert page.locator(".ended").inner_text().startswith("failed")
    assert page.locator("dialog b").count() == 0
    failed = pd.read_parquet(path / "trials.parquet").query("state == 'FAIL'").iloc[0]
    changed = page.locator("dialog .halves tr.differs")
    levels = {row.locator("th").inner_text(): row.locator("td").first.inner_text() for row in changed.all()}
    first = pd.read_parquet(path / "trials.parquet").iloc[0]
    names = [name for name in failed.index if name.startswith("f_")]
    assert levels == {name[2:]: failed[name] for name in names if failed[name] != first[name]}
    page.keyboard.press("Escape")
    opened.clear()
    assert opened.messages == []


def test_cells_side_by_side(wide: Opened) -> None:
    page = wide.page
    tiles = page.locator("button.tile")
    tiles.first.click()
    tiles.last.click(modifiers=["Shift"])
    page.locator(".acts button", has_text="Compare").click()
    drawn(wide)
    assert page.locator("#compare-title").inner_text() == "2 cells side by side"
    differs = page.locator(".compare-view tr.differs th[scope=row]").all_inner_texts()
    assert {"encoder_norm", "head_norm", "predictor", "tau_base", "collapsed", "knn_accuracy"} <= set(differs)
    assert "steps_run" not in differs
    page.locator(".compare-view input").check()
    assert page.locator(".compare-view tr:visible th[scope=row]").all_inner_texts() == differs
    page.locator(".compare-view input").uncheck()
    strokes = page.locator(".compare-view .js-line").evaluate_all("all => all.map((one) => one.style.stroke)")
    assert len(set(strokes)) == 2


def test_trials_side_by_side(wide: Opened, browser: Any, report: Path) -> None:
    page = wide.page
    boxes = page.locator(".trials tbody input")
    for place in (0, 1, 5):
        boxes.nth(place).check()
    page.locator(".tools [data-do=compare]").click()
    drawn(wide)
    assert page.locator("#compare-title").inner_text() == "3 trials side by side"
    heads = page.locator(".compare-view thead bdi").all_inner_texts()
    again = Opened(browser, report, width=380, scheme="dark", hash=page.evaluate("() => location.hash"))
    assert again.page.locator(".compare-view thead bdi").all_inner_texts() == heads
    assert again.page.evaluate("() => document.documentElement.scrollWidth") <= 380
    again.context.close()
    page.keyboard.press("Escape")
    for place in (0, 1, 5):
        boxes.nth(place).uncheck()
    assert not page.locator(".tools [data-do=compare]").is_visible()


def test_ticks_keep_the_focus_and_are_not_what_is_selected(wide: Opened) -> None:
    page = wide.page
    boxes = page.locator(".trials tbody input")
    for place in (0, 1, 2):
        boxes.nth(place).focus()
        page.keyboard.press("Space")
        assert boxes.nth(place).evaluate("one => one === document.activeElement && one.checked")
    page.locator("button.tile").first.click()
    page.locator("button.tile").last.click(modifiers=["Control"])
    page.locator(".acts button", has_text="Compare").click()
    assert page.locator("#compare-title").inner_text() == "2 cells side by side"
    page.keyboard.press("Escape")
    page.locator(".tools [data-do=all]").click()
    assert page.locator(".trials tbody input:checked").count() == 3
    wide.clear()
    assert page.locator(".trials tbody input:checked").count() == 0
    assert not page.locator(".tools [data-do=compare]").is_visible()
