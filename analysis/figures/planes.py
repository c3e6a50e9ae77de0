"""Where the trials ended: loss and effective rank against std, and what another threshold would say."""

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.theme import SYMBOLS, Panel, axis, base, colour, rounded, text, threshold_line
from analysis.outcomes import JUDGED
from analysis.results import StudyResults
from analysis.stats import threshold_sensitivity
from analysis.wording import exact, number, percent, plural

_POINTS_UP_TO = 3000
"""SVG points that a browser draws without making its reader wait."""
_FLOOR = 1e-4
"""Smaller stds are drawn here, since a logarithmic axis has no 0."""


def loss_plane(study: StudyResults) -> Panel | None:
    """The last loss against the last representation std."""
    caption = (
        "Low loss is not success: a collapsed trial (left of the dotted threshold) can have the best loss. "
        "Trials are never ranked by loss here."
    )
    return _plane(study, "loss", "loss at the end", "loss-std", "Loss against spread", caption)


def rank_plane(study: StudyResults) -> Panel | None:
    """The last effective rank against the last representation std."""
    caption = (
        "Spread without rank is dimensional collapse: right of the threshold, but near the bottom. "
        "A point has std 0 and rank 1 (the rank is not centred)."
    )
    title = "Effective rank against spread"
    return _plane(study, "effective_rank", "effective rank at the end", "rank-std", title, caption)


def _plane(study: StudyResults, column: str, label: str, name: str, title: str, caption: str) -> Panel | None:
    ended = study.trials[study.trials["outcome"].isin((*JUDGED, "diverged"))]
    known = ended[np.isfinite(ended["representation_std"]) & np.isfinite(ended[column])]
    if known.empty:
        return None
    drawn = known.iloc[:: -(-len(known) // _POINTS_UP_TO)]
    figure, rows = go.Figure(layout=base(320)), []
    for outcome in SYMBOLS:
        own = drawn[drawn["outcome"] == outcome]
        every = known[known["outcome"] == outcome]
        if own.empty:
            continue
        figure.add_scatter(
            x=rounded(own["representation_std"].clip(lower=_FLOOR)),
            y=rounded(own[column]),
            mode="markers",
            name=f"{outcome} ({len(every)})",
            text=[text(label) for label in trial_names(study, own)],
            marker={
                "color": colour(outcome),
                "symbol": SYMBOLS[outcome],
                "size": 8,
                "line": {"width": 1.6, "color": colour(outcome)},
            },
            opacity=0.75,
            hovertemplate="%{text}<br>std %{x:.3g}, " + label + " %{y:.3g}<extra></extra>",
        )
        quarters = [number(float(value)) for value in np.quantile(every[column], [0, 0.5, 1])]
        rows.append(
            (outcome, str(len(every)), number(float(every["representation_std"].median())), *quarters)
        )
    figure.update_layout(xaxis=axis("representation std at the end", type="log", dtick=1), yaxis=axis(label))
    threshold_line(figure, study.representation_threshold, vertical=True)
    left_out = len(ended) - len(known)
    if left_out:
        caption += f" {plural(left_out, 'trial')} without finite values are not shown."
    if len(drawn) < len(known):
        caption += f" {len(drawn):,} of {len(known):,} trials are drawn, evenly picked."
    header = ("outcome", "trials", "median std", f"least {column}", f"median {column}", f"greatest {column}")
    return Panel(name=name, title=title, caption=caption, figure=figure, table=(header, rows), half=True)


def trial_names(study: StudyResults, trials: pd.DataFrame) -> list[str]:
    """`batch · mlp · 0.99, seed 1`, for labels."""
    columns = [
        trials[factor.column]
        .map(lambda value: value if isinstance(value, str) else "–" if value != value else f"{value:.4g}")
        .tolist()
        for factor in study.factors
    ]
    cells = [" · ".join(map(str, levels)) for levels in zip(*columns, strict=True)] or [""] * len(trials)
    return [f"{cell}, seed {seed}" for cell, seed in zip(cells, trials["seed"], strict=True)]


def sensitivity(study: StudyResults) -> Panel | None:
    """How many trials would count as collapsed at other thresholds."""
    judged = study.trials[study.trials["outcome"].isin(JUDGED)]
    if judged.empty or study.representation_threshold <= 0:
        return None
    std = judged["representation_std"].to_numpy(np.float64)
    found = threshold_sensitivity(std, study.representation_threshold)
    if not found.n:
        return None
    figure = go.Figure(layout=base(240, legend=False))
    figure.add_scatter(
        x=rounded(found.thresholds),
        y=found.collapsed.tolist(),
        mode="lines",
        line={"color": colour("collapsed"), "width": 2.2, "shape": "hv"},
        hovertemplate="threshold %{x:.3g}: %{y} collapsed<extra></extra>",
    )
    figure.update_layout(
        xaxis=axis(
            "threshold on representation std", type="log", range=list(np.log10(found.thresholds[[0, -1]]))
        ),
        yaxis=axis("collapsed trials", range=[-0.03 * found.n, found.n * 1.05], nticks=5),
    )
    threshold_line(figure, study.representation_threshold, vertical=True)
    high = "any" if found.stable.high == np.inf else number(found.stable.high, 2)
    caption = (
        f"A flat line around the recorded threshold ({exact(study.representation_threshold)}, dotted) means "
        "that the verdicts do not hang on it: none changes for thresholds from "
        f"{number(found.stable.low, 2)} to {high}."
    )
    if found.unknown:
        caption += f" {plural(found.unknown, 'trial')} without a std are not counted."
    picks = [study.representation_threshold * factor for factor in (0.2, 0.5, 1, 2, 5)]
    rows = [
        (number(p, 2), str(int((std < p).sum())), percent(float((std < p).sum()) / found.n)) for p in picks
    ]
    return Panel(name="sensitivity", title="What another threshold would say", caption=caption, figure=figure,
                 table=(("threshold", "collapsed", "share"), rows), half=True)  # fmt: skip
