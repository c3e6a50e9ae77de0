"""docs/reproductions.md, from the tables of sweeps: what published results come out here.

    python -m analysis.reproductions --to docs/reproductions.md DIR [DIR ...]

The same tables give the same text. Every figure in it comes from the tables, from a manifest, or from
analysis/published.yaml.
"""

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from analysis.agreement import PairResult, TableResult, agreements, tally
from analysis.cells import Cell, cells_of
from analysis.controls import gain, learning
from analysis.findings.agreement import HEADER, HOW, agreement_rows, counts_text
from analysis.findings.learning import learned_finding
from analysis.information import information
from analysis.load import load_results
from analysis.outcomes import count, judged
from analysis.published import published
from analysis.results import Results, StudyResults
from analysis.stats import Mean, mean_interval
from analysis.wording import listed, number, percent, percent_range, plural, points, points_range

_PREAMBLE = (
    "Which published results this tool shows. `make reproductions` writes this page from the tables of the "
    "sweeps; no figure in it is typed.",
    HOW,
    "What stands for a published accuracy here is kNN accuracy, and pairs about it cannot be told where the "
    "reference did not learn. Published data, networks and lengths of training stand with each table.",
)
_CELLS_HEADER = (
    "cell",
    "representation collapsed",
    "projection collapsed",
    "representation std",
    "projection std",
    "kNN accuracy",
    "over its own start, points",
    "class information",
)


def reproductions(results: Results) -> str:
    """The page, as Markdown. The studies come in the order in which they are given."""
    compared = [(study, agreements(study)) for study in results.studies]
    parts = [
        "# Reproductions",
        *_PREAMBLE,
        "## Overview",
        *_overview(compared),
        "## Claims",
        *_claims(compared),
    ]
    for study, tables in compared:
        parts += _sweep(study, tables)
    return "\n\n".join(parts) + "\n"


_Compared = Sequence[tuple[StudyResults, Sequence[TableResult]]]


def _overview(compared: _Compared) -> list[str]:
    rows = [
        (f"[{study.name}](#{study.name})", result.table.title, *_counts(result.pairs))
        for study, tables in compared
        for result in tables
    ]
    every = [pair for _, tables in compared for result in tables for pair in result.pairs]
    rows.append(("all", "", *_counts(every)))
    return [_table(("study", "published table", "agree", "disagree", "cannot tell"), rows)]


def _counts(pairs: Sequence[PairResult]) -> list[str]:
    return [str(total) for total in tally(pairs).values()]


def _claims(compared: _Compared) -> list[str]:
    parts = []
    for name, sentence in published().claims.items():
        tests = [
            (study.name, result.table.title, pair)
            for study, tables in compared
            for result in tables
            for pair in result.pairs
            if pair.pair.claim == name
        ]
        if not tests:
            parts.append(f"**{sentence}** None of these sweeps tests it.")
            continue
        text = counts_text([pair for *_, pair in tests])
        parts.append(f"**{sentence}** Published pairs that test it: {len(tests)}; {text}.")
        rows = [(study, table, *agreement_rows([pair])[0]) for study, table, pair in tests]
        parts.append(_table(("study", "published table", *HEADER), rows))
    return parts


def _sweep(study: StudyResults, tables: Sequence[TableResult]) -> list[str]:
    cells = cells_of(study)
    learned = learning(cells, study.seeds)
    parts = [f"## {study.name}", f"{study.title}."]
    parts += [f"{name}: {' '.join(text.split())}" for name, text in _texts(study) if text]
    parts.append("\n".join(f"- {line}" for line in (_extent(study), *_provenance(study))))
    if learned:
        parts.append(learned_finding(learned).text)
    if cells:
        parts.append(_table(_CELLS_HEADER, [_cell_row(study, cell) for cell in cells]))
    for result in tables:
        parts += [
            f"### {study.name} and {result.table.title}",
            f"{result.table.source}: {result.table.setting}.",
            _table(HEADER, agreement_rows(result.pairs)),
            f"Of {plural(len(result.pairs), 'published pair')}, {counts_text(result.pairs)}.",
        ]
    if not tables:
        parts.append("It reproduces no published table.")
    return parts


def _texts(study: StudyResults) -> list[tuple[str, str]]:
    return [("Question", study.question), ("Source", study.source), ("Expected", study.expected)]


