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
    """
    return f"{_word(column)}={_word(value)}"


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
    return word if re.fullmatch(r"[\w.][\w.+-]*", word) else json.dumps(word, ensure_ascii=False)
