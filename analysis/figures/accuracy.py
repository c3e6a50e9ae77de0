"""kNN accuracy: by cell, and over all trials."""

import math
from collections.abc import Sequence

import numpy as np

from analysis.figures.baselines import baselines_note, draw_baselines, in_view, with_legend
from analysis.figures.drawing import Drawing
from analysis.figures.groups import Group, groups
from analysis.figures.selection import of, term
from analysis.figures.theme import SYMBOLS, Panel, axis, base, colour, named_places, rounded, text
from analysis.findings.learning import not_interpretable
from analysis.information import information
from analysis.outcomes import JUDGED, Outcome, is_judged, judged
from analysis.results import StudyResults
from analysis.stats import SHARE, Floats, Mean, mean_interval
from analysis.wording import mean_percent, percent, plural, shortened

_CELLS_UP_TO = 48


def knn_by_cell(study: StudyResults) -> Panel | None:
    """A mark per trial, and the mean with its t interval, for each cell."""
    shown = [
        group for group in groups(study, _CELLS_UP_TO) if not np.isnan(group.numbers("knn_accuracy")).all()
    ]
    if not shown:
        return None
    height = 110 + 21 * len(shown)
    lines = in_view(study, np.concatenate([group.numbers("knn_accuracy") for group in shown]))
    places, narrow = named_places([group.name for group in shown])
    heights = with_legend(height, lines)
    heights["narrow"] |= narrow | {"height": heights["narrow"]["height"] + narrow["height"]}
    figure = Drawing(base(height, meta=heights))
    draw_baselines(figure, lines, (-0.6, len(shown) - 0.4), vertical=True)
    starts = _draw_starts(figure, shown) if lines else False
    _draw_means(figure, shown)
    _draw_trials(figure, study, shown)
    figure.update_layout(
        xaxis=axis("kNN accuracy at the end", tickformat=".1~%"),
        yaxis=axis(**places),
    )
    marks = "A mark per set of embeddings." if study.is_measured else "A mark per trial."
    caption = f"{not_interpretable(study)} {marks}".lstrip()
    if not study.is_search and not study.is_measured:
        caption += " A cell whose marks lie far apart depends on the seed, which a mean hides."
    early = int((is_judged(study.trials) & ~study.trials["full_length"]).sum())
    if early:
        caption += f" {plural(early, 'trial')} ended early: drawn, but not part of any mean."
    caption += " Short strokes: a cell's own untrained encoders." if starts else ""
    caption += baselines_note(study, lines)
    if any(group.merged for group in shown):
        caption += " Groups of several cells have no interval."
    return Panel(
        name="knn",
        title=_title(study),
        caption=caption,
        drawing=figure,
        table=(
            ("cell", "trials", "mean", "lowest", "highest", "untrained", "class information"),
            _mean_rows(shown),
        ),
        brush={"x": "knn_accuracy"},
    )


def _title(study: StudyResults) -> str:
    if study.is_measured:
        return "kNN accuracy"
    return "kNN accuracy by outcome" if study.is_search else "kNN accuracy by cell"


def _accuracies(group: Group) -> Floats:
    """Of its trials that ran to their planned end. Shape [trials]."""
    values = group.numbers("knn_accuracy")
    return np.asarray(values[(group.numbers("full_length") == 1) & ~np.isnan(values)])


def _mean_rows(shown: Sequence[Group]) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for group in shown:
        values = _accuracies(group)
        if len(values):
            mean = mean_interval(values, within=SHARE)
            mean_text = percent(mean.estimate, 1) if group.merged else mean_percent(mean)
            ends = percent(values.min(), 1), percent(values.max(), 1)
            start, kept = _mean(group.numbers("knn_accuracy_start")), information(judged(group.trials))
            fate = kept.fate if kept else "–"
            rows.append((group.name, str(len(values)), mean_text, *ends, percent(start, 1), fate))
    return rows


def _mean(values: Floats) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _draw_starts(figure: Drawing, shown: Sequence[Group]) -> bool:
    """A stroke per cell at the mean accuracy of its own untrained encoders; whether there are any."""
    starts = [_mean(group.numbers("knn_accuracy_start")) for group in shown]
    known = [place for place, start in enumerate(starts) if start == start]
    if known:
        figure.add_scatter(
            x=rounded(starts[place] for place in known), y=known, mode="markers", name="own start",
            legendrank=1001,
            marker={"symbol": "line-ns-open", "size": 9, "color": colour("muted"),
                    "line": {"width": 1.4, "color": colour("muted")}},
            hovertemplate="untrained: %{x:.1%}<extra></extra>",
        )  # fmt: skip
    return bool(known)


