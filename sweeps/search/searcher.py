"""Optuna's ask and tell for Ray Tune, with the ledger as the record of each sample's result.

Ray's results are not reported to Optuna. Before each suggestion, and at the start and end of a run, the
Optuna study is brought up to date from the ledger: a sample that has ended is reported with its measurements,
so that the two agree whatever Ray has started again or left out.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState
from ray.tune.search import Searcher

from byol.config import Scalar
from sweeps.record.ledger import Ledger
from sweeps.record.rows import EndReason, TrialRow
from sweeps.record.rows import TrialState as State
from sweeps.record.samples import objective_values
from sweeps.study.designs import CellError, Trial
from sweeps.study.samples import sample
from sweeps.study.spaces import Parameter, Search

_TRIAL_ID, _CONTINUES = "trial_id", "continues"
"""Attributes of an Optuna trial: the id of the ledger's trial, and the number of the one that it repeats."""


class LedgerSearch(Searcher):  # type: ignore[misc]
    """Suggests samples to Ray Tune. Each is entered in the ledger before it starts."""

    def __init__(
        self,
        search: Search,
        *,
        name: str,
        reference: Mapping[str, Scalar],
        journal: Path,
        ledger: Ledger,
        enter: Callable[[Trial], None],
        retry_failed: bool = False,
    ) -> None:
        """Opens or creates the Optuna study, and settles the trials that an earlier run left RUNNING.

        Args:
            search: the space, the sampler and the objectives.
            name: name of the Optuna study.
            reference: settings that a sample's values override.
            journal: file of the Optuna study.
            ledger: the record of each sample's result.
            enter: enters a sample in the ledger.
            retry_failed: whether samples that ended with an error are suggested again.
        """
        super().__init__()
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        drop_torn_line(journal)
        # An absolute path: the lock beside it is a symbolic link, which must not dangle.
        self._storage = JournalStorage(JournalFileBackend(str(journal.absolute())))
        self.study = optuna.create_study(
            study_name=name,
            storage=self._storage,
            directions=[StudyDirection[direction.upper()] for direction in search.objectives.values()],
            load_if_exists=True,
        )
        self._search = search
        self._reference = reference
        self._ledger = ledger
        self._enter = enter
        self._live: set[str] = set()
        """Ids of the samples that this run has started and that have not ended."""
        self._failed_attempts: dict[str, int] = {}
        """Id of a sample to retry -> its attempt that failed."""
        self.close()
        if retry_failed:
            self._retry()

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles searchers for a restore that never happens.
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Does nothing: the journal and the ledger are the state."""

    def suggest(self, trial_id: str) -> Any:
        """Returns the next sample as Ray's configuration of its trial `trial_id`, or Searcher.FINISHED.

        A sample whose configuration has already run does not run again: its value is reported to Optuna at
        once. If its configuration is running, the value is reported when that trial ends.
        """
        self.settle()
        while True:
            drawn = self._drawn()
            waiting = self.study.get_trials(deepcopy=False, states=(TrialState.WAITING,))
            if not waiting and drawn >= self._search.trials:
                return Searcher.FINISHED
            # Each sample has its own sampler, so that a resumed search draws the samples it would have drawn.
            self.study.sampler = _sampler(self._search, drawn, len(waiting))
            optuna_trial = self.study.ask()
            try:
                trial = sample(self._reference, self._search, self._values(optuna_trial))
            except CellError:
                self.study.tell(optuna_trial, state=TrialState.FAIL)
                continue
            optuna_trial.set_user_attr(_TRIAL_ID, trial.trial_id)
            row = self._ledger.trial(trial.trial_id)
            if row is not None and self._is_settled(row):
                self._tell(optuna_trial.number, row)
            elif trial.trial_id not in self._live:
                self._enter(trial)
                self._live.add(trial.trial_id)
                return {"pack": [{"id": trial.trial_id, "settings": dict(trial.settings)}]}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Settles a sample that has ended. If the ledger lacks its end, the next suggestion settles it."""
        self.settle()

    def settle(self) -> None:
        """Reports to Optuna the samples that have ended and that it counts as running."""
        for optuna_trial in self._running():
            trial_id = optuna_trial.user_attrs.get(_TRIAL_ID, "")
            row = self._ledger.trial(trial_id)
            if row is not None and self._is_settled(row):
                self._live.discard(trial_id)
                self._tell(optuna_trial.number, row)

    def close(self) -> None:
        """Reports samples that have not ended to Optuna as failed, and queues their values again."""
        self.settle()
        for optuna_trial in self._running():
            self._queue(optuna_trial)
            self.study.tell(optuna_trial.number, state=TrialState.FAIL)
        self._live.clear()

    def _values(self, optuna_trial: optuna.Trial) -> dict[str, Scalar]:
        """Draws a value for each parameter that applies."""
        values: dict[str, Scalar] = {}
        for parameter in self._search.space:
            if parameter.applies(values):
                values[parameter.name] = _draw(optuna_trial, parameter)
        return values

    def _retry(self) -> None:
        """Queues the values of samples that ended with an error."""
        for optuna_trial in self.study.get_trials(states=(TrialState.FAIL,)):
            row = self._ledger.trial(optuna_trial.user_attrs.get(_TRIAL_ID, ""))
            if row is not None and row.end_reason == EndReason.ERROR:
                self._queue(optuna_trial)
                self._failed_attempts[row.trial_id] = row.attempt

    def _is_settled(self, row: TrialRow) -> bool:
        """Returns whether a sample has ended and will not be retried."""
        return row.has_ended and row.attempt > self._failed_attempts.get(row.trial_id, -1)

    def _queue(self, optuna_trial: FrozenTrial) -> None:
        """Queues an Optuna trial's values, unless they are queued already."""
        if optuna_trial.number not in self._repeated():
            self.study.enqueue_trial(optuna_trial.params, user_attrs={_CONTINUES: optuna_trial.number})

    def _tell(self, number: int, row: TrialRow) -> None:
        """Reports to Optuna how the sample of an Optuna trial ended, and what was measured until then."""
        self._report(number, row.trial_id)
        values = objective_values(row, self._search)
        if row.state == State.PRUNED:
            self.study.tell(number, state=TrialState.PRUNED)
        elif values is None:
            self.study.tell(number, state=TrialState.FAIL)
        else:
            self.study.tell(number, values)

    def _report(self, number: int, trial_id: str) -> None:
        """Reports a sample's measurements to Optuna, which ranks pruned samples by their last one.

        Step 0 is left out: it says what the encoder was worth before the sample's settings had any effect.
        Optuna has such values of a study with one objective alone.
        """
        if len(self._search.objectives) > 1:
            return
        [objective] = self._search.objectives
        study_id = self._storage.get_study_id_from_name(self.study.study_name)
        optuna_id = self._storage.get_trial_id_from_study_id_trial_number(study_id, number)
        for row in self._ledger.rows(trial_id):
            value = vars(row).get(objective)  # probe_accuracy and wall_seconds are known at the end alone
            if row.step > 0 and value is not None and math.isfinite(value):
                # Not optuna.Trial.report, which keeps the value of an earlier attempt.
                self._storage.set_trial_intermediate_value(optuna_id, row.step, value)

    def _running(self) -> list[FrozenTrial]:
        return self.study.get_trials(states=(TrialState.RUNNING,))

    def _repeated(self) -> set[int]:
        """Returns the numbers of the Optuna trials that another one repeats."""
        trials = self.study.get_trials(deepcopy=False)
        return {trial.user_attrs[_CONTINUES] for trial in trials if _CONTINUES in trial.user_attrs}

    def _drawn(self) -> int:
        """Returns the number of samples drawn so far, not counting repetitions."""
        return len(self.study.get_trials(deepcopy=False)) - len(self._repeated())


