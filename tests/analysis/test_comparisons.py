"""The reference against its neighbours: exact numbers, honest about few seeds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from analysis.cells import cells_of
from analysis.comparisons import comparison_rows
from analysis.load import load_results
from analysis.results import StudyResults
from tests.analysis.tables import Row, write_sweep


def test_several_matched_pairs_a_seed_give_a_p_with_three_seeds(study: StudyResults) -> None:
    rows = comparison_rows(study, cells_of(study))
    assert [row[0] for row in rows] == [
        "reference",
        "encoder norm group",
        "no head norm",
        "no predictor",
        "tau 0",
    ]
    # Without a discordant pair the exact paired interval is that of 0 of 3, .7076, to both sides.
    assert rows[1][1:4] == ("0 of 3", "0 to 71 %", "+0 (−71 to +71; n = 3)")
    # Group norm makes four of eight pairs collapse in each seed: 2 / 2^12, twice for two such tests.
    assert rows[1][4] == "p < 0.001, 12 pairs differ"
    assert rows[3][4] == "no pair differs"
    assert rows[1][6] == "0 % (0 to 71 %; 0 of 3 seeds)"
    assert rows[1][7] == "p = 0.0020, 12 pairs differ"
    assert not any("*" in value for row in rows for value in row)


def test_one_pair_a_seed_gets_no_p_value(tmp_path: Path) -> None:
    study = load_results([write_sweep(tmp_path, design="leave-one-out")]).studies[0]
    rows = comparison_rows(study, cells_of(study))
    assert [row[7] for row in rows[1:]] == ["too few: 3 pairs differ"] * 4


def test_many_seeds_are_tested_and_adjusted(tmp_path: Path) -> None:
    def fatal(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            if row["f_tau_base"] == 0:
                row.update(collapsed=True)

    levels: dict[str, Sequence[Any]] = {"encoder_norm": ["batch", "group"], "tau_base": [0.99, 0.0]}
    study = load_results([write_sweep(tmp_path, factors=levels, seeds=range(8), edit=fatal)]).studies[0]
    _, norm, tau = comparison_rows(study, cells_of(study))
    assert norm[4] == "no pair differs"
    assert norm[7] == "p = 0.0078, 8 pairs differ"  # 2 / 2^8: all eight differences have one sign
    # 2 x .025^(1/8) - 1 = .261: what eight of eight changed pairs leave possible.
    assert tau[1:4] == ("8 of 8", "63 to 100 %", "+100 (+26 to +100; n = 8)")
    assert tau[4] == "p < 0.001, 16 pairs differ"  # 2 / 2^16
    assert tau[5].endswith("(one of them collapsed)")
    assert tau[6:8] == ("–", "–")
