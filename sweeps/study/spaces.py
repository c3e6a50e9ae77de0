"""What a search searches: parameters, their space and its corners. Imports neither ray nor optuna."""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from byol.config import Scalar

Values: TypeAlias = dict[str, Scalar]
"""Parameter -> its value, in the order of the space; a parameter that does not apply is absent."""

SamplerKind: TypeAlias = Literal["tpe", "random"]
"""How samples are drawn: by a tree-structured Parzen estimator, or at random."""
SAMPLERS: tuple[SamplerKind, ...] = get_args(SamplerKind)

SchedulerKind: TypeAlias = Literal["none", "asha", "median"]
"""What stops samples early: nothing; asha, successive halving (arXiv 1810.05934); median, which stops what is
worse than the median."""
SCHEDULERS: tuple[SchedulerKind, ...] = get_args(SchedulerKind)

Direction: TypeAlias = Literal["maximize", "minimize"]
"""Which values of an objective are better."""
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting that is searched: a range, or choices."""

    name: str
    """A field of TrialConfig, or a bundle of fields."""
    choices: tuple[Scalar, ...] = ()
    """Distinct values; empty for a range."""
    low: float = 0
    """The lowest value, included. An int, like `high`, for a setting that is a whole number."""
    high: float = 0
    """The highest value, included."""
    log: bool = False
    """Whether the range is searched on a logarithmic scale."""
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    """Earlier parameter -> those of its choices with which this parameter applies."""

    def applies(self, values: Mapping[str, Scalar]) -> bool:
        """Whether this parameter is searched, given the values of earlier ones."""
        return all(values.get(name) in allowed for name, allowed in self.when.items())

    @property
    def ends(self) -> tuple[Scalar, ...]:
        """All choices, or both ends of the range."""
        return self.choices or (self.low, self.high)


@dataclass(frozen=True, kw_only=True)
class Scheduler:
    """What stops unpromising samples early."""

    kind: SchedulerKind = "none"
    """What decides."""
    grace_steps: int = 0
    """Optimiser steps before which nothing is stopped."""
    reduction: int = 0
    """For asha: one in this many samples continues at each rung."""


@dataclass(frozen=True, kw_only=True)
class Search:
    """A search over a space of settings."""

    sampler: SamplerKind
    """What draws the samples."""
    trials: int
    """The number of samples."""
    sampler_seed: int
    """The sampler's seed: with one trial at a time, another run draws the same samples."""
    trial_seed: int
    """The seed of every sample, so that samples differ in their settings alone."""
    objectives: Mapping[str, Direction]
    """Column of the table of trials -> which values are better. The first decides on the winner."""
    space: tuple[Parameter, ...]
    """What is searched."""
    scheduler: Scheduler
    """What stops samples early."""

    def corners(self) -> Iterator[Values]:
        """Samples from the corners of the space: each end of each parameter, then their combinations."""
        first = {parameter.name: parameter.ends[:1] for parameter in self.space}
        needed: dict[str, dict[str, tuple[Scalar, ...]]] = {}
        for parameter in self.space:
            needed[parameter.name] = _needed(parameter, needed)
            yield from self._product({**first, **needed[parameter.name], parameter.name: parameter.ends})
        yield from self._product({parameter.name: parameter.ends for parameter in self.space})

    def _product(self, options: Mapping[str, Sequence[Scalar]]) -> Iterator[Values]:
        """All combinations of the options, without parameters that do not apply."""
        combinations: Iterable[Values] = ({},)
        for parameter in self.space:
            combinations = _extended(combinations, parameter, options[parameter.name])
        yield from combinations

    def text(self, reference: Mapping[str, Scalar]) -> str:
        """What must not change while a search grows, as JSON: all but the number of samples."""
        document = {**self.document(), "reference": dict(reference)}
        document["objectives"] = list(self.objectives.items())  # their order counts
        del document["trials"]
        return json.dumps(document, sort_keys=True)

    def document(self) -> dict[str, object]:
        """The section as in a study file, with every default spelt out."""
        document: dict[str, object] = dataclasses.asdict(self)
        document["objectives"] = dict(self.objectives)
        document["space"] = {parameter.name: _parameter_document(parameter) for parameter in self.space}
        scheduler = {key: value for key, value in dataclasses.asdict(self.scheduler).items() if value}
        document["scheduler"] = scheduler if len(scheduler) > 1 else self.scheduler.kind
        return document


def _needed(
    parameter: Parameter, by_earlier: Mapping[str, Mapping[str, tuple[Scalar, ...]]]
) -> dict[str, tuple[Scalar, ...]]:
    """Values of earlier parameters with which `parameter` applies, given those that the earlier ones need."""
    needed: dict[str, tuple[Scalar, ...]] = {}
    for name, allowed in parameter.when.items():
        needed |= {**by_earlier[name], name: allowed[:1]}
    return needed


def _extended(
    combinations: Iterable[Values], parameter: Parameter, options: Sequence[Scalar]
) -> Iterator[Values]:
    """Each combination with each option of the next parameter, if that applies."""
    for values in combinations:
        if parameter.applies(values):
            yield from ({**values, parameter.name: option} for option in options)
        else:
            yield values


def _parameter_document(parameter: Parameter) -> dict[str, object]:
    document: dict[str, object] = {"low": parameter.low, "high": parameter.high, "log": parameter.log}
    if parameter.choices:
        document = {"choices": list(parameter.choices)}
    if parameter.when:
        document["when"] = {name: list(allowed) for name, allowed in parameter.when.items()}
    return document
