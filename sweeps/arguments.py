"""Values of the command line's options: what each may be, said in one line when it is not."""

import re
from argparse import ArgumentTypeError


def count(text: str, *, least: int = 1) -> int:
    """A whole number, at least `least`."""
    if not text.isdecimal() or int(text) < least:
        raise ArgumentTypeError(f"must be a whole number, at least {least}, but got {text!r}")
    return int(text)


def count_or_zero(text: str) -> int:
    """A whole number; 0 turns off what is counted."""
    return count(text, least=0)


def duration(text: str) -> float:
    """Seconds.

    >>> duration("2h30m")
    9000.0
    """
    match = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?", text)
    hours, minutes, seconds = (int(part or 0) for part in match.groups()) if match else (0, 0, 0)
    if not hours + minutes + seconds:
        raise ArgumentTypeError(f"must be a duration such as 90s, 45m or 2h30m, but got {text!r}")
    return 3600.0 * hours + 60.0 * minutes + seconds


def positive(text: str) -> float:
    """A finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ArgumentTypeError(f"must be a number above 0, but got {text!r}")
    return value


def amount(text: str) -> float:
    """An amount of a resource as Ray takes it: whole, or a fraction below 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not (0 <= value <= 1 or (value.is_integer() and value > 0)):
        raise ArgumentTypeError(f"must be whole, or a fraction below 1, but got {text!r}")
    return value
