"""The results of one or several sweeps, read from the tables that docs/result-tables.md describes."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.outcomes import classify, ran_full_length
from analysis.results import NOT_SET, Factor, Results, StudyResults
from analysis.states import SAMPLE, TrialState

_TEXT, _WHOLE, _REAL, _FLAG = "str", "Int64", "float64", "boolean"

TRIAL_COLUMNS = {
    **dict.fromkeys(("trial_id", "cell_id", "design", "state", "end_reason", "device", "error"), _TEXT),
    "precision": _TEXT,
    **dict.fromkeys(("seed", "attempt", "onset_step", "steps_run", "steps_planned", "test_images"), _WHOLE),
    **dict.fromkeys(("collapsed", "projection_collapsed", "dimensional_collapse"), _FLAG),
    **dict.fromkeys(
        ("knn_accuracy", "probe_accuracy", "loss", "representation_std", "projection_std"), _REAL
    ),
    **dict.fromkeys(("effective_rank", "wall_seconds"), _REAL),
    **dict.fromkeys(("knn_accuracy_start", "knn_accuracy_pixels", "chance"), _REAL),
}
"""Columns of trials.parquet -> type. Those that an older table lacks are null."""
METRIC_COLUMNS = {
    "trial_id": _TEXT,
    "step": _WHOLE,
    **dict.fromkeys(("loss", "representation_std", "projection_std", "knn_accuracy"), _REAL),
    **dict.fromkeys(("effective_rank", "projection_effective_rank"), _REAL),
}
SPECTRUM_COLUMNS = {"trial_id": _TEXT, "step": _WHOLE, "level": _TEXT, "eigenvalues": "object"}


def load_results(dirs: Sequence[Path]) -> Results:
    """Reads sweep directories, finished or not.

    Directories of the same study (name, reference, factor names and collapse rule) become one study with the
    trials of all of them; a trial that is in several is taken from where it got furthest.

    Args:
        dirs: sweep directories, with at least `study.yaml` and `trials.parquet`.

    Raises:
        ValueError: a directory holds no sweep, or a table of it cannot be read.

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
    if not dirs:
        raise ValueError("at least one sweep directory is needed, but none was given")
    groups: dict[str, list[StudyResults]] = {}
    for directory in dirs:
        study = _read(Path(directory))
        factors = [factor.name for factor in study.factors]
        identity = [study.name, study.documents[0].get("reference"), factors, study.is_search]
        identity += [study.representation_threshold, study.projection_threshold]
        groups.setdefault(json.dumps(identity, sort_keys=True, default=str), []).append(study)
    return Results(studies=tuple(_merge(group) for group in groups.values()))


