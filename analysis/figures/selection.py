"""What a figure tells the page about the trials that its marks and lines stand for. See theme.Panel.

Elsewhere in the page, any button with `data-term=TERM` selects its trials and is dimmed without any of them.
"""

import json
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import pandas as pd

from analysis.cells import Cell
from analysis.results import StudyResults

COLUMNS = (
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
    "note",
    "device",
    "trial_id",
)
"""Columns of the page's table beside the factors', in its order."""
_TAKEN = frozenset((*COLUMNS, "design", "cell"))
"""Names that the page has for something else than a factor."""


def rows_of_trials(study: StudyResults, trials: pd.DataFrame) -> list[int]:
    """The place of each trial in the study's table, for a trace's `customdata`.

    Args:
        study: the study.
        trials: some of its trials, in any order and with any index.
    """
    place = _places(study)
    return [place[trial] for trial in trials["trial_id"]]


@lru_cache(maxsize=4)  # figures ask for a few trials at a time
def _places(study: StudyResults) -> Mapping[str, int]:
    return {trial: row for row, trial in enumerate(study.trials["trial_id"])}


def term(column: str, value: object) -> str:
    """A term of the page's filter: the trials with this value in this column of their table.

    >>> term("predictor", "none"), term("head norm", "batch, none")
    ('predictor=none', '"head norm"="batch, none"')
    >>> term("crop", "0.2..1")  # without quotes, a range
    'crop="0.2..1"'
    """
    return f"{_word(column)}={_word(value)}"


def factor_column(name: str) -> str:
    """What the page calls a factor's column: its name, or as in the tables where that means something else.

    >>> factor_column("predictor"), factor_column("loss"), factor_column("f_loss")
    ('predictor', 'f_loss', 'f_f_loss')
    """
    return f"f_{name}" if name in _TAKEN or name.startswith("f_") else name


def level_term(name: str, level: object) -> str:
    """The trials at a level of a factor."""
    return term(factor_column(name), level)


def cell_term(cell: Cell) -> str:
    """The trials of a cell."""
    return term("cell", cell_id(cell))


def cell_id(cell: Cell) -> str:
    """What the page calls a cell: its id, or where tables lack that, its levels."""
    return cell.cell_id or cell.levels_text


def of(*terms: str, legend: bool = False) -> dict[str, Any]:
    """A trace's `meta`: the trials that meet all terms, and whether its legend entry stands for them."""
    return {"of": " ".join(terms), **({"legend": True} if legend else {})}


def _word(value: object) -> str:
    """A word as it is; what holds spaces, commas or signs is quoted as in JSON."""
    word = str(value)
    plain = re.fullmatch(r"[\w.][\w.+-]*", word) and ".." not in word
    return word if plain else json.dumps(word, ensure_ascii=False)
