"""What a study will do, said before anything starts."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byol.config import NAMED_SETS
from sweeps.planning.estimates import Estimate, wall_seconds
from sweeps.planning.search_plan import search_lines
from sweeps.progress import clock
from sweeps.study import Study, fractional
from sweeps.study.designs import Cell, Trial, describe, describe_condition

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
    source: str | None
    """Where the times come from; None if nothing is known."""
    trial_seconds: float | None
    """Estimated wall seconds of all trials one after the other; None likewise."""
    wall_seconds: float | None
    """Estimated wall seconds of the sweep, its schedule simulated; None likewise."""
    cost: float | None
    """Estimated cost, in the unit of the price; None without a price."""
    warnings: tuple[str, ...]
    """What is legal, but may surprise."""


def make_plan(
    study: Study, *, workers: int | None = None, estimate: Estimate | None = None, price: float | None = None
) -> Plan:
    """Counts a study out.

    Args:
        study: the study.
        workers: trials at a time; None is as many as this machine's CPUs hold.
        estimate: what trials take; None if nothing is known.
        price: of one hour of a worker, that is of the room that one trial takes.
    """
    cells = study.cells()
    trials = study.trials()
    at_a_time = workers or max(1, int((os.cpu_count() or 1) / study.resources.cpu))
    spent = wall = None
    if estimate is not None and study.search:  # its winner waits for the last sample
        rounds = -(-study.search.trials // at_a_time) - (-len(study.seeds) // at_a_time)
        spent, wall = estimate.each * study.trial_count, estimate.each * rounds
    elif estimate is not None:
        spent = sum(estimate.seconds[trial.cell_id] for trial in trials)
        wall = wall_seconds(trials, estimate, at_a_time)
    return Plan(
        study=study,
        cells=cells,
        trials=trials,
        workers=at_a_time,
        source=None if estimate is None else estimate.source,
        trial_seconds=spent,
        wall_seconds=wall,
        cost=None if price is None or spent is None else price * spent / 3600,
        warnings=tuple(_warnings(study, cells)),
    )


def _warnings(study: Study, cells: Sequence[Cell]) -> Iterator[str]:
    for dataset in dict.fromkeys(cell.config.dataset for cell in cells):
        if dataset not in NAMED_SETS:
            if not Path(dataset.partition(":")[2]).expanduser().exists():
                yield f"{dataset} is not on this machine"
        elif dataset != NAMED_SETS[0]:
            yield f"{dataset} is downloaded unless --data-root holds it"
    if study.resources.gpu and not any(Path("/dev").glob("nvidia[0-9]*")):
        yield f"a trial asks for {study.resources.gpu:g} GPU, and this machine shows none"
    if study.resources.cpu > (os.cpu_count() or 1):
        yield f"a trial asks for {study.resources.cpu:g} CPUs, and this machine has {os.cpu_count()}"


def aliases(study: Study) -> str:
    """Which effects the study's design cannot tell apart, in words."""
    if study.search:
        return "not a design: samples describe, and have no effects"
    if study.design.exclude:
        return "some combinations are excluded: effects are only comparable where both cells exist"
    if study.design.kind == "full-factorial" and any(factor.when for factor in study.factors):
        return "some factors are conditional: effects are only comparable where both cells exist"
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
        "conditions": {
            factor.name: {name: list(labels) for name, labels in factor.when.items()}
            for factor in study.factors
            if factor.when
        },
        "seeds": list(study.seeds),
        "cells": [{"cell_id": cell.cell_id, **cell.labels} for cell in plan.cells],
        "trials": [
            {"trial_id": trial.trial_id, "cell_id": trial.cell_id, "seed": trial.seed}
            for trial in plan.trials
        ],
        "resources": {"cpu": study.resources.cpu, "gpu": study.resources.gpu},
        "workers": plan.workers,
        "source": plan.source,
        "trial_seconds": plan.trial_seconds,
        "wall_seconds": plan.wall_seconds,
        "cost": plan.cost,
        "warnings": list(plan.warnings),
    }


def as_text(plan: Plan) -> str:
    """The plan for people."""
    study = plan.study
    lines = [
        f"{study.name}: {study.title}",
        *([study.question] if study.question else []),
        "",
        f"reference   {describe(dict(study.reference))}",
        *([f"length      {_lengths(plan.cells)}"] if plan.cells else []),
        *(search_lines(study.search, study.seeds) if study.search else _design_lines(plan)),
        f"resources   {study.resources.cpu:g} CPU and {study.resources.gpu:g} GPU a trial",
        f"time        {_time(plan)}",
        *([] if plan.cost is None else [f"cost        {plan.cost:,.2f}, at the price of a worker's hour"]),
        *(f"note        {warning}" for warning in plan.warnings),
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
            + (f" (where {describe_condition(factor)})" if factor.when else "")
            for index, factor in enumerate(study.factors)
        ),
        f"design      {study.design.kind}",
        f"aliases     {aliases(study)}",
        *(f"{'':<11} {line}" for line in alias_lines(study)),
        f"trials      {len(plan.cells)} cells x {len(study.seeds)} seeds ({seeds}) = {len(plan.trials)}",
    ]


def _time(plan: Plan) -> str:
    if plan.wall_seconds is None or plan.trial_seconds is None:
        return "unknown (--calibrate measures it)"
    hours = plan.trial_seconds / 3600
    return (
        f"about {clock(plan.wall_seconds)} with {plan.workers} at a time, {hours:.2f} trial-hours "
        f"({plan.source})"
    )


def _lengths(cells: Sequence[Cell]) -> str:
    """What the bundles imply and a study need not say: data, size and length of the trials."""
    found = []
    for config in (cell.config for cell in cells):
        length = f"{config.steps} steps" if config.steps else f"{config.epochs:g} epochs"
        images = f"{config.train_images or 'all'} images of {config.dataset} at {config.image_size} px"
        found.append(f"{length} of {config.batch_size} on {images}, {config.encoder}")
    distinct = list(dict.fromkeys(found))
    return distinct[0] + (f", and {len(distinct) - 1} more lengths" if len(distinct) > 1 else "")
