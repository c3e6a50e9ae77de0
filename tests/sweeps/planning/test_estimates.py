"""What trials are expected to take, and what becomes of that."""

import dataclasses
import itertools
import json
import random
from pathlib import Path
from typing import Any, NoReturn

import pytest

from byol.config import TrialConfig
from byol.own_parts import PartError
from sweeps import files, simulated
from sweeps.errors import DirectoryError, RequestError
from sweeps.planning import calibrate
from sweeps.planning.calibrate import document
from sweeps.planning.estimates import (
    CALIBRATION,
    Estimate,
    of_study,
    of_sweep,
    plan_against_actual,
    plan_fact,
    shape,
    shapes,
    wall_seconds,
)
from sweeps.planning.plan import make_plan
from sweeps.record import directory
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Ending, EndReason, Fact, TrialState
from sweeps.study import Study, study_from_text
from sweeps.study.designs import Cell, Trial
from tests.sweeps.conftest import SMALL
from tests.sweeps.record.test_ledger import measurement


def cell_of(study: Study, **settings: Any) -> Cell:
    text = f"name: x\nreference: {json.dumps(settings)}\nfactors: {{lr: [0.1]}}\n"
    [cell] = study_from_text(text, "f").cells()
    return cell


def lasting(*seconds: float) -> tuple[list[Trial], Estimate]:
    trials = [
        Trial(trial_id=f"t{index}", cell_id=f"c{index}", seed=0, labels={}, settings={})
        for index in range(len(seconds))
    ]
    by_cell = {trial.cell_id: wall for trial, wall in zip(trials, seconds, strict=True)}
    return trials, Estimate(seconds=by_cell, each=0, source="a test")


@pytest.mark.parametrize(
    ("seconds", "workers", "expected"),
    [
        ((3, 3, 2, 2, 2), 2, 7),
        ((2, 2, 2, 3, 3), 2, 7),
        ((1, 1, 1, 9), 2, 10),
        ((9, 1, 1, 1), 2, 9),
        ((4, 5), 8, 5),
        ((4, 5, 6), 1, 15),
        ((), 3, 0),
    ],
)
def test_the_schedule_is_simulated(seconds: tuple[float, ...], workers: int, expected: float) -> None:
    assert wall_seconds(*lasting(*seconds), workers) == expected


def test_the_schedule_equals_a_clock_that_ticks() -> None:
    rng = random.Random(0)
    for _ in range(50):
        seconds = [rng.randint(1, 9) for _ in range(rng.randint(1, 20))]
        workers = rng.randint(1, 5)
        waiting, running, clock = list(seconds), [0] * workers, 0
        while waiting or any(running):
            for index, left in enumerate(running):
                if not left and waiting:
                    running[index] = waiting.pop(0)
            running = [max(0, left - 1) for left in running]
            clock += 1
        assert wall_seconds(*lasting(*seconds), workers) == clock


def test_a_weight_changes_the_time_only_by_turning_its_term_on(small: Study) -> None:
    weak, strong, other = (
        shape(cell_of(small, **settings).config.to_settings())
        for settings in ({"sigreg_weight": 0.1}, {"sigreg_weight": 5}, {"variance_weight": 5})
    )
    assert weak == strong != other
    without = {"regression_weight": 0, "sigreg_weight": 1, "predictor": "none"}
    pairs = {**without, "regression_weight": 0.5}
    shapes_of = [shape(cell_of(small, **settings).config.to_settings()) for settings in (without, pairs)]
    assert shapes_of[0] != shapes_of[1]


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        ({"lr": 0.7, "weight_decay": 0.1, "tau_base": 0.5}, True),
        ({"view2.solarize_p": 0.9, "view1.brightness": 0.1}, True),
        ({"cross_correlation_lambda": 0.1, "regression_weight": 2, "view1.crop_sampler": "clip"}, True),
        ({"view_count": 4}, False),
        ({"view_count": 4, "target_views": "mean"}, False),
        ({"sigreg_weight": 0.1}, False),
        ({"view2.solarize_p": 0}, False),
        ({"steps": 41}, False),
        ({"batch_size": 64}, False),
        ({"predictor": "none"}, False),
        ({"tau_base": 0, "tau_schedule": "constant"}, False),
    ],
)
def test_trials_of_one_shape_take_the_same_time(small: Study, changed: dict[str, Any], same: bool) -> None:
    usual, other = cell_of(small, steps=40), cell_of(small, **{"steps": 40, **changed})
    assert (shape(usual.config.to_settings()) == shape(other.config.to_settings())) is same


