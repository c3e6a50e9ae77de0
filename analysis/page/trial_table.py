"""The table of all trials: its frame in the page, and its rows for the page's script."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from analysis.cells import cells_of
from analysis.figures.selection import COLUMNS, cell_id, factor_column
from analysis.glossary import MEANINGS
from analysis.page.markup import element, escaped, pairs
from analysis.results import StudyResults

STATIC_ROWS = 100
"""Trials in the table of a page whose script does not run."""
CELL_LETTERS = 400
_ALWAYS = ("seed", "outcome", "representation_std", "trial_id")


def _columns(study: StudyResults) -> list[tuple[str, str]]:
    """Name to show and column of the table; those without any value are left out."""
    shown = [name for name in COLUMNS if name in _ALWAYS or study.trials[name].notna().any()]
    if study.is_measured:
        # Nobody knows the seed, and only the id names a set.
        shown = ["trial_id", *(name for name in shown if name not in ("seed", "trial_id", "end_reason"))]
    design = [("design", "design")] if study.is_search else []
    return (
        design
        + [(factor_column(factor.name), factor.column) for factor in study.factors]
        + [(name, name) for name in shown]
    )


def trial_table_shell(study: StudyResults, prefix: str) -> str:
    """The table as the page has it without its script: the first trials. With it, all of `trial_rows`."""
    columns = _columns(study)
    heads = "".join(
        f'<th scope="col"><button type="button">{escaped(name)}</button></th>' for name, _ in columns
    )
    example = "Filter: words, " + ("knn>0.7" if study.is_measured else "seed=1, knn>0.7")
    tools = (
        f'<input type="search" placeholder="{example}" aria-label="Filter the trials" '
        f'aria-describedby="{escaped(prefix)}-filter">'
        '<select aria-label="Outcome"><option value="">all outcomes</option></select>'
        '<button type="button" data-do="all" hidden>Show all</button>'
        '<span class="count push" role="status"></span>'
        '<button type="button" data-do="before" aria-label="Previous page">‹</button>'
        '<button type="button" data-do="after" aria-label="Next page">›</button>'
        '<button type="button" data-do="csv">CSV</button>'
        '<button type="button" data-do="compare" hidden>Compare</button>'
    )
    body = f'<thead><tr><th scope="col"><span class="unseen">Compare and open</span></th>{heads}</tr></thead>'
    body += f"<tbody>{_first_rows(study, columns)}</tbody>"
    cut = (
        ""
        if len(study.trials) <= STATIC_ROWS
        else f"The first {STATIC_ROWS} of {len(study.trials):,} trials."
    )
    caption = f'<caption class="cut"{"" if cut else " hidden"}>{cut}</caption>'
    inner = f'<div class="tools">{tools}</div>{_grammar(prefix)}'
    inner += f'<div class="scroll" tabindex="0">{element("table", caption + body, class_="trials")}</div>'
    inner += _meanings(study)
    return f'<section class="card trials-box" data-for="{escaped(prefix)}">{inner}</section>'


def _grammar(prefix: str) -> str:
    """What the filter understands, to be unfolded."""
    rows = [
        ("words", "trials with all of these words anywhere in their row"),
        ("predictor=none", "a column and a value; several values with commas; != for all others"),
        ("knn>0.7", "a bound: also >=, <, <=; the beginning of a column's name is enough, and 70% is 0.7"),
        ("loss=0.1..0.5", "a range, ends included"),
        ('cell="..."', "quotes hold words together"),
    ]
    inner = element("summary", "What the filter understands") + pairs(rows)
    return element("details", inner, id=f"{prefix}-filter", class_="grammar")


def _first_rows(study: StudyResults, columns: Sequence[tuple[str, str]]) -> str:
    """The rows of the first trials, for readers without a script."""
    lists = [[_plain(value) for value in study.trials[column][:STATIC_ROWS]] for _, column in columns]
    return "".join(
        f"<tr><td></td>{''.join(f'<td><bdi>{escaped(_shown(value))}</bdi></td>' for value in row)}</tr>"
        for row in zip(*lists, strict=True)
    )


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "–" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)[:CELL_LETTERS]


def _meanings(study: StudyResults) -> str:
    """What the measured columns mean, to be unfolded."""
    shown = [(name, MEANINGS[name]) for name, _ in _columns(study) if name in MEANINGS]
    return element("details", element("summary", "What the columns mean") + pairs(shown), class_="meanings")


def trial_rows(study: StudyResults) -> dict[str, Any]:
    """Columns, rows, which of them ran to their planned end, the cells, and each row's cell (null without
    cells), as plain data for JSON.

    The values that a search drew are whole, since a trial is run again from them.
    """
    columns = _columns(study)
    drawn = {factor.column for factor in study.factors if not factor.levels}
    lists = [
        [_plain(value, digits=17 if column in drawn else 6) for value in study.trials[column].tolist()]
        for _, column in columns
    ]
    cells = cells_of(study)
    places = {row: place for place, cell in enumerate(cells) for row in cell.rows.tolist()}
    return {
        "columns": [
            {"name": name, "number": any(type(value) in (int, float) for value in values)}
            for (name, _), values in zip(columns, lists, strict=True)
        ],
        "rows": list(map(list, zip(*lists, strict=True))),
        "fullLength": [int(full) for full in study.trials["full_length"]],
        "cells": [places.get(row) for row in range(len(study.trials))],
        "cellNames": [cell.text for cell in cells],
        "cellIds": [cell_id(cell) for cell in cells],
    }


def _plain(value: Any, *, digits: int = 6) -> Any:
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, float):
        return float(f"{value:.{digits}g}") if math.isfinite(value) else str(value)
    return value if isinstance(value, bool | int | str) else str(value)
