"""How the trials ended: loss and effective rank against std, and collapse at other thresholds."""

import numpy as np
import pandas as pd

from analysis.figures.drawing import Drawing
from analysis.figures.facets import threshold_line
from analysis.figures.selection import of, rows_of_trials, term
from analysis.figures.theme import SYMBOLS, Panel, axis, base, colour, rounded, text
from analysis.naming import cell_words
from analysis.outcomes import judged
from analysis.results import NOT_SET, StudyResults
from analysis.stats import threshold_sensitivity
from analysis.wording import as_written, number, percent, plural, shortened

_POINTS_UP_TO = 3000
"""SVG points that a browser draws without delay."""
_FLOOR = 1e-4
"""Smaller stds are drawn here, since a logarithmic axis has no 0."""


def loss_plane(study: StudyResults) -> Panel | None:
    """The last loss against the last representation std."""
    caption = (
        "Low loss is not success: a collapsed trial (left of the dotted threshold) can have the lowest loss. "
        "Trials are never ranked by loss here."
    )
    return _plane(study, "loss", "loss at the end", "loss-std", "Loss against spread", caption)


def rank_plane(study: StudyResults) -> Panel | None:
    """The last effective rank against the last representation std."""
    caption = (
        "Spread without rank is dimensional collapse: right of the threshold, but near the bottom. "
        "A point has std 0 and rank 1 (the rank is computed without centring)."
    )
    title = "Effective rank against spread"
    return _plane(study, "effective_rank", "effective rank at the end", "rank-std", title, caption)


def _plane(study: StudyResults, column: str, label: str, name: str, title: str, caption: str) -> Panel | None:
    ended = study.trials[study.trials["outcome"].isin(tuple(SYMBOLS))]
    finite = ended[np.isfinite(ended["representation_std"]) & np.isfinite(ended[column])]
    if finite.empty:
        return None
    drawn = finite.iloc[:: -(-len(finite) // _POINTS_UP_TO)]
    figure, rows = Drawing(base(320)), []
    for outcome in SYMBOLS:
        points = drawn[drawn["outcome"] == outcome]
        trials = finite[finite["outcome"] == outcome]
        if points.empty:
            continue
        figure.add_scatter(
            x=rounded(points["representation_std"].clip(lower=_FLOOR)),
            y=rounded(points[column]),
            mode="markers",
            name=f"{outcome} ({len(trials)})",
            text=[text(name) for name in trial_names(study, points)],
            marker={
                "color": colour(outcome),
                "symbol": SYMBOLS[outcome],
                "size": 8,
                "line": {"width": 1.6, "color": colour(outcome)},
            },
            opacity=0.75,
            customdata=rows_of_trials(study, points),
            meta=of(term("outcome", outcome), legend=True),
            hovertemplate="%{text}<br>std %{x:.3g}, " + label + " %{y:.3g}<extra></extra>",
        )
        median_std = number(float(trials["representation_std"].median()))
        quantiles = [number(float(value)) for value in np.quantile(trials[column], [0, 0.5, 1])]
        rows.append((outcome.value, str(len(trials)), median_std, *quantiles))
    figure.update_layout(xaxis=axis("representation std at the end", type="log", dtick=1), yaxis=axis(label))
    threshold_line(figure, study.representation_threshold, vertical=True)
    missing = len(ended) - len(finite)
    if missing:
        caption += f" {plural(missing, 'trial')} without finite values are not shown."
    if len(drawn) < len(finite):
        caption += f" {len(drawn):,} of {len(finite):,} trials are drawn, evenly spaced."
    header = ("outcome", "trials", "median std", f"lowest {column}", f"median {column}", f"highest {column}")
    return Panel(name=name, title=title, caption=caption, drawing=figure, table=(header, rows), half=True,
                 brush={"x": "representation_std", "y": column}, floors={"x": _FLOOR})  # fmt: skip


def trial_names(study: StudyResults, trials: pd.DataFrame) -> list[str]:
    """`no predictor, seed 1`, for labels; of a search, the settings that it drew."""
    if study.is_measured:
        return [shortened(str(trial), 80) for trial in trials["trial_id"]]
    if not study.factors:
        return [f"seed {seed}" for seed in trials["seed"]]
    columns = [trials[factor.column].tolist() for factor in study.factors]
    first = [factor.levels[0] if factor.levels and not study.is_search else None for factor in study.factors]
    words = [factor.name for factor in study.factors]
    names = []
    for levels, seed in zip(zip(*columns, strict=True), trials["seed"], strict=True):
        drawn = [
            (name, level if isinstance(level, str) else f"{level:.4g}")
            for name, level, of_reference in zip(words, levels, first, strict=True)
            if level not in (of_reference, NOT_SET) and level == level
        ]
        names.append(f"{shortened(cell_words(drawn), 80)}, seed {seed}")
    return names


def sensitivity(study: StudyResults) -> Panel | None:
    """How many trials would count as collapsed at other thresholds."""
    trials, threshold = judged(study.trials), study.representation_threshold
    if trials.empty or threshold <= 0:
        return None
    std = trials["representation_std"].to_numpy(np.float64)
    counts = threshold_sensitivity(std, threshold)
    if not counts.n:
        return None
    figure = Drawing(base(240, legend=False))
    figure.add_scatter(
        x=rounded(counts.thresholds),
        y=counts.collapsed.tolist(),
        mode="lines",
        line={"color": colour("collapsed"), "width": 2.2, "shape": "hv"},
        hovertemplate="threshold %{x:.3g}: %{y} collapsed<extra></extra>",
    )
    figure.update_layout(
        xaxis=axis(
            "threshold on representation std", type="log", range=list(np.log10(counts.thresholds[[0, -1]]))
        ),
        yaxis=axis("collapsed trials", range=[-0.03 * counts.n, counts.n * 1.05], nticks=5),
    )
    threshold_line(figure, threshold, vertical=True)
    high = "any" if counts.stable.high == np.inf else number(counts.stable.high, 2)
    caption = (
        f"A flat line around the study's threshold ({as_written(threshold)}, dotted) means "
        "that the count does not depend on it: no trial is judged differently for thresholds from "
        f"{number(counts.stable.low, 2)} to {high}."
    )
    if counts.unknown:
        caption += f" {plural(counts.unknown, 'trial')} without a std are not counted."
    rows = []
    for other in (threshold * factor for factor in (0.2, 0.5, 1, 2, 5)):
        below = int((std < other).sum())
        rows.append((number(other, 2), str(below), percent(below / counts.n)))
    return Panel(name="sensitivity", title="Collapse at other thresholds", caption=caption, drawing=figure,
                 table=(("threshold", "collapsed", "share"), rows), half=True,
                 brush={"x": "representation_std"})  # fmt: skip
