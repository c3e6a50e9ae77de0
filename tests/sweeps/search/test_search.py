"""The searcher and its pruner, called as Ray calls them but without Ray; and the choice of the winner."""

import dataclasses
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import optuna
import pytest
from ray.tune.schedulers import TrialScheduler
from ray.tune.search import Searcher

from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE, Ending, EndReason, TrialRow, TrialState
from sweeps.record.samples import winner
from sweeps.search.pruner import Pruner
from sweeps.search.searcher import LedgerSearch
from sweeps.simulated import TRAINER
from sweeps.study import Study, study_from_text
from sweeps.study.designs import Trial
from sweeps.study.samples import fresh_trials, sample
from sweeps.study.spaces import Search
from tests.sweeps.record.test_ledger import measurement

TEXT = """
name: found
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5, knn_every: 5}
search:
  trials: 24
  space:
    lr: {low: 0.001, high: 10, log: true}
seeds: 2
"""
CONDITIONAL = TEXT.replace(
    "  space:\n",
    "  space:\n    predictor: {choices: [mlp, none]}\n"
    "    predictor_depth: {low: 2, high: 4, when: {predictor: [mlp]}}\n",
)
TWO = TEXT.replace("  space:", "  objectives: {knn_accuracy: maximize, wall_seconds: minimize}\n  space:")


class Bench:
    """A search in a folder, whose samples a test ends as it likes."""

    def __init__(self, folder: Path, text: str = TEXT, **changes: Any) -> None:
        self.study: Study = study_from_text(text, "f")
        assert self.study.search is not None
        self.search: Search = dataclasses.replace(self.study.search, **changes)
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.journal = folder / "optuna.journal"
        self.rays: dict[str, str] = {}
        self.searcher = self.opened()

    def opened(self, **options: Any) -> LedgerSearch:
        """What a new driver does with what it finds."""
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
        """The ledger's id of the next sample, which starts."""
        ray = f"ray{len(self.rays)}"
        config = self.searcher.suggest(ray)
        if config == Searcher.FINISHED:
            return None
        trial_id = str(config["trial"]["id"])
        self.rays[trial_id] = ray
        assert self.ledger.trial(trial_id) is not None  # before it starts
        self.ledger.start(trial_id)
        return trial_id

    def end(self, trial_id: str, knn: float | None = None, **ending: Any) -> None:
        """The sample measures once more and ends; Ray tells the searcher."""
        attempt = self.row(trial_id).attempt
        self.ledger.append(trial_id, attempt, measurement(20, knn_accuracy=knn))
        end = {"state": "COMPLETE", "end_reason": "finished", "collapsed": False, **ending}
        self.ledger.end(trial_id, attempt, Ending(**end))
        self.searcher.on_trial_complete(self.rays[trial_id], {"knn_accuracy": 0.99})  # not what is believed

    def row(self, trial_id: str) -> TrialRow:
        row = self.ledger.trial(trial_id)
        assert row is not None
        return row

    def loaded(self) -> optuna.Study:
        """As anybody opens it."""
        backend = optuna.storages.journal.JournalFileBackend(str(self.journal))
        return optuna.load_study(study_name="found", storage=optuna.storages.JournalStorage(backend))

    def states(self) -> list[str]:
        return [trial.state.name for trial in self.loaded().trials]

    def trial(self, trial_id: str) -> Trial:
        return self.row(trial_id).trial

    def run(self, most: int = 1000) -> list[float]:
        """Runs samples one at a time with the simulated learner; their kNN accuracies."""
        found: list[float] = []
        while len(found) < most and (trial_id := self.suggest()):
            lr = float(self.trial(trial_id).settings["lr"])
            found.append(0.1 + 0.6 / (1 + math.log10(lr / 0.1) ** 2))
            self.end(trial_id, found[-1])
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.ledger.close()


def test_a_sample_is_the_reference_with_its_values_and_the_search_seed(bench: Bench) -> None:
    trial_id = bench.suggest()
    assert trial_id is not None
    row, trial = bench.row(trial_id), bench.trial(trial_id)
    assert (row.design, row.seed, trial.settings["seed"]) == ("search", 1000, 1000)
    assert trial.settings["lr"] == trial.labels["lr"] == bench.loaded().trials[0].params["lr"]
    assert trial.settings["steps"] == 20
    assert bench.loaded().trials[0].user_attrs == {"trial_id": trial_id}


def test_plain_optuna_reads_what_the_ledger_says(bench: Bench) -> None:
    first, second = bench.suggest(), bench.suggest()
    assert first is not None
    assert second is not None
    bench.end(second, 0.5)
    bench.end(first, 0.4)
    loaded = bench.loaded()
    assert [trial.value for trial in loaded.trials] == [0.4, 0.5]
    assert loaded.best_trial.number == 1
    assert loaded.direction.name == "MAXIMIZE"


