"""The results of one or several sweeps, read from the tables that docs/result-tables.md describes."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.merge import completes, merge
from analysis.outcomes import classify, ran_full_length
from analysis.provenance import stated_provenance
from analysis.results import NOT_SET, Factor, Results, StudyResults
from analysis.states import SAMPLE
from analysis.study_file import StatedFactor, read_document, sequence_of, stated_factors, thresholds
from analysis.tables import (
    as_texts,
    checked_metrics,
    checked_spectra,
    checked_trials,
    read_metrics,
    read_spectra,
    read_trials,
    refuse,
    refuse_duplicates,
)
from analysis.tables import level_text as level_text
from analysis.wording import listed, shortened


def load_results(dirs: Path | str | Sequence[Path | str]) -> Results:
    """Reads sweep directories, finished or not.

    Directories of the same study (name, reference, factor names and collapse rule) that complete each other
    become one sweep with the trials of all of them; a trial that is in several is taken from where it got
    furthest. Where a trial finished in two of them with other results, or their data differ, they stay apart.

    Args:
        dirs: sweep directories, or one, with at least `study.yaml` and `trials.parquet`.

    Raises:
        ValueError: a directory holds no sweep, or a table of it cannot be read or be true.

    >>> from tempfile import TemporaryDirectory
    >>> trials = {"trial_id": ["a", "b"], "state": "COMPLETE", "seed": 0, "collapsed": [False, True]}
    >>> with TemporaryDirectory() as name:
    ...     _ = Path(name, "study.yaml").write_text("name: tiny")
    ...     pd.DataFrame(trials | {"f_predictor": ["mlp", "none"]}).to_parquet(Path(name, "trials.parquet"))
    ...     (study,) = load_results([Path(name)]).studies
    >>> study.trials["outcome"].tolist()
    ['survived', 'collapsed']
    >>> study.factors
    (Factor(name='predictor', levels=('mlp', 'none')),)
    """
    directories = [Path(one) for one in ([dirs] if isinstance(dirs, Path | str) else dirs)]
    if not directories:
        raise ValueError("at least one sweep directory is needed, but none was given")
    sweeps: list[tuple[str, list[StudyResults]]] = []
    for directory, name in zip(directories, _names(directories), strict=True):
        study = replace(_read(directory), directories=(name,))
        factors = [factor.name for factor in study.factors]
        identity = [study.name, study.documents[0].get("reference"), factors, study.is_search]
        identity += [study.representation_threshold, study.projection_threshold]
        key = json.dumps(identity, sort_keys=True, default=str)
        for other, members in sweeps:
            if other == key and all(completes(member, study) for member in members):
                members.append(study)
                break
        else:
            sweeps.append((key, [study]))
    return Results(studies=tuple(merge(members) for _, members in sweeps))


def _names(directories: Sequence[Path]) -> list[str]:
    """The last parts of the directories' paths, as few as tell them apart."""
    parts = [Path(directory).resolve().parts for directory in directories]
    most = max(map(len, parts))
    for length in range(1, most + 1):
        tails = {path[-length:] for path in parts}
        if len(tails) == len(set(parts)):
            break
    return [Path(*path[-length:]).as_posix() for path in parts]


def study_from_tables(
    trials: pd.DataFrame,
    metrics: pd.DataFrame | None = None,
    spectra: pd.DataFrame | None = None,
    *,
    study: Mapping[str, Any] | None = None,
) -> StudyResults:
    """Judges tables that are in memory, wherever they come from.

    Args:
        trials, metrics, spectra: tables as docs/result-tables.md describes them. They are not changed.
        study: what study.yaml would say. Without it, the factors are the columns `f_<name>`, and the
            reference is what the first row has.

    Raises:
        ValueError: a table, or `study`, cannot be true; the message names table, column and row.

    >>> trials = pd.DataFrame({"trial_id": ["a", "b"], "state": "COMPLETE", "seed": 0, "collapsed": [0, 1]})
    >>> study = study_from_tables(trials.assign(f_predictor=["mlp", "none"]))
    >>> study.trials["outcome"].tolist(), study.factors[0].levels
    (['survived', 'collapsed'], ('mlp', 'none'))
    """
    return _study(
        document={} if study is None else study,
        manifest={},
        trials=checked_trials(trials, Path("trials")),
        metrics=checked_metrics(metrics, Path("metrics")),
        spectra=checked_spectra(spectra, Path("spectra")),
        paths=(Path("study"), Path("trials")),
        directory="tables",
    )


