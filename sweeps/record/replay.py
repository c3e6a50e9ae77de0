"""The collapse stopper, replayed over trials that ran to their end: what it would have saved, and spoilt."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pyarrow.parquet as pq

from byol.measure.collapse import CollapseRule, judge, should_stop
from sweeps.errors import RequestError
from sweeps.study import load_study

Row: TypeAlias = Mapping[str, float | None]
"""A row of metrics.parquet, less its trial_id."""

_READ = ("step", "loss", "representation_std", "projection_std", "effective_rank")


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A trial that would have been stopped as collapsed, and had not collapsed at its end."""

    trial_id: str
    """The trial."""
    stopped: int
    """The step at which it would have been stopped."""
    steps: int
    """The steps that it ran."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What the stopper would have done."""

    trials: int
    """Trials that ran to their end: those replayed."""
    left_out: int
    """Trials that did not, and so cannot tell."""
    stopped: int
    """Trials that it would have stopped before their end."""
    steps: int
    """Optimiser steps of the trials replayed."""
    saved: int
    """Steps of those that it would have saved."""
    changed: tuple[Changed, ...]
    """Verdicts that it would have changed, all from not collapsed to collapsed."""


def stop_step(rows: Sequence[Row], rule: CollapseRule) -> int | None:
    """The step at which the stopper ends a trial with these measurements; None if it runs to its end.

    Args:
        rows: all measurements in order of step. After the last the trial is over, so nothing stops there.
        rule: threshold of the representation and patience; `stop` is taken for true.
    """
    for count in range(rule.patience, len(rows)):
        if should_stop(rows[:count], rule):
            return int(rows[count - 1]["step"] or 0)
    return None


def replay(finished: Mapping[str, Sequence[Row]], rule: CollapseRule, *, left_out: int = 0) -> Replay:
    """Replays the stopper.

    Args:
        finished: trial id -> its measurements in order of step, of trials that ran to their end.
        rule: thresholds and patience.
        left_out: trials that did not, to be stated.
    """
    steps = saved = stopped = 0
    changed = []
    for trial_id, rows in finished.items():
        length = int(rows[-1]["step"] or 0)
        steps += length
        at = stop_step(rows, rule)
        if at is None:
            continue
        stopped += 1
        saved += length - at
        if not judge(rows, rule).collapsed:
            changed.append(Changed(trial_id=trial_id, stopped=at, steps=length))
    return Replay(
        trials=len(finished),
        left_out=left_out,
        stopped=stopped,
        steps=steps,
        saved=saved,
        changed=tuple(changed),
    )


def replay_directory(out: Path, *, threshold: float | None = None, patience: int | None = None) -> str:
    """Replays the stopper over the tables of a sweep, and says in words what it result.

    Args:
        out: the sweep's directory.
        threshold: of representation_std, also for the verdict at the end; None is the study's.
        patience: measurements in a row below it; None is the study's.

    Raises:
        RequestError: `out` holds no tables, or no trial ran to its end.
    """
    for name in ("study.yaml", "trials.parquet", "metrics.parquet"):
        if not (out / name).exists():
            raise RequestError(f"{out}: holds no sweep (no {name})")
    rule = load_study(out / "study.yaml").collapse
    if threshold is not None:
        rule = dataclasses.replace(rule, representation_threshold=threshold)
    if patience is not None:
        rule = dataclasses.replace(rule, patience=patience)
    reasons = pq.read_table(out / "trials.parquet", columns=["trial_id", "end_reason"]).to_pylist()
    full = {row["trial_id"] for row in reasons if row["end_reason"] == "finished"}
    table = pq.read_table(out / "metrics.parquet", columns=["trial_id", *_READ])
    finished = _by_trial(table.sort_by([("trial_id", "ascending"), ("step", "ascending")]).to_pylist(), full)
    if not finished:
        raise RequestError(f"{out}: has no trial that ran to its end, so there is nothing to replay")
    return as_text(replay(finished, rule, left_out=len(reasons) - len(finished)), rule)


def as_text(result: Replay, rule: CollapseRule) -> str:
    """The replay for people."""
    all_trials = result.trials + result.left_out
    return "\n".join(
        (
            f"rule      stop after {rule.patience} measurements in a row with representation_std below "
            f"{rule.representation_threshold:g}",
            f"replayed  {result.trials} of {all_trials} trials: those that ran to the end",
            f"stopped   {result.stopped} before their end",
            f"saved     {result.saved} of {result.steps} steps ({result.saved / max(1, result.steps):.1%})",
            f"changed   {len(result.changed)} of {result.trials} verdicts, from not collapsed to collapsed",
            *(
                f"          {trial.trial_id}: stopped at step {trial.stopped} of {trial.steps}, "
                "but it had recovered by its end"
                for trial in result.changed
            ),
        )
    )


def _by_trial(rows: Iterable[dict[str, object]], full: set[str]) -> dict[str, list[Row]]:
    finished: dict[str, list[Row]] = {}
    for row in rows:
        trial_id = str(row.pop("trial_id"))
        if trial_id in full:
            finished.setdefault(trial_id, []).append(row)  # type: ignore[arg-type]  # Parquet's rows are untyped
    return finished