def _draw_means(figure: Drawing, shown: Sequence[Group]) -> None:
    means: dict[int, Mean] = {
        place: mean_interval(values, within=SHARE)
        for place, group in enumerate(shown)
        if not group.merged and len(values := _accuracies(group))
    }
    bars = [
        (place, mean.estimate, mean.interval) for place, mean in means.items() if mean.interval is not None
    ]
    if not bars:
        return
    middle = np.array([estimate for _, estimate, _ in bars])
    low = np.array([interval.low for *_, interval in bars])
    high = np.array([interval.high for *_, interval in bars])
    figure.add_scatter(
        x=rounded(middle), y=[place for place, *_ in bars], mode="markers", name="mean and 95 % t interval",
        hoverinfo="skip",
        marker={"symbol": "line-ns-open", "size": 11, "color": colour("ink"),
                "line": {"width": 2, "color": colour("ink")}},
        error_x={"type": "data", "symmetric": False, "array": rounded(high - middle), "width": 0,
                 "arrayminus": rounded(middle - low), "color": colour("axis"), "thickness": 4},
    )  # fmt: skip


def _draw_trials(figure: Drawing, study: StudyResults, shown: Sequence[Group]) -> None:
    """A mark for each judged trial with an accuracy, a trace for each outcome."""
    rows = np.concatenate([group.rows for group in shown])
    places = np.repeat(np.arange(len(shown)), [len(group.rows) for group in shown])
    names = [text(shortened(group.name, 80)) for group in shown]
    accuracies = study.trials["knn_accuracy"].to_numpy(np.float64, na_value=np.nan)[rows]
    outcomes = study.trials["outcome"].to_numpy(object)[rows]
    seeds = ["" if study.is_measured else f", seed {seed}" for seed in study.trials["seed"]]
    for outcome in SYMBOLS:
        at = np.flatnonzero((outcomes == outcome) & ~np.isnan(accuracies))
        if outcome not in JUDGED or not len(at):
            continue
        figure.add_scatter(
            x=rounded(accuracies[at]), y=places[at], mode="markers", name=outcome.value,
            text=[f"{names[places[place]]}{seeds[rows[place]]}" for place in at],
            marker={"color": colour(outcome), "symbol": SYMBOLS[outcome], "size": 7,
                    "line": {"width": 1.6, "color": colour(outcome)}},
            hovertemplate="%{text}: %{x:.1%}<extra></extra>", opacity=0.85,
            customdata=rows[at], meta=of(term("outcome", outcome), legend=True),
        )  # fmt: skip


def knn_ecdf(study: StudyResults) -> Panel | None:
    """The share of trials at or below each kNN accuracy."""
    judged_trials = judged(study.trials)
    measured = judged_trials.dropna(subset=["knn_accuracy"])
    if len(measured) < 2:
        return None
    lines, rows = in_view(study, measured["knn_accuracy"]), []
    figure = Drawing(base(300, meta=with_legend(300, lines)))
    for name in ("all", Outcome.SURVIVED, Outcome.COLLAPSED):
        trials = measured if name == "all" else measured[measured["outcome"] == name]
        if trials.empty or (name != "all" and len(trials) == len(measured)):
            continue
        x = np.sort(trials["knn_accuracy"].to_numpy(np.float64))
        picked = np.unique(np.linspace(0, len(x) - 1, 400).round().astype(int))
        tint, width = ("ink", 2.4) if name == "all" else (name, 1.6)
        figure.add_scatter(
            x=rounded([x[0], *x[picked]]), y=rounded([0, *(picked + 1) / len(x)]), mode="lines",
            name=f"{name} ({len(x)})", line={"color": colour(tint), "width": width, "shape": "hv"},
            hovertemplate=f"%{{y:.0%}} of trials at or below %{{x:.1%}}<extra>{name}</extra>",
            meta=None if name == "all" else of(term("outcome", name), legend=True),
        )  # fmt: skip
        quantiles = (percent(float(np.quantile(x, q)), 1) for q in (0.1, 0.5, 0.9))
        rows.append((str(name), str(len(x)), *quantiles))
    draw_baselines(figure, lines, (0.0, 1.0), vertical=True)
    shown = [*measured["knn_accuracy"], *(line.value for line in lines)]
    ends = min(shown) - 0.02, max(shown) + 0.02
    figure.update_layout(
        xaxis=axis("kNN accuracy at the end", tickformat=".1~%", range=rounded(ends)),
        yaxis=axis("share of trials", tickformat=".0%", range=[-0.02, 1.04]),
    )
    caption = "All trials, collapsed ones included; neither survivors only nor the best of n."
    caption = f"{not_interpretable(study)} {caption}".lstrip()
    missing = len(judged_trials) - len(measured)
    if missing:
        caption += f" {plural(missing, 'trial')} without a kNN accuracy are not included."
    caption += baselines_note(study, lines)
    header = ("trials", "n", "10 %", "median", "90 %")
    return Panel(name="ecdf", title="kNN accuracy over all trials", caption=caption, drawing=figure,
                 table=(header, rows), half=True, brush={"x": "knn_accuracy"})  # fmt: skip
