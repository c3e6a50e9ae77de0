"""Figures hold the numbers that they show, text cannot become markup, and every colour has its dark one."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.cells import cells_of, collapse_by_seed, values_by_seed
from analysis.effects import Effect, study_effects
from analysis.figures import accuracy, forest, onset, planes, slopes, spectrum, theme, trajectories
from analysis.figures.drawing import Drawing
from analysis.load import load_results
from analysis.results import StudyResults
from tests.analysis.tables import FACTORS, Row, sink_spectra, write_sweep

MAKERS = (
    trajectories.trajectories,
    trajectories.overlaid,
    onset.onset,
    planes.loss_plane,
    planes.rank_plane,
    planes.sensitivity,
    spectrum.spectrum,
    forest.forest,
    slopes.slopes,
    accuracy.knn_by_cell,
    accuracy.knn_ecdf,
)


@pytest.mark.parametrize("make", MAKERS, ids=lambda make: make.__name__)
def test_every_colour_can_turn_dark(study: StudyResults, make: type) -> None:
    panel = make(study)
    text = json.dumps(panel.figure.to_plotly_json(), default=list)
    unknown = set(re.findall(r"#[0-9a-f]{6}", text)) - set(theme.dark_map()) - set(spectrum._SCALE)
    assert unknown == set()
    assert {trace.type for trace in panel.figure.data} == {"scatter"}  # SVG only
    assert panel.table[1], "no numbers beside the figure"
    assert all(len(row) == len(panel.table[0]) for row in panel.table[1])


def test_medians_by_step(study: StudyResults) -> None:
    panel = trajectories.trajectories(study)
    assert panel is not None
    first = next(trace for trace in panel.figure.data if trace.name == "representation")
    ids = cells_of(study)[0].trials["trial_id"]
    rows = study.metrics[study.metrics["trial_id"].isin(ids)]
    assert list(first.y) == pytest.approx(rows.groupby("step")["representation_std"].median(), rel=1e-3)
    assert len(panel.figure.layout.annotations) == 16


def test_marks_in_the_plane_are_the_last_values(study: StudyResults) -> None:
    panel = planes.loss_plane(study)
    assert panel is not None
    collapsed = next(trace for trace in panel.figure.data if trace.name.startswith("collapsed"))
    rows = study.trials[study.trials["outcome"] == "collapsed"]
    assert sorted(collapsed.x) == pytest.approx(sorted(rows["representation_std"]), rel=1e-3)
    assert collapsed.name == "collapsed (12)"


def test_the_factor_that_separates_most_comes_first(study: StudyResults) -> None:
    panel = onset.onset(study)
    assert panel is not None
    assert {panel.views[0][0], panel.views[1][0]} == {"encoder_norm", "head_norm"}
    row = next(row for row in panel.table[1] if row[0] == "encoder norm group")
    assert row[1:4] == ("12 of 24", "50 %", "60")
    assert row[5].startswith("0: 24, 20: 24, 40: 24, 60: 16")  # at 60: 24 less 4 at 40 and 4 at 50


def effects_on_collapse(study: StudyResults) -> tuple[Effect, ...]:
    cells = cells_of(study)
    return study_effects(study, cells, collapse_by_seed(cells, study.seeds), survivors_only=False)


def test_effects_on_the_rate_are_exact(study: StudyResults) -> None:
    means = {forest.effect_name(study, effect): effect.mean for effect in effects_on_collapse(study)}
    main, crossed = (
        means["encoder norm: batch → group"],
        means["encoder norm: batch → group × head norm: batch → none"],
    )
    assert main is not None
    assert crossed is not None
    assert (main.estimate, main.interval, crossed.estimate) == (0.5, None, 1.0)


def test_an_unbalanced_factorial_gets_no_unconditional_estimate(tmp_path: Path) -> None:
    def lose_a_cell(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            if row["cell_id"] == trials[15]["cell_id"]:
                row.update(state="FAIL", end_reason="error", collapsed=None)

    study = load_results([write_sweep(tmp_path, edit=lose_a_cell)]).studies[0]
    assert effects_on_collapse(study) == ()


def test_the_forest_draws_simultaneous_intervals_too(study: StudyResults) -> None:
    panel = forest.forest(study)
    assert panel is not None
    row = next(row for row in panel.table[1] if row[0].startswith("kNN") and row[1].startswith("encoder"))
    assert row[3].endswith("(family of 4)")
    ends = [float(end.replace("−", "-")) for end in row[3].split(" (")[0].split(" to ")]
    lines = [list(trace.x) for trace in panel.figure.data if trace.mode == "lines"]
    assert any(line == pytest.approx(ends, abs=0.06) for line in lines)
    assert "thin ones hold for all main effects" in panel.caption.lower()


def test_a_fraction_has_a_forest_with_its_aliases(tmp_path: Path) -> None:
    def half(trials: list[Row], metrics: list[Row]) -> None:
        odd = {"encoder_norm": "group", "predictor": "none", "tau_base": 0}
        trials[:] = [row for row in trials if sum(row[f"f_{name}"] == odd[name] for name in odd) % 2 == 0]

    levels: dict[str, list[object]] = {
        "encoder_norm": ["batch", "group"], "predictor": ["mlp", "none"], "tau_base": [0.99, 0],
    }  # fmt: skip
    written = write_sweep(tmp_path, factors=levels, design="fractional", edit=half)
    panel = forest.forest(load_results([written]).studies[0])
    assert panel is not None
    over = {(row[0], row[1]): row[-2:] for row in panel.table[1]}
    assert over["kNN accuracy, points", "encoder norm: batch → group"] == (
        "all 4 cells",
        "predictor × tau_base",
    )
    assert "all cells at one level against all at the other" in panel.caption


def test_slopes_compare_the_same_cells_at_each_level(study: StudyResults) -> None:
    cells = cells_of(study)
    table = values_by_seed(cells, study.seeds, "knn_accuracy", survivors_only=True)
    means, used, matched = slopes.by_level(cells, table, 0, 2)
    assert (used, matched) == ([0, 1, 2], 4)  # where the heads have batch norm, in both encoders
    heads = [index for index, cell in enumerate(cells) if cell.labels[1] == "batch"]
    groups = [cells[index].labels[0] for index in heads]
    expected = pd.DataFrame(table[heads], index=groups).groupby(level=0).mean().to_numpy()
    assert means == pytest.approx(expected)


def test_the_share_of_trials_below(study: StudyResults) -> None:
    panel = accuracy.knn_ecdf(study)
    assert panel is not None
    everything = panel.figure.data[0]
    values = np.sort(study.trials["knn_accuracy"])
    assert list(everything.x)[1:] == pytest.approx(values, rel=1e-3)
    assert everything.y[-1] == 1


@pytest.mark.parametrize("hostile", ["<b>x</b>", '<a href="http://x">y</a>', "%{customdata}", "a&lt;b"])
def test_text_stays_text(hostile: str) -> None:
    shown = theme.text(hostile)
    assert "<" not in shown
    assert "%{" not in shown


def test_bands_only_where_trials_are_many(tmp_path: Path) -> None:
    levels = {"encoder_norm": ["batch", "group"], "head_norm": ["none"]}
    study = load_results([write_sweep(tmp_path, factors=levels, seeds=range(12))]).studies[0]
    panel = trajectories.trajectories(study)
    assert panel is not None
    assert not any(trace.opacity == 0.45 for trace in panel.figure.data)
    assert "single trials" not in panel.caption


def test_the_overlay_has_a_line_for_each_cell_and_level(study: StudyResults) -> None:
    panel = trajectories.overlaid(study)
    assert panel is not None
    lines = panel.figure.data
    assert [trace.name for trace in lines[:4:2]] == ["the reference", "tau 0"]
    assert len(lines) == 2 * 16
    assert all(trace.meta["legend"] for trace in lines)
    assert "the threshold, 0.1." in panel.caption
    apart = trajectories.overlaid(replace(study, projection_threshold=0.2))
    assert apart is not None
    assert "the thresholds, 0.1 and 0.2." in apart.caption
    alone = trajectories.trajectories(study)
    assert alone is not None
    medians = [trace for trace in alone.figure.data if trace.name == "representation"]
    assert [list(line.y) for line in lines[::2]] == [list(line.y) for line in medians]


def test_a_projection_that_nothing_has_is_not_drawn(study: StudyResults) -> None:
    """As in a report on embeddings from elsewhere, which may have none."""
    without = replace(study, metrics=study.metrics.assign(projection_std=np.nan))
    overlaid, alone = trajectories.overlaid(without), trajectories.trajectories(without)
    assert overlaid is not None
    assert alone is not None
    assert {trace.xaxis for trace in overlaid.figure.data} == {"x"}
    assert "xaxis2" not in overlaid.figure.layout
    assert overlaid.table[0] == ("cell", "collapsed", "representation std at the end")
    assert "projection" not in {trace.name for trace in alone.figure.data}


def test_curves_without_any_value_are_no_error(study: StudyResults) -> None:
    """As where every trial diverges before its first measurement."""
    nothing = {"representation_std": np.nan, "projection_std": np.nan}
    without = replace(study, metrics=study.metrics.assign(**nothing))
    panel = trajectories.overlaid(without)
    assert panel is not None
    assert panel.table[0] == ("cell", "collapsed", "representation std at the end")
    assert trajectories.trajectories(without) is not None


def test_numbers_at_risk_stand_at_the_ticks(study: StudyResults) -> None:
    panel = onset.onset(study)
    assert panel is not None
    ticks = list(panel.figure.layout.xaxis.tickvals)
    rows = [list(trace.x) for trace in panel.figure.data if trace.mode == "text"]
    assert rows
    assert all(row == ticks for row in rows)
    lowest, highest = panel.figure.layout.yaxis2.domain
    assert 0 < lowest < highest < panel.figure.layout.yaxis.domain[0]


def test_the_forest_leads_with_what_the_verdict_rests_on(tmp_path: Path) -> None:
    names = ["tau_base", "predictor", "head_norm", "encoder_norm"]  # the verdict names the last two
    factors = {name: FACTORS[name] for name in names}
    panel = forest.forest(load_results([write_sweep(tmp_path, factors=factors)]).studies[0])
    assert panel is not None
    ticks = list(panel.figure.layout.yaxis.ticktext)
    assert ticks[:2] == ["<b>head norm: batch → none</b>", "<b>encoder norm: batch → group</b>"]
    assert ticks[2:5] == ["tau: 0.99 → 0", "predictor: mlp → none", "<b>head norm × encoder norm</b>"]
    titles = [annotation.text for annotation in panel.figure.layout.annotations]
    assert titles[0] == "collapse of the representation, points"


def test_marks_and_lines_say_which_trials_they_stand_for(study: StudyResults) -> None:
    for panel in (planes.loss_plane(study), accuracy.knn_by_cell(study)):
        assert panel is not None
        marks = [trace for trace in panel.figure.data if trace.customdata is not None]
        assert sorted(row for trace in marks for row in trace.customdata) == list(range(48))
        assert {trace.meta["of"] for trace in marks} == {"outcome=survived", "outcome=collapsed"}
        assert all(
            study.trials["outcome"][row] == trace.meta["of"].removeprefix("outcome=")
            for trace in marks
            for row in trace.customdata
        )
    plane = planes.rank_plane(study)
    assert plane is not None
    assert plane.brush == {"x": "representation_std", "y": "effective_rank"}
    assert plane.floors == {"x": 1e-4}


def test_paths_into_a_layout() -> None:
    drawing = Drawing({"xaxis": {"title": {"text": "step"}}, "annotations": [{"text": "a"}]})
    drawing.update_layout(
        {"xaxis.title.standoff": 3, "annotations.0.text": "b"}, yaxis={"range": np.array([0, 1])}
    )
    assert drawing.layout == {
        "xaxis": {"title": {"text": "step", "standoff": 3}}, "annotations": [{"text": "b"}],
        "yaxis": {"range": [0, 1]},
    }  # fmt: skip
    assert drawing.figure().layout.xaxis.title.standoff == 3


def test_a_long_name_is_cut_and_stays_text() -> None:
    assert theme.wrapped("<b>" + "x" * 20_000, 10, 2).startswith("&lt;b&gt;xxxxxxx<br>")
    assert theme.wrapped("x" * 20_000, 10, 2).count("x") < 20
    assert theme.wrapped("no predictor, tau 0", 14) == "no predictor,<br>tau 0"


def test_the_ticks_of_spectra_over_many_decades_leave_room_for_their_labels(tmp_path: Path) -> None:
    write_sweep(tmp_path, factors={"encoder_norm": ["batch", "group"]}, seeds=(0,))
    first = spectrum.spectrum(load_results([tmp_path]).studies[0])
    assert first is not None
    assert first.drawing.layout["yaxis"]["dtick"] == first.drawing.layout["yaxis2"]["dtick"] == 1
    sink_spectra(tmp_path)
    sunk = spectrum.spectrum(load_results([tmp_path]).studies[0])
    assert sunk is not None
    values = [value for trace in sunk.drawing.data for value in trace["y"] if value]
    decades = np.ptp(np.log10(values))
    assert decades > 15
    assert 4 < decades / sunk.drawing.layout["yaxis"]["dtick"] <= 7
