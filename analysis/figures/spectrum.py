"""The eigenvalues of the embeddings' covariance during training, by cell."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from analysis.curves import Curves, curves
from analysis.figures.drawing import Drawing
from analysis.figures.facets import facets, key
from analysis.figures.groups import Group, groups
from analysis.figures.selection import of
from analysis.figures.theme import Panel, axis, rounded
from analysis.results import StudyResults
from analysis.spectra import ROUNDING, shape
from analysis.stats import Floats
from analysis.wording import number, plural, shortened

_STEPS = 5
_VALUES = 48
_VIEWS = 16
_TICKS = 7
_SCALE = ("#9fb8cf", "#7f9fc0", "#5d84ae", "#3f6896", "#7a4a9c")
"""From the first step to the last; the last stands out."""
_RANKS = {"representation": "effective_rank", "projection": "projection_effective_rank"}
"""Level -> column of the metrics."""


def spectrum(study: StudyResults) -> Panel | None:
    """Median spectrum over the seeds at a few steps, for each cell a view; both levels."""
    if study.spectra.empty:
        return None
    table = _Spectra(study)
    levels = [level for level in _RANKS if level in table.levels]
    figure = facets(
        levels,
        columns=(len(levels), 1),
        row_px=230,
        x=axis("number of the eigenvalue", type="log"),
        y=axis("eigenvalue", type="log", exponentformat="power"),
    )
    every_group = groups(study, 64)
    # Cells that differ in outcome say more than neighbours: the reference first, then those that collapsed.
    # But an axis without a line at first has no range, so those that were measured at every level come first.
    ordered = sorted(
        every_group,
        key=lambda group: (table.lacking(group, levels), group is not every_group[0], -group.collapsed),
    )
    views, rows = [], []
    for group in ordered[:_VIEWS]:
        if len(table.of(group)):
            first = len(figure.data)
            rows += _draw_group(figure, study, group, table, levels)
            counts = "" if study.is_measured else f" ({group.collapsed}/{group.judged} collapsed)"
            name = f"{shortened(group.name, 70)}{counts}"
            if len(figure.data) > first:
                views.append((name, tuple(range(first, len(figure.data)))))
    if not views:
        return None
    apart = _decades_apart(figure)
    figure.update_layout(**{f"yaxis{key(index)}": {"dtick": apart} for index in range(len(levels))})
    medians = "" if study.is_measured else "Medians over the trials. "
    caption = (
        "A healthy spectrum falls slowly; a collapsed one sinks as a whole (towards a point) or keeps a few "
        f"large values (dimensional collapse). {medians}The eigenvalues are of the centred "
        "covariance; the effective rank (on hover, and in the numbers) is computed without centring, so a "
        "point has rank 1. The numbers also have the centred rank, alpha-ReQ and NESum of each curve, which "
        "are explained below the table of trials."
    )
    if len(every_group) > len(views):
        caption += f" {len(views)} of {plural(len(every_group), 'group')} can be chosen."
    header = ("cell", "level", "step", "effective rank", "centred rank", "alpha-ReQ", "NESum")
    chooser = "outcome" if study.is_search else "embeddings" if study.is_measured else "cell"
    return Panel(name="spectrum", title="Spectrum of the embeddings", caption=caption, drawing=figure,
                 table=(header, rows), views=tuple(views), chooser=chooser)  # fmt: skip


def _decades_apart(figure: Drawing) -> int:
    """Decades from tick to tick, so that some _TICKS of them fit beside all values."""
    logs = np.log10([value for trace in figure.data for value in trace["y"] if value])
    return max(1, math.ceil(float(np.ptp(logs)) / _TICKS)) if len(logs) else 1


def _draw_group(
    figure: Drawing, study: StudyResults, group: Group, table: "_Spectra", levels: Sequence[str]
) -> list[tuple[str, ...]]:
    """Draws a few steps of each level; returns their rows of the table."""
    at = table.of(group)
    steps = np.unique(table.steps[at]).tolist()
    picked = sorted({steps[round(i * (len(steps) - 1) / (_STEPS - 1))] for i in range(_STEPS)})
    rows: list[tuple[str, ...]] = []
    for index, level in enumerate(levels):
        ranks = curves(study, _RANKS[level])
        for place, step in enumerate(picked):
            of_both = at[(table.steps[at] == step) & (table.levels[at] == level)]
            values = _median([table.values[row] for row in of_both])
            if values is not None:
                rank = _median_rank(ranks, group, step)
                line = {"color": _SCALE[min(place, 3)], "width": 1.5}
                if place == len(picked) - 1:
                    line = {"color": _SCALE[-1], "width": 2.4}
                _draw(figure, index, group, values, step, rank, line)
                of = shape(values)
                shapes = map(number, (of.effective_rank_centred, of.alpha_req, of.nesum))
                rows.append((group.name, level, str(step), number(rank), *shapes))
    return rows


class _Spectra:
    """The table of spectra as arrays."""

    def __init__(self, study: StudyResults) -> None:
        spectra = study.spectra
        trials = pd.Index(study.trials["trial_id"]).get_indexer(pd.Index(spectra["trial_id"]))
        self.steps = spectra["step"].to_numpy(np.int64)
        self.levels = spectra["level"].to_numpy(object)
        self.values = spectra["eigenvalues"].tolist()
        self._order = np.argsort(trials, kind="stable")
        self._trials = trials[self._order]

    def lacking(self, group: Group, levels: Sequence[str]) -> int:
        """How many of the levels have no row of a group."""
        return len(set(levels) - set(self.levels[self.of(group)]))

    def of(self, group: Group) -> npt.NDArray[np.int64]:
        """The rows of a group's trials."""
        first, last = (np.searchsorted(self._trials, group.rows, side) for side in ("left", "right"))
        rows = [self._order[a:b] for a, b in zip(first, last, strict=True)]
        return np.concatenate(rows) if rows else np.empty(0, dtype=np.int64)


