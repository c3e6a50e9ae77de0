"""The searcher, called as Ray calls it but without Ray."""

import dataclasses
import math
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import pytest
from ray.tune.search import Searcher

from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE, Ending, EndReason, TrialRow, TrialState
from sweeps.search.searcher import LedgerSearch
from sweeps.study import Study, study_from_text
from sweeps.study.designs import Trial
from sweeps.study.spaces import Search
from tests.sweeps.conftest import SEARCH, TWO_OBJECTIVES
from tests.sweeps.record.test_ledger import measurement
from tests.sweeps.search.plain import assert_agrees, opened

CONDITIONAL = SEARCH.replace(
    "  space:\n",
    "  space:\n    predictor: {choices: [mlp, none]}\n"
    "    predictor_depth: {low: 2, high: 4, when: {predictor: [mlp]}}\n",
)


class Bench:
    """A search in a folder. The test decides how each sample ends."""

    def __init__(self, folder: Path, text: str = SEARCH, **changes: Any) -> None:
        self.study: Study = study_from_text(text, "f")
        assert self.study.search is not None
        self.search: Search = dataclasses.replace(self.study.search, **changes)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.journal = folder / "optuna.journal"
        self.ray_ids: dict[str, str] = {}
        self.searcher = self.reopen()

    def reopen(self, **options: Any) -> LedgerSearch:
        """Opens the search as a new driver does."""
        self.ledger.interrupt()
        self.searcher = LedgerSearch(
            self.search,
            name="found",
            reference=self.study.reference,
            journal=self.journal,
            ledger=self.ledger,
            enter=lambda trial: self.ledger.add(trial, 20, design=SAMPLE),
            **options,
        )
        return self.searcher

    def suggest(self) -> str | None:
        """Starts the next sample. Returns its id, or None if the search is over."""
        ray_id = f"ray{len(self.ray_ids)}"
        config = self.searcher.suggest(ray_id)
        if config == Searcher.FINISHED:
            return None
        (only,) = config["pack"]
        trial_id = str(only["id"])
        self.ray_ids[trial_id] = ray_id
        assert self.ledger.trial(trial_id) is not None, "entered before it starts"
        self.ledger.start(trial_id)
        return trial_id

    def end(self, trial_id: str, knn: float | None = None, **ending: Any) -> None:
        """Ends a sample after one more measurement, and calls the searcher as Ray does."""
        self.measure(trial_id, {20: knn})
        self.settle(trial_id, **ending)

    def measure(self, trial_id: str, accuracies: Mapping[int, float | None]) -> None:
        """Records measurements: step -> kNN accuracy."""
        for step, knn in accuracies.items():
            self.ledger.append(trial_id, self.row(trial_id).attempt, measurement(step, knn_accuracy=knn))

    def settle(self, trial_id: str, **ending: Any) -> None:
        """Ends a sample with what has been measured, and calls the searcher as Ray does."""
        attempt = self.row(trial_id).attempt
        end = {"state": "COMPLETE", "end_reason": "finished", "collapsed": False, **ending}
        self.ledger.end(trial_id, attempt, Ending(**end))
        self.searcher.on_trial_complete(self.ray_ids[trial_id], {"knn_accuracy": 0.99})  # the ledger counts

    def row(self, trial_id: str) -> TrialRow:
        row = self.ledger.trial(trial_id)
        assert row is not None
        return row

    def optuna_study(self) -> optuna.Study:
        """The study as plain Optuna loads it."""
        return opened(self.journal, "found")

    def assert_agrees(self) -> None:
        """Optuna's study says what the ledger says."""
        assert_agrees(self.optuna_study(), self.ledger, self.search)

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.optuna_study().trials]

    def trial(self, trial_id: str) -> Trial:
        return self.row(trial_id).trial

    def run(self, limit: int = 1000) -> list[float]:
        """Runs samples one at a time, and returns their kNN accuracies: best at an lr of 0.1."""
        accuracies: list[float] = []
        while len(accuracies) < limit and (trial_id := self.suggest()):
            lr = float(self.trial(trial_id).settings["lr"])
            accuracies.append(0.1 + 0.6 / (1 + math.log10(lr / 0.1) ** 2))
            self.end(trial_id, accuracies[-1])
        return accuracies


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    search_bench = Bench(tmp_path)
    yield search_bench
    search_bench.ledger.close()


