"""The `search` section of a study file, read and checked. Imports neither ray nor optuna.

So `plan` answers at once; sweeps/search.py does what is said here.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from byol.config import Scalar, TrialConfig
from byol.errors import ConfigError, nearest
from byol.measure.collapse import CollapseRule
from byol.presets import SETTING_NAMES
from sweeps.errors import StudyError
from sweeps.study.designs import CellError, describe
from sweeps.study.entries import Entry
from sweeps.study.samples import corner_configs
from sweeps.study.spaces import Parameter, Scheduler, Search

OBJECTIVES = (
    "knn_accuracy",
    "probe_accuracy",
    "representation_std",
    "projection_std",
    "effective_rank",
    "wall_seconds",
)
"""What can be searched for: columns of the table of trials."""

SAMPLERS = ("tpe", "random")
SCHEDULERS = ("none", "asha", "median")

_FIXED = (
    *("seed", "dataset", "train_images", "image_size", "eval_every", "eval_images"),
    *("knn_every", "knn_k", "knn_temperature", "probe"),
)
"""Settings that decide on what, or how, the objectives are measured."""

_AT_THE_END = ("probe_accuracy", "wall_seconds")
"""Objectives that say nothing before the end."""

_LOSS = "must not be the loss: a collapsed trial has the lowest of all, so ranking by it prefers collapse"


def read_search(
    entry: Entry, reference: Mapping[str, Scalar], seeds: Sequence[int], rule: CollapseRule
) -> Search:
    """Reads and checks the section.

    Args:
        entry: the section.
        reference: the study's reference, over which each sample's values are laid.
        seeds: the study's seeds, on which the winner runs again.
        rule: the study's collapse rule.

    Raises:
        StudyError: for a search that breaks a rule.
    """
    parts = entry.mapping([item.name for item in dataclasses.fields(Search)])
    for required in ("trials", "space"):
        if required not in parts:
            raise entry.error("is missing", key=f"search.{required}")
    search = Search(
        sampler=_one_of(parts["sampler"], SAMPLERS) if "sampler" in parts else "tpe",
        trials=parts["trials"].whole(1),
        sampler_seed=_seed(parts.get("sampler_seed"), 0),
        trial_seed=_seed(parts.get("trial_seed"), 1000),
        objectives=_objectives(parts.get("objectives")),
        space=_space(parts["space"]),
        scheduler=_scheduler(parts.get("scheduler")),
    )
    if search.trial_seed in seeds:
        raise parts.get("trial_seed", entry).error(
            "must not be among the study's seeds, on which the winner is judged afresh "
            f"({', '.join(map(str, seeds))})",
            key="search.trial_seed",
            value=search.trial_seed,
        )
    _check_corners(entry, parts, reference, search, rule)
    return search


def _one_of(entry: Entry, valid: Sequence[str]) -> str:
    if entry.text() not in valid:
        raise entry.wrong(f"must be one of {', '.join(valid)}", nearest(entry.text(), valid))
    return entry.text()


def _seed(entry: Entry | None, default: int) -> int:
    if entry is None:
        return default
    if entry.whole(0) >= 2**31:
        raise entry.wrong("must be below 2**31")
    return entry.whole(0)


def _objectives(entry: Entry | None) -> dict[str, str]:
    if entry is None:
        return {"knn_accuracy": "maximize"}
    for name, item in entry.mapping().items():
        if name == "loss":
            raise item.wrong(_LOSS)
        if name not in OBJECTIVES:
            hint = nearest(name, OBJECTIVES) or f" (known: {', '.join(OBJECTIVES)})"
            raise item.error("cannot be searched for", hint=hint)
    objectives = {name: _one_of(item, ("maximize", "minimize")) for name, item in entry.mapping().items()}
    if not objectives:
        raise entry.wrong("must name at least one objective")
    return objectives


def _space(entry: Entry) -> tuple[Parameter, ...]:
    space: dict[str, Parameter] = {}
    for name, item in entry.mapping().items():
        if name in _FIXED:
            raise item.wrong("must be alike in all samples, or their objectives cannot be compared")
        if name not in SETTING_NAMES:
            raise item.error("is not a setting", hint=nearest(name, SETTING_NAMES))
        space[name] = _parameter(name, item, space)
    if not space:
        raise entry.wrong("must name at least one setting")
    return tuple(space.values())


def _parameter(name: str, entry: Entry, earlier: Mapping[str, Parameter]) -> Parameter:
    parts = entry.mapping(("low", "high", "log", "choices", "when"))
    when = _when(parts["when"], earlier) if "when" in parts else {}
    if "choices" in parts:
        if len(parts) > 1 + ("when" in parts):
            raise entry.wrong("must have either choices or low and high")
        return Parameter(name=name, choices=_choices(name, parts["choices"]), when=when)
    if not {"low", "high"} <= set(parts):
        raise entry.wrong("must have low and high, or choices")
    default = TrialConfig().to_settings().get(name)
    if isinstance(default, str | bool | None):
        raise entry.wrong("must have choices, for it is not a number")
    low, high = (_end(parts[key], whole=isinstance(default, int)) for key in ("low", "high"))
    if low >= high:
        raise parts["high"].wrong(f"must be above low = {low:g}")
    log = parts["log"].flag() if "log" in parts else False
    if log and low <= 0:
        raise parts["low"].wrong("must be above 0 for a logarithmic range")
    return Parameter(name=name, low=low, high=high, log=log, when=when)


def _end(entry: Entry, *, whole: bool) -> float:
    value = entry.value
    fits = isinstance(value, int) or (not whole and isinstance(value, float) and abs(value) < float("inf"))
    if isinstance(value, bool) or not fits:
        raise entry.wrong("must be a whole number" if whole else "must be a finite number")
    return value if whole else float(value)  # type: ignore[arg-type,return-value]  # checked above


def _choices(name: str, entry: Entry) -> tuple[Scalar, ...]:
    real = isinstance(TrialConfig().to_settings().get(name), float)
    values = [item.scalar() for item in entry.items()]
    if real:  # the column of a parameter has one type
        values = [float(value) if type(value) is int else value for value in values]
    if len({type(value) for value in values}) != 1 or len(set(values)) < len(values):
        raise entry.wrong("must be a list of distinct values of one type")
    return tuple(values)


def _when(entry: Entry, earlier: Mapping[str, Parameter]) -> dict[str, tuple[Scalar, ...]]:
    when = {}
    for name, item in entry.mapping().items():
        if name not in earlier or not earlier[name].choices:
            names = [one.name for one in earlier.values() if one.choices]
            raise item.error("is not an earlier parameter with choices", hint=nearest(name, names))
        choices = earlier[name].choices
        allowed = _choices(name, item)
        for value in allowed:
            if value not in choices:
                raise item.wrong(f"must list choices of {name} ({', '.join(map(str, choices))})")
        when[name] = allowed
    return when


def _scheduler(entry: Entry | None) -> Scheduler:
    if entry is None:
        return Scheduler()
    parts = {"kind": entry}
    if isinstance(entry.value, dict):
        parts = entry.mapping(("kind", "grace_steps", "reduction"))
        if "kind" not in parts:
            raise entry.wrong(f"must have a kind ({', '.join(SCHEDULERS)})")
    kind = _one_of(parts["kind"], SCHEDULERS)
    if kind == "none":
        if len(parts) > 1:
            raise entry.wrong("must have nothing beside its kind where that is none")
        return Scheduler()
    if "grace_steps" not in parts:
        raise entry.wrong(f"must state grace_steps, the steps before which nothing is stopped: "
                          f"{{kind: {kind}, grace_steps: ...}}")  # fmt: skip
    if kind == "median" and "reduction" in parts:
        raise parts["reduction"].wrong("must stand only where the kind is asha")
    reduction = parts["reduction"].whole(2) if "reduction" in parts else 3
    return Scheduler(
        kind=kind, grace_steps=parts["grace_steps"].whole(1), reduction=reduction if kind == "asha" else 0
    )


def _check_corners(
    entry: Entry,
    parts: Mapping[str, Entry],
    reference: Mapping[str, Scalar],
    search: Search,
    rule: CollapseRule,
) -> None:
    """Builds the corners of the space; checks that each objective is measured when it has to be."""
    try:
        configs = [config for _, config in corner_configs(reference, search)]
    except CellError as error:
        raise _located(error, parts["space"]) from None
    objectives = parts.get("objectives", entry)
    if "probe_accuracy" in search.objectives and not configs[0].probe:
        raise objectives.wrong("probe_accuracy is only measured with probe: true in the reference")
    knn_is_late = any(config.knn_every != config.eval_every for config in configs)
    if rule.stop and "knn_accuracy" in search.objectives and knn_is_late:
        raise objectives.wrong(
            "knn_accuracy must be measured each time (knn_every equal to eval_every) where collapse.stop is "
            "true, or stopped samples would have none"
        )
    if search.scheduler.kind == "none":
        return
    scheduler = parts["scheduler"]
    if len(search.objectives) > 1:
        raise scheduler.wrong("must be none with several objectives, for it ranks by one")
    name = next(iter(search.objectives))
    if name in _AT_THE_END:
        raise scheduler.wrong(f"must be none for {name}, which ranks nothing before the end")
    if name == "knn_accuracy" and knn_is_late:
        raise scheduler.wrong(
            "ranks by knn_accuracy at each measurement, so knn_every must equal eval_every "
            f"(they are {configs[0].knn_every} and {configs[0].eval_every})"
        )
    lengths = {(one.steps, one.epochs, one.batch_size if one.epochs else 0) for one in configs}
    if len(lengths) > 1:
        raise scheduler.wrong("compares samples at equal steps, so all must have the same length")


def _located(error: CellError, space: Entry) -> StudyError:
    assert isinstance(error.cause, ConfigError)
    setter = space.mapping().get(error.cause.key, space)
    return setter.refused(error.cause, f"in the sample {describe(error.labels)}")
