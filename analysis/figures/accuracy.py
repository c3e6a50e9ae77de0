"""kNN accuracy: by cell, and over all trials."""

import numpy as np
import plotly.graph_objects as go

from analysis.figures.groups import groups
from analysis.figures.theme import SYMBOLS, Panel, axis, base, colour, rounded, text
from analysis.outcomes import JUDGED
from analysis.results import StudyResults
from analysis.stats import mean_interval
from analysis.wording import mean_percent, percent, plural

_CELLS = 48


def knn_by_cell(study: StudyResults) -> Panel | None:
    """A mark per trial, and the mean with its t interval, for each cell."""
    shown = [group for group in groups(study, _CELLS) if group.trials["knn_accuracy"].notna().any()]
    if not shown:
        return None
    figure, rows = go.Figure(layout=base(110 + 21 * len(shown))), []
    marks: dict[str, tuple[list[float], list[int], list[str]]] = {}
    means: tuple[list[float], list[int], list[float], list[float]] = ([], [], [], [])
    for place, group in enumerate(shown):
        known = group.trials[group.trials["outcome"].isin(JUDGED)].dropna(subset=["knn_accuracy"])
        for outcome, own in known.groupby("outcome", sort=True):
            xs, ys, texts = marks.setdefault(str(outcome), ([], [], []))
            xs += own["knn_accuracy"].tolist()
            ys += [place] * len(own)
            texts += [text(f"{group.short}, seed {seed}") for seed in own["seed"]]
        values = group.trials[group.trials["full_length"]]["knn_accuracy"].dropna().to_numpy(np.float64)
        if len(values):
            mean = mean_interval(values)
            if mean.interval and not group.merged:
                means[0].append(mean.estimate)
                means[1].append(place)
                means[2].append(mean.interval.low)
                means[3].append(mean.interval.high)
            said = percent(mean.estimate, 1) if group.merged else mean_percent(mean)
            rows.append(
                (group.name, str(len(values)), said, percent(values.min(), 1), percent(values.max(), 1))
            )
    if means[0]:
        middle, _, low, high = (np.array(column) for column in means)
        figure.add_scatter(
            x=rounded(middle), y=means[1], mode="markers", name="mean and 95 % t interval", hoverinfo="skip",
            marker={"symbol": "line-ns-open", "size": 11, "color": colour("ink"),
                    "line": {"width": 2, "color": colour("ink")}},
            error_x={"type": "data", "symmetric": False, "array": rounded(high - middle), "width": 0,
                     "arrayminus": rounded(middle - low), "color": colour("axis"), "thickness": 4},
        )  # fmt: skip
    for outcome in SYMBOLS:
        if outcome in marks:
            xs, ys, texts = marks[outcome]
            figure.add_scatter(
                x=rounded(xs), y=ys, mode="markers", name=outcome, text=texts,
                marker={"color": colour(outcome), "symbol": SYMBOLS[outcome], "size": 7,
                        "line": {"width": 1.6, "color": colour(outcome)}},
                hovertemplate="%{text}: %{x:.1%}<extra></extra>", opacity=0.85,
            )  # fmt: skip
    figure.update_layout(
        xaxis=axis("kNN accuracy at the end", tickformat=".0%"),
        yaxis=axis(
            tickvals=list(range(len(shown))),
            ticktext=[text(group.short) for group in shown],
            range=[len(shown) - 0.4, -0.6],
            ticks="",
        ),
    )
    caption = "A mark per trial."
    if not study.searched:
        caption += " A cell whose marks lie far apart depends on the seed: a mean hides that."
    early = int((study.trials["outcome"].isin(JUDGED) & ~study.trials["full_length"]).sum())
    if early:
        caption += f" {plural(early, 'trial')} ended early: drawn, but not part of any mean."
    if any(group.merged for group in shown):
        caption += " Groups of several cells have no interval."
    header = ("cell", "trials", "mean", "least", "greatest")
    return Panel(
        name="knn",
        title="kNN accuracy by outcome" if study.searched else "kNN accuracy by cell",
        caption=caption,
        figure=figure,
        table=(header, rows),
    )


def knn_ecdf(study: StudyResults) -> Panel | None:
    """The share of trials at or below each kNN accuracy."""
    judged = study.trials[study.trials["outcome"].isin(JUDGED)]
    known = judged.dropna(subset=["knn_accuracy"])
    if len(known) < 2:
        return None
    figure, rows = go.Figure(layout=base(300)), []
    lines = [("all", known)] + [(name, known[known["outcome"] == name]) for name in ("survived", "collapsed")]
    tints = {"all": colour("ink"), "survived": colour("survived"), "collapsed": colour("collapsed")}
    for name, own in lines:
        if own.empty or (name != "all" and len(own) == len(known)):
            continue
        x = np.sort(own["knn_accuracy"].to_numpy(np.float64))
        picked = np.unique(np.linspace(0, len(x) - 1, 400).round().astype(int))
        figure.add_scatter(
            x=rounded([x[0], *x[picked]]), y=rounded([0, *(picked + 1) / len(x)]), mode="lines",
            name=f"{name} ({len(x)})",
            line={"color": tints[name], "width": 2.4 if name == "all" else 1.6, "shape": "hv"},
            hovertemplate="%{y:.0%} of trials at or below %{x:.1%}<extra>" + name + "</extra>",
        )  # fmt: skip
        rows.append((name, str(len(x)), *(percent(float(np.quantile(x, q)), 1) for q in (0.1, 0.5, 0.9))))
    ends = known["knn_accuracy"].min() - 0.02, known["knn_accuracy"].max() + 0.02
    figure.update_layout(
        xaxis=axis("kNN accuracy at the end", tickformat=".0%", range=rounded(ends)),
        yaxis=axis("share of trials", tickformat=".0%", range=[-0.02, 1.04]),
    )
    caption = "All trials, collapsed ones too: no survivors only, no best of n."
    missing = len(judged) - len(known)
    if missing:
        caption += f" {plural(missing, 'trial')} without a kNN accuracy are not in it."
    header = ("trials", "n", "10 %", "median", "90 %")
    return Panel(name="ecdf", title="kNN accuracy over all trials", caption=caption, figure=figure,
                 table=(header, rows), half=True)  # fmt: skip
