"""What a sweep needs before it starts: loaded and checked before anything is changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from byol.config import Scalar
from byol.encoder_names import is_timm
from byol.own_parts import is_part_setting, named_parts, packages
from byol.presets import from_settings
from sweeps.datasets import DataSets
from sweeps.errors import RequestError, one_line
from sweeps.options import RunOptions
from sweeps.planning import estimates
from sweeps.planning.estimates import Estimate
from sweeps.record import conditions, directory
from sweeps.record.conditions import Changes
from sweeps.record.rows import TrialRow
from sweeps.study import Resources, Study, limits
from sweeps.study.designs import Trial
from sweeps.study.samples import check_length, corner_samples
from sweeps.trainer import Trainer


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The inputs of a sweep, from `prepare`."""

    trials: Sequence[Trial]
    """Those of the design with all seeds that may run, or samples from the corners of a search's space."""
    data: DataSets
    """The data sets that the trials train on."""
    steps: Mapping[str, int]
    """Trial id -> optimiser steps."""
    resources: Resources
    """What one worker occupies."""
    estimate: Estimate | None
    """How long trials are expected to take; None if unknown."""
    facts: Mapping[str, str]
    """What the ledger said before: nothing in a new sweep."""
    packages: Sequence[Path]
    """Python files and folders that hold the parts of the user's own."""
    changes: Changes
    """What has changed since the sweep's last driver; the user has accepted it."""


def prepare(study: Study, out: Path, *, options: RunOptions, trainer: Trainer, source: Path) -> Inputs:
    """Checks the parts of the user's own, loads the data and checks that all trials fit it.

    Args:
        study: the study to run.
        out: the sweep's directory, which may hold a calibration.
        options: how to run it.
        trainer: loads the data.
        source: where the sweep's ledger is, if there is one: `out`, or a copy from the store.

    Raises:
        RequestError: a part fails; the data cannot be loaded, or does not fit a trial.
        DirectoryError: the sweep's trials ran under other code, versions or data, and that is not accepted.
    """
    # A search has no trials yet; the corners of its space must fit the data.
    trials = corner_samples(study.reference, study.search) if study.search else study.at_most().trials()
    facts: dict[str, str] = {}
    rows: list[TrialRow] = []
    if directory.has_ledger(source):
        with directory.open_ledger(source) as ledger:
            facts, rows = ledger.facts(), ledger.trials()
    resources = options.resources(study.resources)
    if study.search and resources.pack > 1:
        raise RequestError(f"--pack: {limits.NO_PACKS}, but got {resources.pack}")
    _check_parts(trials, trainer)
    data = DataSets.load(study, trials, trainer=trainer, root=options.data_root)
    changes = conditions.changes(facts, rows, data.facts)
    conditions.check(out, changes, accept=options.accept_changes)
    one_of = {trial.cell_id: trial for trial in trials}
    steps_of = {cell_id: data.steps(trial) for cell_id, trial in one_of.items()}
    steps = {trial.trial_id: steps_of[trial.cell_id] for trial in trials}
    if study.search:
        check_length(study, steps[trials[0].trial_id])
    return Inputs(
        trials=trials,
        data=data,
        steps=steps,
        resources=resources,
        estimate=estimates.of_study(study, study.cells(), out),
        facts=facts,
        packages=packages(name for trial in trials for _, name, _ in named_parts(trial.settings)),
        changes=changes,
    )


_OF_PARTS = frozenset(
    (
        *("encoder", "encoder_code", "objective", "objective_code", "metrics", "metrics_code"),
        *("image_size", "projector_depth", "projector_size", "view_count", "symmetric"),
    )
)
"""Settings on which it depends whether a part works, besides its own."""


def _check_parts(trials: Sequence[Trial], trainer: Trainer) -> None:
    """Tries out each part of the user's own, and each model of timm, with each of its settings."""
    # By type, too: to a part, 1, 1.0 and true are different arguments.
    by_parts: dict[frozenset[tuple[str, type, Scalar]], Trial] = {}
    for trial in trials:
        if named_parts(trial.settings) or is_timm(str(trial.settings["encoder"])):
            parts = frozenset(
                (name, type(value), value)
                for name, value in trial.settings.items()
                if name in _OF_PARTS or is_part_setting(name)
            )
            by_parts.setdefault(parts, trial)
    for trial in by_parts.values():
        try:
            trainer.check(from_settings(trial.settings))
        except ValueError as error:
            raise RequestError(one_line(error)) from error