def test_a_sample_is_the_reference_with_its_values_and_the_search_seed(bench: Bench) -> None:
    trial_id = bench.suggest()
    assert trial_id is not None
    row, trial = bench.row(trial_id), bench.trial(trial_id)
    assert (row.design, row.seed, trial.settings["seed"]) == ("search", 1000, 1000)
    assert trial.settings["lr"] == trial.labels["lr"] == bench.optuna_study().trials[0].params["lr"]
    assert trial.settings["steps"] == 20
    assert bench.optuna_study().trials[0].user_attrs == {"trial_id": trial_id}


def test_plain_optuna_reads_what_the_ledger_says(bench: Bench) -> None:
    first, second = bench.suggest(), bench.suggest()
    assert first is not None
    assert second is not None
    bench.end(second, 0.5)
    bench.end(first, 0.4)
    optuna_study = bench.optuna_study()
    assert [trial.value for trial in optuna_study.trials] == [0.4, 0.5]
    assert optuna_study.best_trial.number == 1
    assert optuna_study.direction.name == "MAXIMIZE"


@pytest.mark.parametrize(
    ("knn", "ending", "state", "value"),
    [
        (0.1, {"collapsed": True}, "COMPLETE", 0.1),
        (0.1, {"collapsed": True, "end_reason": "collapsed"}, "COMPLETE", 0.1),
        (math.nan, {}, "FAIL", None),
        (None, {}, "FAIL", None),
        (0.7, {"end_reason": "diverged"}, "FAIL", None),
        (0.7, {"state": "FAIL", "end_reason": "error"}, "FAIL", None),
        (0.7, {"state": "PRUNED", "end_reason": "pruned"}, "PRUNED", 0.7),
    ],
)
def test_each_end_is_reported_to_optuna(
    bench: Bench, knn: float | None, ending: dict[str, Any], state: str, value: float | None
) -> None:
    trial_id = bench.suggest()
    assert trial_id is not None
    bench.end(trial_id, knn, **ending)
    optuna_trial = bench.optuna_study().trials[0]
    assert (optuna_trial.state.name, optuna_trial.value) == (state, value)


def test_a_pruned_sample_has_the_measurement_at_which_it_was_pruned_and_not_step_0(bench: Bench) -> None:
    """As in a real search: the untrained encoder was better than most samples."""
    pruned = bench.suggest()
    assert pruned is not None
    bench.measure(pruned, {0: 0.7375, 5: 0.6, 10: math.nan, 15: 0.3})
    bench.settle(pruned, state=TrialState.PRUNED, end_reason=EndReason.PRUNED)
    second = bench.suggest()
    assert second is not None
    bench.measure(second, {0: 0.7375, 5: 0.1, 20: 0.2})
    bench.settle(second)
    first, other = bench.optuna_study().trials
    assert (first.state.name, first.intermediate_values, first.value) == ("PRUNED", {5: 0.6, 15: 0.3}, 0.3)
    assert (other.state.name, other.intermediate_values, other.value) == ("COMPLETE", {5: 0.1, 20: 0.2}, 0.2)
    assert bench.optuna_study().best_trial.number == 1
    bench.assert_agrees()


def test_optuna_is_told_of_the_last_attempt_alone(bench: Bench) -> None:
    """Ray starts a trial again whose process died; it may be pruned before the step at which it died."""
    trial_id = bench.suggest()
    assert trial_id is not None
    bench.measure(trial_id, {0: 0.7, 5: 0.5, 10: 0.6})
    bench.ledger.start(trial_id)
    bench.measure(trial_id, {0: 0.7, 5: 0.4})
    bench.settle(trial_id, state=TrialState.PRUNED, end_reason=EndReason.PRUNED)
    [trial] = bench.optuna_study().trials
    assert (trial.intermediate_values, trial.value) == ({5: 0.4}, 0.4)


def test_a_sample_that_goes_on_from_a_checkpoint_is_one_trial_with_all_steps(bench: Bench) -> None:
    trial_id = bench.suggest()
    assert trial_id is not None
    bench.measure(trial_id, {0: 0.7, 5: 0.5, 10: 0.6})
    bench.reopen()
    assert bench.suggest() == trial_id
    bench.measure(
        trial_id, {0: 0.7, 5: 0.5, 10: 0.6, 15: 0.65, 20: 0.66}
    )  # a worker reports the early ones again
    bench.settle(trial_id)
    left, trial = bench.optuna_study().trials
    assert (left.state.name, left.intermediate_values) == ("FAIL", {})
    assert trial.user_attrs == {"continues": 0, "trial_id": trial_id}
    assert trial.intermediate_values == {5: 0.5, 10: 0.6, 15: 0.65, 20: 0.66}
    bench.assert_agrees()


