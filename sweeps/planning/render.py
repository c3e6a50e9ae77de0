"""A plan in words, and as plain data for scripts."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from byol.errors import plural
from sweeps.planning.plan import Plan
from sweeps.progress import clock
from sweeps.study import Resources, Study, fractional
from sweeps.study.designs import Cell, DesignKind, describe, describe_condition
from sweeps.study.spaces import Parameter, Scheduler, Search
from sweeps.study.study import SeedSequence

_CELLS_SHOWN = 40
_ROMAN = {3: "III", 4: "IV", 5: "V", 6: "VI", 7: "VII"}
_ALIASES: Mapping[DesignKind, str] = {
    "full-factorial": "none: all main effects and interactions can be told apart",
    "leave-one-out": "every interaction: each component is judged with all others in place",
    "add-one-in": "every interaction: each component is judged without the others",
    "listed": "depend on the cells listed: compare cells, not effects",
}


def as_text(plan: Plan) -> str:
    """The plan for people."""
    study = plan.study
    lines = [
        f"{study.name}: {study.title}",
        *([study.question] if study.question else []),
        "",
        f"reference   {describe(study.reference)}",
        *([f"length      {_length(plan.cells)}"] if plan.cells else []),
        *(_search_lines(study.search, study.seeds) if study.search else _design_lines(plan)),
        f"resources   {_resources(study.resources)}",
        f"time        {_time(plan)}",
        *([] if plan.cost is None else [f"cost        {_cost(plan)}, at the price of a worker's hour"]),
        *(f"note        {warning}" for warning in plan.warnings),
        *(["", "cells"] if plan.cells else []),
        *(f"  {cell.cell_id}  {describe(cell.labels)}" for cell in plan.cells[:_CELLS_SHOWN]),
    ]
    if len(plan.cells) > _CELLS_SHOWN:
        lines.append(f"  and {len(plan.cells) - _CELLS_SHOWN} more (--json lists them)")
    return "\n".join(lines)


def as_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    study = plan.study
    return {
        "study": study.name,
        "design": study.kind,
        **({"search": study.search.document()} if study.search else {}),
        "trial_count": study.trial_count,
        **(_sequence(plan, study.sequence) if study.sequence else {}),
        "aliases": _aliases(study),
        "alias_sets": _alias_sets(study),
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
        "resources": dataclasses.asdict(study.resources),
        "workers": plan.workers,
        "source": plan.source,
        "trial_seconds": plan.trial_seconds,
        "wall_seconds": plan.wall_seconds,
        "cost": plan.cost,
        "warnings": list(plan.warnings),
    }


def _resources(resources: Resources) -> str:
    per = "trial" if resources.pack == 1 else f"pack of up to {resources.pack:,} trials"
    return f"{resources.cpu:g} CPU and {resources.gpu:g} GPU per {per}"


def _sequence(plan: Plan, sequence: SeedSequence) -> dict[str, Any]:
    return {
        "sequence": {"min": sequence.least, "max": sequence.most, "until": "decided"},
        "fewest": {
            "trial_count": plan.fewest,
            "trial_seconds": plan.fewest_trial_seconds,
            "wall_seconds": plan.fewest_wall_seconds,
            "cost": plan.fewest_cost,
        },
    }


def _aliases(study: Study) -> str:
    """Which effects the study's design cannot tell apart, in words."""
    design = study.design
    if study.search:
        return "a search is not a design: its samples estimate no effects"
    if design.exclude:
        return "some combinations are excluded: effects are only comparable where both cells exist"
    if design.kind == "full-factorial" and any(factor.when for factor in study.factors):
        return "some factors are conditional: effects are only comparable where both cells exist"
    if design.kind == "fractional":
        words = " = ".join(_product(sorted(word)) for word in fractional.defining_words(design.generators))
        resolution = fractional.resolution(design.generators)
        return f"resolution {_ROMAN.get(resolution, resolution)}, defining relation I = {words}"
    return _ALIASES[design.kind]


def _alias_sets(study: Study) -> list[str]:
    """Main effects and two-way interactions that a fractional design confounds, a line for each set."""
    if study.kind != "fractional":
        return []
    sets = fractional.alias_sets([factor.name for factor in study.factors], study.design.generators)
    lines = [" = ".join(_product(effect) for effect in effects) for effects in sets]
    return lines or ["main effects and two-way interactions can all be told apart"]


