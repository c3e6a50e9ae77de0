"""Replays early stopping over trials that ran to their end: steps saved, and verdicts changed."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from byol.errors import plural
from byol.measure.collapse import CollapseRule, Row, judge, should_stop
from sweeps import files
from sweeps.errors import RequestError, one_line
from sweeps.record.directory import has_ledger, open_ledger
from sweeps.record.rows import EndReason, Fact
from sweeps.study import load_study

_COLUMNS = ("step", "loss", "representation_std", "projection_std", "effective_rank")


@dataclass(frozen=True, kw_only=True)
class Changed:
    """A trial that would have been stopped as collapsed, but had not collapsed at its end."""

    trial_id: str
    """The trial's id."""
    stopped: int
    """The step at which it would have been stopped."""
    steps: int
    """The steps that it ran."""


@dataclass(frozen=True, kw_only=True)
class Replay:
    """What early stopping would have done."""

    trials: int
    """Trials that ran to their end, and were replayed."""
    left_out: int
    """Trials that did not run to their end."""
    stopped: int
    """Replayed trials that would have been stopped before their end."""
    steps: int
    """Optimiser steps of the replayed trials."""
    saved: int
    """Steps of these that would have been saved."""
    changed: tuple[Changed, ...]
    """Replayed trials whose verdict would have changed, all from not collapsed to collapsed."""


def stop_step(rows: Sequence[Row], rule: CollapseRule) -> int | None:
    """Returns the step at which early stopping ends a trial; None if the trial runs to its end.

    Args:
        rows: all its measurements in order of step. The last one ends the trial anyway, so it stops nothing.
        rule: threshold of the representation and patience; `stop` counts as true.
    """
    for count in range(rule.patience, len(rows)):
        if should_stop(rows[:count], rule):
            return int(rows[count - 1]["step"] or 0)
    return None


def replay(finished: Mapping[str, Sequence[Row]], rule: CollapseRule, *, left_out: int = 0) -> Replay:
    """Replays early stopping.

    Args:
        finished: trial id -> measurements in order of step, for trials that ran to their end.
        rule: thresholds and patience.
        left_out: how many trials did not run to their end.
    """
    steps = saved = stopped = 0
    changed = []
    for trial_id, rows in finished.items():
        length = int(rows[-1]["step"] or 0)
        steps += length
        stop = stop_step(rows, rule)
        if stop is None:
            continue
        stopped += 1
        saved += length - stop
        if not judge(rows, rule).collapsed:
            changed.append(Changed(trial_id=trial_id, stopped=stop, steps=length))
    return Replay(
        trials=len(finished),
        left_out=left_out,
        stopped=stopped,
        steps=steps,
        saved=saved,
        changed=tuple(changed),
    )


def replay_directory(out: Path, *, threshold: float | None = None, patience: int | None = None) -> str:
    """Replays early stopping over a ledger, or tables without one, and returns a summary in words.

    Args:
        out: the sweep's directory.
        threshold: of representation_std, also for the verdict at the end; None means the study's.
        patience: measurements in a row below the threshold; None means the study's.

    Raises:
        RequestError: `out` holds no sweep, or a damaged one, or no trial ran to its end.
    """
    rule, trials, finished = _from_ledger(out) if has_ledger(out) else _from_tables(out)
    if threshold is not None:
        rule = dataclasses.replace(rule, representation_threshold=threshold)
    if patience is not None:
        rule = dataclasses.replace(rule, patience=patience)
    if not finished:
        raise RequestError(f"{out}: has no trial that ran to its end, so there is nothing to replay")
    return as_text(replay(finished, rule, left_out=trials - len(finished)), rule)


def _from_ledger(out: Path) -> tuple[CollapseRule, int, dict[str, list[Row]]]:
    """The collapse rule, the number of trials, and the measurements of those that ran to their end."""
    with open_ledger(out) as ledger:
        rule = CollapseRule(**json.loads(ledger.facts()[Fact.COLLAPSE]))
        trials = ledger.trials()
        rows: dict[str, list[Row]] = {
            row.trial_id: [vars(measured) for measured in ledger.rows(row.trial_id)]
            for row in trials
            if row.end_reason == EndReason.FINISHED
        }
    return rule, len(trials), rows


def _from_tables(out: Path) -> tuple[CollapseRule, int, dict[str, list[Row]]]:
    """As `_from_ledger`, of tables without a ledger."""
    for name in (files.STUDY, files.TRIALS, files.METRICS):
        if not (out / name).exists():
            raise RequestError(f"{out}: holds no sweep (no {name})")
    rule = load_study(out / files.STUDY).collapse
    reasons = _table(out / files.TRIALS, ("trial_id", "end_reason")).to_pylist()
    finished_ids = {row["trial_id"] for row in reasons if row["end_reason"] == EndReason.FINISHED}
    table = _table(out / files.METRICS, ("trial_id", *_COLUMNS))
    rows = table.sort_by([("trial_id", "ascending"), ("step", "ascending")]).to_pylist()
    return rule, len(reasons), _by_trial(rows, finished_ids)


def _table(path: Path, columns: Sequence[str]) -> Any:
    try:
        return pq.read_table(path, columns=list(columns), page_checksum_verification=True)
    except (OSError, pa.ArrowException) as error:
        raise RequestError(f"{path}: cannot be read: {one_line(error)}") from None


def as_text(result: Replay, rule: CollapseRule) -> str:
    """Formats the summary."""
    all_trials = result.trials + result.left_out
    return "\n".join(
        (
            f"rule      stop after {plural(rule.patience, 'measurement')} in a row with "
            f"representation_std below {rule.representation_threshold:g}",
            f"replayed  {result.trials} of {plural(all_trials, 'trial')}: those that ran to the end",
            f"stopped   {result.stopped} before their end",
            f"saved     {result.saved} of {plural(result.steps, 'step')} "
            f"({result.saved / max(1, result.steps):.1%})",
            f"changed   {len(result.changed)} of {plural(result.trials, 'verdict')}, from not collapsed to "
            "collapsed",
            *(
                f"          {trial.trial_id}: stopped at step {trial.stopped} of {trial.steps}, "
                "but it had recovered by its end"
                for trial in result.changed
            ),
        )
    )


def _by_trial(rows: Iterable[dict[str, object]], trial_ids: set[str]) -> dict[str, list[Row]]:
    finished: dict[str, list[Row]] = {}
    for row in rows:
        trial_id = str(row.pop("trial_id"))
        if trial_id in trial_ids:
            finished.setdefault(trial_id, []).append(row)  # type: ignore[arg-type]  # Parquet's rows are untyped
    return finished
