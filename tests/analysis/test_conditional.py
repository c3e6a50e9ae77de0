"""A factor that does not apply everywhere: its absence is shown, and never compared with a level.

The representation collapses where the encoder is group-normalised and the heads have no batch norm; whether
the heads have it is asked of group-normalised encoders only.
"""

from pathlib import Path
from typing import Any

import pytest

from analysis.cells import cells_of, collapse_by_seed, values_by_seed
from analysis.comparisons import comparison_rows
from analysis.effects import study_effects
from analysis.figures import forest, groups, onset, slopes
from analysis.findings import study_findings
from analysis.load import load_results
from analysis.page.collapse_map import collapse_map
from analysis.page.report import render
from analysis.page.trial_table import trial_rows
from analysis.results import NOT_SET, StudyResults
from analysis.verdict import changed_in_one_factor
from tests.analysis.tables import write_sweep

FACTORS: dict[str, list[Any]] = {
    "encoder_norm": ["batch", "group"],
    "head_norm": ["batch", "none"],
    "tau_base": [0.99, 0.0],
}
WHEN = {"head_norm": {"encoder_norm": "group"}}


@pytest.fixture(scope="module")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_sweep(tmp_path_factory.mktemp("conditional"), factors=FACTORS, when=WHEN)


@pytest.fixture(scope="module")
def study(sweep: Path) -> StudyResults:
    return load_results([sweep]).studies[0]


def test_an_absence_is_no_level_of_the_factor(study: StudyResults) -> None:
    assert [factor.levels for factor in study.factors] == [
        ("batch", "group"),
        ("batch", "none"),
        ("0.99", "0"),
    ]
    cells = cells_of(study)
    assert [cell.labels for cell in cells] == [
        ("batch", NOT_SET, "0.99"), ("batch", NOT_SET, "0"),
        ("group", "batch", "0.99"), ("group", "batch", "0"),
        ("group", "none", "0.99"), ("group", "none", "0"),
    ]  # fmt: skip
    assert [cell.is_reference for cell in cells] == [True, False, False, False, False, False]
    assert [cell.planned for cell in cells] == [3] * 6


@pytest.mark.parametrize("levels", [[1, 2], [True, False], [0.5, 1.0]])
def test_levels_of_any_type_survive_the_nulls(tmp_path: Path, levels: list[object]) -> None:
    factors: dict[str, list[Any]] = {"encoder_norm": ["batch", "group"], "other": levels}
    written = write_sweep(tmp_path, factors=factors, when={"other": {"encoder_norm": "group"}})
    whole = write_sweep(tmp_path / "whole", factors=factors)
    conditional, crossed = (load_results([directory]).studies[0] for directory in (written, whole))
    assert conditional.factors == crossed.factors
    assert len(cells_of(conditional)) == 3


def test_effects_leave_the_absence_out(study: StudyResults) -> None:
    cells = cells_of(study)
    effects = study_effects(study, cells, collapse_by_seed(cells, study.seeds), survivors_only=False)
    named = {forest.effect_name(study, effect): effect for effect in effects}
    heads, slow = named["head norm: batch → none"], named["tau: 0.99 → 0"]
    assert heads.mean is not None
    assert (heads.mean.estimate, heads.planned, slow.planned) == (1.0, 2, 3)
    assert not any("encoder norm" in name or NOT_SET in name for name in named)
    panel = forest.forest(study)
    assert panel is not None
    assert "No estimate for encoder_norm: too few cells differ in that factor alone." in panel.caption


def test_figures_draw_no_curve_of_the_absence(study: StudyResults) -> None:
    panel = onset.onset(study)
    assert panel is not None
    assert not any(NOT_SET in row[0] for row in panel.table[1])
    cells = cells_of(study)
    table = values_by_seed(cells, study.seeds, "representation_std")
    assert slopes.by_level(cells, table, 0, 2)[2] == 0
    assert slopes.by_level(cells, table, 1, 2)[2] == 2


def test_an_absence_is_no_change_of_its_own(study: StudyResults) -> None:
    names = [group.name for group in groups.groups(study, 10)]
    assert names[:3] == ["the reference", "tau 0", "encoder norm group"]
    assert not any(NOT_SET in name for name in names)


def test_the_verdict_never_counts_an_absence_as_a_level(study: StudyResults) -> None:
    items = {item.kind: item for item in study_findings(study).items}
    assert items["verdict"].text.startswith("encoder_norm = batch, or head_norm = batch: the representation")
    assert items["verdict"].values["rule"] == [["encoder_norm"], ["head_norm"]]
    assert items["verdict"].values["inside"] == {"collapsed": 0, "trials": 12}
    assert items["verdict"].values["outside"] == {"collapsed": 6, "trials": 6}
    assert not any(NOT_SET in item.text for item in study_findings(study).items if item.kind != "reference")


def test_a_component_that_goes_takes_its_conditional_factors_along(tmp_path: Path) -> None:
    when = {"predictor": {"encoder_norm": "batch"}}
    factors: dict[str, list[Any]] = {
        "encoder_norm": ["batch", "group"],
        "predictor": ["mlp", "none"],
        "tau_base": [0.99, 0.0],
    }
    written = write_sweep(tmp_path, factors=factors, when=when, design="leave-one-out")
    study = load_results([written]).studies[0]
    assert [cell.labels for cell in changed_in_one_factor(cells_of(study))] == [
        ("group", NOT_SET, "0.99"), ("batch", "none", "0.99"), ("batch", "mlp", "0"),
    ]  # fmt: skip
    rows = comparison_rows(study, cells_of(study))
    assert [row[0] for row in rows] == [
        "reference", "encoder norm group", "no predictor", "tau 0",
    ]  # fmt: skip


def test_the_map_lists_every_cell_by_what_changed(study: StudyResults) -> None:
    page = collapse_map(study, cells_of(study))
    assert page.count('class="tile"') == 6
    names = [part.split("</th>")[0] for part in page.split('<th scope="row">')[1:]]
    assert set(names[:2]) == {"encoder norm group, no head norm", "encoder norm group, no head norm, tau 0"}
    assert set(names[2:]) == {"the reference", "tau 0", "encoder norm group", "encoder norm group, tau 0"}
    assert page.count("data-reference") == 1


def test_the_table_of_trials_shows_it(study: StudyResults, sweep: Path) -> None:
    table = trial_rows(study)
    shown = {(row[0], row[1]) for row in table["rows"]}
    assert shown == {("batch", NOT_SET), ("group", "batch"), ("group", "none")}
    assert None not in table["cells"]
    assert render(load_results([sweep]))