def _extent(study: StudyResults) -> str:
    """How large the sweep is, from its tables and its study file."""
    lengths = sorted({int(steps) for steps in study.trials["steps_planned"].dropna()})
    steps = (
        f"{lengths[0]:,}" if len(lengths) == 1 else f"{lengths[0]:,} to {lengths[-1]:,}" if lengths else "–"
    )
    seeds = ", ".join(map(str, study.seeds))
    sizes = [
        f"{words} {_setting(study, key)}"
        for key, words in (("image_size", "images of size"), ("batch_size", "batch"))
    ]
    return f"{count(study.trials)} (trials); seeds {seeds}; {steps} steps; {'; '.join(sizes)}"


def _setting(study: StudyResults, key: str) -> str:
    """What the reference sets, or the levels of the factor that varies it."""
    document = study.documents[0]
    by_default = document.get("reference", {}).get(key)
    for factor in document.get("factors") or []:
        values = [level["settings"].get(key, by_default) for level in factor["levels"]]
        if any(key in level["settings"] for level in factor["levels"]):
            return listed([_or_default(value) for value in dict.fromkeys(values)], "or")
    return _or_default(by_default)


def _or_default(value: object) -> str:
    return "by default" if value is None else str(value)


def _provenance(study: StudyResults) -> list[str]:
    """A line for each directory, from its manifest."""
    lines = []
    for directory, manifest in zip(study.directories, study.manifests, strict=True):
        lines.append(f"`{directory}`: {_made(manifest) if manifest else 'no manifest'}")
    precisions = sorted(study.trials["precision"].dropna().unique())
    return [*lines, *([f"trained in {listed(precisions)}"] if precisions else [])]


def _made(manifest: Mapping[str, Any]) -> str:
    hardware, git, versions = (manifest.get(key) or {} for key in ("hardware", "git", "versions"))
    cores = f", {plural(hardware['cores'], 'core')}" if hardware.get("cores") else ""
    accelerators = "".join(f", {name}" for name in hardware.get("accelerators") or [])
    named = [f"{name} {versions[name]}" for name in ("python", "torch", "byol-sweeps") if name in versions]
    commit = f"commit {str(git['commit'])[:12]}" if git.get("commit") else "commit unknown"
    changed = " with changes" if git.get("clean") is False else ""
    parts = [
        f"{hardware.get('cpu', 'hardware unknown')}{cores}{accelerators}",
        ", ".join(named),
        commit + changed,
        str(manifest.get("created", ""))[:10],
        f"{_duration(float(manifest['wall_seconds']))} in all" if "wall_seconds" in manifest else "",
    ]
    return "; ".join(part for part in parts if part)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{minutes} min {rest} s"


def _cell_row(study: StudyResults, cell: Cell) -> tuple[str, ...]:
    start = gain(cell, study.seeds, "knn_accuracy_start")
    accuracies = cell.values("knn_accuracy")
    fate = information(judged(cell.trials))
    return (
        f"the reference ({cell.levels_text})" if cell.is_reference else cell.text,
        f"{cell.collapsed} of {cell.judged}",
        f"{cell.projection_collapsed} of {cell.projection_judged}",
        *(_average(cell, f"{level}_std") for level in ("representation", "projection")),
        _accuracy(mean_interval(accuracies)) if len(accuracies) else "–",
        _gained(start.difference) if start else "–",
        str(fate.fate) if fate else "–",
    )


def _average(cell: Cell, column: str) -> str:
    values = cell.values(column)
    return number(float(values.mean())) if len(values) else "–"


def _accuracy(mean: Mean) -> str:
    interval = f" ({percent_range(mean.interval, 1)})" if mean.interval else ""
    return percent(mean.estimate, 1) + interval


def _gained(mean: Mean) -> str:
    interval = f" ({points_range(mean.interval)})" if mean.interval else ""
    return points(mean.estimate) + interval


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes the page. Returns the exit status: 0, or 2 where a directory holds no sweep."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.reproductions", description=__doc__.splitlines()[0]
    )
    parser.add_argument("directories", nargs="+", type=Path, metavar="DIR", help="directory of a sweep")
    parser.add_argument("--to", required=True, type=Path, metavar="FILE", help="the page to write")
    options = parser.parse_args(arguments)
    try:
        page = reproductions(load_results(options.directories))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    options.to.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
