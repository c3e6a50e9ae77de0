"""How much each factor matters: main effects and two-way interactions."""

from collections.abc import Sequence
from typing import TypeAlias

import plotly.graph_objects as go

from analysis.cells import cells_of, collapse_by_seed, values_by_seed
from analysis.effects import Effect, study_effects
from analysis.figures.facets import facets, key
from analysis.figures.theme import Panel, axis, colour, rounded, text
from analysis.findings.learning import not_interpretable
from analysis.results import StudyResults
from analysis.wording import listed, mean_points

_INTERACTIONS_UP_TO = 10
_ON_ACCURACY = "kNN accuracy, points"

_Column: TypeAlias = tuple[str, list[Effect]]
"""What the effects are on, and the effects."""


def forest(study: StudyResults) -> Panel | None:
    """Effects on the collapse rate and on kNN accuracy, in percentage points with t intervals over seeds."""
    cells = cells_of(study)
    bimodal = any(cell.collapsed for cell in cells)
    accuracies = values_by_seed(cells, study.seeds, "knn_accuracy", survivors_only=bimodal)
    on_accuracy = _ON_ACCURACY + (", given no collapse" if bimodal else "")
    effects_on = {
        "collapse rate, points": study_effects(
            study, cells, collapse_by_seed(cells, study.seeds), survivors_only=False
        ),
        on_accuracy: study_effects(study, cells, accuracies, survivors_only=bimodal),
    }
    columns = [(title, _largest(effects)) for title, effects in effects_on.items() if effects]
    if not columns:
        return None
    figure = _figure(study, columns)
    rows = [
        (title, effect_name(study, effect), mean_points(effect.mean), f"{effect.matched} of {effect.planned}")
        for title, effects in columns
        for effect in effects
        if effect.mean is not None
    ]
    hidden = len(rows) < sum(map(len, effects_on.values()))
    caption = _caption(study, columns, hidden=hidden, bimodal=bimodal)
    return Panel(name="effects", title="Effects of the factors", caption=caption, figure=figure,
                 table=(("on", "effect", "estimate", "matched pairs of cells"), rows))  # fmt: skip


def _largest(effects: Sequence[Effect]) -> list[Effect]:
    """All main effects, then the largest interactions, each in the order of the factors."""
    main = [effect for effect in effects if len(effect.factors) == 1]
    crossed = [effect for effect in effects if len(effect.factors) == 2]
    largest = sorted(crossed, key=_size, reverse=True)[:_INTERACTIONS_UP_TO]
    return [*main, *sorted(largest, key=lambda effect: (effect.factors, effect.levels))]


def _size(effect: Effect) -> float:
    return abs(effect.mean.estimate) if effect.mean else 0.0


def effect_name(study: StudyResults, effect: Effect) -> str:
    """`encoder_norm: batch → group`, or two of them joined by ×."""
    pairs = [
        (study.factors[index], level) for index, level in zip(effect.factors, effect.levels, strict=True)
    ]
    parts = [f"{factor.name}: {factor.levels[0]} → {factor.levels[level]}" for factor, level in pairs]
    return " × ".join(parts)


def _short_name(study: StudyResults, effect: Effect) -> str:
    """The name of an effect on an axis: an interaction does not repeat the reference's levels."""
    if len(effect.factors) == 1:
        return effect_name(study, effect)
    factors = [study.factors[index] for index in effect.factors]
    return " × ".join(
        factor.name if len(factor.levels) == 2 else f"{factor.name} → {factor.levels[level]}"
        for factor, level in zip(factors, effect.levels, strict=True)
    )


def _figure(study: StudyResults, columns: Sequence[_Column]) -> go.Figure:
    """A plot per column, with the same effects at the same heights."""
    short_names = {
        effect_name(study, effect): _short_name(study, effect) for _, effects in columns for effect in effects
    }
    places = {name: place for place, name in enumerate(short_names)}
    figure = facets(
        [title for title, _ in columns],
        columns=(len(columns), 1),
        row_px=34 + 21 * len(places),
        x=axis(zeroline=True, zerolinecolor=colour("axis"), zerolinewidth=1, nticks=6),
        y=axis(
            tickvals=list(range(len(places))),
            ticktext=[text(name) for name in short_names.values()],
            range=[len(places) - 0.4, -0.6],
            showgrid=False,
            ticks="",
        ),
        shared=False,
        legend=False,
    )
    if len(columns) == 2:  # beside the first plot the second needs no names; below it, it does
        figure.layout.yaxis2.showticklabels = False
        figure.layout.meta["wide"]["yaxis2.showticklabels"] = False
        figure.layout.meta["narrow"]["yaxis2.showticklabels"] = True
    for index, (_, effects) in enumerate(columns):
        for effect in effects:
            _draw(figure, index, effect, places[effect_name(study, effect)])
    return figure


def _draw(figure: go.Figure, index: int, effect: Effect, place: int) -> None:
    mean = effect.mean
    assert mean is not None
    middle = 100 * mean.estimate
    tint = colour("accent") if len(effect.factors) == 1 else colour("muted")
    whiskers = None
    if mean.interval is not None:
        whiskers = {
            "color": tint, "thickness": 1.8, "width": 0, "type": "data", "symmetric": False,
            "array": rounded([100 * mean.interval.high - middle]),
            "arrayminus": rounded([middle - 100 * mean.interval.low]),
        }  # fmt: skip
    figure.add_scatter(
        x=rounded([middle]),
        y=[place],
        mode="markers",
        error_x=whiskers,
        marker={"color": tint, "size": 9, "symbol": "circle" if whiskers else "circle-open",
                "line": {"width": 2, "color": tint}},
        xaxis=f"x{key(index)}",
        yaxis=f"y{key(index)}",
        hovertemplate=f"{mean_points(mean)}<extra></extra>",
    )  # fmt: skip


def _caption(study: StudyResults, columns: Sequence[_Column], *, hidden: bool, bimodal: bool) -> str:
    drawn = any(title.startswith(_ON_ACCURACY) for title, _ in columns)
    caption = not_interpretable(study) if drawn else ""
    caption += (
        " What leaving the reference's level changes: mean over matched pairs of cells within each seed, "
        "then a t interval over seeds. An open mark has no interval (one seed, or the same value in all "
        "seeds). × is an interaction: how much one effect changes when the other factor changes too."
    )
    shown = {effect.factors for _, effects in columns for effect in effects}
    missing = [factor.name for index, factor in enumerate(study.factors) if (index,) not in shown]
    if missing:
        caption += f" No estimate for {listed(missing)}: too few cells differ in that factor alone."
    if hidden:
        caption += f" Only the {_INTERACTIONS_UP_TO} largest interactions of each plot are drawn."
    if bimodal:
        caption += (
            " kNN effects are conditional: only cells without any collapse count, so they say nothing about "
            "collapse itself, and cover only some of the pairs (see the table)."
        )
    return caption.lstrip()
