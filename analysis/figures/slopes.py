"""The same seeds at each level of a factor: the pairs that the effects are means of."""

from collections.abc import Sequence

import numpy as np

from analysis.figures.theme import LINES, Panel, axis, facets, key, rounded, text
from analysis.outcomes import Cell, cells, seed_table
from analysis.results import StudyResults
from analysis.stats import Floats
from analysis.wording import listed, percent


def slopes(study: StudyResults) -> Panel | None:
    """A line per seed from level to level of each factor, over the same cells at every level."""
    found = cells(study)
    bimodal = any(cell.collapsed for cell in found)
    value = "knn_accuracy" if study.trials["knn_accuracy"].notna().any() else "representation_std"
    table = seed_table(found, study.seeds, value, survivors_only=bimodal)
    plots = []
    for factor in range(len(study.factors)):
        n_levels = len(study.factors[factor].levels)
        means_LS, used, matched = by_level(found, table, factor, n_levels)
        if used and n_levels > 1:
            lines = [(study.seeds[seed], means_LS[:, place].tolist()) for place, seed in enumerate(used)]
            plots.append((factor, lines, matched))
    if not plots or len(study.seeds) > 40:
        return None
    percentage = value == "knn_accuracy"
    figure = facets(
        [text(study.factors[factor].name) for factor, _, _ in plots],
        columns=(4, 2),
        row_px=170,
        x=axis(),
        y=axis(tickformat=".0%" if percentage else ".2g", nticks=5),
        shared=False,
    )
    rows = []
    for index, (factor, lines, matched) in enumerate(plots):
        levels = study.factors[factor].levels
        figure.update_layout(
            {
                f"xaxis{key(index)}.tickvals": list(range(len(levels))),
                f"xaxis{key(index)}.ticktext": [text(level) for level in levels],
                f"xaxis{key(index)}.range": [-0.35, len(levels) - 0.65],
                f"yaxis{key(index)}.matches": "y" if index else None,
            }
        )
        for place, (seed, heights) in enumerate(lines):
            figure.add_scatter(
                x=list(range(len(levels))),
                y=rounded(heights),
                mode="lines+markers",
                name=f"seed {seed}",
                legendgroup=f"seed {seed}",
                showlegend=index == 0 and len(lines) <= 10,
                line={"color": LINES[place % len(LINES)], "width": 1.6},
                marker={"size": 6},
                xaxis=f"x{key(index)}",
                yaxis=f"y{key(index)}",
                hovertemplate=f"seed {seed}: %{{y:.3g}}<extra></extra>",
            )
            shown = [percent(height, 1) if percentage else f"{height:.3g}" for height in heights]
            rows.append((study.factors[factor].name, str(seed), ", ".join(shown), str(matched)))
    names = listed(sorted({study.factors[factor].name for factor, _, _ in plots}))
    caption = (
        f"{'kNN accuracy' if percentage else 'Representation std'}, a line per seed. Lines alike say "
        "that the factor does the same in every seed, however far apart seeds lie. Each point is a mean over "
        "the cells that have results at every level of the factor"
        + (", among cells without any collapse." if bimodal else ".")
        + ("" if len(plots) == len(study.factors) else f" Only {names} can be compared so.")
    )
    return Panel(name="slopes", title="The same seeds at each level", caption=caption, figure=figure,
                 table=(("factor", "seed", "by level", "matched cells"), rows))  # fmt: skip


def by_level(
    found: Sequence[Cell], table_CS: Floats, factor: int, n_levels: int
) -> tuple[Floats, list[int], int]:
    """The mean at each level of a factor, by seed, over the cells that have values at all levels.

    Args:
        found: the cells.
        table_CS: value by cell and seed, NaN where missing. Shape [cells, seeds].
        factor: its index.
        n_levels: its number of levels.

    Returns:
        Means of shape [levels, seeds used]; the columns of the seeds used; how many sets of matched cells.
    """
    row = {cell.codes: index for index, cell in enumerate(found)}
    sets = []
    for codes in row:
        same = [(*codes[:factor], level, *codes[factor + 1 :]) for level in range(n_levels)]
        if codes[factor] == 0 and all(other in row for other in same):
            sets.append(table_CS[[row[other] for other in same]])
    values_GLS = np.asarray(sets).reshape(len(sets), n_levels, table_CS.shape[1])
    known_GS = np.asarray(~np.isnan(values_GLS).any(axis=1))
    matched = np.asarray(known_GS.any(axis=1))
    used = np.flatnonzero(known_GS[matched].all(axis=0)) if matched.any() else np.empty(0, dtype=int)
    if not len(used):
        return np.empty((n_levels, 0)), [], 0
    return values_GLS[matched][:, :, used].mean(axis=0), used.tolist(), int(matched.sum())
