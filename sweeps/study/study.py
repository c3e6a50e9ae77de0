"""A study: what a sweep varies, over which seeds, and what it is expected to show.

Everything is checked when a study file is loaded, down to every cell's configuration, so that nothing starts
with a wrong cell. The format is described in docs/study-format.md. Imports neither torch nor ray.
"""

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from byol.config import OnBroken, Scalar
from byol.measure.collapse import CollapseRule
from sweeps.study import designs
from sweeps.study.designs import Cell, Design, DesignKind, Factor, Labels, Trial
from sweeps.study.entries import dump
from sweeps.study.factor_section import factor_document
from sweeps.study.spaces import Search


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one trial occupies."""

    cpu: float = 1.0
    """CPUs; also the number of threads, rounded down, at least 1."""
    gpu: float = 0.0
    """GPUs: whole, or a fraction below 1 to share one."""


@dataclass(frozen=True, kw_only=True)
class StatedCost:
    """What the study itself says about its cost."""

    seconds_per_trial: float
    """Wall seconds of a trial, as measured."""
    hardware: str
    """What they were measured on."""


@dataclass(frozen=True, kw_only=True)
class Study:
    """A reference configuration, the factors to vary, the design and the seeds."""

    name: str
    """Lower-case words joined by dashes."""
    title: str
    """One line."""
    question: str
    """The question that the report answers."""
    source: str
    """Citations."""
    expected: str
    """What the sources say should come out."""
    reference: Mapping[str, Scalar]
    """Settings of the full method: fields and bundles of TrialConfig."""
    factors: tuple[Factor, ...]
    """What is varied; each one's first level is the reference's."""
    design: Design
    """Which combinations are run."""
    search: Search | None
    """The search, if the study is one: it has no factors, and its cells are drawn while it runs."""
    seeds: tuple[int, ...]
    """The replicates, distinct; in a search those of its winner."""
    resources: Resources
    """What one trial occupies."""
    collapse: CollapseRule
    """When a trial counts as collapsed."""
    on_broken: OnBroken
    """Whether an image that cannot be read is an error, or left out."""
    estimate: StatedCost | None
    """What a trial is said to take; None if the study does not say."""
    reproduces: Mapping[str, Mapping[str, Labels]]
    """Published table -> its condition -> the cell that stands for it, by the levels that are not first."""

    def cells(self) -> tuple[Cell, ...]:
        """The cells of the design; none for a search."""
        return self._cells

    @functools.cached_property
    def _cells(self) -> tuple[Cell, ...]:
        # There may be thousands of configurations to check: once, however often they are asked for.
        return () if self.search else designs.cells(self.reference, self.factors, self.design)

    def trials(self) -> tuple[Trial, ...]:
        """The trials, in the order in which they run."""
        return self._trials

    @functools.cached_property
    def _trials(self) -> tuple[Trial, ...]:
        return tuple(designs.trials(self.cells(), self.seeds))

    @property
    def trial_count(self) -> int:
        """The number of trials: those of the design, or a search's samples and the trials of its winner."""
        return self.search.trials + len(self.seeds) if self.search else len(self.trials())

    @property
    def kind(self) -> DesignKind | Literal["search"]:
        """The kind of the design, or "search"."""
        return "search" if self.search else self.design.kind

    def to_yaml(self) -> str:
        """The study as resolved, all keys explicit. Loading that text gives an equal study."""
        document = dataclasses.asdict(self)
        document["factors"] = [factor_document(factor) for factor in self.factors]
        document["seeds"] = list(self.seeds)
        document["design"] = {
            "kind": self.design.kind,
            "listed": list(self.design.listed),
            "exclude": list(self.design.exclude),
        }
        if self.design.kind == "fractional":
            generators = {name: list(product) for name, product in self.design.generators.items()}
            document["design"] = {"kind": "fractional", "generators": generators}
        if self.search is None:
            del document["search"]
        else:
            document["search"] = self.search.document()
            del document["factors"], document["design"], document["reproduces"]
        if self.estimate is None:
            del document["estimate"]
        return dump(document)