@pytest.mark.parametrize(
    ("knn", "ending", "state", "value"),
    [
        (0.1, {"collapsed": True}, "COMPLETE", 0.1),
        (0.1, {"collapsed": True, "end_reason": "collapsed"}, "COMPLETE", 0.1),
        (math.nan, {}, "FAIL", None),
        (None, {}, "FAIL", None),
        (0.7, {"end_reason": "diverged"}, "FAIL", None),
        (0.7, {"state": "FAIL", "end_reason": "error"}, "FAIL", None),
        (0.7, {"state": "PRUNED", "end_reason": "pruned"}, "PRUNED", None),
    ],
)
def test_each_end_is_told_for_what_it_is(
    bench: Bench, knn: float | None, ending: dict[str, Any], state: str, value: float | None
) -> None:
    trial_id = bench.suggest()
    assert trial_id is not None
    bench.end(trial_id, knn, **ending)
    told = bench.loaded().trials[0]
    assert (told.state.name, told.value) == (state, value)


def test_a_pruned_sample_keeps_its_last_measurement_and_is_never_the_best(bench: Bench) -> None:
    first = bench.suggest()
    assert first is not None
    for step, knn in ((0, None), (5, 0.6), (10, math.nan)):
        bench.searcher.on_trial_result(bench.rays[first], {"step": step, "knn_accuracy": knn})
    bench.searcher.on_trial_result(bench.rays[first], {"error": "one without metrics"})
    bench.end(first, 0.9, state=TrialState.PRUNED, end_reason=EndReason.PRUNED)
    second = bench.suggest()
    assert second is not None
    bench.end(second, 0.2)
    told = bench.loaded().trials[0]
    assert (told.state.name, told.intermediate_values) == ("PRUNED", {5: 0.6})
    assert bench.loaded().best_trial.number == 1


def test_exactly_as_many_samples_as_asked_for(bench: Bench) -> None:
    assert len(bench.run()) == 24
    assert bench.states() == ["COMPLETE"] * 24
    assert bench.suggest() is None


def test_more_samples_extend_a_search(tmp_path: Path) -> None:
    bench = Bench(tmp_path, trials=4)
    first = bench.run()
    bench.search = dataclasses.replace(bench.search, trials=7)
    bench.opened()
    assert len(bench.run()) == 3
    assert [trial.value for trial in bench.loaded().trials[:4]] == first


@pytest.mark.parametrize("sampler", ["tpe", "random"])
def test_one_at_a_time_the_samples_repeat_also_over_an_interruption(tmp_path: Path, sampler: str) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    whole = Bench(tmp_path / "a", sampler=sampler).run()
    assert len(set(whole)) == 24
    halves = Bench(tmp_path / "b", sampler=sampler)
    found = halves.run(most=13)
    halves.opened()
    found += halves.run(most=1)
    assert halves.suggest() is not None  # the driver dies while this one runs
    halves.opened()
    assert found + halves.run() == whole


def test_another_sampler_seed_gives_other_samples(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    assert Bench(tmp_path / "a").run(2) != Bench(tmp_path / "b", sampler_seed=1).run(2)


def test_a_killed_driver_leaves_nothing_running_and_loses_nothing(bench: Bench) -> None:
    bench.run(3)
    ended, lost = bench.suggest(), bench.suggest()
    assert ended is not None
    assert lost is not None
    # The ledger knows of an end that Optuna was never told, and the driver is gone.
    bench.ledger.end(
        ended, 1, Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=False)
    )
    values = bench.loaded().trials[4].params
    bench.opened()
    assert bench.states() == ["COMPLETE"] * 3 + ["FAIL", "FAIL", "WAITING"]  # no kNN was measured in `ended`
    bench.opened()  # killed again at once: nothing is queued twice
    assert bench.states()[5:] == ["WAITING"]
    assert bench.suggest() == lost
    assert bench.row(lost).attempt == 2
    bench.end(lost, 0.3)
    assert bench.loaded().trials[5].params == values
    assert len(bench.run()) == 24 - 5
    assert sum(state in ("COMPLETE", "FAIL") for state in bench.states()) == 24 + 1


def test_a_driver_killed_between_queueing_and_telling(bench: Bench) -> None:
    assert bench.suggest() is not None
    lost = bench.loaded().trials[0]
    bench.searcher.study.enqueue_trial(lost.params, user_attrs={"continues": lost.number})
    bench.opened()
    assert bench.states() == ["FAIL", "WAITING"]


def test_a_driver_killed_between_asking_and_entering(bench: Bench) -> None:
    bench.searcher.study.ask()  # no values yet, no trial
    bench.opened()
    assert bench.states() == ["FAIL", "WAITING"]
    assert len(bench.run()) == 24


