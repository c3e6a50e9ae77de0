"""What a search tried and what came of it, by sample and by parameter."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from analysis.controls import Baseline
from analysis.figures.baselines import baselines_note, draw_baselines, in_view
from analysis.figures.drawing import Drawing
from analysis.figures.facets import facets, key
from analysis.figures.planes import trial_names
from analysis.figures.selection import of, rows_of_trials, term
from analysis.figures.theme import SYMBOLS, Panel, axis, base, colour, rounded, text, wrapped
from analysis.naming import factor_words
from analysis.outcomes import Outcome
from analysis.results import NOT_SET, Factor, StudyResults
from analysis.search import Objective, SearchResult, search_result
from analysis.stats import Floats, Mean
from analysis.wording import number, plural

_POINTS_UP_TO = 1000

SAMPLE_SYMBOLS = {
    **SYMBOLS,
    Outcome.PRUNED: "triangle-down-open",
    Outcome.FAILED: "square-x-open",
    Outcome.UNKNOWN: "circle-open",
}
"""Outcome -> symbol, for samples."""

RING = {
    "mode": "markers",
    "name": "winner",
    "legendgroup": "winner",
    "hoverinfo": "skip",
    "marker": {"color": colour("ink"), "symbol": "circle-open", "size": 14, "line": {"width": 2}},
}
"""A scatter trace, without x and y, that rings the winner."""


def parameters(study: StudyResults) -> Panel | None:
    """A plot per parameter, a mark per sample with a result; None for a design, whose cells say more."""
    if not study.is_search:
        return None
    result = search_result(study)
    objective = result.objectives[0]
    samples = result.samples[~np.isnan(result.values[:, 0])]
    factors = [factor for factor in study.factors if samples[factor.column].nunique() > 1]
    if samples.empty or not factors:
        return None
    drawn = samples.iloc[:: -(-len(samples) // _POINTS_UP_TO)]
    titles = [text(factor_words(factor.name)) for factor in factors]
    figure = facets(titles, columns=(3, 1), row_px=190, x=axis(nticks=5),
                    y=objective_axis(objective, nticks=5), shared=False)  # fmt: skip
    lines, rows = lines_for(study, objective, samples), []
    for index, factor in enumerate(factors):
        x, x_axis = _positions(result, samples, factor)
        figure.update_layout({f"xaxis{key(index)}": x_axis})
        draw_baselines(figure, lines, x_axis.get("range", (x.min(), x.max())), facet=index)
        place = {"showlegend": index == 0, "xaxis": f"x{key(index)}", "yaxis": f"y{key(index)}"}
        for outcome, trials in by_outcome(drawn):
            marks = sample_marks(study, trials, outcome, objective)
            figure.add_scatter(
                x=rounded(x[trials.index]), y=rounded(trials[objective.column]), **marks, **place
            )
        if result.winner is not None:
            position, value = float(x.loc[result.winner]), float(result.values[result.winner, 0])
            figure.add_scatter(x=rounded([position]), y=rounded([value]), **RING, **place)
        rows.append((factor.name, *_correlation(factor, x, samples[objective.column])))
    caption = (
        "A mark per sample with a result. A search tries what looked promising, so marks crowd where it was "
        "lucky before. This is a description: no interval or effect is derived from it."
    )
    caption += lines_note(study, objective, lines)
    if len(drawn) < len(samples):
        caption += f" {len(drawn):,} of {plural(len(samples), 'sample')} are drawn, evenly spaced."
    header = ("parameter", "samples", f"rank correlation with {objective.name}")
    title = f"{capitalised(objective.name)} by parameter"
    return Panel(name="search", title=title, caption=caption, drawing=figure, table=(header, rows),
                 brush={"y": objective.column})  # fmt: skip


def _positions(
    result: SearchResult, samples: pd.DataFrame, factor: Factor
) -> tuple[pd.Series, dict[str, Any]]:
    """Where each sample stands, and the axis: linear or logarithmic for numbers, a place each for levels."""
    values = samples[factor.column]
    if not factor.levels:
        log = result.section.get("space", {}).get(factor.name, {}).get("log", False)
        return values.astype(np.float64), {"type": "log" if log else "linear"}
    levels = [*factor.levels, *([NOT_SET] if (values == NOT_SET).any() else [])]
    places = values.map({level: place for place, level in enumerate(levels)}).astype(np.float64)
    ticks = {"tickvals": list(range(len(levels))), "ticktext": [wrapped(level, 14, 2) for level in levels]}
    return places, {**ticks, "range": [-0.5, len(levels) - 0.5]}


def _correlation(factor: Factor, x: pd.Series, y: pd.Series) -> tuple[str, str]:
    """How many samples have the parameter, and its rank correlation where it is a number."""
    if factor.levels:
        return str(len(y)), "–"
    return str(int(x.notna().sum())), number(float(x.rank().corr(y.rank())), 2)


def history(study: StudyResults) -> Panel | None:
    """The objective of each sample in order, the best so far, and the winner's score on fresh seeds."""
    if not study.is_search:
        return None
    result = search_result(study)
    objective, samples, values = result.objectives[0], result.samples, result.values[:, 0]
    ended = samples[samples["outcome"].isin(tuple(SAMPLE_SYMBOLS))]
    if ended.empty or np.isnan(values).all():
        return None
    best = _best_so_far(result)
    figure, lines = Drawing(base(320)), lines_for(study, objective, ended)
    draw_baselines(figure, lines, (0.2, len(samples) + 0.8))
    _draw_history(figure, study, result, ended, best)
    figure.update_layout(
        xaxis=axis("sample", range=[0.2, len(samples) + 0.8]),
        yaxis=objective_axis(objective, title=True),
        meta={"wide": {"height": 320}, "narrow": {"height": 420}},  # the legend takes several lines
    )
    rows = [
        (str(place + 1), str(outcome), objective.text(values[place]), objective.text(best[place]))
        for place, outcome in enumerate(samples["outcome"])
    ]
    caption = "A mark per sample in the order in which they were drawn. "
    score = result.scores[0]
    if score is not None:
        interval = ", with its 95 % interval" if score.interval else ""
        caption += (
            f"Heavy dashes: the winner's score, the mean over {plural(score.n, 'fresh seed')}{interval}. "
        )
    without_result = int(np.isnan(values[ended.index]).sum())
    if without_result:
        caption += (
            f"{plural(without_result, 'sample')} without a result: drawn at the last measurement, at the "
            "bottom where there is none. "
        )
    caption += lines_note(study, objective, lines)
    header = ("sample", "outcome", objective.name, "best so far")
    title = f"{capitalised(objective.name)} by sample"
    return Panel(name="history", title=title, caption=" ".join(caption.split()), drawing=figure,
                 table=(header, rows), brush={"y": objective.column})  # fmt: skip


