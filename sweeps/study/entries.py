"""A study file as a tree of entries, each of which knows its place and can say what is wrong with it.

YAML is read strictly: plain data, no duplicate keys, no aliases. Scalars follow YAML 1.2's core schema rather
than PyYAML's 1.1, so that `1e-3` is a number, while `no`, `off` and `12:30` are text.
"""

import re
import sys
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeGuard, TypeVar

import yaml

from byol.config import Scalar
from byol.errors import ConfigError, listed, nearest, shortened
from sweeps.errors import NO_VALUE, StudyError, one_line
from sweeps.study import limits

_Option = TypeVar("_Option", bound=str)

_COLLECTIONS = ("tag:yaml.org,2002:map", "tag:yaml.org,2002:seq")
_LONGEST_WHERE = 300
"""Characters of a cell's labels that a message shows."""


@dataclass(frozen=True)
class Entry:
    """One value of a study file, with its place."""

    file: str
    """The file, as the user named it."""
    line: int | None
    """Counted from 1; None for what stands on the command line."""
    key: str
    """The keys that lead here, joined by dots: `collapse.patience`; empty for the whole file."""
    value: "Scalar | list[Entry] | dict[str, Entry] | None"
    """A scalar, or the entries below."""

    def error(self, rule: str, *, key: str = "", value: object = NO_VALUE, hint: str = "") -> StudyError:
        """The error to raise when something is wrong at this place; `key` stands in for the entry's own."""
        return StudyError(rule, file=self.file, line=self.line, key=key or self.key, value=value, hint=hint)

    def wrong_value(self, rule: str, hint: str = "") -> StudyError:
        """The error to raise when this entry's value breaks `rule` ("must be ...")."""
        return self.error(rule, value=self.value, hint=hint)

    def refused(self, cause: ConfigError, where: str) -> StudyError:
        """The error to raise when TrialConfig refuses what this entry sets.

        Args:
            cause: why it does.
            where: the cell or sample in which it does.
        """
        names_setting = self.key.endswith(f".{cause.key}")
        key = self.key if names_setting else f"{self.key}: {cause.key}"
        return self.error(
            f"{cause.rule}{cause.hint}",
            key=key,
            value=cause.value,
            hint=f" ({shortened(where, _LONGEST_WHERE)})",
        )

    def mapping(self, keys: Iterable[str] | None = None) -> "dict[str, Entry]":
        """The entries below by key, each of which must be one of `keys` if these are given."""
        if not isinstance(self.value, dict):
            raise self.wrong_value("must be a mapping (key: value)")
        if keys is None:
            return self.value
        valid = list(keys)
        for key, entry in self.value.items():
            if key not in valid:
                hint = nearest(key, valid) or f" (valid: {listed(valid)})"
                raise entry.error(f"is not a key of {self.key or 'a study'}", hint=hint)
        return self.value

    def items(self) -> "list[Entry]":
        """The entries of a list."""
        if not isinstance(self.value, list):
            raise self.wrong_value("must be a list")
        return self.value

    def scalar(self) -> Scalar:
        """A text, finite number, true or false."""
        if self.value is None or isinstance(self.value, list | dict):
            raise self.wrong_value('must be a single value (quote "null" and "~")')
        if isinstance(self.value, float) and not is_finite(self.value):
            raise self.wrong_value("must be finite")
        return self.value

    def text(self) -> str:
        """A text that is not empty."""
        if not isinstance(self.value, str) or not self.value.strip():
            raise self.wrong_value("must be text")
        return self.value.strip()

    def option(self, options: Iterable[_Option]) -> _Option:
        """One of these texts."""
        text, options = self.text(), list(options)
        for option in options:
            if option == text:
                return option
        raise self.wrong_value(f"must be one of {', '.join(options)}", nearest(text, options))

    def flag(self) -> bool:
        """True or false."""
        if not isinstance(self.value, bool):
            raise self.wrong_value("must be true or false")
        return self.value

    def at_most(self, most: int, things: str) -> None:
        """Checks that a list or a mapping has no more than `most` entries; any other value passes."""
        if isinstance(self.value, list | dict) and len(self.value) > most:
            raise self.error(f"must have at most {most:,} {things}, but has {len(self.value):,}")

    def whole(self, low: int, high: int | None = None) -> int:
        """A whole number of at least `low` and at most `high`."""
        if isinstance(self.value, bool) or not isinstance(self.value, int) or self.value < low:
            raise self.wrong_value(f"must be a whole number, at least {low}")
        if high is not None and self.value > high:
            raise self.wrong_value(f"must be at most {high:,}")
        return self.value

    def number(self, low: float, high: float = sys.float_info.max) -> float:
        """A finite number of at least `low` and at most `high`."""
        if not is_finite(self.value) or self.value < low:
            raise self.wrong_value(f"must be a number, at least {low:g}")
        if self.value > high:
            raise self.wrong_value(f"must be at most {high:g}")
        return float(self.value)


def is_finite(value: object) -> TypeGuard[float]:
    """Whether a value is a number, neither infinite nor too large for a float."""
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max  # false for NaN too
    )


