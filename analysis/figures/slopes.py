"""The same seeds at each level of a factor: the pairs that the effects are means of."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.cells import Cell, cells_of, values_by_seed
from analysis.figures.baselines import baselines_note, draw_baselines, in_view
from analysis.figures.drawing import Drawing
from analysis.figures.facets import facets, key
from analysis.figures.selection import of, term
from analysis.figures.theme import LINES, Panel, axis, rounded, text, wrapped
from analysis.findings.learning import not_interpretable
from analysis.naming import factor_words, level_words
from analysis.results import Factor, StudyResults
from analysis.stats import Floats
from analysis.wording import listed, percent

_SEEDS_UP_TO = 40
_LEGEND_UP_TO = 10


@dataclass(frozen=True, kw_only=True)
class _Plot:
    """A factor and the lines of its seeds."""

    factor: Factor
    lines: dict[int, list[float]]
    """Seed -> mean at each level."""
    matched: int
    """Sets of matched cells that the means are over."""


def slopes(study: StudyResults) -> Panel | None:
    """A line per seed from level to level of each factor, over the same cells at every level."""
    cells = cells_of(study)
    bimodal = any(cell.collapsed for cell in cells)
    is_share = bool(study.trials["knn_accuracy"].notna().any())
    column = "knn_accuracy" if is_share else "representation_std"
    values = values_by_seed(cells, study.seeds, column, survivors_only=bimodal)
    plots = _plots(study, cells, values)
    if not plots or len(study.seeds) > _SEEDS_UP_TO:
        return None
    figure = facets(
        [text(factor_words(plot.factor.name)) for plot in plots],
        columns=(4, 2),
        row_px=170,
        x=axis(),
        y=axis(tickformat=".1~%" if is_share else ".2g", nticks=5),
        shared=False,
    )
    heights = [height for plot in plots for line in plot.lines.values() for height in line]
    lines = in_view(study, heights) if is_share else []
    for index, plot in enumerate(plots):
        draw_baselines(figure, lines, (-0.35, len(plot.factor.levels) - 0.65), facet=index)
        _draw(figure, index, plot)
    rows = [
        (
            plot.factor.name,
            str(seed),
            ", ".join(percent(height, 1) if is_share else f"{height:.3g}" for height in heights),
            str(plot.matched),
        )
        for plot in plots
        for seed, heights in plot.lines.items()
    ]
    caption = not_interpretable(study) if is_share else ""
    caption += (
        f" {'kNN accuracy' if is_share else 'Representation std'}, a line per seed. Parallel lines mean "
        "that the factor does the same in every seed, however far apart the seeds lie. Each point is a mean "
        "over the cells that have results at every level of the factor"
    )
    caption += ", among cells without any collapse." if bimodal else "."
    caption += baselines_note(study, lines) if is_share else ""
    if len(plots) < len(study.factors):
        caption += f" Only {listed(sorted({plot.factor.name for plot in plots}))} can be compared this way."
    return Panel(name="slopes", title="The same seeds at each level", caption=caption.lstrip(),
                 drawing=figure, table=(("factor", "seed", "by level", "matched cells"), rows))  # fmt: skip


def _plots(study: StudyResults, cells: Sequence[Cell], values: Floats) -> list[_Plot]:
    plots = []
    for index, factor in enumerate(study.factors):
        means_LS, columns, matched = by_level(cells, values, index, len(factor.levels))
        if columns and len(factor.levels) > 1:
            lines = {study.seeds[column]: means_LS[:, i].tolist() for i, column in enumerate(columns)}
            plots.append(_Plot(factor=factor, lines=lines, matched=matched))
    return plots


def _draw(figure: Drawing, index: int, plot: _Plot) -> None:
    levels = plot.factor.levels
    figure.update_layout(
        {
            f"xaxis{key(index)}.tickvals": list(range(len(levels))),
            f"xaxis{key(index)}.ticktext": [
                wrapped(level_words(plot.factor.name, level), 14, 2) for level in levels
            ],
            f"xaxis{key(index)}.range": [-0.35, len(levels) - 0.65],
            f"yaxis{key(index)}.matches": "y" if index else None,
        }
    )
    for place, (seed, heights) in enumerate(plot.lines.items()):
        figure.add_scatter(
            x=list(range(len(levels))),
            y=rounded(heights),
            mode="lines+markers",
            name=f"seed {seed}",
            legendgroup=f"seed {seed}",
            meta=of(term("seed", seed), legend=True),
            showlegend=index == 0 and len(plot.lines) <= _LEGEND_UP_TO,
            line={"color": LINES[place % len(LINES)], "width": 1.6},
            marker={"size": 6},
            xaxis=f"x{key(index)}",
            yaxis=f"y{key(index)}",
            hovertemplate=f"seed {seed}: %{{y:.3g}}<extra></extra>",
        )


def by_level(
    cells: Sequence[Cell], values_CS: Floats, factor: int, n_levels: int
) -> tuple[Floats, list[int], int]:
    """The mean at each level of a factor, by seed, over the cells that have values at all levels.

    Args:
        cells: the cells.
        values_CS: value by cell and seed, NaN where missing. Shape [cells, seeds].
        factor: its index.
        n_levels: its number of levels.

    Returns:
        Means of shape [levels, seeds used]; the columns of the seeds used; how many sets of matched cells.
    """
    row = {cell.codes: index for index, cell in enumerate(cells)}
    sets = []
    for codes in row:
        matching = [(*codes[:factor], level, *codes[factor + 1 :]) for level in range(n_levels)]
        if codes[factor] == 0 and all(other in row for other in matching):
            sets.append(values_CS[[row[other] for other in matching]])
    values_GLS = np.asarray(sets).reshape(len(sets), n_levels, values_CS.shape[1])
    complete_GS = np.asarray(~np.isnan(values_GLS).any(axis=1))
    matched = np.asarray(complete_GS.any(axis=1))
    used = np.flatnonzero(complete_GS[matched].all(axis=0)) if matched.any() else np.empty(0, dtype=int)
    if not len(used):
        return np.empty((n_levels, 0)), [], 0
    return values_GLS[matched][:, :, used].mean(axis=0), used.tolist(), int(matched.sum())
