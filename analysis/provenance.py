"""What the trials ran under: code, versions, device, precision and data; and where that differs.

A difference between two cells can be due to what they ran under only if that differs. If it differs along a
factor, so that the trials at one level ran under one condition and those at another under another, nothing in
the tables can tell the factor's effect from the condition's: the factor is confounded.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import pandas as pd

from analysis.outcomes import judged
from analysis.results import Factor, StudyResults
from analysis.wording import listed, plural, shortened

DATA_SETTINGS = frozenset({"dataset", "train_images", "image_size", "preset"})
"""Settings that choose the data set."""
_OVERLAP = 0.1
"""Two levels are confounded with a condition if less of their trials than this share it."""
_NO_COMMIT, _CHANGES = "an unknown commit", " with changes"
_DIGEST = ", code "
"""Before the digest of code whose commit does not tell it from other code."""
_GROUPS_UP_TO = 4
_TRIALS_UP_TO = 3


@dataclass(frozen=True, kw_only=True)
class Condition:
    """Something that a trial runs under, and that a study does not mean to vary unless a factor sets it."""

    name: str
    """For sentences: the device."""
    differ: str
    """How it is said that it differs: `Trials ran on different devices`."""
    owner: str
    """Whose the differences between the trials can then be."""
    set_by: frozenset[str] = frozenset()
    """A factor with one of these settings varies it on purpose."""


CODE = Condition(name="code", differ="at different states of the code", owner="the code's")
VERSIONS = Condition(name="versions", differ="with different versions", owner="the packages'")
DEVICE = Condition(name="device", differ="on different devices", owner="the devices'")
PRECISION = Condition(
    name="precision",
    differ="in different precisions",
    owner="the machines'",
    set_by=frozenset({"precision", "preset"}),
)
DATA = Condition(name="data", differ="on different data", owner="the data's", set_by=DATA_SETTINGS)
CONDITIONS = (CODE, VERSIONS, DEVICE, PRECISION, DATA)


@dataclass(frozen=True, kw_only=True)
class Mixture:
    """A condition under which the judged trials differ, although no factor is meant to vary it."""

    condition: Condition
    groups: Mapping[str, int]
    """What they ran under, in short -> number of trials; the largest first."""
    follows_seeds: bool
    """Whether all trials of a seed ran under the same, so that comparisons within seeds are not affected."""

    @property
    def text(self) -> str:
        """`bf16 in 16 and fp32 in 32`, in the order of the texts."""
        return _numbers(self.groups)


def stated_provenance(manifest: Mapping[str, Any]) -> dict[str, object]:
    """What a manifest says of all trials: columns of trials.parquet -> value, as far as its drivers agree.

    Tables of earlier versions lack these columns.
    """
    drivers = [entry for entry in manifest.get("drivers") or [] if isinstance(entry, Mapping)] or [manifest]
    git = [entry.get("git") for entry in drivers]
    versions = [entry.get("versions") for entry in drivers]
    data = manifest.get("data")
    stated: dict[str, object] = {}
    if isinstance(git[0], Mapping) and all(state == git[0] for state in git):
        stated |= {name: git[0].get(name) for name in ("commit", "clean")}
    if isinstance(versions[0], Mapping) and all(other == versions[0] for other in versions):
        stated["versions"] = ", ".join(f"{name} {number}" for name, number in versions[0].items())
    if isinstance(data, Mapping) and len(data.get("all") or "1") == 1:  # one data set
        stated["data_digest"] = data.get("digest")
    return {name: value for name, value in stated.items() if isinstance(value, str | bool)}


def mixtures(study: StudyResults) -> tuple[Mixture, ...]:
    """The conditions that differ between judged trials, in the order of CONDITIONS."""
    trials = judged(study.trials)
    found = []
    for condition in CONDITIONS:
        values = ran_under(trials, condition)
        if _differs(trials, values, _setting(study.factors, condition)):
            seeds = values.groupby(trials["seed"]).nunique()
            found.append(
                Mixture(
                    condition=condition,
                    groups=_groups(values, condition),
                    follows_seeds=bool((seeds <= 1).all()) and bool(values.notna().all()),
                )
            )
    return tuple(found)


@lru_cache(maxsize=4)  # every sentence, figure and table on effects asks
def confounded(study: StudyResults) -> Mapping[str, str]:
    """Name of each factor whose effects cannot be told from those of a condition -> with which, and why.

    Compared are trials of the same seed in cells that differ in this factor only, or, where a design has no
    such cells, all trials of the two levels. A condition that a factor sets does not confound that factor.
    """
    trials = judged(study.trials)
    if study.is_search or trials.empty:
        return {}
    reasons: dict[str, list[str]] = {}
    for mixture in mixtures(study):
        condition = mixture.condition
        values = ran_under(trials, condition)
        for factor in _setting(study.factors, condition, negate=True):
            if reason := _along(trials, values, study.factors, factor, condition):
                reasons.setdefault(factor.name, []).append(f"the {condition.name} ({reason})")
    return {name: f"confounded with {listed(parts)}" for name, parts in reasons.items()}


def provenance_rows(study: StudyResults) -> list[tuple[str, str]]:
    """For the audit: each condition, and how many of the judged trials ran under what, and which."""
    trials = judged(study.trials)
    rows = []
    for condition in CONDITIONS if len(trials) else ():
        values = ran_under(trials, condition)
        unknown = int(values.isna().sum())
        short = short_names(values.dropna().unique().tolist(), condition)
        counts = values.value_counts()
        parts = []
        for place, (value, number) in enumerate(counts.head(_GROUPS_UP_TO).items()):
            which = f" ({_which(trials, values == value)})" if place else ""
            parts.append(f"{short[str(value)]} in {plural(int(number), 'trial')}{which}")
        if len(counts) > _GROUPS_UP_TO:
            rest = int(counts.iloc[_GROUPS_UP_TO:].sum())
            parts.append(f"{plural(len(counts) - _GROUPS_UP_TO, 'other')} in {plural(rest, 'trial')}")
        if unknown:
            which = f" ({_which(trials, values.isna())})" if unknown < len(trials) else ""
            parts.append(f"unknown in {plural(unknown, 'trial')}{which}")
        rows.append((condition.name.capitalize(), "; ".join(parts)))
    return rows


def ran_under(trials: pd.DataFrame, condition: Condition) -> pd.Series:
    """What each trial ran under, as text, or null where it is not known. Shape [trials]."""
    if condition is CODE:
        return _code(trials)
    return trials["data_digest" if condition is DATA else condition.name]


def _code(trials: pd.DataFrame) -> pd.Series:
    """Commit and whether it was changed. Where the digest of the learner's sources is known, it alone decides
    which trials ran the same code, and is called by the first commit that had it.
    """
    changed = trials["clean"].eq(False).fillna(False).astype(bool)
    commit = trials["commit"].where(trials["commit"].notna() | ~changed, _NO_COMMIT)
    commit = commit.where(~changed, commit + _CHANGES)
    names: dict[str, str] = {}
    for code, rows in trials.groupby("code", sort=False):
        known = commit[rows.index[(~changed[rows.index]).to_numpy()]].dropna()
        name = str(next(iter([*known, *commit[rows.index].dropna()]), f"{code}"))
        names[str(code)] = f"{name}{_DIGEST}{code}" if name in names.values() else name
    return commit.where(trials["code"].isna(), trials["code"].map(names))


def _setting(factors: Sequence[Factor], condition: Condition, *, negate: bool = False) -> list[Factor]:
    """The factors that vary a condition on purpose; with `negate` those with levels that do not."""
    if negate:
        return [factor for factor in factors if factor.levels and not factor.settings & condition.set_by]
    return [factor for factor in factors if factor.settings & condition.set_by]


def _differs(trials: pd.DataFrame, values: pd.Series, setting: Sequence[Factor]) -> bool:
    """Whether a condition differs where the factors that set it do not."""
    if values.nunique() < 2:
        return False
    if not setting:
        return True
    return bool((values.groupby([trials[factor.column] for factor in setting]).nunique() > 1).any())


def _along(
    trials: pd.DataFrame, values: pd.Series, factors: Sequence[Factor], factor: Factor, condition: Condition
) -> str:
    """How a condition runs along a factor: `mlp: a in 12; none: b in 12`; "" if it does not."""
    others = [other.column for other in factors if other is not factor]
    cells = trials.groupby([*others, "seed"], dropna=False, sort=False).ngroup()
    first = trials[factor.column] == factor.levels[0]
    for level in factor.levels[1:]:
        second = trials[factor.column] == level
        matched = cells.isin(cells[first]) & cells.isin(cells[second])
        compared = matched if matched.any() else first | second
        sides = [values[compared & side & values.notna()] for side in (first, second)]
        if any(side.empty for side in sides):
            continue
        shares = [side.value_counts(normalize=True) for side in sides]
        if float(pd.concat(shares, axis=1).min(axis=1, skipna=False).sum()) < _OVERLAP:
            short = short_names(pd.concat(sides).unique().tolist(), condition)
            texts = [
                f"{shortened(label, 40)}: {_numbers(_counts(side, short))}"
                for label, side in zip((factor.levels[0], level), sides, strict=True)
            ]
            return "; ".join(texts)
    return ""


def _groups(values: pd.Series, condition: Condition) -> dict[str, int]:
    return _counts(values, short_names(values.dropna().unique().tolist(), condition))


def _counts(values: pd.Series, short: Mapping[str, str]) -> dict[str, int]:
    return {short[str(value)]: int(number) for value, number in values.value_counts().items()}


def _numbers(groups: Mapping[str, int]) -> str:
    """`bf16 in 16 and fp32 in 32`; only the largest of many groups."""
    largest = dict([*groups.items()][:_GROUPS_UP_TO])
    parts = [f"{name} in {number}" for name, number in sorted(largest.items())]
    if len(groups) > len(largest):
        rest = sum(groups.values()) - sum(largest.values())
        parts.append(f"{plural(len(groups) - len(largest), 'other')} in {rest}")
    return listed(parts)


def short_names(values: Sequence[str], condition: Condition) -> dict[str, str]:
    """What the values are called in sentences, each by another name: of versions, only those that differ."""
    names: dict[str, str] = {}
    common = set.intersection(*(set(value.split(", ")) for value in values)) if len(values) > 1 else set()
    for value in values:
        if condition is CODE:
            written, _, digest = value.partition(_DIGEST)
            commit = written.removesuffix(_CHANGES)
            name = commit if commit == _NO_COMMIT else commit[:10]
            name += _CHANGES if written != commit else ""
            name += f"{_DIGEST}{digest[:10]}" if digest else ""
        elif condition is DATA:
            name = value[:12]
        elif condition is VERSIONS:
            parts = [part for part in value.split(", ") if part not in common]
            name = shortened(", ".join(parts) or value, 80)
        else:
            name = shortened(value, 40)
        if name in names.values():  # their beginnings are alike
            name = f"{name} ({len(names) + 1})"
        names[value] = name
    return names


def _which(trials: pd.DataFrame, chosen: pd.Series) -> str:
    """Which trials are chosen: whole seeds, or the first ids."""
    rows, seeds = trials[chosen], trials[chosen]["seed"].unique()
    if len(seeds) <= _TRIALS_UP_TO and len(rows) == int(trials["seed"].isin(seeds).sum()):
        names = [str(seed) for seed in sorted(seeds)]
        return f"seed{'' if len(names) == 1 else 's'} {listed(names)}"
    names = [shortened(name, 40) for name in rows["trial_id"].head(_TRIALS_UP_TO)]
    more = len(rows) - len(names)
    return f"{', '.join(names)} and {more} more" if more else listed(names)
