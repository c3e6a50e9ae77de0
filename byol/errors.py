"""What is wrong with a setting, and the nearest valid name. Imports nothing of byol."""

import difflib
import itertools
from collections.abc import Iterable

LONGEST_SHOWN = 80
"""Characters of a value that a message shows."""
MOST_SHOWN = 20
"""Names that a message lists."""


def shown(value: object) -> str:
    """A value as messages show it: its repr, on one line and shortened."""
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write out thousands of digits
        return "a number of thousands of digits"
    return shortened(text)


def shortened(text: str, longest: int = LONGEST_SHOWN) -> str:
    """A text on one line, without control characters, and cut if it is longer than `longest`.

    >>> shortened("1" * 400, 20)
    '11111111111111111111... (400 characters)'
    """
    cut = text if len(text) <= longest else f"{text[:longest]}... ({len(text):,} characters)"
    return "".join(sign if sign.isprintable() else repr(sign)[1:-1] for sign in cut)


def plural(number: int, noun: str) -> str:
    """A count with its noun: `1 trial`, `2 trials`.

    >>> plural(1, "trial"), plural(1200, "finished trial")
    ('1 trial', '1,200 finished trials')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def listed(names: Iterable[object]) -> str:
    """Names joined by commas; of many, the first."""
    first = [shortened(str(name)) for name in itertools.islice(names, MOST_SHOWN + 1)]
    return ", ".join([*first[:MOST_SHOWN], *(["..."] if len(first) > MOST_SHOWN else [])])


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
        self.problem = f"{rule}{hint}, but got {shown(value)}"
        super().__init__(f"{key}: {self.problem}")


def nearest(name: object, valid: Iterable[str]) -> str:
    """A suffix naming the valid name closest to `name`: ' (did you mean "tau_base"?)', or nothing."""
    if len(shown(name)) > LONGEST_SHOWN:  # comparing takes time in proportion to the square of the length
        return ""
    matches = difflib.get_close_matches(str(name), list(valid), n=1)
    return f' (did you mean "{matches[0]}"?)' if matches else ""