def parse(text: str, file: str) -> Entry:
    """Reads one YAML document.

    Args:
        text: the document.
        file: what to call it in errors.

    Raises:
        StudyError: for text that is not YAML, a duplicate key, a key that is not text, an alias, or a value
            that no table could hold.
    """
    loader = None
    try:
        loader = _CoreLoader(text)
        node = loader.get_single_node()
        return Entry(file, 1, "", None) if node is None else _entry(loader, node, file, "")
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise StudyError(f"is not YAML: {error.problem}", file=file, line=line) from None
    except yaml.YAMLError as error:
        problem = one_line(error)
        raise StudyError(f"is not YAML: {problem}", file=file, line=1) from None
    except RecursionError:
        raise StudyError("is nested too deeply", file=file, line=1) from None
    finally:
        if loader is not None:
            loader.dispose()


def dump(document: object) -> str:
    """`document` as YAML, which `parse` and a reader of YAML 1.1 read as the same values."""
    return yaml.dump(document, Dumper=_BothDumper, sort_keys=False, allow_unicode=True, width=100)


def _entry(loader: "_CoreLoader", node: yaml.Node, file: str, path: str) -> Entry:
    line = node.start_mark.line + 1
    if not isinstance(node, yaml.ScalarNode) and node.tag not in _COLLECTIONS:
        raise StudyError(f"must be plain data, but has the tag {node.tag}", file=file, line=line, key=path)
    if isinstance(node, yaml.SequenceNode):
        items = [_entry(loader, item, file, f"{path}[{index}]") for index, item in enumerate(node.value)]
        return Entry(file, line, path, items)
    if not isinstance(node, yaml.MappingNode):
        return Entry(file, line, path, _value(loader, node, file, path))
    mapping: dict[str, Entry] = {}
    for key_node, value_node in node.value:
        key_line = key_node.start_mark.line + 1
        is_scalar = isinstance(key_node, yaml.ScalarNode)
        key = _value(loader, key_node, file, path) if is_scalar else NO_VALUE
        if not isinstance(key, str):
            rule = "a key must be text"
            raise StudyError(rule, file=file, line=key_line, value=key, hint=" (quote it)")
        key_path = f"{path}.{key}" if path else key
        if len(key_path) > limits.LONGEST_PATH:
            rule = f"must have at most {limits.LONGEST_PATH:,} characters with the keys above it"
            raise StudyError(rule, file=file, line=key_line, key=key_path)
        if key in mapping:
            raise StudyError("duplicate key", file=file, line=key_line, key=key_path)
        entry = _entry(loader, value_node, file, key_path)
        mapping[key] = Entry(file, key_line, key_path, entry.value)
    return Entry(file, line, path, mapping)


def _value(loader: "_CoreLoader", node: yaml.Node, file: str, path: str) -> Scalar | None:
    line = node.start_mark.line + 1
    try:
        value = loader.construct_object(node)
    except yaml.YAMLError:
        raise
    except Exception:  # an explicit tag that does not fit raises nearly any type
        rule = f"cannot be read as {node.tag.rpartition(':')[2]}"
        raise StudyError(rule, file=file, line=line, key=path, value=node.value) from None
    if value is not None and not isinstance(value, str | int | float | bool):
        rule = f"must be plain data, but got a {type(value).__name__}"
        raise StudyError(rule, file=file, line=line, key=path)
    rule = _broken_rule(value)
    if rule:
        raise StudyError(rule, file=file, line=line, key=path, value=value)
    return value


def _broken_rule(value: Scalar | None) -> str:
    """The rule that a value breaks because no table or text file could hold it; "" if it breaks none."""
    if isinstance(value, int) and value not in limits.WHOLE_NUMBERS:
        return "must be at least -2**63 and below 2**63"
    if isinstance(value, str):
        if len(value) > limits.LONGEST_TEXT:
            return f"must have at most {limits.LONGEST_TEXT:,} characters"
        if any(unicodedata.category(sign) in ("Cc", "Cs") and sign not in "\n\t" for sign in value):
            return "must be text without control characters and surrogates"
    return ""


class _CoreLoader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own attribute

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        # An alias may refer to itself, or blow a short file up to gigabytes; a study needs none.
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.MarkedYAMLError(problem="aliases (*name) are not allowed", problem_mark=mark)
        return super().compose_node(parent, index)


class _BothDumper(yaml.SafeDumper):
    yaml_implicit_resolvers = {  # noqa: RUF012 - PyYAML's own attribute
        first: list(resolvers) for first, resolvers in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: object) -> bool:
        return True


_NUMBER = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$"
_SCALARS = (
    ("null", r"(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"[-+]?[0-9]+$", list("-+0123456789")),
    ("float", rf"{_NUMBER}|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$", list("-+.0123456789")),
)


def _resolve_scalars(of: type[_CoreLoader] | type[_BothDumper]) -> None:
    for tag, pattern, first in _SCALARS:
        of.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), first)


def _construct_int(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> int:
    return int(str(loader.construct_scalar(node)))  # decimal always: YAML 1.1 would read 010 as eight


_resolve_scalars(_CoreLoader)
_resolve_scalars(_BothDumper)
_CoreLoader.add_constructor("tag:yaml.org,2002:int", _construct_int)
