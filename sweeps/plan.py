"""What a study will do, said before anything starts."""

import os
from dataclasses import dataclass
from typing import Any

from sweeps.designs import Cell, Trial, describe
from sweeps.progress import clock
from sweeps.study import Study

_CELLS_SHOWN = 40


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A study, counted out."""

    study: Study
    """The study."""
    cells: tuple[Cell, ...]
    """Its cells."""
    trials: tuple[Trial, ...]
    """Its trials, in the order in which they run."""
    workers: int
    """Trials at a time."""
    trial_seconds: float | None
    """Estimated wall seconds of all trials one after the other; None if the study gives no estimate."""
    wall_seconds: float | None
    """Estimated wall seconds of the sweep; None likewise."""


def make_plan(study: Study, *, workers: int | None = None) -> Plan:
    """Counts a study out.

    Args:
        study: the study.
        workers: trials at a time; None is as many as this machine's CPUs hold.
    """
    cells = study.cells()
    trials = study.trials()
    at_a_time = workers or max(1, int((os.cpu_count() or 1) / study.resources.cpu))
    each = study.estimate.seconds_per_trial if study.estimate else None
    rounds = -(-len(trials) // at_a_time)
    return Plan(
        study=study,
        cells=cells,
        trials=trials,
        workers=at_a_time,
        trial_seconds=None if each is None else each * len(trials),
        wall_seconds=None if each is None else each * rounds,
    )


def aliases(study: Study) -> str:
    """Which effects the study's design cannot tell apart, in words."""
    if study.design.exclude:
        return "some combinations are excluded: effects are only comparable where both cells exist"
    return {
        "full-factorial": "none: all main effects and interactions can be told apart",
        "leave-one-out": "every interaction: each component is judged with all others in place",
        "add-one-in": "every interaction: each component is judged without the others",
        "listed": "as the listed cells have it: compare cells, not effects",
    }[study.design.kind]


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    study = plan.study
    return {
        "study": study.name,
        "design": study.design.kind,
        "aliases": aliases(study),
        "factors": {factor.name: [level.label for level in factor.levels] for factor in study.factors},
        "seeds": list(study.seeds),
        "cells": [{"cell_id": cell.cell_id, **cell.labels} for cell in plan.cells],
        "trials": [
            {"trial_id": trial.trial_id, "cell_id": trial.cell_id, "seed": trial.seed}
            for trial in plan.trials
        ],
        "resources": {"cpu": study.resources.cpu, "gpu": study.resources.gpu},
        "workers": plan.workers,
        "trial_seconds": plan.trial_seconds,
        "wall_seconds": plan.wall_seconds,
    }


def as_text(plan: Plan) -> str:
    """The plan for people."""
    study = plan.study
    seeds = ", ".join(map(str, study.seeds))
    lines = [
        f"{study.name}: {study.title}",
        *([study.question] if study.question else []),
        "",
        f"reference   {describe(dict(study.reference))}",
        *(
            f"{'factors' if index == 0 else '':<11} {factor.name}: "
            + ", ".join(str(level.label) for level in factor.levels)
            for index, factor in enumerate(study.factors)
        ),
        f"design      {study.design.kind}",
        f"aliases     {aliases(study)}",
        f"trials      {len(plan.cells)} cells x {len(study.seeds)} seeds ({seeds}) = {len(plan.trials)}",
        f"resources   {study.resources.cpu:g} CPU and {study.resources.gpu:g} GPU a trial",
        f"time        {_time(plan)}",
        "",
        "cells",
        *(f"  {cell.cell_id}  {describe(cell.labels)}" for cell in plan.cells[:_CELLS_SHOWN]),
    ]
    if len(plan.cells) > _CELLS_SHOWN:
        lines.append(f"  and {len(plan.cells) - _CELLS_SHOWN} more (--json lists them)")
    return "\n".join(lines)


def _time(plan: Plan) -> str:
    if plan.wall_seconds is None or plan.study.estimate is None:
        return "unknown (the study has no estimate)"
    each = plan.study.estimate
    return (
        f"about {clock(plan.wall_seconds)} with {plan.workers} at a time "
        f"({each.seconds_per_trial:g} s a trial on {each.hardware})"
    )
