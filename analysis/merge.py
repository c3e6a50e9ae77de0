"""Several directories of one study as one study."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pandas as pd

from analysis.provenance import DATA_SETTINGS
from analysis.results import Factor, StudyResults
from analysis.states import TrialState
from analysis.wording import shortened

_FURTHEST = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)


def merge(paths: Sequence[Path], studies: Sequence[StudyResults]) -> StudyResults:
    """One study out of several directories; each trial is taken where it got furthest.

    Args:
        paths: the directories.
        studies: what each holds, all of the same study.

    Raises:
        ValueError: two directories hold other data, or one cell and seed as two trials.
    """
    if len(studies) == 1:
        return studies[0]
    factors = tuple(
        _merge_factor(factors) for factors in zip(*(study.factors for study in studies), strict=True)
    )
    rank = {state.value: index for index, state in enumerate(_FURTHEST)}
    parts = [study.trials.assign(_source=index) for index, study in enumerate(studies)]
    every_row = pd.concat(parts, ignore_index=True)
    _check_data(paths, every_row, factors)
    ranked = every_row.assign(_rank=every_row["state"].map(rank).fillna(len(rank)))
    trials = ranked.sort_values(["_rank", "_source"], kind="stable").drop_duplicates("trial_id").sort_index()
    if not studies[0].is_search:
        _check_cells(paths, trials, factors)
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


def _check_data(paths: Sequence[Path], rows: pd.DataFrame, factors: Sequence[Factor]) -> None:
    """Trials of two directories on the same data set must have the same digest of it, where it is known.

    The reference is the same, so the data set is that of the factors that choose it.
    """
    choosing = [factor.column for factor in factors if factor.settings & DATA_SETTINGS]
    known = rows[rows["data_digest"].notna()]
    first: dict[tuple[object, ...], tuple[int, str]] = {}
    for source, digest, *labels in known[["_source", "data_digest", *choosing]].drop_duplicates().to_numpy():
        other, expected = first.setdefault(tuple(labels), (source, digest))
        if source != other and digest != expected:
            where = f" (where {', '.join(map(str, labels))})" if labels else ""
            raise ValueError(
                f"{paths[source]}: must hold the same data as {paths[other]}{where}, whose digest is "
                f"{shortened(expected, 70)}, but got {shortened(digest, 70)}"
            )


def _check_cells(paths: Sequence[Path], trials: pd.DataFrame, factors: Sequence[Factor]) -> None:
    """One cell and seed must be the same trial in all directories."""
    columns = [*(factor.column for factor in factors), "seed"]
    if not factors or not trials.duplicated(columns).any():
        return
    twice = trials[trials.duplicated(columns, keep=False)]
    pair = twice[twice.groupby(columns, dropna=False, sort=False).ngroup() == 0].head(2)
    (one, other), (first, second) = pair["_source"], pair["trial_id"]
    cell = shortened(", ".join(str(value) for value in pair[columns[:-1]].iloc[0]), 120)
    raise ValueError(
        f"{paths[other]}: must not hold the cell {cell} with seed {pair['seed'].iloc[0]} as another trial "
        f"({shortened(second, 40)}) than {paths[one]} ({shortened(first, 40)}): their settings differ"
    )
