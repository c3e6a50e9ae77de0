"""The `factors` section of a study file, and settings."""

import dataclasses
import re
from collections.abc import Mapping, Sequence

from byol.config import Scalar, default_value
from byol.errors import listed as named
from byol.errors import nearest
from byol.presets import SETTING_NAMES, is_setting
from sweeps.study import limits
from sweeps.study.designs import Design, Factor, Level
from sweeps.study.entries import Entry, is_finite


def read_settings(entry: Entry) -> dict[str, Scalar]:
    """Reads settings of a trial by name; their values are checked with the cells.

    Raises:
        StudyError: for a key that is not a setting, or is the seed.
    """
    settings: dict[str, Scalar] = {}
    for key, value in entry.mapping().items():
        if key == "seed":
            raise value.error("is set by the study's seeds; leave it out")
        if not is_setting(key):
            raise value.error("is not a setting", hint=nearest(key, SETTING_NAMES))
        is_list = key == "metrics" and isinstance(value.value, list)
        settings[key] = ",".join(item.text() for item in value.items()) if is_list else value.scalar()
    return settings


def read_factors(entry: Entry) -> tuple[Factor, ...]:
    """Reads and checks the factors, written by hand or as a resolved study lists them.

    Raises:
        StudyError: for a factor that breaks a rule.
    """
    factors: list[Factor] = []
    entry.at_most(limits.MOST_FACTORS, "factors")
    if isinstance(entry.value, list):
        for item in entry.value:
            factors.append(_read_resolved_factor(item, factors))
    else:
        for name, item in entry.mapping().items():
            factors.append(_read_factor(name, item, factors))
    if not factors:
        raise entry.error("must name at least one factor, but is empty")
    names: set[str] = set()
    for factor in factors:
        if factor.name in names:
            raise entry.error("duplicate factor", key=f"factors.{factor.name}")
        names.add(factor.name)
    return tuple(factors)


def check_shared_settings(entry: Entry, factors: Sequence[Factor], design: Design) -> None:
    """Checks that no cell of the design could set one setting by two factors.

    A leave-one-out design never moves two factors at once. So two of its factors may set the same setting, as
    long as their first levels leave it to the reference.

    Raises:
        StudyError: for a setting that two factors set.
    """
    setters: dict[str, tuple[str, bool]] = {}
    for factor in factors:
        first = set(factor.levels[0].settings)
        for key in sorted({key for level in factor.levels for key in level.settings}):
            other, by_first = setters.get(key, ("", False))
            if other and (design.kind != "leave-one-out" or by_first or key in first):
                rule = f"sets {key}, which the factor {other} sets too"
                raise entry.error(rule, key=f"factors.{factor.name}")
            setters[key] = (factor.name, by_first or key in first)


def factor_document(factor: Factor) -> dict[str, object]:
    """A factor as plain data, as a resolved study lists it."""
    document: dict[str, object] = {
        "name": factor.name,
        "levels": [dataclasses.asdict(level) for level in factor.levels],
    }
    if factor.when:
        document["when"] = {name: list(labels) for name, labels in factor.when.items()}
    return document


def _read_factor(name: str, entry: Entry, earlier: Sequence[Factor]) -> Factor:
    conditional = isinstance(entry.value, dict) and "when" in entry.value
    parts = entry.mapping(("levels", "when")) if conditional else {"levels": entry}
    if "levels" not in parts:
        raise entry.error("must have levels as well as when")
    listed = parts["levels"]
    listed.at_most(limits.MOST_LEVELS, "levels")
    if isinstance(listed.value, dict):
        levels = [
            Level(label=label, settings=read_settings(settings)) for label, settings in listed.value.items()
        ]
    else:
        if name == "seed":
            raise entry.error("is set by the study's seeds; leave it out")
        if not is_setting(name):
            other = "; a factor of any other name needs named levels, each with its settings"
            raise entry.error("is not a setting", hint=nearest(name, SETTING_NAMES) + other)
        levels = [_read_level(name, item) for item in listed.items()]
    return _checked_factor(name, levels, listed, _read_when(parts.get("when"), earlier))


def _read_level(name: str, entry: Entry) -> Level:
    value = entry.scalar()
    default = default_value(name)
    if isinstance(default, float) and is_finite(value):
        value = float(value)  # the column of a factor has one type
    return Level(label=value, settings={name: value})


def _read_resolved_factor(entry: Entry, earlier: Sequence[Factor]) -> Factor:
    parts = entry.mapping(("name", "levels", "when"))
    if "name" not in parts or "levels" not in parts:
        raise entry.error("must have a name and levels")
    levels = []
    parts["levels"].at_most(limits.MOST_LEVELS, "levels")
    for item in parts["levels"].items():
        level = item.mapping(("label", "settings"))
        if len(level) < 2:
            raise item.error("must have a label and settings")
        levels.append(Level(label=level["label"].scalar(), settings=read_settings(level["settings"])))
    when = _read_when(parts.get("when"), earlier)
    return _checked_factor(parts["name"].text(), levels, parts["levels"], when)


def _read_when(entry: Entry | None, earlier: Sequence[Factor]) -> dict[str, tuple[Scalar, ...]]:
    if entry is None:
        return {}
    by_name = {factor.name: factor for factor in earlier}
    when: dict[str, tuple[Scalar, ...]] = {}
    for name, item in entry.mapping().items():
        if name not in by_name:
            hint = nearest(name, by_name) or f" (earlier factors: {', '.join(by_name) or 'none'})"
            raise item.error("is not an earlier factor", hint=hint)
        listed = item.value if isinstance(item.value, list) else [item]
        when[name] = tuple(read_label(label, by_name[name]) for label in listed)
        if not when[name] or len(set(when[name])) < len(when[name]):
            raise item.error(f"must name one or more distinct levels of {name}")
    if not when:
        raise entry.error("must name at least one earlier factor, but is empty")
    return when


def read_label(entry: Entry, factor: Factor) -> Scalar:
    """Reads the label of one of the factor's levels.

    Raises:
        StudyError: for a label that the factor does not have.
    """
    labels = [level.label for level in factor.levels]
    label = entry.scalar()
    if label not in labels or isinstance(label, bool) != isinstance(labels[0], bool):
        rule = f"must be one of {named(labels)}"
        raise entry.wrong_value(rule, nearest(label, map(str, labels)))
    return labels[labels.index(label)]


def _checked_factor(
    name: str, levels: list[Level], entry: Entry, when: Mapping[str, tuple[Scalar, ...]]
) -> Factor:
    if not re.fullmatch(r"[a-z][a-z0-9_.]*", name):
        rule = "the name of a factor must be lower-case letters, digits, dots and underscores"
        raise entry.error(rule, value=name)
    if not levels:
        raise entry.error("must have at least one level, but is empty")
    labels = [level.label for level in levels]
    types = {type(label).__name__ for label in labels}
    if len(types) > 1:
        raise entry.error(f"must have levels of one type, not {' and '.join(sorted(types))}")
    for text in (name, *(label for label in labels if isinstance(label, str))):
        if len(text) > limits.LONGEST_NAME or not text.strip() or "\n" in text:
            rule = f"a name must be one line of 1 to {limits.LONGEST_NAME} characters"
            raise entry.error(rule, value=text)
    for index, label in enumerate(labels):
        if label in labels[:index]:
            raise entry.error(f"duplicate level {label!r}")
        if label == "not set":
            raise entry.error(
                'must not have a level "not set", the report\'s word for a factor that is absent'
            )
    return Factor(name=name, levels=tuple(levels), when=when)
