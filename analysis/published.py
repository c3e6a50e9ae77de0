"""The published tables that a study can reproduce, as analysis/published.yaml has them.

Needs the standard library and yaml only: study files are checked against the names in here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_suffix(".yaml")
"""The data."""


class Measure(StrEnum):
    """What a pair compares, in the words of the tables where these have it."""

    ACCURACY = "knn_accuracy"
    """What stands here for a published accuracy, whose own measure is in the table's setting."""
    REPRESENTATION = "representation_std"
    PROJECTION = "projection_std"
    FLUCTUATION = "knn_fluctuation"
    """How much kNN accuracy goes up and down late in a trial, see analysis/stability.py."""
    SEED_SPREAD = "seed_spread"
    """Standard deviation over seeds of the last kNN accuracy, compared as a ratio."""

    @property
    def is_of_spread(self) -> bool:
        """Whether it is a std: what is published is then that the lower side collapses."""
        return self in (Measure.REPRESENTATION, Measure.PROJECTION)

    @property
    def is_of_accuracy(self) -> bool:
        """Whether it says nothing if the reference did not learn."""
        return self in (Measure.ACCURACY, Measure.FLUCTUATION, Measure.SEED_SPREAD)


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Conditions that a publication compares. Either one on each side, or two, whose sums are compared:
    that the difference between two conditions is larger than that between two others."""

    higher: tuple[str, ...]
    """The side with the larger value."""
    lower: tuple[str, ...]
    """The other."""
    alike: bool
    """Published as no difference to speak of: the sides stand in no order."""
    measure: Measure
    claim: str | None
    """The claim that it tests."""

    @property
    def conditions(self) -> tuple[str, ...]:
        """Of both sides."""
        return self.higher + self.lower


@dataclass(frozen=True, kw_only=True)
class Table:
    """One published table."""

    name: str
    """As a study's `reproduces` has it."""
    title: str
    """What sentences call it."""
    source: str
    """Authors, year, arXiv number and place."""
    setting: str
    """Data, network, epochs and measure."""
    results: Mapping[str, float | None]
    """Condition -> published value, in per cent; None where no number is published."""
    pairs: tuple[Pair, ...]

    def size(self, pair: Pair) -> float | None:
        """The published difference in points, higher minus lower; None where it is not of numbers."""
        higher, lower = ([self.results[name] for name in side] for side in (pair.higher, pair.lower))
        if pair.measure is not Measure.ACCURACY or None in (*higher, *lower):
            return None
        return sum(value or 0.0 for value in higher) - sum(value or 0.0 for value in lower)


@dataclass(frozen=True, kw_only=True)
class Published:
    """All of it."""

    tables: Mapping[str, Table]
    """Name -> table."""
    claims: Mapping[str, str]
    """Name -> one sentence."""


@cache
def published() -> Published:
    """The tables and claims, in the order of the file.

    >>> table = published().tables["byol-table-5a"]
    >>> table.pairs[0].higher, table.pairs[0].lower, round(table.size(table.pairs[0]), 1)
    (('tau .99',), ('tau 1',), 53.7)
    """
    document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    tables = {name: _table(name, entry) for name, entry in document["tables"].items()}
    return Published(tables=tables, claims=document["claims"])


def _table(name: str, entry: Mapping[str, Any]) -> Table:
    source, setting = entry["source"], entry["setting"]
    arxiv = f" (arXiv {source['arxiv']})" if source["arxiv"] else ""
    measured = f"{setting['measure']} in {setting['unit']}"
    return Table(
        name=name,
        title=entry["title"],
        source=f"{source['authors']} {source['year']}{arxiv}, {source['table']}",
        setting=f"{setting['data']}, {setting['network']}, {setting['epochs']}, {measured}",
        results=entry["results"],
        pairs=tuple(_pair(pair) for pair in entry["pairs"]),
    )


def _pair(entry: Mapping[str, Any]) -> Pair:
    alike = entry.get("alike")
    higher, lower = alike or (entry["higher"], entry["lower"])
    return Pair(
        higher=_side(higher),
        lower=_side(lower),
        alike=alike is not None,
        measure=Measure(entry.get("measure", Measure.ACCURACY)),
        claim=entry.get("claim"),
    )


def _side(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)
