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
from byol.errors import plural
from byol.measure.collapse import CollapseRule
from sweeps.study import designs
from sweeps.study.designs import Cell, Design, DesignKind, Factor, Labels, Trial
from sweeps.study.entries import dump
from sweeps.study.factor_section import factor_document
from sweeps.study.spaces import Search


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What one worker occupies: one trial, or a pack of trials that take their steps in turn."""

    cpu: float = 1.0
    """CPUs; also the number of threads, rounded down, at least 1."""
    gpu: float = 0.0
    """GPUs: whole, or a fraction below 1 to share one."""
    pack: int = 1
    """The most trials of one worker."""


@dataclass(frozen=True, kw_only=True)
class StatedCost:
    """What the study itself says about its cost."""

    seconds_per_trial: float
    """Wall seconds of a trial, as measured."""
    hardware: str
    """What they were measured on."""


@dataclass(frozen=True, kw_only=True)
class SeedSequence:
    """Seeds that run one after the other until the verdict is settled."""

    least: int
    """How many run before the verdict is looked at."""
    most: int
    """How many run if it is never settled."""


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
    """The replicates, distinct; in a search those of its winner, in a sequence those that are begun."""
    sequence: SeedSequence | None
    """Until when seeds are added; None where their number is fixed."""
    resources: Resources
    """What one worker occupies."""
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

    def with_seeds(self, count: int) -> "Study":
        """The same sequence with its first `count` seeds begun."""
        return dataclasses.replace(self, seeds=tuple(range(count)))

    def at_most(self) -> "Study":
        """The study with all seeds that may run."""
        return self.with_seeds(self.sequence.most) if self.sequence else self

    @property
    def trials_text(self) -> str:
        """`15 trials`; of a sequence `15 to 50 trials`."""
        count = plural(self.trial_count, "trial")
        if self.sequence is None:
            return count
        per_seed = len(self.cells())
        return f"{per_seed * self.sequence.least} to {per_seed * self.sequence.most} trials"

    @property
    def kind(self) -> DesignKind | Literal["search"]:
        """The kind of the design, or "search"."""
        return "search" if self.search else self.design.kind

    def to_yaml(self) -> str:
        """The study as resolved, all keys explicit. Loading that text gives an equal study."""
        document = dataclasses.asdict(self)
        document["factors"] = [factor_document(factor) for factor in self.factors]
        document["seeds"] = self._seeds_document()
        del document["sequence"]
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

    def _seeds_document(self) -> list[int] | dict[str, int | str]:
        if self.sequence is None:
            return list(self.seeds)
        sequence = {"min": self.sequence.least, "max": self.sequence.most}
        return {**sequence, "until": "decided", "begun": len(self.seeds)}
