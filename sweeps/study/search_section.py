"""The `search` section of a study file, read and checked. Imports neither ray nor optuna: `plan` is quick."""

import dataclasses
from collections.abc import Mapping, Sequence

from byol.config import Scalar, TrialConfig, default_value
from byol.errors import ConfigError, listed, nearest
from byol.measure.collapse import CollapseRule
from byol.own_parts import is_part_setting
from byol.presets import SETTING_NAMES, is_setting
from sweeps.errors import StudyError
from sweeps.study import limits
from sweeps.study.designs import CellError, describe
from sweeps.study.entries import Entry, is_finite
from sweeps.study.samples import corner_configs
from sweeps.study.spaces import DIRECTIONS, SAMPLERS, SCHEDULERS, Direction, Parameter, Scheduler, Search

OBJECTIVES = (
    "knn_accuracy",
    "probe_accuracy",
    "representation_std",
    "projection_std",
    "effective_rank",
    "wall_seconds",
)
"""What a search can optimise: columns of the table of trials."""

_FIXED = (
    *("seed", "dataset", "train_images", "image_size", "eval_every", "eval_images"),
    *("knn_every", "knn_k", "knn_temperature", "probe", "metrics"),
)
"""Settings that decide on what data, or how, the objectives are measured."""

_AT_THE_END = ("probe_accuracy", "wall_seconds")
"""Objectives that have no value before the end of a trial."""


def read_search(
    entry: Entry, reference: Mapping[str, Scalar], seeds: Sequence[int], rule: CollapseRule
) -> Search:
    """Reads and checks the section.

    Args:
        entry: the section.
        reference: the study's reference, which each sample's values override.
        seeds: the study's seeds, with which the winner runs again.
        rule: the study's collapse rule.

    Raises:
        StudyError: for a search that breaks a rule.
    """
    parts = entry.mapping([field.name for field in dataclasses.fields(Search)])
    for required in ("trials", "space"):
        if required not in parts:
            raise entry.error("is missing", key=f"search.{required}")
    search = Search(
        sampler=parts["sampler"].option(SAMPLERS) if "sampler" in parts else "tpe",
        trials=parts["trials"].whole(1, limits.MOST_TRIALS),
        sampler_seed=_read_seed(parts.get("sampler_seed"), 0),
        trial_seed=_read_seed(parts.get("trial_seed"), 1000),
        objectives=_read_objectives(parts.get("objectives")),
        space=_read_space(parts["space"]),
        scheduler=_read_scheduler(parts.get("scheduler")),
    )
    if search.trial_seed in seeds:
        raise parts.get("trial_seed", entry).error(
            f"must not be among the study's seeds ({listed(seeds)}), which are for the winner's fresh trials",
            key="search.trial_seed",
            value=search.trial_seed,
        )
    _check_corners(entry, parts, reference, search, rule)
    return search


def _read_seed(entry: Entry | None, default: int) -> int:
    if entry is None:
        return default
    if entry.whole(0) >= 2**31:
        raise entry.wrong_value("must be below 2**31")
    return entry.whole(0)


def _read_objectives(entry: Entry | None) -> dict[str, Direction]:
    if entry is None:
        return {"knn_accuracy": "maximize"}
    for name, item in entry.mapping().items():
        if name == "loss":
            raise item.error(
                "must not be the loss: a collapsed trial has the lowest loss of all, so a search for it "
                "would prefer collapse"
            )
        if name not in OBJECTIVES:
            hint = nearest(name, OBJECTIVES) or f" (valid: {', '.join(OBJECTIVES)})"
            raise item.error("is not an objective", hint=hint)
    objectives = {name: item.option(DIRECTIONS) for name, item in entry.mapping().items()}
    if not objectives:
        raise entry.error("must name at least one objective, but is empty")
    return objectives


def _read_space(entry: Entry) -> tuple[Parameter, ...]:
    space: dict[str, Parameter] = {}
    for name, item in entry.mapping().items():
        if name in _FIXED or name.startswith("dataset."):
            raise item.error("must be the same in all samples, or their objectives cannot be compared")
        if not is_setting(name):
            raise item.error("is not a setting", hint=nearest(name, SETTING_NAMES))
        space[name] = _read_parameter(name, item, space)
    if not space:
        raise entry.error("must name at least one setting, but is empty")
    return tuple(space.values())