def test_a_graceful_end_leaves_nothing_running(bench: Bench) -> None:
    assert bench.suggest() is not None
    bench.searcher.close()
    assert bench.states() == ["FAIL", "WAITING"]


def test_a_torn_journal_is_mended(bench: Bench) -> None:
    bench.run(2)
    with bench.journal.open("ab") as file:
        file.write(b'{"op_code": 4, "wor')
    bench.opened()
    assert len(bench.run()) == 22
    assert bench.states() == ["COMPLETE"] * 24


def test_a_configuration_that_has_run_is_not_run_again(tmp_path: Path) -> None:
    text = TEXT.replace("lr: {low: 0.001, high: 10, log: true}", "predictor: {choices: [mlp, none]}")
    bench = Bench(tmp_path, text, trials=12)
    started = []
    while trial_id := bench.suggest():
        started.append(trial_id)
        bench.end(trial_id, 0.25 * len(started))
    assert len(started) == len(set(started)) == 2
    told = bench.loaded().trials
    assert [trial.state.name for trial in told] == ["COMPLETE"] * 12
    by_choice = {trial.params["predictor"]: trial.value for trial in told}
    assert all(trial.value == by_choice[trial.params["predictor"]] for trial in told)


def test_a_configuration_that_is_running_is_told_with_it(tmp_path: Path) -> None:
    text = TEXT.replace("lr: {low: 0.001, high: 10, log: true}", "predictor: {choices: [mlp, none]}")
    bench = Bench(tmp_path, text, trials=6)
    one, other = bench.suggest(), bench.suggest()
    assert one is not None
    assert other is not None
    assert bench.suggest() is None
    assert set(bench.states()) == {"RUNNING"}
    bench.end(one, 0.3)
    bench.end(other, math.nan)
    assert set(bench.states()) == {"COMPLETE", "FAIL"}
    assert len(bench.states()) == 6


def test_failed_samples_run_again_when_asked(bench: Bench) -> None:
    first = bench.suggest()
    assert first is not None
    bench.end(first, None, state=TrialState.FAIL, end_reason=EndReason.ERROR, error="boom")
    bench.run()
    assert len(bench.states()) == 24
    bench.opened()
    assert bench.suggest() is None
    bench.opened(retry_failed=True)
    assert bench.suggest() == first
    bench.end(first, 0.6)
    assert bench.suggest() is None
    assert bench.states() == ["FAIL"] + ["COMPLETE"] * 24


def test_a_conditional_parameter_is_absent_where_it_does_not_apply(tmp_path: Path) -> None:
    bench = Bench(tmp_path, CONDITIONAL)
    bench.run()
    rows = [row.trial for row in bench.ledger.trials()]
    assert {str(row.labels["predictor"]) for row in rows} == {"mlp", "none"}
    for row in rows:
        assert ("predictor_depth" in row.labels) == (row.labels["predictor"] == "mlp")
        assert row.settings["predictor_depth"] in (2, 3, 4)


def test_several_objectives_are_all_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path, TWO, trials=3)
    for _ in range(3):
        trial_id = bench.suggest()
        assert trial_id is not None
        bench.searcher.on_trial_result(bench.rays[trial_id], {"step": 5, "knn_accuracy": 0.1})
        bench.end(trial_id, 0.4)
    loaded = bench.loaded()
    assert [direction.name for direction in loaded.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert [trial.values for trial in loaded.trials] == [
        [0.4, row.wall_seconds] for row in bench.ledger.trials()
    ]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_tpe_finds_more_than_chance(tmp_path: Path, seed: int) -> None:
    means = {}
    for sampler in ("tpe", "random"):
        (tmp_path / sampler).mkdir()
        found = Bench(tmp_path / sampler, sampler=sampler, sampler_seed=seed).run()
        means[sampler] = sum(found[10:]) / len(found[10:])
    assert means["tpe"] > means["random"] + 0.05, means


def rows(*samples: dict[str, Any]) -> list[TrialRow]:
    base: dict[str, Any] = {
        **dict.fromkeys(field.name for field in dataclasses.fields(TrialRow)),
        "design": "search",
        "state": TrialState.COMPLETE,
        "end_reason": EndReason.FINISHED,
        "collapsed": False,
        "wall_seconds": 1.0,
    }
    return [TrialRow(**{**base, "number": number, **sample}) for number, sample in enumerate(samples)]


@pytest.mark.parametrize(
    ("text", "samples", "best"),
    [
        (TEXT, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7}, {"knn_accuracy": 0.6}], 1),
        (TEXT, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7, "collapsed": True}], 0),
        (TEXT, [{"knn_accuracy": 0.1, "collapsed": True}, {"knn_accuracy": 0.2, "collapsed": True}], 1),
        (TEXT, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7, "state": "PRUNED"}], 0),
        (TEXT, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7, "end_reason": "diverged"}], 0),
        (TEXT, [{"knn_accuracy": 0.5}, {"knn_accuracy": math.nan}, {"knn_accuracy": None}], 0),
        (TEXT, [{"knn_accuracy": 0.5}, {"knn_accuracy": 0.7, "design": "winner"}], 0),
        (TWO, [{"knn_accuracy": 0.7, "wall_seconds": 3.0}, {"knn_accuracy": 0.7, "wall_seconds": 2.0}], 1),
        (TWO, [{"knn_accuracy": 0.6, "wall_seconds": 1.0}, {"knn_accuracy": 0.7, "wall_seconds": 9.0}], 1),
        (TEXT.replace("  space:", "  objectives: {wall_seconds: minimize}\n  space:"),
         [{"wall_seconds": 3.0}, {"wall_seconds": 2.0}], 1),
    ],
)  # fmt: skip
def test_the_winner(text: str, samples: list[dict[str, Any]], best: int) -> None:
    search = study_from_text(text, "f").search
    assert search is not None
    won = winner(rows(*samples), search)
    assert won is not None
    assert won.number == best