def _draw(
    figure: Drawing, index: int, group: Group, values: Floats, step: int, rank: float,
    line: Mapping[str, object],
) -> None:  # fmt: skip
    x, y = _thinned(values)
    figure.add_scatter(
        x=x,
        y=y,
        mode="lines",
        line=line,
        name=f"step {step}",
        legendgroup=f"step {step}",
        meta=of(group.filter),
        showlegend=index == 0,
        xaxis=f"x{key(index)}",
        yaxis=f"y{key(index)}",
        hovertemplate=f"step {step}, rank {rank:.3g}: %{{y:.2e}}<extra></extra>",
    )


def _median_rank(ranks: Curves, group: Group, step: int) -> float:
    """Median effective rank over the trials, as measured with the spectra of a step."""
    if step not in ranks.steps:
        return math.nan
    values = ranks.values[group.rows, np.searchsorted(ranks.steps, step)]
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan


def _median(rows: Sequence[object]) -> Floats | None:
    """Elementwise median over trials, up to the shortest spectrum; None without a finite one."""
    spectra = [np.asarray(values, dtype=np.float64) for values in rows]
    spectra = [values for values in spectra if len(values) and np.isfinite(values).all()]
    if not spectra:
        return None
    shortest = min(map(len, spectra))
    return np.asarray(np.median([values[:shortest] for values in spectra], axis=0))


def _thinned(values: Floats) -> tuple[list[int], list[float | None]]:
    """At most _VALUES of the eigenvalues, evenly on a logarithmic axis; without those lost in rounding."""
    index = np.unique(np.geomspace(1, len(values), _VALUES).round().astype(int))
    floor = max(values[0], 1e-30) * ROUNDING
    drawn = index[values[index - 1] > floor]
    return drawn.tolist(), rounded(values[drawn - 1], 3)
