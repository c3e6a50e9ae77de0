"""The cards about how the sweeps ran: grouped, and what is alike in all runs is said once."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.outcomes import Counts
from analysis.page.markup import element, pairs, table
from analysis.plan_actual import duration, plan_against_actual
from analysis.results import StudyResults
from analysis.wording import listed

_Flat = Mapping[str, str]
_GROUPS = {
    "Code": ("git", "versions"),
    "Machine": ("hardware", "precision"),
    "Data": ("data",),
}
"""Title -> keys of the manifest."""
_OF_A_RUN = ("started", "command", "wall_seconds")
_ELSEWHERE = ("drivers", "plan", "created", "updated", "study", *_OF_A_RUN)


def plan_card(study: StudyResults, counts: Counts) -> str:
    """What was planned beside what became of it."""
    rows = [(row.name, row.planned, row.actual) for row in plan_against_actual(study, counts)]
    inner = element("h3", "Plan against actual") + table(("", "planned", "actual"), rows)
    return element("section", inner, class_="card")


def provenance(study: StudyResults, counts: Counts) -> str:
    """Cards for the plan, the runs, what they ran under, and the study file."""
    runs = [run for pair in zip(study.directories, study.manifests, strict=True) for run in _runs(*pair)]
    names = [f"run {index + 1}" for index in range(len(runs))]
    inner = element("h3", "Runs") + table(
        ("", "directory", "started", "time", "command"), _run_rows(names, runs)
    )
    known = {key for keys in _GROUPS.values() for key in keys}
    others = dict.fromkeys(key for run in runs for key in run if key not in known and key not in _ELSEWHERE)
    groups = {**_GROUPS, "Other": tuple(key for key in others if key != "directory")}
    for title, keys in groups.items():
        flat = [dict(_flat({key: run[key] for key in keys if key in run})) for run in runs]
        rows = _alike_once(names, flat)
        inner += element("h3", title) + pairs(rows) if rows else ""
    card = element("section", inner, class_="card provenance")
    return plan_card(study, counts) + card + study_files(study)


def study_files(study: StudyResults) -> str:
    """The resolved study files, folded; where there are several, what is alike is said once."""
    rows = _alike_once(study.directories, [dict(_flat(document)) for document in study.documents])
    inner = f"<details><summary>The resolved study</summary>{pairs(rows)}</details>"
    return element("section", element("h3", "Study file") + inner, class_="card provenance")


def _runs(directory: str, manifest: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What is recorded of each process that has driven the sweep in a directory; one entry without any."""
    whole = {key: value for key, value in manifest.items() if key not in ("drivers", "plan")}
    drivers = [entry for entry in manifest.get("drivers") or [] if isinstance(entry, Mapping)]
    return [{**whole, **driver, "directory": directory} for driver in drivers or [{}]]


def _run_rows(names: Sequence[str], runs: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for name, run in zip(names, runs, strict=True):
        if len(run) == 1:
            rows.append((name, str(run["directory"]), "manifest.json is missing", "–", "–"))
            continue
        seconds = run.get("wall_seconds")
        time = duration(seconds) if isinstance(seconds, int | float) else "–"
        started = str(run.get("started") or run.get("created") or "–")
        rows.append((name, str(run["directory"]), started, time, str(run.get("command") or "–")))
    return rows


def _alike_once(names: Sequence[str], entries: Sequence[_Flat]) -> list[tuple[str, str]]:
    """Each name once: with its value, or where entries differ with each value and whose it is."""
    rows = []
    for key in dict.fromkeys(key for entry in entries for key in entry):
        owners: dict[str, list[str]] = {}
        for name, entry in zip(names, entries, strict=True):
            owners.setdefault(entry.get(key, "not recorded"), []).append(name)
        if len(owners) == 1:
            rows.append((key, next(iter(owners))))
        else:
            rows.append((key, "; ".join(f"{value} ({listed(of)})" for value, of in owners.items())))
    return rows


def _flat(value: object, name: str = "") -> Iterable[tuple[str, str]]:
    """Nested plain data as dotted names and texts."""
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, f"{name}.{key}" if name else str(key))
    elif isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value):
        for index, item in enumerate(value):
            yield from _flat(item, f"{name}[{index}]")
    elif isinstance(value, list):
        yield name, ", ".join(map(str, value))
    else:
        yield name, "–" if value is None else str(value)
