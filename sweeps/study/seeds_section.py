"""The section `seeds` of a study file: a number, a list, or a sequence that ends with a verdict."""

from sweeps.study.entries import Entry
from sweeps.study.limits import MOST_SEEDS
from sweeps.study.study import SeedSequence

Seeds = tuple[tuple[int, ...], SeedSequence | None]
"""The seeds, of a sequence those that are begun; and the sequence, if they are one."""


def read_seeds(entry: Entry | None) -> Seeds:
    """The seeds of a study; three if it does not say."""
    if entry is None:
        return (0, 1, 2), None
    if isinstance(entry.value, dict):
        return _read_sequence(entry)
    if not isinstance(entry.value, list):
        return tuple(range(_number(entry, 1))), None
    entry.at_most(MOST_SEEDS, "seeds")
    seeds = tuple(item.whole(0) for item in entry.value)
    if not seeds or len(set(seeds)) < len(seeds):
        raise entry.error("must be a number of seeds, or a list of distinct ones")
    return seeds, None


def _read_sequence(entry: Entry) -> Seeds:
    parts = entry.mapping(("min", "max", "until", "begun"))
    for key in ("min", "max", "until"):
        if key not in parts:
            raise entry.error(f"must have min, max and until, but lacks {key}")
    parts["until"].option(("decided",))
    least, most = _number(parts["min"], 2), _number(parts["max"], 3)
    if most <= least:
        raise parts["max"].wrong_value(f"must be above min, {least}")
    begun = _number(parts["begun"], least) if "begun" in parts else least
    if begun > most:
        raise parts["begun"].wrong_value(f"must be at most max, {most}")
    return tuple(range(begun)), SeedSequence(least=least, most=most)


def _number(entry: Entry, low: int) -> int:
    return entry.whole(low, MOST_SEEDS)