def _draw(optuna_trial: optuna.Trial, parameter: Parameter) -> Scalar:
    """Draws a value of a parameter."""
    name, low, high = parameter.name, parameter.low, parameter.high
    if parameter.choices:
        choice = optuna_trial.suggest_categorical(name, parameter.choices)
        assert choice is not None
        return choice
    if isinstance(low, int):
        return optuna_trial.suggest_int(name, low, int(high), log=parameter.log)
    return optuna_trial.suggest_float(name, low, high, log=parameter.log)


def _sampler(search: Search, drawn: int, waiting: int) -> optuna.samplers.BaseSampler:
    """Returns the sampler of the next sample, seeded by the numbers of drawn and of waiting samples."""
    seed = int(np.random.SeedSequence([search.sampler_seed, drawn, waiting]).generate_state(1)[0])
    if search.sampler == "random":
        return optuna.samplers.RandomSampler(seed=seed)
    # The constant liar keeps concurrent samples apart.
    return optuna.samplers.TPESampler(seed=seed, constant_liar=True)


def drop_torn_line(journal: Path) -> None:
    """Removes a last line that a full disk or a power cut left unfinished: Optuna would refuse the file."""
    if not journal.exists():
        return
    with journal.open("r+b") as file:
        text = file.read()
        file.truncate(text.rfind(b"\n") + 1)
