"""Which studies may go on with a sweep: the one that it holds, and those that extend it."""

import dataclasses
import json
from collections.abc import Mapping, Sequence

from byol.config import Scalar
from byol.errors import plural, shown
from byol.own_parts import OtherPartError, check_source, named_parts
from byol.presets import is_setting
from sweeps.errors import DirectoryError
from sweeps.record.ledger import Ledger
from sweeps.record.rows import SAMPLE, Fact, TrialRow
from sweeps.study import Study
from sweeps.study.designs import Trial

_SHOWN = 3
"""Settings that a message names."""
_TO_GO_ON = "; go on with the study and the --set that it was begun with, or take another place for this one"


def check(ledger: Ledger, place: str, study: Study, trial_ids: set[str]) -> None:
    """Checks that the ledger at `place` is of a sweep that `study` extends.

    Raises:
        DirectoryError: it is not.
    """
    facts, rows = ledger.facts(), ledger.trials()
    if facts[Fact.STUDY] != study.name:
        raise DirectoryError(f'{place}: holds the study "{facts[Fact.STUDY]}", not "{study.name}"')
    if facts[Fact.COLLAPSE] != rule_text(study):
        raise DirectoryError(
            f"{place}: holds {study.name} with another collapse rule: {facts[Fact.COLLAPSE]}"
        )
    _check_same_search(place, study, facts.get(Fact.SEARCH, ""))
    _check_same_sequence(place, study, facts.get(Fact.SEQUENCE, ""))
    if study.search:
        for row in rows:
            _refuse_changed_parts(place, row)
        _check_search(place, study, rows)
        return
    unplanned = [row for row in rows if row.trial_id not in trial_ids]
    if unplanned:
        _refuse_changed_parts(place, unplanned[0])
        planned = {_place_in(trial): trial.settings for trial in study.at_most().trials()}
        pairs = ((row.settings, planned.get(_place_in(row), row.settings)) for row in unplanned)
        different = [change for was, now in pairs for change in _different(was, now)]
        if different:
            raise DirectoryError(
                f"{place}: holds {study.name} with other settings: {_in_words(different)}{_TO_GO_ON}"
            )
        labels = ", ".join(f"{key}={value}" for key, value in unplanned[0].labels.items())
        verb = "is" if len(unplanned) == 1 else "are"
        raise DirectoryError(
            f"{place}: holds another study: {len(unplanned)} of its {plural(len(rows), 'trial')} {verb} not "
            f"planned by {study.name}, such as {labels}, seed {unplanned[0].seed}{_TO_GO_ON}"
        )


def _place_in(trial: Trial | TrialRow) -> tuple[object, ...]:
    """Where a trial stands in its study: levels and seed."""
    return (*trial.labels.items(), trial.seed)


def _different(was: Mapping[str, Scalar], now: Mapping[str, Scalar]) -> list[str]:
    """What differs between the settings of the sweep and those of now: `steps is 40 now and was 20`."""

    def value(settings: Mapping[str, Scalar], name: str) -> str:
        return shown(settings[name]) if name in settings else "not set"

    triples = [(name, value(now, name), value(was, name)) for name in {**was, **now} if is_setting(name)]
    return [f"{name} is {after} now and was {before}" for name, after, before in triples if after != before]


def _in_words(different: Sequence[str]) -> str:
    """The changes, each once; of many, the first."""
    words = list(dict.fromkeys(different))
    more = len(words) - _SHOWN
    return ", ".join(words[:_SHOWN]) + (f", and {plural(more, 'more setting')}" if more > 0 else "")


def _refuse_changed_parts(place: str, row: TrialRow) -> None:
    """Says so where the source of a part of the user's own has changed since a trial was planned."""
    for key, name, code in named_parts(row.settings):
        try:
            check_source(key, name, code)
        except OtherPartError as error:
            raise DirectoryError(
                f"{place}: its trials were planned with another source of their {key}: {error}. Another "
                "source makes other trials, so --accept-changes does not help: bring the files back, or take "
                "another place"
            ) from None


def _check_same_search(place: str, study: Study, recorded: str) -> None:
    requested = search_text(study)
    if requested == recorded:
        return
    old, new = json.loads(recorded or "{}"), json.loads(requested or "{}")
    changed = sorted(key for key in old.keys() | new.keys() if old.get(key) != new.get(key))
    difference = ", ".join(changed) if old and new else f"it was {'a search' if old else 'a design'}"
    settings = _different(old.get("reference", {}), new.get("reference", {})) if old and new else []
    raise DirectoryError(
        f"{place}: holds {study.name} with another search: only its trials and seeds may grow "
        f"(differs: {difference}{f': {_in_words(settings)}' if settings else ''}){_TO_GO_ON}"
    )


def _check_same_sequence(place: str, study: Study, recorded: str) -> None:
    """A sequence that is begun must go on as planned: its looks share one error rate."""
    if recorded and recorded != sequence_text(study):
        planned = json.loads(recorded)
        raise DirectoryError(
            f"{place}: holds {study.name} with seeds: {{min: {planned['least']}, max: {planned['most']}, "
            "until: decided}, which must not change: their error rate holds for the looks that were planned"
        )


def _check_search(place: str, study: Study, rows: Sequence[TrialRow]) -> None:
    assert study.search
    samples = [row for row in rows if row.design == SAMPLE]
    if len(samples) > study.search.trials:
        raise DirectoryError(
            f"{place}: search.trials: must be at least the {plural(len(samples), 'sample')} that it holds, "
            f"but got {study.search.trials}"
        )
    seeds = {row.seed for row in rows if row.design != SAMPLE} - set(study.seeds)
    if seeds:
        raise DirectoryError(
            f"{place}: holds another study: its winner ran with seeds that {study.name} does not name, "
            f"such as {min(seeds)}"
        )


def search_text(study: Study) -> str:
    """Returns the parts of a search that must not change, as JSON; empty for a design."""
    return study.search.text(study.reference) if study.search else ""


def sequence_text(study: Study) -> str:
    """Returns the study's sequence of seeds as JSON; empty where their number is fixed."""
    return json.dumps(dataclasses.asdict(study.sequence)) if study.sequence else ""


def rule_text(study: Study) -> str:
    """Returns the study's collapse rule as JSON."""
    return json.dumps(dataclasses.asdict(study.collapse), sort_keys=True)