def test_a_driver_that_dies_while_it_reports_reports_again(bench: Bench) -> None:
    trial_id = bench.suggest()
    assert trial_id is not None
    bench.measure(trial_id, {0: 0.7, 5: 0.5, 10: 0.4})
    [running] = bench.searcher.study.trials
    bench.searcher._storage.set_trial_intermediate_value(running._trial_id, 5, 0.5)
    bench.ledger.end(trial_id, 1, Ending(state=TrialState.PRUNED, end_reason=EndReason.PRUNED))
    bench.reopen()
    assert bench.optuna_study().trials[0].intermediate_values == {5: 0.5, 10: 0.4}
    bench.assert_agrees()


def test_a_journal_of_version_0_2_0_opens_and_goes_on(tmp_path: Path) -> None:
    """It was told of step 0, and not of the measurement at which a sample was pruned. What ended stays so."""
    bench = Bench(tmp_path)
    bench.searcher.close()
    shutil.copy(Path(__file__).parent / "version_0_2_0.journal", bench.journal)
    bench.reopen()  # its last sample was running, and its ledger is lost
    trials = bench.optuna_study().trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "FAIL", "FAIL", "WAITING"]
    assert [trial.value for trial in trials[:2]] == [0.78, 0.74]
    assert len(bench.run()) == 24 - 3
    assert bench.optuna_study().trials[4].params == trials[3].params
    assert all(0 not in trial.intermediate_values for trial in bench.optuna_study().trials[4:])


def test_exactly_the_planned_number_of_samples(bench: Bench) -> None:
    assert len(bench.run()) == 24
    assert bench.states() == ["COMPLETE"] * 24
    assert bench.suggest() is None