def _read(directory: Path) -> StudyResults:
    study_path, manifest_path = directory / "study.yaml", directory / "manifest.json"
    table = directory / "trials.parquet"
    return _study(
        document=read_document(study_path),
        manifest=read_document(manifest_path) if manifest_path.exists() else {},
        trials=read_trials(table),
        metrics=read_metrics(directory / "metrics.parquet"),
        spectra=read_spectra(directory / "spectra.parquet"),
        paths=(study_path, table),
        directory=directory.resolve().name,
    )


def _study(
    *,
    document: Mapping[str, Any],
    manifest: Mapping[str, Any],
    trials: pd.DataFrame,
    metrics: pd.DataFrame,
    spectra: pd.DataFrame,
    paths: tuple[Path, Path],
    directory: str,
) -> StudyResults:
    """The results from what was read; `paths` are what errors call the study and the table of trials."""
    study_path, table = paths
    trials = _with_manifest(trials, manifest)
    factors = _factors(stated_factors(document, study_path), trials, table)
    trials = trials.assign(outcome=classify(trials))
    trials = trials.assign(full_length=ran_full_length(trials))
    for factor in factors:
        if factor.levels:
            labels = [NOT_SET if text is None else text for text in as_texts(trials[factor.column].tolist())]
            trials[factor.column] = pd.Series(labels, index=trials.index, dtype="str")
    design = _design(document, trials)
    if factors and design != SAMPLE:
        refuse_duplicates(table, trials, [*(factor.column for factor in factors), "seed"])
    representation_threshold, projection_threshold = thresholds(document, study_path)
    return StudyResults(
        name=str(document.get("name", directory)),
        title=str(document.get("title") or document.get("name", directory)),
        question=str(document.get("question") or ""),
        source=str(document.get("source") or ""),
        expected=str(document.get("expected") or ""),
        design=design,
        factors=factors,
        representation_threshold=representation_threshold,
        projection_threshold=projection_threshold,
        seeds=tuple(sorted({int(seed) for seed in trials["seed"].dropna()})),
        trials=trials,
        metrics=metrics,
        spectra=spectra,
        directories=(directory,),
        documents=(document,),
        manifests=(manifest,),
        sequence=sequence_of(document, study_path),
    )


def _design(document: Mapping[str, Any], trials: pd.DataFrame) -> str:
    if document.get("search") or (trials["design"] == SAMPLE).any():
        return SAMPLE
    design = document.get("design", "full-factorial")
    return str(design.get("kind", "full-factorial") if isinstance(design, Mapping) else design)


def _factors(stated: Mapping[str, StatedFactor], trials: pd.DataFrame, table: Path) -> tuple[Factor, ...]:
    """The study's factors in order, and then those that only the table has.

    Raises:
        ValueError: the table lacks a factor of a design, or has a level that the study does not.
    """
    absent = [f"f_{name}" for name, factor in stated.items() if not factor.is_parameter]
    absent = [column for column in absent if column not in trials]
    if absent and len(trials):
        rule = "must have a column for each factor of study.yaml"
        raise ValueError(f"{table}: {rule}, but lacks {shortened(listed(absent), 200)}")
    only_there = [name[2:] for name in map(str, trials.columns) if name.startswith("f_")]
    factors = []
    for name in dict.fromkeys([*stated, *only_there]):
        if f"f_{name}" not in trials:
            continue
        factor = stated.get(name, StatedFactor(labels=(), settings=frozenset([name])))
        column = trials[f"f_{name}"]
        texts = pd.Series(as_texts(column.tolist()), index=column.index, dtype="object")
        if factor.labels and not factor.is_parameter:
            rule = f"must be one of {shortened(', '.join(factor.labels), 120)} (as in study.yaml)"
            refuse(table, f"f_{name}", texts, texts.notna() & ~texts.isin(factor.labels), rule)
        is_number = pd.api.types.is_float_dtype(column) and not factor.labels and column.nunique() > 8
        occurring = texts.iloc[:0] if is_number or factor.is_range else texts.dropna()
        levels = tuple(dict.fromkeys([*factor.labels, *occurring]))
        factors.append(Factor(name=name, levels=levels, settings=factor.settings))
    return tuple(factors)


def _with_manifest(trials: pd.DataFrame, manifest: Mapping[str, Any]) -> pd.DataFrame:
    """Fills in what older tables lack from a manifest whose drivers agree, for trials that have run."""
    known = pd.DataFrame({name: [value] for name, value in stated_provenance(manifest).items()})
    ran = trials["device"].notna() | trials["collapsed"].notna()
    filled = trials
    for name in known:
        if trials[name].isna().all():
            value = pd.Series([known[name].iloc[0]] * len(trials), index=trials.index).where(ran)
            filled = filled.assign(**{str(name): value.astype(trials[name].dtype)})
    return filled
