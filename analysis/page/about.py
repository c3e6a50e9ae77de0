"""What the page's script knows of a study beside its trials: how a trial differs from the reference, and the
commands that run it again and export its encoder."""

import itertools
import math
import shlex
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from analysis.cells import cells_of
from analysis.figures.selection import factor_column
from analysis.figures.theme import COLOURS, LINES
from analysis.results import StudyResults
from analysis.study_file import space_of
from analysis.tables import level_text


def about(study: StudyResults) -> dict[str, Any]:
    """Plain data for JSON: names, thresholds, the reference's settings and what each level sets."""
    document = study.documents[0]
    reference = document.get("reference")
    known = {
        "name": study.name,
        "title": study.title,
        "directories": [
            _directory(name, manifest)
            for name, manifest in zip(study.directories, study.manifests, strict=True)
        ],
        "program": _program(study.manifests[0]),
        "thresholds": [study.representation_threshold, study.projection_threshold],
        "measured": study.is_measured,
        "reference": next((place for place, cell in enumerate(cells_of(study)) if cell.is_reference), None),
        "settings": dict(reference) if isinstance(reference, Mapping) else {},
        "collapse": {**rule} if isinstance(rule := document.get("collapse"), Mapping) else {},
        "resources": {**needs} if isinstance(needs := document.get("resources"), Mapping) else {},
        "factors": [
            {
                "name": factor.name,
                "column": factor_column(factor.name),
                "first": factor.levels[0] if factor.levels else None,
                "sets": _settings(document, factor.name),
            }
            for factor in study.factors
        ],
    }
    plain: dict[str, Any] = _plain(known)
    return plain


def _plain(value: object) -> Any:
    """What a study file holds as JSON has it, whatever YAML made of it."""
    if isinstance(value, Mapping):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    finite = not isinstance(value, float) or math.isfinite(value)
    return value if isinstance(value, str | int | float | bool | None) and finite else str(value)


def colours() -> dict[str, Any]:
    """The colours of the figures that the script draws itself, on light paper."""
    return {**{name: light for name, (light, _) in COLOURS.items()}, "lines": list(LINES)}


def _settings(document: Mapping[str, Any], name: str) -> dict[str, Any] | None:
    """Level -> what it sets; None where the factor's value is the setting of its name."""
    space = space_of(document)
    if name in space:
        choices = space[name].get("choices")
        return {level_text(choice): {name: choice} for choice in choices} if choices else None
    factors = document.get("factors") or []
    if isinstance(factors, Mapping):
        factors = [{"name": key, "levels": levels} for key, levels in factors.items()]
    for factor in factors:
        if str(factor.get("name")) == name and isinstance(factor.get("levels"), list):
            return {
                level_text(level["label"] if isinstance(level, Mapping) else level): (
                    dict(level.get("settings") or {}) if isinstance(level, Mapping) else {name: level}
                )
                for level in factor["levels"]
            }
    return {}


def _words(manifest: Mapping[str, Any]) -> list[str]:
    try:
        return shlex.split(str(manifest.get("command", "")))
    except ValueError:
        return []


def _directory(name: str, manifest: Mapping[str, Any]) -> str:
    """The directory as its driver was told it, if it is still called so."""
    words = _words(manifest)
    for word, following in itertools.pairwise(words):
        if word == "--out" and PurePath(following).name == PurePath(name).name:
            return following
    return name


def _program(manifest: Mapping[str, Any]) -> str:
    words = _words(manifest)
    installed = words and PurePath(words[0]).name == "byol-sweeps"
    return "byol-sweeps" if installed else "python run_sweep.py"