def test_more_samples_extend_a_search(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=4)
    first = bench.run()
    bench.search = dataclasses.replace(bench.search, trials=7)
    bench.reopen()
    assert len(bench.run()) == 3
    assert [trial.value for trial in bench.optuna_study().trials[:4]] == first


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_at_a_time_the_samples_are_repeatable_across_interruptions(tmp_path: Path, sampler: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    uninterrupted = Bench(tmp_path / "a", sampler=sampler).run()
    assert len(set(uninterrupted)) == 24
    interrupted = Bench(tmp_path / "b", sampler=sampler)
    accuracies = interrupted.run(13)
    interrupted.reopen()
    accuracies += interrupted.run(1)
    assert interrupted.suggest() is not None  # the driver dies while this one runs
    interrupted.reopen()
    assert accuracies + interrupted.run() == uninterrupted


def test_another_sampler_seed_gives_other_samples(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert Bench(tmp_path / "a").run(2) != Bench(tmp_path / "b", sampler_seed=1).run(2)


def test_a_killed_driver_leaves_no_trial_running_and_loses_none(bench: Bench) -> None:
    bench.run(3)
    ended, lost = bench.suggest(), bench.suggest()
    assert ended is not None
    assert lost is not None
    # The ledger has an end that was never reported to Optuna, and the driver is gone.
    bench.ledger.end(
        ended, 1, Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=False)
    )
    values = bench.optuna_study().trials[4].params
    bench.reopen()
    assert bench.states() == ["COMPLETE"] * 3 + ["FAIL", "FAIL", "WAITING"]  # no kNN was measured in `ended`
    bench.reopen()  # killed again at once: nothing is queued twice
    assert bench.states()[5:] == ["WAITING"]
    assert bench.suggest() == lost
    assert bench.row(lost).attempt == 2
    bench.end(lost, 0.3)
    assert bench.optuna_study().trials[5].params == values
    assert len(bench.run()) == 24 - 5
    assert sum(state in ("COMPLETE", "FAIL") for state in bench.states()) == 24 + 1


def test_a_driver_killed_between_queueing_and_reporting(bench: Bench) -> None:
    assert bench.suggest() is not None
    lost = bench.optuna_study().trials[0]
    bench.searcher.study.enqueue_trial(lost.params, user_attrs={"continues": lost.number})
    bench.reopen()
    assert bench.states() == ["FAIL", "WAITING"]


def test_a_driver_killed_between_asking_and_entering(bench: Bench) -> None:
    bench.searcher.study.ask()  # no values yet, no trial
    bench.reopen()
    assert bench.states() == ["FAIL", "WAITING"]
    assert len(bench.run()) == 24


def test_a_graceful_end_leaves_no_trial_running(bench: Bench) -> None:
    assert bench.suggest() is not None
    bench.searcher.close()
    assert bench.states() == ["FAIL", "WAITING"]


def test_a_torn_journal_is_repaired(bench: Bench) -> None:
    bench.run(2)
    with bench.journal.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    bench.reopen()
    assert len(bench.run()) == 22
    assert bench.states() == ["COMPLETE"] * 24


def test_a_configuration_that_has_run_is_not_run_again(tmp_path: Path) -> None:
    text = SEARCH.replace("lr: {low: 0.001, high: 10, log: true}", "predictor: {choices: [mlp, none]}")
    bench = Bench(tmp_path, text, trials=12)
    started = []
    while trial_id := bench.suggest():
        started.append(trial_id)
        bench.end(trial_id, 0.25 * len(started))
    assert len(started) == len(set(started)) == 2
    optuna_trials = bench.optuna_study().trials
    assert [trial.state.name for trial in optuna_trials] == ["COMPLETE"] * 12
    by_choice = {trial.params["predictor"]: trial.value for trial in optuna_trials}
    assert all(trial.value == by_choice[trial.params["predictor"]] for trial in optuna_trials)


def test_a_configuration_that_is_running_is_reported_when_it_ends(tmp_path: Path) -> None:
    text = SEARCH.replace("lr: {low: 0.001, high: 10, log: true}", "predictor: {choices: [mlp, none]}")
    bench = Bench(tmp_path, text, trials=6)
    first, second = bench.suggest(), bench.suggest()
    assert first is not None
    assert second is not None
    assert bench.suggest() is None
    assert set(bench.states()) == {"RUNNING"}
    bench.end(first, 0.3)
    bench.end(second, math.nan)
    assert set(bench.states()) == {"COMPLETE", "FAIL"}
    assert len(bench.states()) == 6


def test_failed_samples_run_again_on_request(bench: Bench) -> None:
    first = bench.suggest()
    assert first is not None
    bench.end(first, None, state=TrialState.FAIL, end_reason=EndReason.ERROR, error="boom")
    bench.run()
    assert len(bench.states()) == 24
    bench.reopen()
    assert bench.suggest() is None
    bench.reopen(retry_failed=True)
    assert bench.suggest() == first
    bench.end(first, 0.6)
    assert bench.suggest() is None
    assert bench.states() == ["FAIL"] + ["COMPLETE"] * 24


def test_a_conditional_parameter_is_absent_where_it_does_not_apply(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CONDITIONAL)
    bench.run()
    trials = [row.trial for row in bench.ledger.trials()]
    assert {str(trial.labels["predictor"]) for trial in trials} == {"mlp", "none"}
    for trial in trials:
        assert ("predictor_depth" in trial.labels) == (trial.labels["predictor"] == "mlp")
        assert trial.settings["predictor_depth"] in (2, 3, 4)


def test_several_objectives_are_all_reported(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TWO_OBJECTIVES, trials=3)
    for _ in range(3):
        trial_id = bench.suggest()
        assert trial_id is not None
        bench.measure(trial_id, {0: 0.7, 5: 0.1})
        bench.end(trial_id, 0.4)
    optuna_study = bench.optuna_study()
    assert [direction.name for direction in optuna_study.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [trial.values for trial in optuna_study.trials] == [
        [0.4, row.wall_seconds] for row in bench.ledger.trials()
    ]
    bench.assert_agrees()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tpe_finds_more_than_chance(tmp_path: Path, seed: int) -> None:
    means = {}
    for sampler in ("tpe", "random"):
        (tmp_path / sampler).mkdir()
        later = Bench(tmp_path / sampler, sampler=sampler, sampler_seed=seed).run()[10:]
        means[sampler] = sum(later) / len(later)
    assert means["tpe"] > means["random"] + 0.05, means
