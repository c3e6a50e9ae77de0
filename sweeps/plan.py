"""What a study will do, said before anything starts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sweeps import fractional
from sweeps.designs import Cell, Trial, describe
from sweeps.progress import clock
from sweeps.search_plan import search_lines
from sweeps.study import Study

_CELLS_SHOWN = 40
_ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}


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
    if study.search:  # its winner waits for the last sample
        rounds = -(-study.search.trials // at_a_time) - (-len(study.seeds) // at_a_time)
    return Plan(
        study=study,
        cells=cells,
        trials=trials,
        workers=at_a_time,
        trial_seconds=None if each is None else each * study.trial_count,
        wall_seconds=None if each is None else each * rounds,
    )


def aliases(study: Study) -> str:
    """Which effects the study's design cannot tell apart, in words."""
    if study.search:
        return "not a design: samples describe, and have no effects"
    if study.design.exclude:
        return "some combinations are excluded: effects are only comparable where both cells exist"
    if study.design.kind == "fractional":
        words = " = ".join(
            _product(sorted(word)) for word in fractional.defining_words(study.design.generators)
        )
        shortest = fractional.resolution(study.design.generators)
        return f"resolution {_ROMAN.get(shortest, shortest)}, defining relation I = {words}"
    return {
        "full-factorial": "none: all main effects and interactions can be told apart",
        "leave-one-out": "every interaction: each component is judged with all others in place",
        "add-one-in": "every interaction: each component is judged without the others",
        "listed": "as the listed cells have it: compare cells, not effects",
    }[study.design.kind]


def alias_lines(study: Study) -> list[str]:
    """Main effects and two-way interactions that a fractional design confounds, a line per set of them."""
    if study.kind != "fractional":
        return []
    sets = fractional.alias_sets([factor.name for factor in study.factors], study.design.generators)
    lines = [" = ".join(_product(effect) for effect in effects) for effects in sets]
    return lines or ["main effects and two-way interactions can all be told apart"]


def _product(factors: Sequence[str]) -> str:
    return " x ".join(factors)


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    study = plan.study
    return {
        "study": study.name,
        "design": study.kind,
        **({"search": study.search.document()} if study.search else {}),
        "trial_count": study.trial_count,
        "aliases": aliases(study),
        "alias_sets": alias_lines(study),
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
    lines = [
        f"{study.name}: {study.title}",
        *([study.question] if study.question else []),
        "",
        f"reference   {describe(dict(study.reference))}",
        *(search_lines(study.search, study.seeds) if study.search else _design_lines(plan)),
        f"resources   {study.resources.cpu:g} CPU and {study.resources.gpu:g} GPU a trial",
        f"time        {_time(plan)}",
        *(["", "cells"] if plan.cells else []),
        *(f"  {cell.cell_id}  {describe(cell.labels)}" for cell in plan.cells[:_CELLS_SHOWN]),
    ]
    if len(plan.cells) > _CELLS_SHOWN:
        lines.append(f"  and {len(plan.cells) - _CELLS_SHOWN} more (--json lists them)")
    return "\n".join(lines)


def _design_lines(plan: Plan) -> list[str]:
    study = plan.study
    seeds = ", ".join(map(str, study.seeds))
    return [
        *(
            f"{'factors' if index == 0 else '':<11} {factor.name}: "
            + ", ".join(str(level.label) for level in factor.levels)
            for index, factor in enumerate(study.factors)
        ),
        f"design      {study.design.kind}",
        f"aliases     {aliases(study)}",
        *(f"{'':<11} {line}" for line in alias_lines(study)),
        f"trials      {len(plan.cells)} cells x {len(study.seeds)} seeds ({seeds}) = {len(plan.trials)}",
    ]


def _time(plan: Plan) -> str:
    if plan.wall_seconds is None or plan.study.estimate is None:
        return "unknown (the study has no estimate)"
    each = plan.study.estimate
    return (
        f"about {clock(plan.wall_seconds)} with {plan.workers} at a time "
        f"({each.seconds_per_trial:g} s a trial on {each.hardware})"
    )
