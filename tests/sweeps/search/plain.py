"""A search's journal as plain Optuna opens it, held against the ledger."""

import math
from pathlib import Path

import optuna
from optuna.storages.journal import JournalFileBackend

from sweeps.record.ledger import Ledger
from sweeps.record.rows import EndReason
from sweeps.record.samples import objective_values
from sweeps.study.spaces import Search

STATES = {
    EndReason.FINISHED: "COMPLETE",
    EndReason.COLLAPSED: "COMPLETE",
    EndReason.PRUNED: "PRUNED",
    EndReason.DIVERGED: "FAIL",
    EndReason.ERROR: "FAIL",
}
"""How the ledger says that a sample ended -> its state in Optuna."""


def opened(journal: Path, name: str) -> optuna.Study:
    """The study, without anything of this project."""
    backend = JournalFileBackend(str(journal))
    return optuna.load_study(study_name=name, storage=optuna.storages.JournalStorage(backend))


def assert_agrees(study: optuna.Study, ledger: Ledger, search: Search) -> None:
    """Every trial of a sweep that is done has the ledger's state, values and measurements after step 0.

    A trial that another one goes on with has failed, and has neither values nor measurements.
    """
    continued = {trial.user_attrs.get("continues") for trial in study.trials}
    compared = set()
    for trial in study.trials:
        if trial.number in continued:
            assert (trial.state.name, trial.values, trial.intermediate_values) == ("FAIL", None, {})
            continue
        row = ledger.trial(trial.user_attrs["trial_id"])
        assert row is not None
        assert row.end_reason is not None
        compared.add(row.trial_id)
        assert {name: row.settings[name] for name in trial.params} == trial.params
        expected = {}
        if len(search.objectives) == 1:
            [objective] = search.objectives
            values = {each.step: getattr(each, objective, None) for each in ledger.rows(row.trial_id)}
            expected = {
                step: value
                for step, value in values.items()
                if step and value is not None and math.isfinite(value)
            }
        assert trial.intermediate_values == expected
        result = objective_values(row, search)
        assert trial.state.name == (
            STATES[row.end_reason] if result or row.end_reason == "pruned" else "FAIL"
        )
        last = [expected[max(expected)]] if expected else None
        assert trial.values == (last if row.end_reason == "pruned" else result)
    assert compared == {row.trial_id for row in ledger.trials() if row.design == "search"}
