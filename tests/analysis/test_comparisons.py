"""The reference against its neighbours: exact numbers, honest about few seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.cells import cells_of
from analysis.comparisons import comparison_rows
from analysis.load import load_results
from analysis.results import StudyResults
from tests.analysis.tables import Row, write_sweep


def test_few_seeds_get_no_p_value(study: StudyResults) -> None:
    rows = comparison_rows(study, cells_of(study))
    assert [row[0] for row in rows] == [
        "reference",
        "encoder_norm = group",
        "head_norm = none",
        "predictor = none",
        "tau_base = 0",
    ]
    assert rows[1][1:5] == ("0 of 3", "0 to 71 %", "+0 (−56 to +56)", "no discordant seed")
    assert rows[1][6] == "too few (n = 3)"
    assert not any("*" in value for row in rows for value in row)


def test_many_seeds_are_tested_and_adjusted(tmp_path: Path) -> None:
    def fatal(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            if row["f_tau_base"] == 0:
                row.update(collapsed=True)

    levels: dict[str, Sequence[Any]] = {"encoder_norm": ["batch", "group"], "tau_base": [0.99, 0.0]}
    study = load_results([write_sweep(tmp_path, factors=levels, seeds=range(8), edit=fatal)]).studies[0]
    _, norm, tau = comparison_rows(study, cells_of(study))
    assert norm[4] == "no discordant seed"
    assert norm[6] == "p = 0.0078, n = 8"  # 2 / 2^8: all eight differences have one sign
    # Wilson's ends are z2 / (8 + z2) = .3244 from 0 and from 1: Newcombe's low end is 1 - sqrt(2) .3244.
    assert tau[1:4] == ("8 of 8", "63 to 100 %", "+100 (+54 to +100)")
    assert tau[4] == "p = 0.0078, n = 8"
    assert tau[5].endswith("(one of them collapsed)")
    assert tau[6] == "–"
