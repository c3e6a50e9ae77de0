"""What the report says of a search's parameters, beside what plain Optuna says of the search's journal."""

import math
import warnings
from pathlib import Path

import pytest
from optuna.importance import get_param_importances
from optuna.trial import FrozenTrial

from analysis.importance import importance
from analysis.load import load_results
from sweeps import files
from sweeps.record.rows import EndReason, TrialState
from sweeps.record.tables import write_tables
from tests.sweeps.search.test_searcher import Bench

SPACE = """
name: found
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5, knn_every: 5}
search:
  sampler: random
  trials: 48
  OBJECTIVES
  space:
    lr: {low: 0.001, high: 10, log: true}
    encoder_norm: {choices: [batch, group]}
    projector_width: {choices: [256, 512, 1024]}
    symmetric: {choices: [true, false]}
    momentum: {choices: [0.0, 0.9]}
    predictor: {choices: [mlp, none]}
    predictor_depth: {low: 2, high: 4, when: {predictor: [mlp]}}
seeds: 2
"""


def run(bench: Bench) -> None:
    """Samples that are best with a deep predictor and an lr of 0.1; every fifth is pruned, one fails."""
    for place in range(48):
        trial_id = bench.suggest()
        assert trial_id is not None
        settings = bench.trial(trial_id).settings
        depth = float(settings["predictor_depth"]) if settings["predictor"] == "mlp" else 0.0
        knn = 0.3 + 0.05 * depth + 0.3 / (1 + math.log10(float(settings["lr"]) / 0.1) ** 2)
        bench.measure(trial_id, {0: 0.7375, 5: knn / 2, 10: knn})
        if place == 7:
            bench.settle(trial_id, state=TrialState.FAIL, end_reason=EndReason.ERROR, error="boom")
        elif place % 5 == 0:
            bench.settle(trial_id, state=TrialState.PRUNED, end_reason=EndReason.PRUNED)
        else:
            bench.measure(trial_id, {20: knn})
            bench.settle(trial_id)


def by_first_objective(trial: FrozenTrial) -> float:
    return -float(trial.values[0])


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "objectives", ["{knn_accuracy: maximize}", "{knn_accuracy: maximize, wall_seconds: minimize}"]
)
def test_the_report_and_optuna_agree(tmp_path: Path, objectives: str) -> None:
    bench = Bench(tmp_path, SPACE.replace("OBJECTIVES", f"objectives: {objectives}"))
    run(bench)
    bench.assert_agrees()
    (tmp_path / files.STUDY).write_text(bench.study.to_yaml())
    write_tables(bench.ledger, tmp_path)
    [results] = load_results([tmp_path]).studies
    found = importance(results)
    assert found is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        several = len(bench.search.objectives) > 1
        plain = get_param_importances(bench.optuna_study(), target=by_first_objective if several else None)
    assert found.samples == 48 - 10 - 1
    assert set(found.shares) == {parameter.name for parameter in bench.search.space}
    assert found.shares == pytest.approx(plain)
    assert found.shares["predictor_depth"] > found.shares["symmetric"]