def test_without_a_value_nobody_wins() -> None:
    search = study_from_text(TEXT, "f").search
    assert search is not None
    assert winner(rows({"knn_accuracy": None}, {"knn_accuracy": 0.7, "state": "FAIL"}), search) is None


def test_the_winner_runs_with_other_seeds_and_the_rest_unchanged() -> None:
    study = study_from_text(TEXT, "f")
    assert study.search is not None
    best = sample(study.reference, study.search, {"lr": 0.5})
    fresh = fresh_trials(best, (3, 4))
    assert [trial.seed for trial in fresh] == [3, 4]
    for trial in fresh:
        assert trial.cell_id == best.cell_id
        assert trial.labels == {"lr": 0.5}
        assert {key for key in trial.settings if trial.settings[key] != best.settings[key]} == {"seed"}


class RayTrial:
    """As much of one as a scheduler asks for."""

    def __init__(self, name: str) -> None:
        self.trial_id = name
        self.config = {"trial": {"id": name}}


def pruner(kind: str) -> Pruner:
    text = TEXT.replace("  space:", f"  scheduler: {{kind: {kind}, grace_steps: 5}}\n  space:")
    search = study_from_text(text, "f").search
    assert search is not None
    return Pruner(search, 20)


def decisions(scheduler: Pruner, name: str, knn: float | None) -> list[str]:
    """What it decides at each measurement, up to the first stop."""
    trial, found = RayTrial(name), []
    scheduler.on_trial_add(None, trial)
    for step in (0, 5, 10, 15, 20):
        found.append(scheduler.on_trial_result(None, trial, {"step": step, "knn_accuracy": knn}))
        if found[-1] == TrialScheduler.STOP:
            break
    return found


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_a_scheduler_stops_what_lags_and_remembers_it(kind: str) -> None:
    scheduler = pruner(kind)
    for name in ("a", "b", "c", "d"):
        assert set(decisions(scheduler, name, 0.7)) == {TrialScheduler.CONTINUE}
    assert decisions(scheduler, "bad", 0.2) == [TrialScheduler.CONTINUE, TrialScheduler.STOP]
    assert set(decisions(scheduler, "unmeasured", None)) == {TrialScheduler.CONTINUE}
    assert set(decisions(scheduler, "nan", math.nan)) == {TrialScheduler.CONTINUE}
    assert scheduler.stopped == {"bad"}


@pytest.mark.parametrize("kind", ["asha", "median"])
def test_a_scheduler_learns_from_earlier_runs(kind: str) -> None:
    past = [measurement(step, knn_accuracy=0.7 if step else None) for step in (0, 5, 10, 15, 20)]
    scheduler = pruner(kind)
    for name in ("a", "b", "c", "d"):
        scheduler.learn(name, past)
    assert scheduler.stopped == set()
    assert decisions(scheduler, "bad", 0.2)[-1] == TrialScheduler.STOP


def test_the_simulated_accuracy_has_its_peak_at_a_tenth() -> None:
    from byol.config import TrialConfig

    images = TRAINER.load_data("x", root=None, train_images=0, image_size=28, on_broken="fail")

    def knn(lr: float) -> float:
        config = TrialConfig(steps=20, eval_every=5, lr=lr)
        last = list(TRAINER.train(config, images, checkpoint_folder=None, checkpoint_every=0))[-1]
        return float(last.knn_accuracy)

    assert knn(0.1) > knn(1) + 0.2 > knn(0.001)
