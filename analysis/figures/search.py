"""What a search tried and what came of it, by sample and by parameter."""

from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go

from analysis.figures.planes import trial_names
from analysis.figures.theme import SYMBOLS, Panel, axis, base, colour, facets, key, rounded, text
from analysis.outcomes import NOT_SET
from analysis.results import StudyResults
from analysis.search import Objective, Searched, searched
from analysis.wording import number, plural

_POINTS_UP_TO = 1000

MARKS = {**SYMBOLS, "pruned": "triangle-down-open", "failed": "square-x-open", "unknown": "circle-open"}
"""Outcome -> symbol, for samples."""


def search(study: StudyResults) -> Panel | None:
    """A plot per parameter, a mark per sample with a result; None for a design, whose cells say more."""
    if not study.searched:
        return None
    found = searched(study)
    objective = found.objectives[0]
    judged = found.samples[~np.isnan(found.values[:, 0])]
    factors = [factor for factor in study.factors if judged[factor.column].nunique() > 1]
    if judged.empty or not factors:
        return None
    drawn = judged.iloc[:: -(-len(judged) // _POINTS_UP_TO)]
    figure = facets([text(factor.name) for factor in factors], columns=(3, 1), row_px=190, x=axis(nticks=5),
                    y=objective_axis(objective, nticks=5), shared=False)  # fmt: skip
    rows = []
    for index, factor in enumerate(factors):
        log = found.section.get("space", {}).get(factor.name, {}).get("log", False)
        unset = [NOT_SET] if factor.levels and (judged[factor.column] == NOT_SET).any() else []
        x, more = _positions(judged[factor.column], [*factor.levels, *unset], log=log)
        figure.update_layout({f"xaxis{key(index)}": more})
        place = {"xaxis": f"x{key(index)}", "yaxis": f"y{key(index)}"}
        for outcome in [outcome for outcome in MARKS if (drawn["outcome"] == outcome).any()]:
            own = drawn[drawn["outcome"] == outcome]
            marks(figure, study, own, x[own.index], own[objective.column], outcome, objective,
                  showlegend=index == 0, **place)  # fmt: skip
        if found.best is not None:
            ring(figure, [float(x.loc[found.best])], [float(found.values[found.best, 0])],
                 showlegend=index == 0, **place)  # fmt: skip
        ranks = x.rank().corr(judged[objective.column].rank())
        known = int(x.notna().sum()) if not factor.levels else len(judged)
        rows.append((factor.name, str(known), number(float(ranks), 2) if not factor.levels else "–"))
    caption = (
        "A mark per sample with a result. A search tries what looked promising, so marks crowd where it was "
        "lucky before: this describes, and no interval or effect is drawn from it."
    )
    if len(drawn) < len(judged):
        caption += f" {len(drawn):,} of {plural(len(judged), 'sample')} are drawn, evenly picked."
    header = ("parameter", "samples", f"rank correlation with {objective.name}")
    title = f"{upper(objective.name)} against what was searched"
    return Panel(name="search", title=title, caption=caption, figure=figure, table=(header, rows))


def history(study: StudyResults) -> Panel | None:
    """The objective of each sample in order, the best so far, and the winner's score on fresh seeds."""
    if not study.searched:
        return None
    found = searched(study)
    objective, samples = found.objectives[0], found.samples
    shown = samples[samples["outcome"].isin(tuple(MARKS))]
    if shown.empty or np.isnan(found.values[:, 0]).all():
        return None
    measured = samples[objective.column].astype(np.float64)
    floor = float(measured.min()) - 0.06 * float(measured.max() - measured.min() or 1)
    figure = go.Figure(layout=base(320))
    line = _best_so_far(found)
    figure.add_scatter(
        x=list(range(1, len(samples) + 1)), y=rounded(line), mode="lines", name="best so far",
        line={"color": colour("accent"), "width": 2, "shape": "hv"},
        hovertemplate=f"best of the first %{{x}}: %{{y{_format(objective)}}}<extra></extra>",
    )  # fmt: skip
    for outcome in [outcome for outcome in MARKS if (shown["outcome"] == outcome).any()]:
        own = shown[shown["outcome"] == outcome]
        values = measured[own.index].fillna(floor)
        marks(figure, study, own, pd.Series(own.index + 1, index=own.index), values, outcome, objective,
              name=f"{outcome} ({len(own)})")  # fmt: skip
    caption = "A mark per sample in the order in which they were drawn. "
    if found.best is not None:
        ring(figure, [found.best + 1.0], [float(found.values[found.best, 0])])
    score = found.scores[0] if found.scores else None
    if score is not None:
        _score_band(figure, score.estimate, score.interval, len(samples))
        caption += (
            f"Dashed: the winner's score, the mean over {plural(score.n, 'fresh seed')}"
            f"{', with its 95 % interval' if score.interval else ''}. "
        )
    short = shown[np.isnan(found.values[shown.index, 0])]
    if len(short):
        caption += (
            f"{plural(len(short), 'sample')} without a result: drawn at the last measurement, at the bottom "
            "where there is none. "
        )
    figure.update_layout(
        xaxis=axis("sample", range=[0.2, len(samples) + 0.8]),
        yaxis=objective_axis(objective, title=True),
        meta={"wide": {"height": 320}, "narrow": {"height": 420}},  # the legend takes several lines
    )
    own_values = found.values[:, 0]
    rows = [
        (str(place + 1), str(outcome), objective.shown(own_values[place]), objective.shown(line[place]))
        for place, outcome in enumerate(samples["outcome"])
    ]
    header = ("sample", "outcome", objective.name, "best so far")
    title = f"{upper(objective.name)} by sample"
    return Panel(name="history", title=title, caption=caption.strip(), figure=figure, table=(header, rows))


def _best_so_far(found: Searched) -> np.ndarray:
    """The best eligible value up to each sample; NaN before the first. Shape [samples]."""
    values = np.where(found.eligible, found.values[:, 0], np.nan)
    return np.asarray((np.fmax if found.objectives[0].maximize else np.fmin).accumulate(values))


def _score_band(figure: go.Figure, middle: float, interval: Any, n: int) -> None:
    ends = {"xref": "x", "yref": "y", "x0": 0.2, "x1": n + 0.8, "layer": "below"}
    if interval is not None:
        figure.add_shape(type="rect", y0=interval.low, y1=interval.high, line={"width": 0},
                         fillcolor=colour("survived-band"), **ends)  # fmt: skip
    figure.add_scatter(
        x=[0.2, n + 0.8], y=rounded([middle, middle]), mode="lines", name="score on fresh seeds",
        line={"color": colour("ink"), "width": 1.4, "dash": "dash"}, hoverinfo="skip",
    )  # fmt: skip


def marks(figure: go.Figure, study: StudyResults, own: pd.DataFrame, x: Any, y: Any, outcome: str,
          objective: Objective, *, name: str = "", **more: Any) -> None:  # fmt: skip
    """Draws the samples `own` of one outcome at x and y."""
    tint = colour(outcome if outcome in SYMBOLS else "other")
    labels = zip(own.index, trial_names(study, own), strict=True)
    figure.add_scatter(
        x=rounded(x), y=rounded(y), mode="markers", name=name or outcome, legendgroup=outcome, opacity=0.75,
        text=[text(f"sample {place + 1}: {label}") for place, label in labels],
        marker={"color": tint, "symbol": MARKS[outcome], "size": 7, "line": {"width": 1.6, "color": tint}},
        hovertemplate=f"%{{text}}: %{{y{_format(objective)}}}<extra></extra>", **more,
    )  # fmt: skip


def ring(figure: go.Figure, x: list[float], y: list[float], **more: Any) -> None:
    """Rings the winner."""
    figure.add_scatter(
        x=rounded(x), y=rounded(y), mode="markers", name="winner", legendgroup="winner", hoverinfo="skip",
        marker={"color": colour("ink"), "symbol": "circle-open", "size": 14, "line": {"width": 2}}, **more,
    )  # fmt: skip


def objective_axis(objective: Objective, *, title: bool = False, **more: Any) -> dict[str, Any]:
    """An axis for its values."""
    shares = {"tickformat": ".0%"} if objective.is_share else {}
    return axis(text(objective.name) if title else None, **shares, **more)


def _format(objective: Objective) -> str:
    return ":.1%" if objective.is_share else ":.4g"


def upper(words: str) -> str:
    """A title, with a capital, unless it is kNN's."""
    return words if words.startswith("kNN") else words.capitalize()


def _positions(values: pd.Series, levels: list[str], *, log: bool) -> tuple[pd.Series, dict[str, object]]:
    """Where each value stands, and the axis: linear or logarithmic for numbers, a place each for levels."""
    if levels:
        places = values.map({level: place for place, level in enumerate(levels)}).astype(np.float64)
        ticks = {"tickvals": list(range(len(levels))), "ticktext": [text(level) for level in levels]}
        return places, {**ticks, "range": [-0.5, len(levels) - 0.5]}
    return values.astype(np.float64), {"type": "log" if log else "linear"}
