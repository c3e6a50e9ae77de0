"""What a sweep's trials run under (code, versions, data), and what of it has changed since the last driver.

Numbers of two states of the learner, or on two versions of torch, are no replicates of each other. So a
driver that finds a sweep begun under something else is refused, unless the user accepts the change. Then each
trial says what it ran under, and one that was interrupted starts again (`byol.checkpoint`).
"""

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from byol.errors import plural
from byol.sources import code_digest
from sweeps.errors import DirectoryError
from sweeps.record.ledger import Ledger
from sweeps.record.manifest import git_state, versions
from sweeps.record.rows import Fact, TrialRow, data_of, describe_data

_SHOWN = 4
"""Packages that a message names."""


@dataclass(frozen=True, kw_only=True)
class Changes:
    """What is not as it was when the last driver ran trials."""

    lines: tuple[str, ...] = ()
    """One for each, such as `torch from 2.14.0 to 2.15.0`; none if nothing has changed."""
    data: Mapping[str, str]
    """Description of a data set that has changed -> its earlier digest."""


@functools.cache
def of_numbers() -> dict[str, str]:
    """What a trial's numbers follow from in this process, besides configuration and data: name -> state."""
    known = versions()
    return {"byol/": code_digest(), **{name: known.get(name, "missing") for name in ("torch", "numpy")}}


def current() -> dict[str, str]:
    """The code and the versions of this process, as facts for the ledger."""
    return {
        Fact.CODE: json.dumps({"digest": code_digest(), **git_state()}),
        Fact.VERSIONS: json.dumps(versions()),
    }


def changes(facts: Mapping[str, str], rows: Sequence[TrialRow], data: Mapping[str, str]) -> Changes:
    """Compares what the last driver recorded with this process and its data.

    Nothing has changed if no trial has measured anything yet. What an earlier version did not record is not
    compared.

    Args:
        facts: the ledger's.
        rows: the ledger's trials.
        data: description of a data set -> digest; one that is new to the sweep is no change.
    """
    other_data = {name: facts[name] for name, digest in data.items() if facts.get(name, digest) != digest}
    if all(row.wall_seconds is None for row in rows):
        return Changes(data=other_data)
    now = current()
    lines = [
        *_code(json.loads(facts.get(Fact.CODE) or now[Fact.CODE]), json.loads(now[Fact.CODE])),
        *_versions(_recorded_versions(facts), json.loads(now[Fact.VERSIONS])),
        *(
            f"the data of {name} from {_short(was)} to {_short(data[name])}"
            for name, was in other_data.items()
        ),
    ]
    return Changes(lines=tuple(lines), data=other_data)


def check(place: object, changes: Changes, *, accept: bool) -> None:
    """Refuses changes unless the user accepts them.

    Raises:
        DirectoryError: something has changed.
    """
    if changes.lines and not accept:
        raise DirectoryError(
            f"{place}: its trials ran under other conditions; changed since: {'; '.join(changes.lines)}. "
            "--accept-changes goes on, and each trial then says what it ran under"
        )


def set_aside(baselines: Mapping[str, Any], changed: Mapping[str, str]) -> dict[str, Any]:
    """The baselines, by `Baselines.key`, of which those on data that has changed get the earlier digest."""
    kept = {}
    for key, value in baselines.items():
        parts = json.loads(key)
        digest = changed.get(describe_data(*parts[:3])) if len(parts) == 5 else None
        kept[json.dumps([*parts, digest]) if digest else key] = value
    return kept


def keep_digests(ledger: Ledger, changed: Mapping[str, str]) -> None:
    """Gives the trials that an earlier version ran the digest of their data, before it is replaced."""
    for row in ledger.trials() if changed else ():
        if row.wall_seconds is not None and row.data_digest is None:
            name = data_of(row.settings)
            if name in changed:
                ledger.set_data_digest(row.trial_id, changed[name])


def _code(was: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    if was.get("digest") == now["digest"]:
        return []
    return [f"the code of byol/ from {_state(was)} to {_state(now)}"]


def _state(code: Mapping[str, Any]) -> str:
    """`1a2b3c4d5e6f (commit 0123456789 with changes)`."""
    commit, changed = code.get("commit"), " with changes" if code.get("clean") is False else ""
    return _short(code.get("digest")) + (f" (commit {commit[:10]}{changed})" if commit else "")


def _versions(was: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    changed = [
        f"{name} from {was.get(name, 'none')} to {now.get(name, 'none')}"
        for name in {**was, **now}
        if was.get(name) != now.get(name)
    ]
    more = len(changed) - _SHOWN
    return [*changed[:_SHOWN], *([plural(more, "more package")] if more > 0 else [])]


def _recorded_versions(facts: Mapping[str, str]) -> dict[str, str]:
    """Those of the latest driver; from the manifest in a ledger of an earlier version, else today's."""
    if Fact.VERSIONS in facts:
        return dict(json.loads(facts[Fact.VERSIONS]))
    recorded = json.loads(facts.get(Fact.MANIFEST, "{}")).get("versions")
    return dict(recorded) if isinstance(recorded, dict) else versions()


def _short(digest: object) -> str:
    return str(digest)[:12]
