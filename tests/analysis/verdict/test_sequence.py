"""The levels of a sequence's looks, when it ends, and how often it errs."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.load import load_results
from analysis.results import SeedSequence, StudyResults
from analysis.verdict import Case, study_verdict
from analysis.verdict.search import LEVEL
from analysis.verdict.sequence import level_at
from analysis.verdict.stopping import Stop, reason_to_stop
from benchmarks.sequential_simulation import simulate
from benchmarks.verdict_simulation import Scenario, full, truth_scenario
from tests.analysis.tables import Row, write_sweep

LOOKS = SeedSequence(least=3, most=10)
SEEDS = {"min": 3, "max": 10, "until": "decided"}
TWO = {"encoder_norm": ["batch", "group"], "head_norm": ["batch", "none"]}


def levels(collapsed_CS: Any, looks: SeedSequence) -> list[float]:
    return [level_at(collapsed_CS[:, :seeds], looks) for seeds in range(1, collapsed_CS.shape[1] + 1)]


def test_many_cells_have_an_equal_level_at_every_look() -> None:
    half_CS = np.tile([[0.0], [1.0]], (8, 10))
    assert levels(half_CS, LOOKS) == pytest.approx([0, 0] + [LEVEL / 8] * 8)


def test_a_look_at_which_nothing_could_pass_leaves_its_share_to_the_next() -> None:
    one_of_three_CS = np.tile([[0.0], [0.0], [1.0]], 10)  # 27 arrangements after three seeds, 81, 243
    share = LEVEL / 8
    assert levels(one_of_three_CS, LOOKS)[2:6] == pytest.approx([0, 2 * share, share, share])
    nothing_CS = np.zeros((4, 10))
    assert levels(nothing_CS, LOOKS) == [0] * 10


def test_many_looks_save_until_their_shares_are_as_large_as_the_smallest_p_of_999_permutations() -> None:
    half_CS = np.tile([[0.0], [1.0]], (8, 90))
    spent = levels(half_CS, SeedSequence(least=2, most=101))
    assert spent[1:5] == pytest.approx([0, 0.001, 0, 0.001])


def test_all_levels_together_are_at_most_5_percent_and_depend_only_on_how_many_collapsed() -> None:
    rng = np.random.default_rng(0)
    for cells in (2, 3, 5, 8):
        for p in (0.1, 0.4):
            collapsed_CS = (rng.random((cells, 10)) < p).astype(float)
            collapsed_CS[0, 4] = np.nan
            found = levels(collapsed_CS, LOOKS)
            assert sum(found) <= LEVEL + 1e-12
            permuted_CS = np.stack([rng.permutation(outcomes) for outcomes in collapsed_CS.T], axis=1)
            assert levels(permuted_CS, LOOKS) == found


def test_without_effect_a_sequence_claims_in_at_most_5_percent_and_looks_at_5_percent_would_in_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    nothing = Scenario(name="nothing", codes=full(2), inside=0.5, outside=0.5)
    found = simulate(nothing, LOOKS, 100, np.random.default_rng(1))
    assert found.claimed <= 0.05
    assert found.seeds > 9.5
    monkeypatch.setattr("benchmarks.sequential_simulation.level_at", lambda *arguments: LEVEL)
    assert simulate(nothing, LOOKS, 100, np.random.default_rng(1)).claimed > 0.1


def test_a_decisive_component_is_named_with_fewer_seeds() -> None:
    found = simulate(truth_scenario("2^3", full(3), "A", 0.03), LOOKS, 30, np.random.default_rng(2))
    assert found.right >= 0.95
    assert found.seeds < 4


def loaded(folder: Path, **arguments: Any) -> StudyResults:
    return load_results([write_sweep(folder, **arguments)]).studies[0]


def test_the_report_judges_at_the_level_of_the_look(tmp_path: Path) -> None:
    def without_predictor(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row.update(collapsed=row["f_predictor"] == "none")

    # One of five cells collapses. Of 125 arrangements in three seeds, and 625 in four, four are as clear.
    arguments: dict[str, Any] = {"design": "leave-one-out", "edit": without_predictor}
    fixed = study_verdict(loaded(tmp_path / "fixed", **arguments)).representation
    early = study_verdict(loaded(tmp_path / "early", study={"seeds": SEEDS}, **arguments)).representation
    later = loaded(tmp_path / "later", study={"seeds": SEEDS}, seeds=range(4), **arguments)
    verdict = study_verdict(later).representation
    assert fixed.found is not None
    assert early.found is not None
    assert verdict.found is not None
    assert (fixed.case, early.case, verdict.case) == (Case.CLAIMED, Case.UNDETERMINED, Case.CLAIMED)
    assert fixed.found.adjusted_p == pytest.approx(4 / 125)
    assert early.found.adjusted_p == 1, "nothing may pass yet"
    assert verdict.found.adjusted_p == pytest.approx(4 / 625 * 4), "two of eight shares are spent"
    assert verdict.interval is not None
    assert fixed.interval is not None
    assert verdict.found.z > fixed.found.z > 1.9


def edit_all(**values: Any) -> Any:
    def edit(trials: list[Row], metrics: list[Row]) -> None:
        for row in trials:
            row.update(values)

    return edit


@pytest.mark.parametrize(
    ("seeds", "arguments", "stop"),
    [
        (3, {}, Stop.SETTLED),
        (2, {}, None),
        (3, {"edit": edit_all(collapsed=False)}, None),
        (10, {"factors": TWO, "edit": edit_all(collapsed=False)}, Stop.MOST),
        (3, {"edit": edit_all(state="WAITING", end_reason=None, collapsed=None)}, None),
        (3, {"edit": edit_all(state="FAIL", end_reason="error", collapsed=None)}, Stop.ALL_FAILED),
        (3, {"factors": {"tau_base": [0.99, 0.0]}}, None),
        (3, {"factors": {"tau_base": [0.99, 0.0]}, "study": {"seeds": SEEDS | {"max": 4}}}, Stop.HOPELESS),
        (3, {"study": {"seeds": 3}}, None),
    ],
)
def test_when_a_sequence_ends(
    tmp_path: Path, seeds: int, arguments: dict[str, Any], stop: Stop | None
) -> None:
    study = loaded(tmp_path, seeds=range(seeds), **({"study": {"seeds": SEEDS}} | arguments))
    assert reason_to_stop(study) == stop


@pytest.mark.parametrize("seeds", [{"min": 3}, {"min": 1, "max": 4}, {"min": 3, "max": 3}])
def test_a_sequence_that_cannot_be_is_refused(tmp_path: Path, seeds: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"study\.yaml: seeds: must have min, at least 2, and a larger max"):
        loaded(tmp_path, factors=TWO, study={"seeds": seeds})
