"""What a search searches: parameters, their space and its corners. Imports neither ray nor optuna."""

import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from byol.config import Scalar

Values: TypeAlias = dict[str, Scalar]
"""Parameter -> its value, in the order of the space; a parameter that does not apply is absent."""


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting that is searched: a range, or choices."""

    name: str
    """A field or bundle of TrialConfig."""
    choices: tuple[Scalar, ...] = ()
    """Distinct values; empty for a range."""
    low: float = 0
    """Least value, included. Whole, like `high`, for a setting that is a whole number."""
    high: float = 0
    """Greatest value, included."""
    log: bool = False
    """Whether the range is searched by orders of magnitude."""
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    """Earlier parameter -> those of its choices with which this one applies."""

    def applies(self, values: Mapping[str, Scalar]) -> bool:
        """Whether it is searched, given the earlier parameters' values."""
        return all(values.get(name) in allowed for name, allowed in self.when.items())

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """Its choices, or both ends of its range."""
        return self.choices or (self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """What stops unpromising samples early."""

    kind: str = "none"
    """none; asha: successive halving (arXiv 1810.05934); median: stops what is worse than the median."""
    grace_steps: int = 0
    """Optimiser steps before which nothing is stopped."""
    reduction: int = 0
    """Of asha: one in so many goes on from each rung to the next."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search over a space of settings."""

    sampler: str
    """tpe (tree-structured Parzen estimator) or random."""
    trials: int
    """Samples in all."""
    sampler_seed: int
    """Fixes what a sampler draws. With one trial at a time, the samples then repeat."""
    trial_seed: int
    """The seed of every sample: they differ in their settings alone."""
    objectives: Mapping[str, str]
    """Column of the table of trials -> maximize or minimize. The first decides on the winner."""
    space: tuple[Parameter, ...]
    """What is searched."""
    scheduler: Scheduler
    """What stops samples early."""

    def corners(self) -> Iterator[Values]:
        """Samples from the corners of the space: each end of each parameter, then their combinations."""
        for one in self.space:
            needed = self._needed(one)
            yield from self._product(
                lambda other, one=one, needed=needed: (  # type: ignore[misc]  # bound now
                    other.ends if other is one else needed.get(other.name, other.ends[:1])
                )
            )
        yield from self._product(lambda other: other.ends)

    def _needed(self, parameter: Parameter) -> dict[str, tuple[Scalar, ...]]:
        """Values of earlier parameters with which `parameter` applies."""
        earlier = {one.name: one for one in self.space}
        needed: dict[str, tuple[Scalar, ...]] = {}
        for name, allowed in parameter.when.items():
            needed |= {**self._needed(earlier[name]), name: allowed[:1]}
        return needed

    def _product(self, options: Callable[[Parameter], Sequence[Scalar]]) -> Iterator[Values]:
        def beyond(index: int, values: Values) -> Iterator[Values]:
            if index == len(self.space):
                yield values
                return
            one = self.space[index]
            for value in options(one) if one.applies(values) else (None,):
                yield from beyond(index + 1, values if value is None else {**values, one.name: value})

        return beyond(0, {})

    def text(self, reference: Mapping[str, Scalar]) -> str:
        """What must stay as it is while a search grows: all but the number of samples, as JSON."""
        document = {**self.document(), "reference": dict(reference)}
        document["objectives"] = list(self.objectives.items())  # their order counts
        del document["trials"]
        return json.dumps(document, sort_keys=True)

    def document(self) -> dict[str, Any]:
        """The section as it stands in a study file, with every default spelt out."""
        document = dataclasses.asdict(self)
        document["objectives"] = dict(self.objectives)
        document["space"] = {one.name: _parameter_document(one) for one in self.space}
        kept = {key: value for key, value in dataclasses.asdict(self.scheduler).items() if value}
        document["scheduler"] = kept if len(kept) > 1 else self.scheduler.kind
        return document


def _parameter_document(one: Parameter) -> dict[str, Any]:
    document: dict[str, Any] = {"low": one.low, "high": one.high, "log": one.log}
    if one.choices:
        document = {"choices": list(one.choices)}
    if one.when:
        document["when"] = {name: list(allowed) for name, allowed in one.when.items()}
    return document