def _best_so_far(result: SearchResult) -> Floats:
    """The best eligible value up to each sample; NaN before the first. Shape [samples]."""
    values = np.where(result.eligible, result.values[:, 0], np.nan)
    return np.asarray((np.fmax if result.objectives[0].maximize else np.fmin).accumulate(values))


def _draw_history(
    figure: Drawing, study: StudyResults, result: SearchResult, ended: pd.DataFrame, best: Floats
) -> None:
    objective, n = result.objectives[0], len(result.samples)
    figure.add_scatter(
        x=list(range(1, n + 1)), y=rounded(best), mode="lines", name="best so far",
        line={"color": colour("accent"), "width": 2, "shape": "hv"},
        hovertemplate=f"best of the first %{{x}}: %{{y{_format(objective)}}}<extra></extra>",
    )  # fmt: skip
    measured = result.samples[objective.column].astype(np.float64)
    bottom = float(measured.min()) - 0.06 * float(measured.max() - measured.min() or 1)
    for outcome, trials in by_outcome(ended):
        marks = sample_marks(study, trials, outcome, objective, name=f"{outcome} ({len(trials)})")
        y = measured[trials.index].fillna(bottom)
        figure.add_scatter(x=rounded(trials.index + 1), y=rounded(y), **marks)
    if result.winner is not None:
        value = float(result.values[result.winner, 0])
        figure.add_scatter(x=[result.winner + 1.0], y=rounded([value]), **RING)
    if result.scores[0] is not None:
        _draw_score(figure, result.scores[0], n)


