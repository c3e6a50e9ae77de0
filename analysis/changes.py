"""What differs between sweeps: configuration, code, versions, precision and hardware, data."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.outcomes import judged
from analysis.provenance import CODE, DATA, DEVICE, PRECISION, Condition, ran_under, short_names
from analysis.results import StudyResults
from analysis.wording import as_written, listed, shortened

CONFIGURATION, HARDWARE = "Configuration", "Precision and hardware"
_UNKNOWN, _ABSENT = "unknown", "–"
_LENGTH = 120
_SAME_CONDITIONS = ("commit", "versions", "device", "precision", "data_digest")


@dataclass(frozen=True, kw_only=True)
class Change:
    """Something that is not the same in all sweeps."""

    group: str
    name: str
    values: tuple[str, ...]
    """One for each sweep, in their order."""


def changes(studies: Sequence[StudyResults]) -> tuple[Change, ...]:
    """What differs between the sweeps, as far as their files record it; nothing that is alike."""
    settings = [_settings(study) for study in studies]
    versions = [_versions(judged(study.trials)) for study in studies]
    hardware = [_hardware(study) for study in studies]
    names = [{"data set": _joined(_data_name(manifest) for manifest in study.manifests)} for study in studies]
    found = [
        *_differing(CONFIGURATION, settings, _ABSENT),
        *_condition("Code", "commit", CODE, studies),
        *_known("Versions", versions),
        *_condition(HARDWARE, "precision", PRECISION, studies),
        *_condition(HARDWARE, "device", DEVICE, studies),
        *_known(HARDWARE, hardware),
        *_known("Data", names),
        *_condition("Data", "digest", DATA, studies),
    ]
    return tuple(found)


def ran_alike(one: StudyResults, other: StudyResults, trials: Sequence[str]) -> tuple[str, ...]:
    """Those of the trials that two sweeps ran under the same conditions, from a known and clean commit.

    Args:
        one, other: sweeps that both hold the trials.
        trials: their ids.
    """
    if _known(HARDWARE, [_hardware(one), _hardware(other)]):
        return ()
    first, second = (study.trials.set_index("trial_id").loc[list(trials)] for study in (one, other))
    columns = list(_SAME_CONDITIONS)
    same = ((first[columns] == second[columns]) | (first[columns].isna() & second[columns].isna())).all(
        axis=1
    )
    clean = first["clean"].fillna(False) & second["clean"].fillna(False) & first["commit"].notna()
    return tuple(map(str, first.index[(same & clean).astype(bool)]))


def _differing(group: str, by_sweep: Sequence[Mapping[str, str]], missing: str) -> list[Change]:
    """The entries that are not the same in all sweeps, in the order in which they occur."""
    names = dict.fromkeys(name for values in by_sweep for name in values)
    rows = [(name, tuple(values.get(name, missing) for values in by_sweep)) for name in names]
    return [Change(group=group, name=name, values=row) for name, row in rows if len(set(row)) > 1]


def _known(group: str, by_sweep: Sequence[Mapping[str, str]]) -> list[Change]:
    """The same, where two sweeps record different things: what one does not record is no difference."""
    return [
        change for change in _differing(group, by_sweep, _UNKNOWN) if len({*change.values} - {_UNKNOWN}) > 1
    ]


def _condition(group: str, name: str, condition: Condition, studies: Sequence[StudyResults]) -> list[Change]:
    values = [ran_under(judged(study.trials), condition).dropna().unique() for study in studies]
    every = dict.fromkeys(str(value) for some in values for value in some)
    short = short_names(list(every), condition)
    return _differing(group, [{name: _joined(short[str(value)] for value in some)} for some in values], "")


def _settings(study: StudyResults) -> dict[str, str]:
    """Settings of the reference, and what else of the study file decides on the trials."""
    reference = study.documents[0].get("reference")
    settings = (
        {str(name): str(value) for name, value in reference.items()} if isinstance(reference, Mapping) else {}
    )
    for factor in study.factors:
        if factor.levels:
            settings[f"levels of {factor.name}"] = shortened(", ".join(factor.levels), _LENGTH)
    settings["design"] = study.design
    settings["seeds"] = _seeds(study.seeds)
    settings["threshold of the representation"] = as_written(study.representation_threshold)
    settings["threshold of the projection"] = as_written(study.projection_threshold)
    return settings


def _seeds(seeds: Sequence[int]) -> str:
    if len(seeds) > 2 and list(seeds) == list(range(seeds[0], seeds[-1] + 1)):
        return f"{seeds[0]} to {seeds[-1]}"
    return shortened(listed([str(seed) for seed in seeds]), _LENGTH) if seeds else _ABSENT


def _versions(trials: pd.DataFrame) -> dict[str, str]:
    """Package -> its versions, from lines like `python 3.11.9, torch 2.15.0`."""
    found: dict[str, dict[str, None]] = {}
    for line in trials["versions"].dropna().unique():
        for part in str(line).split(", "):
            name, _, version = part.rpartition(" ")
            found.setdefault(name or part, {})[version] = None
    return {name: _joined(versions) for name, versions in found.items()}


def _hardware(study: StudyResults) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for manifest in study.manifests:
        hardware = manifest.get("hardware")
        for name, value in hardware.items() if isinstance(hardware, Mapping) else ():
            if value not in (None, []) and not isinstance(value, Mapping):
                text = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
                found.setdefault(str(name), []).append(text)
    return {name: _joined(values) for name, values in found.items()}


def _data_name(manifest: Mapping[str, Any]) -> str:
    data = manifest.get("data")
    name = data.get("name") if isinstance(data, Mapping) else None
    return _UNKNOWN if name is None else str(name)


def _joined(values: Iterable[object]) -> str:
    """Different values of one sweep, each once; `unknown` without any."""
    texts = [shortened(str(value), _LENGTH) for value in dict.fromkeys(values)]
    return listed(texts) if texts else _UNKNOWN