def _read_parameter(name: str, entry: Entry, earlier: Mapping[str, Parameter]) -> Parameter:
    parts = entry.mapping(("low", "high", "log", "choices", "when"))
    when = _read_when(parts["when"], earlier) if "when" in parts else {}
    if "choices" in parts:
        if len(parts) > 1 + ("when" in parts):
            raise entry.error("must have either choices or low and high")
        return Parameter(name=name, choices=_read_choices(name, parts["choices"]), when=when)
    if not {"low", "high"} <= set(parts):
        raise entry.error("must have low and high, or choices")
    # A setting of a part of your own has no default: its lower end says whether it is a whole number.
    default = parts["low"].value if is_part_setting(name) else default_value(name)
    if not is_finite(default):
        raise entry.error("must have choices, because it is not a number")
    low, high = (_read_end(parts[key], whole=isinstance(default, int)) for key in ("low", "high"))
    if low >= high:
        raise parts["high"].wrong_value(f"must be above low = {low:g}")
    log = parts["log"].flag() if "log" in parts else False
    if log and low <= 0:
        raise parts["low"].wrong_value("must be above 0 for a logarithmic range")
    return Parameter(name=name, low=low, high=high, log=log, when=when)


def _read_end(entry: Entry, *, whole: bool) -> float:
    value = entry.value
    if whole and isinstance(value, int) and not isinstance(value, bool):
        return value
    if not whole and is_finite(value):
        return float(value)
    raise entry.wrong_value("must be a whole number" if whole else "must be a finite number")


def _read_choices(name: str, entry: Entry) -> tuple[Scalar, ...]:
    is_float = isinstance(default_value(name), float)
    entry.at_most(limits.MOST_LEVELS, "choices")
    values = [item.scalar() for item in entry.items()]
    if is_float:  # the column of a parameter has one type
        values = [float(value) if is_finite(value) else value for value in values]
    if len({type(value) for value in values}) != 1 or len(set(values)) < len(values):
        raise entry.error("must be a list of distinct values of one type")
    return tuple(values)


def _read_when(entry: Entry, earlier: Mapping[str, Parameter]) -> dict[str, tuple[Scalar, ...]]:
    when = {}
    for name, item in entry.mapping().items():
        if name not in earlier or not earlier[name].choices:
            names = [parameter.name for parameter in earlier.values() if parameter.choices]
            raise item.error("is not an earlier parameter with choices", hint=nearest(name, names))
        choices = earlier[name].choices
        allowed = _read_choices(name, item)
        for value in allowed:
            if value not in choices:
                rule = f"must list choices of {name} ({listed(choices)})"
                raise item.error(rule, value=value)
        when[name] = allowed
    return when


def _read_scheduler(entry: Entry | None) -> Scheduler:
    if entry is None:
        return Scheduler()
    parts = {"kind": entry}
    if isinstance(entry.value, dict):
        parts = entry.mapping(("kind", "grace_steps", "reduction"))
        if "kind" not in parts:
            raise entry.error(f"must have a kind ({', '.join(SCHEDULERS)})")
    kind = parts["kind"].option(SCHEDULERS)
    if kind == "none":
        if len(parts) > 1:
            raise entry.error("must have no other keys if its kind is none")
        return Scheduler()
    if "grace_steps" not in parts:
        raise entry.error(
            "must state grace_steps, the steps before which nothing is stopped: "
            f"{{kind: {kind}, grace_steps: ...}}"
        )
    if kind == "median" and "reduction" in parts:
        raise parts["reduction"].wrong_value("must be left out unless the kind is asha")
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
        raise objectives.error("probe_accuracy is only measured with probe: true in the reference")
    knn_is_late = any(config.knn_every != config.eval_every for config in configs)
    if rule.stop and "knn_accuracy" in search.objectives and knn_is_late:
        raise objectives.error(
            "knn_accuracy must be measured each time (knn_every equal to eval_every) if collapse.stop is "
            "true, or stopped samples would have none"
        )
    if search.scheduler.kind != "none":
        _check_scheduler(parts["scheduler"], search, configs)


def _check_scheduler(entry: Entry, search: Search, configs: Sequence[TrialConfig]) -> None:
    """Checks that a scheduler can compare the samples at each measurement."""
    if len(search.objectives) > 1:
        raise entry.error("must be none with several objectives, because it ranks by one")
    [objective] = search.objectives
    if objective in _AT_THE_END:
        raise entry.error(f"must be none for {objective}, which has no value before the end")
    if objective == "knn_accuracy" and any(config.knn_every != config.eval_every for config in configs):
        raise entry.error(
            "ranks by knn_accuracy at each measurement, so knn_every must equal eval_every "
            f"(they are {configs[0].knn_every} and {configs[0].eval_every})"
        )
    lengths = {(config.steps, config.epochs, config.batch_size if config.epochs else 0) for config in configs}
    if len(lengths) > 1:
        raise entry.error("compares samples at equal steps, so all must have the same length")


def _located(error: CellError, space: Entry) -> StudyError:
    assert isinstance(error.cause, ConfigError)
    setter = space.mapping().get(error.cause.key, space)
    return setter.refused(error.cause, f"in the sample {describe(error.labels)}")
