"""Which case a study is, and the numbers behind it."""

from pathlib import Path
from typing import Any

import pytest

from analysis.cells import cells_of
from analysis.load import load_results
from analysis.results import StudyResults
from analysis.verdict import Case, evidence_for, removals, seeds_with_collapse, study_verdict
from tests.analysis.tables import Row, unfinished, write_sweep


def collapse_of_the_reference(trials: list[Row], metrics: list[Row]) -> None:
    trials[0].update(collapsed=True)


def loss_of_two_cells(trials: list[Row], metrics: list[Row]) -> None:
    lost = {trials[1]["cell_id"], trials[5]["cell_id"]}
    for row in trials:
        if row["cell_id"] in lost:
            row.update(state="FAIL", end_reason="error", collapsed=None)


@pytest.mark.parametrize(
    ("arguments", "case"),
    [
        ({}, Case.SUFFICIENT),
        ({"edit": unfinished(after=0)}, Case.NO_RESULTS),
        ({"edit": collapse_of_the_reference}, Case.REFERENCE_COLLAPSED),
        ({"factors": {"tau_base": [0.99, 0.9, 0.0]}}, Case.NOTHING_COLLAPSED),
        ({"design": "leave-one-out"}, Case.ONE_BY_ONE),
        ({"edit": loss_of_two_cells}, Case.UNDETERMINED),
    ],
    ids=lambda value: value if isinstance(value, Case) else "",
)
def test_every_case(tmp_path: Path, arguments: dict[str, Any], case: Case) -> None:
    study = load_results([write_sweep(tmp_path, **arguments)]).studies[0]
    assert study_verdict(study, cells_of(study)).case == case


def test_the_evidence_counts_trials_and_seeds(study: StudyResults) -> None:
    cells = cells_of(study)
    verdict = study_verdict(study, cells)
    assert verdict.sufficient.smallest == ((0,), (1,))
    evidence = evidence_for(study, cells, verdict.sufficient)
    assert (evidence.cells, evidence.trials) == (8, 24)
    assert (evidence.seeds.k, evidence.seeds.n) == (0, 3)
    assert (evidence.collapsed_without, evidence.trials_without) == (12, 12)


def test_a_seed_counts_once_however_many_cells_collapsed_in_it(study: StudyResults) -> None:
    seeds = seeds_with_collapse(cells_of(study), study.seeds)
    assert (seeds.k, seeds.n) == (3, 3)
    assert seeds_with_collapse([], study.seeds).interval is None


def test_removals_need_results(study: StudyResults) -> None:
    changes = removals(cells_of(study))
    assert changes is not None
    assert (len(changes.fatal), len(changes.harmless)) == (0, 4)
    assert removals(cells_of(study)[1:]) is None