def _product(factors: Sequence[str]) -> str:
    return " x ".join(factors)


def _design_lines(plan: Plan) -> list[str]:
    study = plan.study
    factors = (
        f"{factor.name}: {', '.join(str(level.label) for level in factor.levels)}"
        + (f" (where {describe_condition(factor)})" if factor.when else "")
        for factor in study.factors
    )
    return [
        *_titled("factors", factors),
        f"design      {study.design.kind}",
        f"aliases     {_aliases(study)}",
        *(f"{'':<11} {line}" for line in _alias_sets(study)),
        f"trials      {plural(len(plan.cells), 'cell')} x {_seeds(study)} = "
        + _range(plan.fewest, len(plan.trials)),
    ]


def _seeds(study: Study) -> str:
    if study.sequence is None:
        return f"{plural(len(study.seeds), 'seed')} ({', '.join(map(str, study.seeds))})"
    return f"{study.sequence.least} to {study.sequence.most} seeds (until the verdict is settled)"


def _range(fewest: object, most: object) -> str:
    """`12 to 40`; `40` if both are that."""
    return f"{most}" if fewest == most else f"{fewest} to {most}"


def _search_lines(search: Search, seeds: Sequence[int]) -> list[str]:
    objectives = ", ".join(f"{direction} {name}" for name, direction in search.objectives.items())
    return [
        f"search      {search.sampler} (seed {search.sampler_seed}): {objectives}",
        *_titled("space", map(_parameter, search.space)),
        f"scheduler   {_scheduler(search.scheduler)}",
        f"trials      {plural(search.trials, 'sample')} with seed {search.trial_seed}, then the best of them "
        f"with {plural(len(seeds), 'fresh seed')} ({', '.join(map(str, seeds))}) = "
        f"{search.trials + len(seeds)}",
    ]


def _titled(title: str, lines: Iterable[str]) -> Iterator[str]:
    """The lines in the second column, with the title in the first column of the first."""
    for index, line in enumerate(lines):
        yield f"{'' if index else title:<11} {line}"


def _parameter(parameter: Parameter) -> str:
    values = ", ".join(map(str, parameter.choices)) or f"{parameter.low:g} to {parameter.high:g}"
    scale = ", on a logarithmic scale" if parameter.log else ""
    when = " and ".join(
        f"{name} is {' or '.join(map(str, allowed))}" for name, allowed in parameter.when.items()
    )
    return f"{parameter.name}: {values}{scale}" + (f" (where {when})" if when else "")


def _scheduler(scheduler: Scheduler) -> str:
    if scheduler.kind == "none":
        return "none: every sample runs to its end"
    rungs = f"; one in {scheduler.reduction} continues at each rung" if scheduler.reduction else ""
    return f"{scheduler.kind}: nothing is stopped before step {scheduler.grace_steps}{rungs}"


def _time(plan: Plan) -> str:
    if plan.wall_seconds is None or plan.trial_seconds is None:
        return "unknown (--calibrate measures it)"
    assert plan.fewest_wall_seconds is not None
    assert plan.fewest_trial_seconds is not None
    walls = _range(clock(plan.fewest_wall_seconds), clock(plan.wall_seconds))
    hours = _range(f"{plan.fewest_trial_seconds / 3600:.2f}", f"{plan.trial_seconds / 3600:.2f}")
    return f"about {walls} with {plan.workers} at a time, {hours} trial-hours ({plan.source})"


def _cost(plan: Plan) -> str:
    return _range(f"{plan.fewest_cost:,.2f}", f"{plan.cost:,.2f}")


def _length(cells: Sequence[Cell]) -> str:
    """Data, image size and length of the trials, which a study may leave to its bundles and defaults."""
    lengths: dict[str, None] = {}  # in order, without duplicates
    for config in (cell.config for cell in cells):
        length = plural(config.steps, "step") if config.steps else _epochs(config.epochs)
        images = f"{config.train_images or 'all'} images of {config.dataset} at {config.image_size} px"
        lengths[f"{length} of {config.batch_size} on {images}, {config.encoder}"] = None
    first, *others = lengths
    return first + (f", and {plural(len(others), 'more length')}" if others else "")


def _epochs(number: float) -> str:
    return "1 epoch" if number == 1 else f"{number:g} epochs"
