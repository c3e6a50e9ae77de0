"""What a search will do, in words, for the plan."""

from sweeps.study.spaces import Parameter, Search


def search_lines(search: Search, seeds: tuple[int, ...]) -> list[str]:
    """The lines of the plan that stand for a design's."""
    goals = ", ".join(f"{way} {name}" for name, way in search.objectives.items())
    names = [*("space" for _ in search.space[:1]), *("" for _ in search.space[1:])]
    count = search.trials + len(seeds)
    return [
        f"search      {search.sampler} (seed {search.sampler_seed}): {goals}",
        *(f"{name:<11} {_parameter(one)}" for name, one in zip(names, search.space, strict=True)),
        f"scheduler   {_scheduler(search)}",
        f"trials      {search.trials} samples with seed {search.trial_seed}, then the best of them with "
        f"{len(seeds)} fresh seeds ({', '.join(map(str, seeds))}) = {count}",
    ]


def _parameter(one: Parameter) -> str:
    what = ", ".join(map(str, one.choices)) or f"{one.low:g} to {one.high:g}"
    what += ", by orders of magnitude" if one.log else ""
    when = [f"{name} is {' or '.join(map(str, allowed))}" for name, allowed in one.when.items()]
    return f"{one.name}: {what}" + (f" (where {' and '.join(when)})" if when else "")


def _scheduler(search: Search) -> str:
    own = search.scheduler
    if own.kind == "none":
        return "none: every sample runs to its end"
    rung = f", one in {own.reduction} goes on" if own.reduction else ""
    return f"{own.kind}: nothing is stopped before step {own.grace_steps}{rung}"
