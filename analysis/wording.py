"""Numbers in words, the same way in sentences, tables and figures."""

import math
from collections.abc import Callable, Sequence

from analysis.paired import Superiority
from analysis.stats import Interval, Mean, Rate


def number(value: float | None, digits: int = 3) -> str:
    """Significant digits with a true minus sign, or a dash for an unknown value."""
    if value is None or math.isnan(value):
        return "–"
    if value and not 1e-3 <= abs(value) < 1e5:
        return f"{value:.{digits - 1}e}".replace("-", "−")
    decimals = max(0, digits - 1 - (math.floor(math.log10(abs(value))) if value else 0))
    return f"{value:.{decimals}f}".replace("-", "−")


def as_written(value: float) -> str:
    """A number from a study file, as its author would write it."""
    return f"{value:g}"


def percent(value: float | None, digits: int = 0) -> str:
    """A share as a percentage."""
    return "–" if value is None or math.isnan(value) else f"{100 * value:.{digits}f} %"


def percent_range(interval: Interval, digits: int = 0) -> str:
    """`0 to 71 %`."""
    return f"{100 * interval.low:.{digits}f} to {100 * interval.high:.{digits}f} %"


def points(value: float, digits: int = 1) -> str:
    """A signed difference of shares, in percentage points, with a true minus sign."""
    return f"{100 * value:+.{digits}f}".replace("-", "−")


def points_range(interval: Interval, digits: int = 1) -> str:
    """`−3.1 to +4.0`."""
    return f"{points(interval.low, digits)} to {points(interval.high, digits)}"


def rate(value: Rate) -> str:
    """The interval of a rate, for brackets after `0 of 3 seeds`; "" without one."""
    return "" if value.interval is None else f"95 % interval {percent_range(value.interval)}"


def mean_points(value: Mean) -> str:
    """A paired difference of shares: estimate, interval and n, or why there is no interval."""
    return f"{points(value.estimate)} points ({interval_text(value, points_range)})"


def mean_percent(value: Mean) -> str:
    """A mean share: estimate, interval and n, or why there is no interval."""
    return f"{percent(value.estimate, 1)} ({interval_text(value, lambda i: percent_range(i, 1))})"


def interval_text(value: Mean, interval: Callable[[Interval], str]) -> str:
    """The interval and n; "one seed, so no interval"; or "the same in all n seeds"."""
    if value.interval is not None:
        return f"95 % interval {interval(value.interval)}, {value.n} seeds"
    return "one seed, so no interval" if value.n == 1 else f"the same in all {value.n} seeds, so no interval"


def superiority_text(value: Superiority) -> str:
    """The probability of being ahead: `100 % (29 to 100 %; 3 of 3 seeds)`."""
    seeds = f"{value.wins} of {plural(value.n, 'seed')}{f', {value.ties} equal' if value.ties else ''}"
    return f"{percent(value.estimate)} ({percent_range(value.interval)}; {seeds})"


def listed(words: Sequence[str], conjunction: str = "and") -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} {conjunction} {words[-1]}"


def plural(n: int, word: str) -> str:
    """`1 trial`, `2 trials`."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def shortened(text: str, length: int) -> str:
    """At most `length` characters of a text, with … where it goes on."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
