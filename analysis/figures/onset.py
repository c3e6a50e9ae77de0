"""How long the representation lasts: Kaplan-Meier curves by level of a factor."""

import numpy as np
import plotly.graph_objects as go

from analysis.figures.theme import LINES, Panel, axis, base, rounded, text
from analysis.onset import Survival, cadence, kaplan_meier, numbers_at_risk, onset_times
from analysis.results import StudyResults
from analysis.wording import number, percent, plural

_LINES_UP_TO = 8


def onset(study: StudyResults) -> Panel | None:
    """Survival curves with numbers at risk, one view per factor, the factor that separates most first."""
    times, events = onset_times(study.trials)
    if not events.any():
        return None
    horizon = float(times.max())
    views = [("all trials", [("all trials", kaplan_meier(times, events), times)])]
    for factor in study.factors:
        if not 2 <= len(factor.levels) <= _LINES_UP_TO:
            continue
        curves = []
        for level in factor.levels:
            own = onset_times(study.trials[study.trials[factor.column] == level])
            if len(own[0]):
                curves.append((f"{factor.name} = {level}", kaplan_meier(*own, horizon=horizon), own[0]))
        views.append((factor.name, curves))
    views.sort(key=lambda view: _spread([curve for _, curve, _ in view[1]]), reverse=True)
    marks = np.linspace(0, horizon, 6).round()
    most = max(len(curves) for _, curves in views)
    below = 16 * most + 52  # the height of the numbers at risk and the axis above them
    height = 300 + below
    figure, shown, rows = go.Figure(layout=base(height)), [], []
    for name, curves in views:
        first = len(figure.data)
        for index, (label, curve, own_times) in enumerate(curves):
            at_risk = numbers_at_risk(own_times, marks)
            tint = LINES[index % len(LINES)]
            _draw(figure, curve, label, tint, horizon, band=not study.searched)
            figure.add_scatter(
                x=marks.tolist(), y=[index] * len(marks), text=[str(n) for n in at_risk], mode="text",
                cliponaxis=False, textfont={"color": tint, "size": 11}, showlegend=False,
                hoverinfo="skip", yaxis="y2",
            )  # fmt: skip
            risks = ", ".join(f"{int(step)}: {n}" for step, n in zip(marks, at_risk, strict=True))
            middle = "not reached" if curve.median is None else f"{curve.median:,.0f}"
            end = percent(float(curve.survival[-1]))
            rows.append(
                (label, f"{curve.events} of {curve.n}", end, middle, number(curve.restricted_mean), risks)
            )
        shown.append((name, tuple(range(first, len(figure.data)))))
    every = cadence(study.metrics)
    figure.update_layout(
        xaxis=axis("step; below: trials at risk", range=[-0.02 * horizon, horizon * 1.02], anchor="y"),
        yaxis=axis("share not collapsed", range=[-0.02, 1.04], tickformat=".0%", domain=[below / height, 1]),
        yaxis2={"visible": False, "range": [most - 0.5, -0.5], "domain": [0, (below - 52) / height]},
        margin={"b": 8},
    )
    trust = (
        "Bands are pointwise 95 % intervals that take trials as independent, so they are narrower than "
        "seeds alone would give."
    )
    caption = (
        "Each step down is a collapse of the representation; a trial that never collapsed counts to its end. "
        + (f"Onset is known to {plural(every, 'step')}, the distance between measurements. " if every else "")
        + ("" if study.searched else trust)
    )
    header = (
        "trials",
        "collapsed",
        "survive to the end",
        "median onset",
        "mean steps without collapse",
        "at risk",
    )
    return Panel(name="onset", title="When collapse sets in", caption=caption, figure=figure,
                 table=(header, rows), views=tuple(shown), chooser="by factor")  # fmt: skip


def _spread(curves: list[Survival]) -> float:
    means = [curve.restricted_mean for curve in curves]
    return max(means) - min(means) if means else 0.0


def _draw(figure: go.Figure, curve: Survival, label: str, tint: str, horizon: float, *, band: bool) -> None:
    steps = [*rounded(curve.steps, 7), horizon]
    extended = [rounded([*values, values[-1]]) for values in (curve.low, curve.survival, curve.high)]
    low, middle, high = extended
    red, green, blue = (int(tint[place : place + 2], 16) for place in (1, 3, 5))
    if band:
        flat = {
            "mode": "lines",
            "line": {"width": 0, "shape": "hv"},
            "hoverinfo": "skip",
            "showlegend": False,
        }
        ends = [[m if v is None else v for v, m in zip(end, middle, strict=True)] for end in (low, high)]
        figure.add_scatter(x=steps, y=ends[0], **flat)
        tinted = f"rgba({red},{green},{blue},0.13)"
        figure.add_scatter(x=steps, y=ends[1], fill="tonexty", fillcolor=tinted, **flat)
    figure.add_scatter(
        x=steps,
        y=middle,
        mode="lines",
        line={"color": tint, "width": 2.2, "shape": "hv"},
        name=f"{text(label)} (n = {curve.n})",
        hovertemplate="%{y:.0%} at step %{x}<extra>" + text(label) + "</extra>",
    )
