"""What was planned beside what became of it: trials, steps, and time where it was estimated."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from analysis.outcomes import TO_COME, Counts, Outcome, outcome_counts
from analysis.results import StudyResults
from analysis.wording import listed, number, plural


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A quantity that was planned."""

    name: str
    planned: str
    actual: str


def plan_against_actual(study: StudyResults, counts: Counts) -> list[Planned]:
    """What the directories record of both; quantities of which either is unknown are left out."""
    trials = study.trials
    ends = [
        f"{n:,} {outcome}"
        for outcome, n in outcome_counts(trials).items()
        if outcome not in (Outcome.SURVIVED, Outcome.COLLAPSED, *TO_COME)
    ]
    to_come = counts.planned - counts.ran + counts.interrupted
    ends += [f"{to_come:,} to come"] if to_come else []
    others = f" ({listed(ends)})" if ends else ""
    rows = [Planned(name="trials", planned=f"{counts.planned:,}", actual=f"{counts.judged:,} judged{others}")]
    steps, run = trials["steps_planned"].sum(), trials["steps_run"].fillna(0).sum()
    if steps:
        rows.append(Planned(name="optimiser steps", planned=f"{int(steps):,}", actual=f"{int(run):,}"))
    return rows + _times(study)


def _times(study: StudyResults) -> list[Planned]:
    plans = [
        (plan, manifest) for manifest in study.manifests if isinstance(plan := manifest.get("plan"), Mapping)
    ]
    rows = []
    keys = ("finished_trials", "finished_planned_seconds", "finished_seconds")
    finished = [
        [plan[key] for key in keys] for plan, _ in plans if all(_is_number(plan.get(key)) for key in keys)
    ]
    if finished:
        n, planned, actual = (sum(values) for values in zip(*finished, strict=True))
        ratio = f"{duration(actual)} ({number(actual / planned, 2)} times)"
        rows.append(
            Planned(
                name=f"time of {plural(int(n), 'finished trial')}", planned=duration(planned), actual=ratio
            )
        )
    walls = [
        (plan["wall_seconds"], manifest["wall_seconds"], plan.get("workers"))
        for plan, manifest in plans
        if _is_number(plan.get("wall_seconds")) and _is_number(manifest.get("wall_seconds"))
    ]
    if walls:
        workers = listed(list(dict.fromkeys(str(wall[2]) for wall in walls)))
        planned_text = f"{duration(sum(wall[0] for wall in walls))} with {workers} at a time"
        actual_text = duration(sum(wall[1] for wall in walls))
        rows.append(Planned(name="time on the clock", planned=planned_text, actual=actual_text))
    return [*rows, *_of_a_trial(study)]


def _of_a_trial(study: StudyResults) -> list[Planned]:
    """What the study file expects of a trial."""
    each = study.trials.loc[study.trials["full_length"], "wall_seconds"].dropna()
    estimate = study.documents[0].get("estimate") if study.documents else None
    if (
        not len(each)
        or not isinstance(estimate, Mapping)
        or not _is_number(estimate.get("seconds_per_trial"))
    ):
        return []
    hardware = f" on {estimate['hardware']}" if estimate.get("hardware") else ""
    ends = f"{duration(float(each.min()))} to {duration(float(each.max()))}"
    return [
        Planned(
            name="time of a trial, by the study file",
            planned=f"{duration(float(estimate['seconds_per_trial']))}{hardware}",
            actual=f"median {duration(float(each.median()))}, {ends}",
        )
    ]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


def duration(seconds: float) -> str:
    """`12 s`, `3 min 5 s`, `2 h 10 min`.

    >>> duration(12.4), duration(185), duration(7800)
    ('12 s', '3 min 5 s', '2 h 10 min')
    """
    if seconds < 10:
        return f"{number(seconds, 2)} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes >= 60:
        return f"{minutes // 60} h {minutes % 60} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
