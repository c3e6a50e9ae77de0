"""The table of all trials: its frame in the page, and its rows for the page's script."""

import math
from typing import Any

import pandas as pd

from analysis.cells import cells_of
from analysis.glossary import MEANINGS
from analysis.page.markup import element, escaped, pairs
from analysis.results import StudyResults

_COLUMNS = (
    "seed",
    "outcome",
    "knn_accuracy",
    "knn_accuracy_start",
    "representation_std",
    "projection_std",
    "projection_collapsed",
    "effective_rank",
    "effective_rank_centred",
    "rankme",
    "stable_rank",
    "alpha_req",
    "nesum",
    "lidar",
    "projection_lidar",
    "loss",
    "onset_step",
    "steps_run",
    "steps_planned",
    "probe_accuracy",
    "wall_seconds",
    "end_reason",
    "error",
    "device",
    "trial_id",
)
_ALWAYS = ("seed", "outcome", "representation_std", "trial_id")


def _columns(study: StudyResults) -> list[tuple[str, str]]:
    """Name to show and column of the table; those without any value are left out."""
    shown = [name for name in _COLUMNS if name in _ALWAYS or study.trials[name].notna().any()]
    design = [("design", "design")] if study.is_search else []
    return (
        design + [(factor.name, factor.column) for factor in study.factors] + [(name, name) for name in shown]
    )


def trial_table_shell(study: StudyResults, prefix: str) -> str:
    """The frame that the script fills with the rows of `trial_rows`."""
    heads = "".join(
        f'<th scope="col"><button type="button">{escaped(name)}</button></th>' for name, _ in _columns(study)
    )
    tools = (
        '<input type="search" placeholder="Filter" aria-label="Filter the trials">'
        '<select aria-label="Outcome"><option value="">all outcomes</option></select>'
        '<button type="button" data-do="all" hidden>Show all</button>'
        '<span class="count push" role="status"></span>'
        '<button type="button" data-do="before" aria-label="Previous page">‹</button>'
        '<button type="button" data-do="after" aria-label="Next page">›</button>'
        '<button type="button" data-do="csv">CSV</button>'
    )
    body = f'<table class="trials"><thead><tr>{heads}</tr></thead><tbody></tbody></table>'
    inner = f'<div class="tools">{tools}</div><div class="scroll" tabindex="0">{body}</div>{_meanings(study)}'
    return f'<section class="card trials-box" data-for="{escaped(prefix)}">{inner}</section>'


def _meanings(study: StudyResults) -> str:
    """What the measured columns mean, to be unfolded."""
    shown = [(name, MEANINGS[name]) for name, _ in _columns(study) if name in MEANINGS]
    return element("details", element("summary", "What the columns mean") + pairs(shown), class_="meanings")


def trial_rows(study: StudyResults) -> dict[str, Any]:
    """Columns, rows and each row's cell (null without cells), as plain data for JSON."""
    columns = _columns(study)
    lists = [[_plain(value) for value in study.trials[column].tolist()] for _, column in columns]
    names = {row: cell.text for cell in cells_of(study) for row in cell.rows.tolist()}
    return {
        "columns": [
            {"name": name, "number": any(type(value) in (int, float) for value in values)}
            for (name, _), values in zip(columns, lists, strict=True)
        ],
        "rows": list(map(list, zip(*lists, strict=True))),
        "cells": [names.get(row) for row in range(len(study.trials))],
    }


def _plain(value: Any) -> Any:
    if value is None or value is pd.NA or value != value:
        return None
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else str(value)
    return value if isinstance(value, bool | int | str) else str(value)
