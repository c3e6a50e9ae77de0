"""The `factors` section of a study file, and settings."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from byol.config import Scalar, TrialConfig
from byol.errors import nearest
from byol.presets import SETTING_NAMES
from sweeps.study.designs import Factor, Level
from sweeps.study.entries import Entry


def read_settings(entry: Entry) -> dict[str, Scalar]:
    """Reads settings of a trial by name; their values are checked with the cells.

    Raises:
        StudyError: for what is no setting, or the seed.
    """
    settings: dict[str, Scalar] = {}
    for key, value in entry.mapping().items():
        if key == "seed":
            raise value.wrong("is set by the study's seeds")
        if key not in SETTING_NAMES:
            raise value.error("is not a setting", hint=nearest(key, SETTING_NAMES))
        settings[key] = value.scalar()
    return settings


def read_factors(entry: Entry) -> tuple[Factor, ...]:
    """Reads and checks the factors, as they are written or as a resolved study lists them.

    Raises:
        StudyError: for a factor that breaks a rule.
    """
    factors: list[Factor] = []
    if isinstance(entry.value, list):
        for item in entry.value:
            factors.append(_resolved_factor(item, factors))
    else:
        for name, item in entry.mapping().items():
            factors.append(_factor(name, item, factors))
    if not factors:
        raise entry.wrong("must name at least one factor")
    seen: dict[str, str] = {}
    for factor in factors:
        for key in {key for level in factor.levels for key in level.settings}:
            if key in seen:
                both = "stands twice" if seen[key] == factor.name else f"and {seen[key]} both set {key}"
                raise entry.error(both, key=f"factors.{factor.name}")
            seen[key] = factor.name
    return tuple(factors)


def factor_document(factor: Factor) -> dict[str, object]:
    """A factor as plain data, as a resolved study lists it."""
    document: dict[str, object] = {
        "name": factor.name,
        "levels": [dataclasses.asdict(level) for level in factor.levels],
    }
    if factor.when:
        document["when"] = {name: list(labels) for name, labels in factor.when.items()}
    return document


def _factor(name: str, entry: Entry, earlier: Sequence[Factor]) -> Factor:
    conditional = isinstance(entry.value, dict) and "when" in entry.value
    parts = entry.mapping(("levels", "when")) if conditional else {"levels": entry}
    if "levels" not in parts:
        raise entry.wrong("must have levels beside when")
    below = parts["levels"]
    if isinstance(below.value, dict):
        levels = [
            Level(label=label, settings=read_settings(settings)) for label, settings in below.value.items()
        ]
    else:
        if name not in SETTING_NAMES or name == "seed":
            free = "; a factor of a free name needs levels that say what they set"
            raise entry.error("is not a setting", hint=nearest(name, SETTING_NAMES) + free)
        levels = [_plain_level(name, item) for item in below.items()]
    return _checked_factor(name, levels, below, _when(parts.get("when"), earlier))


def _plain_level(name: str, entry: Entry) -> Level:
    value = entry.scalar()
    default = TrialConfig().to_settings().get(name)
    if isinstance(default, float) and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)  # the column of a factor has one type
    return Level(label=value, settings={name: value})


def _resolved_factor(entry: Entry, earlier: Sequence[Factor]) -> Factor:
    parts = entry.mapping(("name", "levels", "when"))
    if "name" not in parts or "levels" not in parts:
        raise entry.wrong("must have a name and levels")
    levels = []
    for item in parts["levels"].items():
        level = item.mapping(("label", "settings"))
        if len(level) < 2:
            raise item.wrong("must have a label and settings")
        levels.append(Level(label=level["label"].scalar(), settings=read_settings(level["settings"])))
    when = _when(parts.get("when"), earlier)
    return _checked_factor(parts["name"].text(), levels, parts["levels"], when)


def _when(entry: Entry | None, earlier: Sequence[Factor]) -> dict[str, tuple[Scalar, ...]]:
    if entry is None:
        return {}
    by_name = {factor.name: factor for factor in earlier}
    found: dict[str, tuple[Scalar, ...]] = {}
    for name, item in entry.mapping().items():
        if name not in by_name:
            hint = nearest(name, by_name) or f" (declared so far: {', '.join(by_name) or 'none'})"
            raise item.error("is not a factor that is declared earlier", hint=hint)
        listed = item.value if isinstance(item.value, list) else [item]
        found[name] = tuple(read_label(label, by_name[name]) for label in listed)
        if not found[name] or len(set(found[name])) < len(found[name]):
            raise item.wrong(f"must name a level of {name}, or several distinct ones")
    if not found:
        raise entry.wrong("must name at least one factor that is declared earlier")
    return found


def read_label(entry: Entry, factor: Factor) -> Scalar:
    """Reads the label of one of the factor's levels.

    Raises:
        StudyError: for a label that it does not have.
    """
    valid = [level.label for level in factor.levels]
    value = entry.scalar()
    if value not in valid or isinstance(value, bool) != isinstance(valid[0], bool):
        raise entry.wrong(f"must be one of {', '.join(map(str, valid))}", nearest(value, map(str, valid)))
    return valid[valid.index(value)]


def _checked_factor(
    name: str, levels: list[Level], entry: Entry, when: Mapping[str, tuple[Scalar, ...]]
) -> Factor:
    if not re.fullmatch(r"[a-z][a-z0-9_.]*", name):
        raise entry.wrong("must have a name of lower-case letters, digits and underscores")
    if not levels:
        raise entry.error("must have at least one level, but is empty")
    labels = [level.label for level in levels]
    types = {type(label).__name__ for label in labels}
    if len(types) > 1:
        raise entry.wrong(f"must have levels of one type, not {' and '.join(sorted(types))}")
    for index, label in enumerate(labels):
        if label in labels[:index]:
            raise entry.error(f"the level {label!r} stands twice")
        if label == "not set":  # the report's words for a factor that does not apply
            raise entry.wrong('must not have a level called "not set"')
    return Factor(name=name, levels=tuple(levels), when=when)
