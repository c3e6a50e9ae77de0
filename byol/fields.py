"""Fields of a configuration: a default with the rule that its values obey, and the check of all of them."""

import dataclasses
import math
import sys
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from byol.errors import ConfigError, nearest

Scalar: TypeAlias = str | int | float | bool

MOST = 10**9
"""The largest whole number of a setting that has no smaller limit."""

INHERITED = -1.0
"""The value of a setting for one part of the network that takes the value of the setting for all parts."""


def number(default: Any, low: float, high: float = math.inf) -> Any:
    """A number from `low` to `high`, both included."""
    return dataclasses.field(default=default, metadata={"low": low, "high": high})


def choice(default: str, *options: str) -> Any:
    """One of the default and the other options."""
    return dataclasses.field(default=default, metadata={"options": (default, *options)})


def part(default: str, *options: str, forms: Mapping[str, Callable[[str], bool]], **rule: Any) -> Any:
    """One of the default and the other options, or a name of one of these forms.

    Args:
        default, options: as for `choice`.
        forms: how messages show a form, and whether a name has it.
        rule: `since`, as for `newer`.
    """
    metadata = {"options": (default, *options), "forms": forms, **rule}
    return dataclasses.field(default=default, metadata=metadata)


def newer(default: Any, *, since: str, **rule: Any) -> Any:
    """A field that an earlier version did not have: at its default it is no part of `to_settings`.

    Args:
        default: its default.
        since: the version that brought it.
        rule: `low` and `high` of a number, or the `options` of a choice; `inherits`, the name of a setting
            whose value it takes where it is INHERITED; `empty`, whether a text may be empty.
    """
    return dataclasses.field(default=default, metadata={"since": since, **rule})


def check_fields(config: object) -> None:
    """Puts each value into its field's type.

    Raises:
        ConfigError: a value is of another type, or breaks the rule of its field.
    """
    for field in dataclasses.fields(config):  # type: ignore[arg-type]
        if not dataclasses.is_dataclass(field.type):
            object.__setattr__(config, field.name, _checked(field, getattr(config, field.name)))


def _checked(field: "dataclasses.Field[Any]", value: object) -> Scalar:
    if field.type is bool:
        if not isinstance(value, bool):
            raise ConfigError(field.name, value, "must be true or false")
        return value
    if field.type is str:
        options = field.metadata.get("options")
        if not options:
            return _checked_name(field.name, value, empty=field.metadata.get("empty", False))
        return _checked_choice(field.name, value, options, field.metadata.get("forms", {}))
    checked = _checked_number(field.name, value, whole=field.type is int)
    low, high = field.metadata["low"], field.metadata["high"]
    inherits = field.metadata.get("inherits")
    if inherits and checked == INHERITED:
        return INHERITED
    if not low <= checked <= high or checked > sys.float_info.max:
        rule = f"must be between {low:g} and {high:g}"
        if high == math.inf:
            rule = f"must be {'' if checked < low else 'finite and '}at least {low:g}"
        hint = f" ({INHERITED:g} is the value of {inherits})" if inherits else ""
        raise ConfigError(field.name, value, rule, hint)
    if field.type is int and high == math.inf and checked > MOST:
        raise ConfigError(field.name, value, f"must be at most {MOST:,}")
    return int(checked) if field.type is int else float(checked)


def _checked_name(key: str, value: object, *, empty: bool) -> str:
    if not isinstance(value, str) or not (value or empty):
        raise ConfigError(key, value, "must be a name")
    return value


def _checked_choice(
    key: str, value: object, options: tuple[str, ...], forms: Mapping[str, Callable[[str], bool]]
) -> str:
    if value not in options and not (isinstance(value, str) and any(has(value) for has in forms.values())):
        unquoted = value is None or isinstance(value, bool)
        hint = ' (in YAML, quote "none", "no" and "off")' if unquoted else nearest(value, options)
        raise ConfigError(key, value, f"must be one of {', '.join((*options, *forms))}", hint)
    return str(value)


def _checked_number(key: str, value: object, *, whole: bool) -> int | float:
    has_fraction = isinstance(value, float) and not value.is_integer()
    if isinstance(value, bool) or not isinstance(value, (int, float)) or (whole and has_fraction):
        hint = " (without quotes)" if _is_quoted_number(value) else ""
        raise ConfigError(key, value, f"must be {'a whole number' if whole else 'a number'}", hint)
    return value


def _is_quoted_number(value: object) -> bool:
    """Whether it is a number as text. YAML 1.1 also reads 1e-3, which has no dot, as text."""
    try:
        float(str(value))
    except ValueError:
        return False
    return isinstance(value, str)
