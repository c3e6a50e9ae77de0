"""The results of one or several sweeps, as types."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from analysis.states import MEASURED, SAMPLE

NOT_SET = "not set"
"""What stands for a level where a factor has none: it does not apply there."""


@dataclass(frozen=True, kw_only=True)
class Factor:
    """What a study varied."""

    name: str
    """As in the study file; its column in the tables is `f_<name>`."""
    levels: tuple[str, ...]
    """Labels as text, in the study's order: the first is the reference's. Empty for drawn numbers. A trial to
    which the factor does not apply has NOT_SET instead, which is none of these."""
    settings: frozenset[str] = field(default=frozenset(), repr=False)
    """What its levels set, as far as the study file says."""

    @property
    def column(self) -> str:
        """The factor's column in the table of trials."""
        return f"f_{self.name}"


@dataclass(frozen=True, kw_only=True)
class SeedSequence:
    """Seeds that are run one after the other until the verdict is settled. There is a look after each from
    `least` on."""

    least: int
    """Seeds before the first look, at least 2."""
    most: int
    """Seeds before the last look, more than `least`."""


@dataclass(frozen=True, kw_only=True, eq=False)
class StudyResults:
    """One study: all trials of it that any of the directories holds. Equal only to itself."""

    name: str
    title: str
    question: str
    source: str
    expected: str
    """What the study file says should come out."""
    design: str
    """Its kind; "search" when the trials are samples and not a design."""
    factors: tuple[Factor, ...]
    representation_threshold: float
    """representation_std below this is collapse."""
    projection_threshold: float
    seeds: tuple[int, ...]
    """All that were planned."""
    trials: pd.DataFrame
    """A row per planned trial: the columns of trials.parquet, null where an older table lacks them; `outcome`
    and `full_length` (see outcomes.py); each factor's levels as text, unless a search drew numbers."""
    metrics: pd.DataFrame
    """A row per trial and measurement, in order of step."""
    spectra: pd.DataFrame
    """A row per trial, measurement and level."""
    directories: tuple[str, ...]
    """Names of the directories that were read."""
    documents: tuple[Mapping[str, Any], ...]
    """study.yaml of each."""
    manifests: tuple[Mapping[str, Any], ...]
    """manifest.json of each; empty where there is none."""
    sequence: SeedSequence | None = None
    """Where the seeds were run until the verdict was settled; None where their number was fixed."""
    duplicates: int = 0
    """Trials that stood in more than one directory, and were read once."""

    @property
    def is_search(self) -> bool:
        """Whether the trials are a search's samples, which carry no intervals."""
        return self.design == SAMPLE

    @property
    def is_measured(self) -> bool:
        """Whether the trials are embeddings from elsewhere, of whose training nothing is known."""
        return self.design == MEASURED


@dataclass(frozen=True, kw_only=True)
class Results:
    """What `load_results` read."""

    studies: tuple[StudyResults, ...]
    """A sweep each, in the order of the directories; those that complete each other are one."""

    @property
    def names(self) -> tuple[str, ...]:
        """What tells the sweeps apart: the study, and where several are of that study, the directory."""
        studies = [study.name for study in self.studies]
        return tuple(
            study.name if studies.count(study.name) == 1 else f"{study.name} in {study.directories[0]}"
            for study in self.studies
        )
