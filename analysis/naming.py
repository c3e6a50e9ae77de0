"""Names for readers: a cell is called by what differs from the reference, never by a bare level."""

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
