"""How long the representation lasts: Kaplan-Meier curves by level of a factor."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from analysis.figures.drawing import Drawing
from analysis.figures.selection import level_term, of
from analysis.figures.theme import LINES, Panel, axis, base, rounded, text, wrapped
from analysis.naming import level_words
from analysis.onset import Survival, cadence, kaplan_meier, numbers_at_risk, onset_times
from analysis.results import StudyResults
from analysis.stats import Floats
from analysis.wording import number, percent, plural

_CURVES_UP_TO = 8
_PLOT_PX, _TICKS_PX, _TITLE_PX, _RISK_ROW_PX = 300, 24, 26, 16


@dataclass(frozen=True, kw_only=True)
class _Curve:
    """The survival of some trials."""

    label: str
    filter: str
    """The filter of the page that selects its trials; empty for all."""
    survival: Survival
    times: Floats
    """Of the trials. Shape [trials]."""


def onset(study: StudyResults) -> Panel | None:
    """Survival curves with numbers at risk, one view per factor, the factor that separates most first."""
    times, events = onset_times(study.trials)
    if not events.any():
        return None
    horizon = float(times.max())
    everything = _Curve(label="all trials", filter="", survival=kaplan_meier(times, events), times=times)
    views = [("all trials", [everything]), *_by_factor(study, horizon)]
    views.sort(key=lambda view: _spread(view[1]), reverse=True)
    marks = np.unique(np.linspace(0, horizon, 6).round())
    most = max(len(curves) for _, curves in views)
    below = _TICKS_PX + _RISK_ROW_PX * most + _TITLE_PX  # the axis, the numbers under its ticks, its title
    height = _PLOT_PX + below
    figure, traces, rows = Drawing(base(height)), [], []
    for name, curves in views:
        first = len(figure.data)
        for index, curve in enumerate(curves):
            tint, at_risk = LINES[index % len(LINES)], numbers_at_risk(curve.times, marks)
            _draw_curve(figure, curve, tint, horizon, band=not study.is_search)
            _draw_at_risk(figure, index, marks, at_risk, tint)
            rows.append(_row(curve, marks, at_risk))
        traces.append((name, tuple(range(first, len(figure.data)))))
    figure.update_layout(
        xaxis=axis(
            "step; in colour: trials at risk",
            tickvals=marks.tolist(),
            anchor="y",
            standoff=_RISK_ROW_PX * most + 6,
            range=[-0.02 * horizon, horizon * 1.02],
        ),
        yaxis=axis("share not collapsed", range=[-0.02, 1.04], tickformat=".0%", domain=[below / height, 1]),
        yaxis2={
            "visible": False,
            "range": [most - 0.5, -0.5],
            "domain": [_TITLE_PX / height, (below - _TICKS_PX) / height],
        },
        margin={"b": 8},
    )
    header = (
        "trials",
        "collapsed",
        "not collapsed at the end",
        "median onset",
        "mean steps without collapse",
        "at risk",
    )
    return Panel(name="onset", title="When collapse sets in", caption=_caption(study), drawing=figure,
                 table=(header, rows), views=tuple(traces), chooser="by factor")  # fmt: skip


def _by_factor(study: StudyResults, horizon: float) -> list[tuple[str, list[_Curve]]]:
    """A view for each factor of few levels: a curve per level that has trials."""
    views = []
    for factor in study.factors:
        if not 2 <= len(factor.levels) <= _CURVES_UP_TO:
            continue
        curves = []
        for level in factor.levels:
            times, events = onset_times(study.trials[study.trials[factor.column] == level])
            if len(times):
                survival = kaplan_meier(times, events, horizon=horizon)
                label = level_words(factor.name, level) + (
                    " (reference)" if level == factor.levels[0] else ""
                )
                chosen = level_term(factor.name, level)
                curves.append(_Curve(label=label, filter=chosen, survival=survival, times=times))
        views.append((factor.name, curves))
    return views


def _spread(curves: Sequence[_Curve]) -> float:
    means = [curve.survival.restricted_mean for curve in curves]
    return max(means) - min(means) if means else 0.0


def _draw_curve(figure: Drawing, curve: _Curve, tint: str, horizon: float, *, band: bool) -> None:
    survival = curve.survival
    selects = {"meta": of(curve.filter, legend=True)} if curve.filter else {}
    steps = [*rounded(survival.steps, 7), horizon]
    low, middle, high = (
        rounded([*values, values[-1]]) for values in (survival.low, survival.survival, survival.high)
    )
    if band:
        flat = {
            "mode": "lines",
            "line": {"width": 0, "shape": "hv"},
            "hoverinfo": "skip",
            "showlegend": False,
            **selects,
        }
        low, high = ([m if v is None else v for v, m in zip(end, middle, strict=True)] for end in (low, high))
        red, green, blue = (int(tint[place : place + 2], 16) for place in (1, 3, 5))
        tinted = f"rgba({red},{green},{blue},0.13)"
        figure.add_scatter(x=steps, y=low, **flat)
        figure.add_scatter(x=steps, y=high, fill="tonexty", fillcolor=tinted, **flat)
    figure.add_scatter(
        x=steps,
        y=middle,
        mode="lines",
        line={"color": tint, "width": 2.2, "shape": "hv"},
        name=f"{wrapped(curve.label, 60, 1)} (n = {survival.n})",
        **selects,
        hovertemplate="%{y:.0%} at step %{x}<extra>" + text(curve.label) + "</extra>",
    )


def _draw_at_risk(
    figure: Drawing, index: int, marks: Floats, at_risk: npt.NDArray[np.int64], tint: str
) -> None:
    figure.add_scatter(
        x=marks.tolist(), y=[index] * len(marks), text=[str(n) for n in at_risk], mode="text",
        cliponaxis=False, textfont={"color": tint, "size": 11}, showlegend=False,
        hoverinfo="skip", yaxis="y2",
    )  # fmt: skip


def _row(curve: _Curve, marks: Floats, at_risk: npt.NDArray[np.int64]) -> tuple[str, ...]:
    survival = curve.survival
    return (
        curve.label,
        f"{survival.events} of {survival.n}",
        percent(float(survival.survival[-1])),
        "not reached" if survival.median is None else f"{survival.median:,.0f}",
        number(survival.restricted_mean),
        ", ".join(f"{int(step)}: {n}" for step, n in zip(marks, at_risk, strict=True)),
    )


def _caption(study: StudyResults) -> str:
    caption = (
        "Each step down is a collapse of the representation; a trial without collapse counts up to its end. "
    )
    interval = cadence(study.metrics)
    if interval:
        caption += f"Onset is known to within {plural(interval, 'step')}, the time between measurements. "
    if not study.is_search:
        caption += (
            "Bands are pointwise 95 % intervals that treat trials as independent, so they are narrower than "
            "intervals over seeds would be."
        )
    return caption
