"""What study.yaml and manifest.json say, as far as the analysis needs it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from analysis.results import SeedSequence
from analysis.tables import level_text


@dataclass(frozen=True, kw_only=True)
class StatedFactor:
    """A factor of the study, or a parameter of its search."""

    labels: tuple[str, ...]
    """Of its levels, as text; empty for a range."""
    settings: frozenset[str]
    """What its levels set."""
    is_parameter: bool = False
    """Whether a search draws it, so that a table may lack it, and need not have these levels."""
    is_range: bool = False


def read_document(path: Path) -> Mapping[str, Any]:
    """A YAML or JSON file that holds a mapping.

    Raises:
        ValueError: it cannot be read, or holds something else.
    """
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


def stated_factors(document: Mapping[str, Any], path: Path) -> dict[str, StatedFactor]:
    """The factors by name, in order, of a study as it is resolved, or as a user writes it.

    Raises:
        ValueError: a factor has no name or no levels.

    >>> written = {"factors": {"tau_base": [0.99, 0], "heads": {"none": {"projector_norm": "none"}}}}
    >>> [factor.labels for factor in stated_factors(written, Path("study.yaml")).values()]
    [('0.99', '0'), ('none',)]
    """
    entries = document.get("factors") or []
    space = space_of(document)
    try:
        pairs = [*entries.items()] if isinstance(entries, Mapping) else [(e["name"], e) for e in entries]
        factors = {str(name): _levels(str(name), body) for name, body in pairs}
        for name, parameter in space.items():
            factors[str(name)] = StatedFactor(
                labels=tuple(level_text(choice) for choice in parameter.get("choices") or []),
                settings=frozenset([str(name)]),
                is_parameter=True,
                is_range="low" in parameter,
            )
    except (AttributeError, KeyError, TypeError):
        raise ValueError(f"{path}: factors: each must have a name and a list of levels") from None
    return factors


def space_of(document: Mapping[str, Any]) -> Mapping[str, Any]:
    """A search's space; empty for a design."""
    search = document.get("search")
    space = search.get("space") if isinstance(search, Mapping) else None
    return space if isinstance(space, Mapping) else {}


def thresholds(document: Mapping[str, Any], path: Path) -> tuple[float, float]:
    """Below which std the representation, and the projection, count as collapsed.

    Raises:
        ValueError: one is not a finite number.
    """
    rule = document.get("collapse") or {}
    if not isinstance(rule, Mapping):
        raise ValueError(f"{path}: collapse: must be a mapping, but got {rule!r}")
    found = []
    for key in ("representation_threshold", "projection_threshold"):
        value = rule.get(key, 0.1)
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise ValueError(f"{path}: collapse.{key}: must be a number, but got {value!r}")
        found.append(float(value))
    return found[0], found[1]


def sequence_of(document: Mapping[str, Any], path: Path) -> SeedSequence | None:
    """The looks of a study whose seeds run until the verdict is settled; None for any other.

    Raises:
        ValueError: they are not whole numbers in order.
    """
    seeds = document.get("seeds")
    if not isinstance(seeds, Mapping):
        return None
    least, most = seeds.get("min"), seeds.get("max")
    if not isinstance(least, int) or not isinstance(most, int) or not 2 <= least < most:
        raise ValueError(f"{path}: seeds: must have min, at least 2, and a larger max, but got {dict(seeds)}")
    return SeedSequence(least=least, most=most)


def _levels(name: str, body: Any) -> StatedFactor:
    levels = body.get("levels", body) if isinstance(body, Mapping) else body
    if isinstance(levels, str):
        raise TypeError
    if isinstance(levels, Mapping):  # label -> settings
        levels = [{"label": label, "settings": settings} for label, settings in levels.items()]
    labels: list[str] = []
    settings: set[str] = set()
    for level in levels:
        labels.append(level_text(level["label"] if isinstance(level, Mapping) else level))
        settings |= set(level.get("settings") or {}) if isinstance(level, Mapping) else {name}
    of_own_data = {
        "dataset" for key in settings if key.startswith("dataset.")
    }  # arguments choose the data too
    return StatedFactor(labels=tuple(dict.fromkeys(labels)), settings=frozenset(settings | of_own_data))
