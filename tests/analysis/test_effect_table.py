"""The table of effects has the numbers of the findings."""

from pathlib import Path

import pytest

from analysis.effect_table import COLUMNS, effects
from analysis.findings import findings
from analysis.load import load_results
from tests.analysis.tables import write_sweep


def test_the_largest_effect_is_that_of_the_finding(sweep: Path) -> None:
    results = load_results([sweep])
    table = effects(results)
    assert len(table) == (4 + 6) + (4 + 6) + (
        4 + 5
    )  # one four of encoder and heads has survivors in all cells nowhere
    mains = table[(table["measure"] == "kNN accuracy") & table["factor_2"].isna()]
    largest = mains.sort_values("estimate", key=abs).iloc[-1]
    values = next(item.values for item in findings(results).items if item.kind == "knn")
    assert largest["given_no_collapse"]
    assert (largest["factor"], largest["level"], largest["reference_level"]) == (
        "encoder_norm",
        "group",
        "batch",
    )
    for column, name in {"estimate": "effect", "low": "low", "high": "high", "seeds": "seeds",
                         "matched": "pairs", "adjusted_p": "adjusted_p", "family": "family",
                         "superiority": "superiority"}.items():  # fmt: skip
        assert largest[column] == pytest.approx(values[name]), column
    assert largest["low"] < largest["low_alone"] < largest["high_alone"] < largest["high"]


def test_effects_without_a_spread_have_no_interval(sweep: Path) -> None:
    table = effects(load_results([sweep]))
    row = table.query("measure == 'collapse rate' and factor_2 == 'head_norm'").iloc[0]
    assert row["estimate"] == 1
    assert row[["low", "high", "superiority"]].isna().all()
    assert row["adjusted_p"] == pytest.approx(2 / 2**12)


def test_a_search_has_no_effects(tmp_path: Path) -> None:
    table = effects(load_results([write_sweep(tmp_path, design="search", study={"factors": []})]))
    assert table.empty
    assert list(table.columns) == list(COLUMNS)