def level_text(value: object) -> str:
    """A level's label as text: booleans as in YAML, whole floats without their `.0`."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(float(value))
    return str(value)


def _read(directory: Path) -> StudyResults:
    document = _document(directory / "study.yaml")
    manifest_path = directory / "manifest.json"
    manifest = _document(manifest_path) if manifest_path.exists() else {}
    trials = _table(directory / "trials.parquet", TRIAL_COLUMNS)
    search, rule = document.get("search") or {}, document.get("collapse") or {}
    factors = _factors(document.get("factors") or [], search.get("space") or {}, trials)
    trials = trials.assign(outcome=classify(trials))
    trials = trials.assign(full_length=ran_full_length(trials))
    for factor in factors:
        if factor.levels:
            trials[factor.column] = _texts(trials[factor.column])
    return StudyResults(
        name=str(document.get("name", directory.name)),
        title=str(document.get("title") or document.get("name", directory.name)),
        question=str(document.get("question") or ""),
        source=str(document.get("source") or ""),
        expected=str(document.get("expected") or ""),
        design=_design(document, trials),
        factors=factors,
        representation_threshold=float(rule.get("representation_threshold", 0.1)),
        projection_threshold=float(rule.get("projection_threshold", 0.1)),
        seeds=tuple(sorted({int(seed) for seed in trials["seed"].dropna()})),
        trials=trials,
        metrics=_optional_table(directory / "metrics.parquet", METRIC_COLUMNS).sort_values(
            ["trial_id", "step"], kind="stable", ignore_index=True
        ),
        spectra=_optional_table(directory / "spectra.parquet", SPECTRUM_COLUMNS),
        directories=(directory.resolve().name,),
        documents=(document,),
        manifests=(manifest,),
    )


def _design(document: Mapping[str, Any], trials: pd.DataFrame) -> str:
    if document.get("search") or (trials["design"] == SAMPLE).any():
        return SAMPLE
    design = document.get("design", "full-factorial")
    return str(design.get("kind", "full-factorial") if isinstance(design, Mapping) else design)


def _document(path: Path) -> Mapping[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise ValueError(f"{path.parent}: holds no sweep: {path.name}: {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        raise ValueError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    if not isinstance(document, Mapping):
        raise ValueError(f"{path}: must hold a mapping, not {type(document).__name__}")
    return document


def _table(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except OSError as error:
        raise ValueError(f"{path.parent}: holds no sweep: {path.name}: {error.strerror or error}") from None
    except ValueError as error:  # pyarrow's own errors are ValueErrors too
        raise ValueError(f"{path}: cannot be read: {str(error).splitlines()[0]}") from None
    for name, kind in columns.items():
        if name not in table:
            table[name] = pd.Series([None] * len(table), dtype="object")
        table[name] = table[name].astype(pd.api.types.pandas_dtype(kind))
    return table


def _optional_table(path: Path, columns: Mapping[str, str]) -> pd.DataFrame:
    if path.exists():
        return _table(path, columns)
    return pd.DataFrame({name: pd.Series([], dtype=kind) for name, kind in columns.items()})


def _factors(entries: object, space: Mapping[str, Any], trials: pd.DataFrame) -> tuple[Factor, ...]:
    """The study's factors, or its search's space, in order, and then those that only the table has."""
    stated_levels: dict[str, list[str]] = {}
    for entry in entries if isinstance(entries, list) else []:
        labels = [level["label"] for level in entry.get("levels") or []]
        stated_levels[str(entry["name"])] = [level_text(label) for label in labels]
    for name, parameter in space.items():
        stated_levels[name] = [level_text(label) for label in parameter.get("choices") or []]
    for name in map(str, trials.columns):
        if name.startswith("f_"):
            stated_levels.setdefault(name[2:], [])
    factors = []
    for name, stated in stated_levels.items():
        if f"f_{name}" not in trials:
            continue
        column = trials[f"f_{name}"]
        is_drawn_number = pd.api.types.is_float_dtype(column) and not stated and column.nunique() > 8
        has_levels = "low" not in space.get(name, {}) and not is_drawn_number
        occurring = list(dict.fromkeys(_texts(column.dropna()))) if has_levels else []
        factors.append(Factor(name=name, levels=tuple(dict.fromkeys([*stated, *occurring]))))
    return tuple(factors)


def _texts(column: pd.Series) -> pd.Series:
    def text(value: object) -> str:
        missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
        return NOT_SET if missing else level_text(value)

    return pd.Series([text(value) for value in column.tolist()], index=column.index, dtype="str")


_FURTHEST = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING, TrialState.WAITING)


def _merge(studies: Sequence[StudyResults]) -> StudyResults:
    """One study out of several directories; each trial is taken where it got furthest."""
    if len(studies) == 1:
        return studies[0]
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
        factors=tuple(
            _merge_factor(factors) for factors in zip(*(study.factors for study in studies), strict=True)
        ),
        seeds=tuple(sorted({seed for study in studies for seed in study.seeds})),
        trials=trials.drop(columns=["_source", "_rank"]).reset_index(drop=True),
        metrics=merged([study.metrics for study in studies]),
        spectra=merged([study.spectra for study in studies]),
        directories=tuple(name for study in studies for name in study.directories),
        documents=tuple(document for study in studies for document in study.documents),
        manifests=tuple(manifest for study in studies for manifest in study.manifests),
        duplicates=len(every_row) - len(trials),
    )


def _merge_factor(factors: Sequence[Factor]) -> Factor:
    levels = dict.fromkeys(level for factor in factors for level in factor.levels)
    return Factor(name=factors[0].name, levels=tuple(levels))
