"""Names for readers: a cell is called by what differs from the reference, never by a bare level."""

import re
from collections import Counter
from collections.abc import Iterable

NONE = frozenset({"none", "false", "off", "no"})
"""Levels that say that the factor is missing."""
_WORDS = {"tau_base": "tau"}
"""Settings -> what the papers call them."""


def factor_words(name: str) -> str:
    """A factor's name as words.

    >>> factor_words("encoder_norm")
    'encoder norm'
    """
    return _WORDS.get(name, name.replace("_", " "))


def level_words(name: str, level: str) -> str:
    """A level with its factor, in as few words as are clear by themselves.

    >>> level_words("predictor", "none"), level_words("predictor", "linear"), level_words("tau_base", "0")
    ('no predictor', 'predictor linear', 'tau 0')
    >>> level_words("symmetric", "true"), level_words("target", "target frozen")
    ('symmetric', 'target frozen')
    """
    words = factor_words(name)
    if level.lower() in NONE:
        return f"no {words}"
    if level.lower() == "true":
        return words
    if f" {words} " in f" {level} ":  # the level says it itself
        return level
    return f"{words} {level}"


def cell_words(changes: Iterable[tuple[str, str]]) -> str:
    """The name of a cell, from the factors and levels that differ from the reference's.

    >>> cell_words([("predictor", "none"), ("tau_base", "0")]), cell_words([])
    ('no predictor, tau 0', 'the reference')
    """
    return ", ".join(level_words(name, level) for name, level in changes) or "the reference"


def measured_names(trial_ids: Iterable[str]) -> dict[str, str]:
    """Trial -> its name, with the digest that `measure` puts behind it only if two have the same.

    >>> measured_names(["ours-0a1b2c3d", "ours-11112222", "theirs-aaaa0000"])["theirs-aaaa0000"]
    'theirs'
    """
    plain = {trial: re.sub(r"-[0-9a-f]{8}$", "", trial) for trial in map(str, trial_ids)}
    often = Counter(plain.values())
    return {trial: name if often[name] == 1 else trial for trial, name in plain.items()}
