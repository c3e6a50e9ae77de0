"""Which directories of one study complete each other, and those as one study.

They do if no trial that finished in both has other results, no cell with a seed stands for another trial, and
their data are the same as far as it is known. Others are kept apart, as sweeps to be compared: what makes
them differ is what the report is then about.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache

import pandas as pd

from analysis.provenance import DATA_SETTINGS
from analysis.results import Factor, StudyResults
from analysis.states import TrialState

_FURTHEST = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_RESULTS = (
    "end_reason",
    "collapsed",
    "projection_collapsed",
    "steps_run",
    "knn_accuracy",
    "loss",
    "representation_std",
    "projection_std",
    "effective_rank",
)
"""Columns that are alike where a trial is run again under the same conditions."""


def differing_trials(one: StudyResults, other: StudyResults) -> tuple[str, ...]:
    """The trials that finished in both, and have other results in the second."""
    first, second = _results(one), _results(other)
    return tuple(trial for trial in first if trial in second and first[trial] != second[trial])


@lru_cache(maxsize=16)  # every pair of sweeps asks
def _results(study: StudyResults) -> Mapping[str, tuple[object, ...]]:
    """Finished trial -> its results, None where unknown."""
    rows = study.trials[study.trials["state"].isin(_FINISHED)]
    known = rows[list(_RESULTS)].astype(object).where(rows[list(_RESULTS)].notna(), None)
    return dict(zip(rows["trial_id"], known.itertuples(index=False, name=None), strict=True))


def completes(one: StudyResults, other: StudyResults) -> bool:
    """Whether two directories of the same study can be read as one sweep."""
    if differing_trials(one, other):
        return False
    rows = pd.concat([one.trials.assign(_source=0), other.trials.assign(_source=1)], ignore_index=True)
    if not _have_the_same_data(rows, one.factors):
        return False
    columns = [*(factor.column for factor in one.factors), "seed"]
    trials = rows.drop_duplicates("trial_id")
    return one.is_search or not one.factors or not bool(trials.duplicated(columns).any())


def merge(studies: Sequence[StudyResults]) -> StudyResults:
    """One study out of directories that complete each other; each trial is taken where it got furthest."""
    if len(studies) == 1:
        return studies[0]
    factors = tuple(
        _merge_factor(factors) for factors in zip(*(study.factors for study in studies), strict=True)
    )
    rank = {state.value: index for index, state in enumerate(_FURTHEST)}
    parts = [study.trials.assign(_source=index) for index, study in enumerate(studies)]
    every_row = pd.concat(parts, ignore_index=True)
    ranked = every_row.assign(_rank=every_row["state"].map(rank).fillna(len(rank)))
    trials = ranked.sort_values(["_rank", "_source"], kind="stable").drop_duplicates("trial_id").sort_index()
    sources = dict(zip(trials["trial_id"], trials["_source"], strict=True))

    def merged(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
        rows = [
            table[table["trial_id"].map(sources) == index] for index, table in enumerate(tables) if len(table)
        ]
        return pd.concat(rows, ignore_index=True) if rows else tables[0]

    return replace(
        studies[0],
        factors=factors,
        seeds=tuple(sorted({seed for study in studies for seed in study.seeds})),
        trials=trials.drop(columns=["_source", "_rank"]).reset_index(drop=True),
        metrics=merged([study.metrics for study in studies]),
        spectra=merged([study.spectra for study in studies]),
        directories=tuple(name for study in studies for name in study.directories),
        documents=tuple(document for study in studies for document in study.documents),
        manifests=tuple(manifest for study in studies for manifest in study.manifests),
        sequence=max(
            (study.sequence for study in studies if study.sequence),
            key=lambda sequence: sequence.most - sequence.least,
            default=None,
        ),
        duplicates=len(every_row) - len(trials),
    )


def _merge_factor(factors: Sequence[Factor]) -> Factor:
    levels = dict.fromkeys(level for factor in factors for level in factor.levels)
    settings = frozenset().union(*(factor.settings for factor in factors))
    return Factor(name=factors[0].name, levels=tuple(levels), settings=settings)


def _have_the_same_data(rows: pd.DataFrame, factors: Sequence[Factor]) -> bool:
    """Whether trials of both directories on the same data set have the same digest of it, where it is known.

    The reference is the same, so the data set is that of the factors that choose it.
    """
    choosing = [factor.column for factor in factors if factor.settings & DATA_SETTINGS]
    known = rows[rows["data_digest"].notna()].assign(_all=0)
    digests = [
        set(map(tuple, known.loc[known["_source"] == source, ["_all", *choosing, "data_digest"]].to_numpy()))
        for source in (0, 1)
    ]
    first: dict[tuple[object, ...], set[object]] = {}
    for *labels, digest in digests[0]:
        first.setdefault(tuple(labels), set()).add(digest)
    return all(digest in first.get(tuple(labels), {digest}) for *labels, digest in digests[1])