def finished(out: Path, study: Study, seconds: dict[str, float]) -> None:
    """A sweep whose trials took as long as their encoder_norm says; those without a time have not run."""
    with directory.driver_lock(out), Ledger(out / files.LEDGER) as ledger:
        ledger.set_fact("study", study.name)
        ledger.plan((trial, 20) for trial in study.trials())
        for trial in study.trials():
            if took := seconds.get(str(trial.labels["encoder_norm"])):
                attempt = ledger.start(trial.trial_id)
                ledger.append(
                    trial.trial_id, attempt, dataclasses.replace(measurement(20), wall_seconds=took)
                )
                ledger.end(
                    trial.trial_id, attempt, Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED)
                )


def test_times_of_an_earlier_sweep_go_by_shape_and_fall_back_to_the_mean(
    tmp_path: Path, small: Study
) -> None:
    finished(tmp_path, small, {"batch": 4.0, "group": 2.0})
    wider = study_from_text(SMALL.replace("[batch, group]", "[batch, group, none]"), "f")
    estimate = of_sweep(wider.cells(), tmp_path)
    by_norm = {cell.labels["encoder_norm"]: estimate.seconds[cell.cell_id] for cell in wider.cells()}
    assert by_norm == {"batch": 4.0, "group": 2.0, "none": 3.0}
    assert "8 finished trials" in estimate.source
    assert "of its shapes 4 of 6 cells, its mean for the rest" in estimate.source


def test_a_sweep_without_a_finished_trial_tells_nothing(tmp_path: Path, small: Study) -> None:
    finished(tmp_path, small, {})
    with pytest.raises(DirectoryError, match="has no finished trial"):
        of_sweep(small.cells(), tmp_path)


def test_a_plan_counts_hours_wall_time_and_cost(tmp_path: Path, small: Study) -> None:
    finished(tmp_path, small, {"batch": 3600.0, "group": 1800.0})
    plan = make_plan(small, workers=2, estimate=of_sweep(small.cells(), tmp_path), price=2.5)
    assert (plan.trial_seconds, plan.cost) == (6 * 3600, 15.0)
    assert plan.wall_seconds == 3 * 3600  # 1 1 | .5 .5 | 1 1 | .5 .5


def test_a_calibration_measures_each_shape_once(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a clock that says: 2 s to start, .5 s a step, .25 s a measurement, 1 s more at the end."""
    clock = itertools.accumulate(itertools.cycle([0, *[2.25], *[1.75] * 4, 2.75]))
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    monkeypatch.setattr(simulated, "SAMPLES_PER_SECOND", 128 / 0.5)
    costs = dict(calibrate.calibrate(small, simulated.TRAINER, data_root=None))
    assert list(costs) == list(shapes(small.cells()))
    assert len(costs) == 4
    for cost in costs.values():
        assert (cost.start, cost.step, cost.measurement, cost.knn) == (2, 0.5, 0.25, 1)
        assert cost.seconds_per_trial == 2 + 20 * 0.5 + 5 * 0.25 + 1
    (tmp_path / CALIBRATION).write_text(json.dumps(document(costs)))
    estimate = of_study(small, small.cells(), tmp_path)
    assert estimate is not None
    assert set(estimate.seconds.values()) == {14.25}
    assert estimate.source.startswith("calibrated on ")
    directory.check(tmp_path, small, set())  # and a sweep may start there


def test_a_part_that_fails_ends_a_calibration_before_anything_is_timed(small: Study) -> None:
    checked = []

    def check(config: TrialConfig) -> None:
        checked.append(config)
        if len(checked) == 4:
            raise PartError("objective", "mypkg.losses:distance", "raised OSError: no")

    def train(*arguments: object, **options: object) -> NoReturn:
        pytest.fail("trains")

    trainer = dataclasses.replace(simulated.TRAINER, check=check, train=train)
    with pytest.raises(RequestError, match=r"^objective mypkg\.losses:distance: raised OSError: no$"):
        calibrate.calibrated(small, trainer, data_root=None, out=None, show=pytest.fail)
    assert checked == [cells[0].config for cells in shapes(small.cells()).values()]


def test_a_damaged_calibration_is_refused(tmp_path: Path, small: Study) -> None:
    (tmp_path / CALIBRATION).write_text("[]")
    with pytest.raises(DirectoryError, match=r"calibration\.json: cannot be read"):
        of_study(small, small.cells(), tmp_path)


def test_what_was_planned_is_compared_with_what_happened(tmp_path: Path, small: Study) -> None:
    finished(tmp_path, small, {"batch": 4.0})
    estimate = Estimate(seconds={cell.cell_id: 3.0 for cell in small.cells()}, each=3.0, source="a test")
    facts: dict[str, str] = {Fact.PLAN: plan_fact(estimate, small.trials(), 2)}
    with directory.open_ledger(tmp_path) as ledger:
        assert plan_against_actual(ledger.trials(), facts) == {
            "source": "a test", "workers": 2, "trial_seconds": 24.0, "wall_seconds": 12.0,
            "finished_trials": 4, "finished_planned_seconds": 12.0, "finished_seconds": 16.0,
        }  # fmt: skip
        assert plan_against_actual(ledger.trials(), {}) is None