def _draw_score(figure: Drawing, score: Mean, n_samples: int) -> None:
    left, right = 0.2, n_samples + 0.8
    if score.interval is not None:
        figure.add_shape(type="rect", y0=score.interval.low, y1=score.interval.high, line={"width": 0},
                         fillcolor=colour("survived-band"), xref="x", yref="y", x0=left, x1=right,
                         layer="below")  # fmt: skip
    figure.add_scatter(
        x=[left, right], y=rounded([score.estimate, score.estimate]), mode="lines",
        name="score on fresh seeds", line={"color": colour("ink"), "width": 2.2, "dash": "dash"},
        hoverinfo="skip",
    )  # fmt: skip


def by_outcome(samples: pd.DataFrame) -> list[tuple[Outcome, pd.DataFrame]]:
    """The samples of each outcome that occurs, in the order of SAMPLE_SYMBOLS."""
    tables = [(outcome, samples[samples["outcome"] == outcome]) for outcome in SAMPLE_SYMBOLS]
    return [(outcome, table) for outcome, table in tables if len(table)]


def sample_marks(
    study: StudyResults, samples: pd.DataFrame, outcome: Outcome, objective: Objective, *, name: str = ""
) -> dict[str, Any]:
    """A scatter trace, without x and y, for samples of one outcome.

    Args:
        study: the study.
        samples: rows of the search's samples, whose index is their order.
        outcome: theirs.
        objective: what y shows.
        name: in the legend; the outcome if empty.
    """
    tint = colour(outcome if outcome in SYMBOLS else "other")
    names = zip(samples.index, trial_names(study, samples), strict=True)
    return {
        "mode": "markers",
        "name": name or outcome.value,
        "legendgroup": outcome.value,
        "opacity": 0.75,
        "text": [text(f"sample {place + 1}: {name}") for place, name in names],
        "customdata": rows_of_trials(study, samples),
        "meta": of(term("outcome", outcome), legend=True),
        "marker": {
            "color": tint,
            "symbol": SAMPLE_SYMBOLS[outcome],
            "size": 7,
            "line": {"width": 1.6, "color": tint},
        },
        "hovertemplate": f"%{{text}}: %{{y{_format(objective)}}}<extra></extra>",
    }


def lines_for(study: StudyResults, objective: Objective, samples: pd.DataFrame) -> list[Baseline]:
    """The baselines to draw beside the samples' values of the objective; none unless it is kNN accuracy."""
    values = samples[objective.column].dropna()
    return in_view(study, values) if objective.column == "knn_accuracy" and len(values) else []


def lines_note(study: StudyResults, objective: Objective, lines: Sequence[Baseline]) -> str:
    """What the caption says of them."""
    return baselines_note(study, lines) if objective.column == "knn_accuracy" else ""


def objective_axis(objective: Objective, *, title: bool = False, **properties: Any) -> dict[str, Any]:
    """An axis for its values."""
    shares: dict[str, Any] = {"tickformat": ".0%"} if objective.is_share else {}
    return axis(text(objective.name) if title else None, **shares, **properties)


def _format(objective: Objective) -> str:
    return ":.1%" if objective.is_share else ":.4g"


def capitalised(words: str) -> str:
    """A title, with a capital, unless it is kNN's."""
    return words if words.startswith("kNN") else words.capitalize()
