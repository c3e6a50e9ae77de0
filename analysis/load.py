"""The results of one or several sweeps, read from the tables that docs/result-tables.md describes."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.outcomes import NOT_SET, classify, ran_full_length
from analysis.results import Factor, Results, StudyResults

_TEXT, _WHOLE, _REAL, _FLAG = "str", "Int64", "float64", "boolean"

TRIAL_COLUMNS = {
    **dict.fromkeys(("trial_id", "cell_id", "design", "state", "end_reason", "device", "error"), _TEXT),
    **dict.fromkeys(("seed", "attempt", "onset_step", "steps_run", "steps_planned"), _WHOLE),
    **dict.fromkeys(("collapsed", "projection_collapsed", "dimensional_collapse"), _FLAG),
    **dict.fromkeys(
        ("knn_accuracy", "probe_accuracy", "loss", "representation_std", "projection_std"), _REAL
    ),
    **dict.fromkeys(("effective_rank", "wall_seconds"), _REAL),
}
METRIC_COLUMNS = {
    "trial_id": _TEXT,
    "step": _WHOLE,
    **dict.fromkeys(("loss", "representation_std", "projection_std", "knn_accuracy"), _REAL),
    **dict.fromkeys(("effective_rank", "projection_effective_rank"), _REAL),
}
SPECTRUM_COLUMNS = {"trial_id": _TEXT, "step": _WHOLE, "level": _TEXT, "eigenvalues": "object"}


def load_results(dirs: Sequence[Path]) -> Results:
    """Reads sweep directories, finished or not.

    Directories that hold the same study (name, reference, factor names and collapse rule) become one:
    their trials are put together, and a trial that stands in several is taken where it got furthest.

    Raises:
        ValueError: if a directory holds no sweep, or a table of it cannot be read.
    """
    if not dirs:
        raise ValueError("at least one sweep directory is needed, but none was given")
    groups: dict[str, list[StudyResults]] = {}
    for directory in dirs:
        study = _read(Path(directory))
        document = study.documents[0]
        same = [study.name, document.get("reference"), [factor.name for factor in study.factors]]
        same += [study.representation_threshold, study.projection_threshold, study.searched]
        groups.setdefault(json.dumps(same, sort_keys=True, default=str), []).append(study)
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
    kind = document.get("design", "full-factorial")
    design = str(kind.get("kind", "full-factorial") if isinstance(kind, Mapping) else kind)
    search = document.get("search")
    if search or (trials["design"] == "search").any():
        design = "search"
    rule = document.get("collapse") or {}
    factors = _factors(document.get("factors") or [], (search or {}).get("space") or {}, trials)
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
        design=design,
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
    """The study's factors, or its search's space, in order, and then those of the table alone."""
    levels: dict[str, list[str]] = {}
    for entry in entries if isinstance(entries, list) else []:
        labels = [level["label"] for level in entry.get("levels") or []]
        levels[str(entry["name"])] = [level_text(label) for label in labels]
    for name, parameter in space.items():
        levels[name] = [level_text(label) for label in parameter.get("choices") or []]
    for name in map(str, trials.columns):
        if name.startswith("f_"):
            levels.setdefault(name[2:], [])
    factors = []
    for name, labels in levels.items():
        if f"f_{name}" not in trials:
            continue
        column = trials[f"f_{name}"]
        many = pd.api.types.is_float_dtype(column) and not labels and column.nunique() > 8
        drawn = "low" in space.get(name, {}) or many
        seen = [] if drawn else list(dict.fromkeys(_texts(column.dropna())))
        factors.append(Factor(name=name, levels=tuple(dict.fromkeys([*labels, *seen]))))
    return tuple(factors)


def _texts(column: pd.Series) -> pd.Series:
    def text(value: object) -> str:
        missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
        return NOT_SET if missing else level_text(value)

    return pd.Series([text(value) for value in column.tolist()], index=column.index, dtype="str")


_FURTHEST = ("COMPLETE", "PRUNED", "FAIL", "RUNNING", "WAITING")


def _merge(group: list[StudyResults]) -> StudyResults:
    if len(group) == 1:
        return group[0]
    order = {state: rank for rank, state in enumerate(_FURTHEST)}
    parts = [study.trials.assign(_source=index) for index, study in enumerate(group)]
    trials = pd.concat(parts, ignore_index=True)
    ranked = trials.assign(_rank=trials["state"].map(order).fillna(len(order)))
    kept = ranked.sort_values(["_rank", "_source"], kind="stable").drop_duplicates("trial_id").sort_index()
    sources = dict(zip(kept["trial_id"], kept["_source"], strict=True))
    levels = [
        Factor(name=same[0].name, levels=tuple(dict.fromkeys(label for one in same for label in one.levels)))
        for same in zip(*(study.factors for study in group), strict=True)
    ]

    def rows(tables: list[pd.DataFrame]) -> pd.DataFrame:
        wanted = [
            table[table["trial_id"].map(sources) == index] for index, table in enumerate(tables) if len(table)
        ]
        return pd.concat(wanted, ignore_index=True) if wanted else tables[0]

    return replace(
        group[0],
        factors=tuple(levels),
        seeds=tuple(sorted({seed for study in group for seed in study.seeds})),
        trials=kept.drop(columns=["_source", "_rank"]).reset_index(drop=True),
        metrics=rows([study.metrics for study in group]),
        spectra=rows([study.spectra for study in group]),
        directories=tuple(name for study in group for name in study.directories),
        documents=tuple(document for study in group for document in study.documents),
        manifests=tuple(manifest for study in group for manifest in study.manifests),
        duplicates=len(trials) - len(kept),
    )
