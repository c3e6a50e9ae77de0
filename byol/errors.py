"""What is wrong with a setting, and the nearest valid name. Imports nothing of byol."""

import difflib
from collections.abc import Iterable


class ConfigError(ValueError):
    """A setting that breaks a rule. `str(error)` is one line: key, value, rule, nearest valid name."""

    def __init__(self, key: str, value: object, rule: str) -> None:
        super().__init__(f"{key}: {rule}, but got {value!r}")
        self.key = key
        self.value = value
        self.rule = rule


def nearest(name: object, valid: Iterable[str]) -> str:
    """A suffix naming the valid name closest to `name`: ' (did you mean "tau_base"?)', or nothing."""
    matches = difflib.get_close_matches(str(name), list(valid), n=1)
    return f' (did you mean "{matches[0]}"?)' if matches else ""
