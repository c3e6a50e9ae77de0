"""What is wrong with a setting, and the nearest valid name. Imports nothing of byol."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting that breaks a rule. `str(error)` is one line: key, rule, hint, value.

    Attributes:
        key: the setting, with its view where it has one: `tau_base`, `view2.hue`.
        value: what it was set to.
        rule: what it must be, or why it cannot be that.
        hint: how to put it right, as a suffix of the rule such as ' (did you mean "tau_base"?)'; often "".
        problem: the line without the key, for messages that name the place in words of their own.
    """

    def __init__(self, key: str, value: object, rule: str, hint: str = "") -> None:
        self.key = key
        self.value = value
        self.rule = rule
        self.hint = hint
        self.problem = f"{rule}{hint}, but got {value!r}"
        super().__init__(f"{key}: {self.problem}")


def nearest(name: object, valid: Iterable[str]) -> str:
    """A suffix naming the valid name closest to `name`: ' (did you mean "tau_base"?)', or nothing."""
    matches = difflib.get_close_matches(str(name), list(valid), n=1)
    return f' (did you mean "{matches[0]}"?)' if matches else ""
