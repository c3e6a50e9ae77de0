"""Values of the command line's options: what each may be, said in one line when it is not."""

import re
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path

from byol.errors import shown

MOST = 10**9
"""The largest number that an option takes."""
LEAST_CPUS = 0.01
"""The least share of a CPU that a trial may occupy, as in a study."""
HIGHEST_PORT = 65_535
_LONGEST_HOURS = 100_000
"""The longest time that an option takes: 11 years."""


def count(text: str, *, least: int = 1) -> int:
    """A whole number, at least `least`."""
    number = _whole(text)
    if number is None or number < least:
        raise ArgumentTypeError(f"must be a whole number, at least {least}, but got {shown(text)}")
    if number > MOST:
        raise ArgumentTypeError(f"must be at most {MOST:,}, but got {shown(text)}")
    return number


def port(text: str) -> int:
    """A port to serve on; 0 is any that is free."""
    number = _whole(text)
    if number is None or number > HIGHEST_PORT:
        rule = f"must be a whole number, at most {HIGHEST_PORT}"
        raise ArgumentTypeError(f"{rule}, but got {shown(text)}")
    return number


def add_watch(command: ArgumentParser) -> None:
    """Adds the options of a command that can serve the report while a sweep runs."""
    command.add_argument(
        "--watch",
        action="store_true",
        help="serve the report to this machine while the sweep runs, and bring it up to date",
    )
    command.add_argument(
        "--port", type=port, default=0, metavar="N", help="where --watch serves (default: any that is free)"
    )


def _whole(text: str) -> int | None:
    """A number written in digits; None for any other text. One that is too large may be cut."""
    return int(text.lstrip("0")[:20] or "0") if text.isascii() and text.isdecimal() else None


def count_or_zero(text: str) -> int:
    """A whole number; 0 turns off what is counted."""
    return count(text, least=0)


def duration(text: str) -> float:
    """Seconds.

    >>> duration("2h30m")
    9000.0
    """
    match = re.fullmatch(r"(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?", text)
    hours, minutes, seconds = (_whole(part or "0") or 0 for part in match.groups()) if match else (0, 0, 0)
    if not hours + minutes + seconds:
        raise ArgumentTypeError(f"must be a duration such as 90s, 45m or 2h30m, but got {shown(text)}")
    total = 3600 * hours + 60 * minutes + seconds
    if total > 3600 * _LONGEST_HOURS:
        raise ArgumentTypeError(f"must be at most {_LONGEST_HOURS:,} hours, but got {shown(text)}")
    return float(total)


def positive(text: str) -> float:
    """A finite number above 0."""
    value = _number(text)
    if not 0 < value <= MOST:
        limit = f" and at most {MOST:,}" if value > MOST else ""
        raise ArgumentTypeError(f"must be a number above 0{limit}, but got {shown(text)}")
    return value


def gpus(text: str) -> float:
    """An amount of a resource as Ray takes it: whole, or a fraction below 1."""
    value = _number(text)
    if not (0 <= value <= 1 or (value.is_integer() and 0 < value <= MOST)):
        raise ArgumentTypeError(f"must be whole, or a fraction below 1, but got {shown(text)}")
    return value


def cpus(text: str) -> float:
    """As `gpus`, but a trial cannot do without a CPU."""
    value = gpus(text)
    if value < LEAST_CPUS:
        raise ArgumentTypeError(f"must be at least {LEAST_CPUS:g}, but got {shown(text)}")
    return value


def _number(text: str) -> float:
    """A number; -1 for any other text."""
    try:
        value = float(text)
    except ValueError:
        return -1.0
    return value if value == value else -1.0


def name(text: str) -> str:
    """A text that is not empty, as of a variable that is not set."""
    if not text.strip():
        raise ArgumentTypeError(f"must not be empty, but got {shown(text)} (is a variable not set?)")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ArgumentTypeError(f"must be UTF-8 text, but got {shown(text)}") from None
    if "\0" in text:
        raise ArgumentTypeError(f"must not contain the character NUL, but got {shown(text)}")
    return text


def path(text: str) -> Path:
    """A file or folder."""
    return Path(name(text))
