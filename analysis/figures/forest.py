"""How much each factor matters: main effects and two-way interactions."""

from collections.abc import Sequence

import plotly.graph_objects as go

from analysis.effects import Effect, interactions, main_effects
from analysis.figures.theme import Panel, axis, colour, facets, key, rounded, text
from analysis.outcomes import Cell, cells, seed_table
from analysis.results import StudyResults
from analysis.wording import listed, mean_points

_INTERACTIONS_UP_TO = 10


def effects_of(
    study: StudyResults, found: Sequence[Cell], value: str, *, survivors_only: bool
) -> tuple[Effect, ...]:
    """Main effects, then interactions, of a value (see `seed_table`).

    For values that are not conditional, an effect of a full factorial that lacks pairs of cells is left
    without an estimate: an average over unbalanced cells would compare different things.
    """
    table = seed_table(found, study.seeds, value, survivors_only=survivors_only)
    arguments = table, [cell.codes for cell in found], [len(factor.levels) for factor in study.factors]
    every = (*main_effects(*arguments), *interactions(*arguments))
    return tuple(
        effect for effect in every if effect.mean is not None and (survivors_only or effect.complete)
    )


def effect_name(study: StudyResults, effect: Effect) -> str:
    """`encoder_norm: batch → group`, or two of them joined by ×."""
    pairs = [
        (study.factors[index], level) for index, level in zip(effect.factors, effect.levels, strict=True)
    ]
    parts = [f"{factor.name}: {factor.levels[0]} → {factor.levels[level]}" for factor, level in pairs]
    return " × ".join(parts)


def forest(study: StudyResults) -> Panel | None:
    """Effects on the collapse rate and on kNN accuracy, in percentage points with t intervals over seeds."""
    found = cells(study)
    bimodal, hidden = any(cell.collapsed for cell in found), 0
    columns: list[tuple[str, list[Effect]]] = []
    for title, value, conditional in (
        ("collapse rate, points", "collapsed", False),
        ("kNN accuracy, points" + (", given no collapse" if bimodal else ""), "knn_accuracy", bimodal),
    ):
        known = effects_of(study, found, value, survivors_only=conditional)
        mains = [effect for effect in known if len(effect.factors) == 1]
        crossed = [effect for effect in known if len(effect.factors) == 2]
        hidden += max(0, len(crossed) - _INTERACTIONS_UP_TO)
        crossed = sorted(crossed, key=_size, reverse=True)[:_INTERACTIONS_UP_TO]
        crossed.sort(key=lambda effect: (effect.factors, effect.levels))
        if known:
            columns.append((title, [*mains, *crossed]))
    if not columns:
        return None
    named = {
        effect_name(study, effect): _short(study, effect) for _, effects in columns for effect in effects
    }
    names = list(named)
    figure = facets(
        [title for title, _ in columns],
        columns=(len(columns), 1),
        row_px=34 + 21 * len(names),
        x=axis(zeroline=True, zerolinecolor=colour("axis"), zerolinewidth=1, nticks=6),
        y=axis(
            tickvals=list(range(len(names))),
            ticktext=[text(name) for name in named.values()],
            range=[len(names) - 0.4, -0.6],
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
    rows = []
    for index, (title, effects) in enumerate(columns):
        _draw(figure, index, effects, [names.index(effect_name(study, effect)) for effect in effects])
        rows += [
            (
                title,
                effect_name(study, effect),
                mean_points(effect.mean),
                f"{effect.matched} of {effect.planned}",
            )
            for effect in effects
            if effect.mean is not None
        ]
    caption = (
        "What leaving the reference's level changes: mean over matched pairs of cells within each seed, then "
        "a t interval over seeds. An open mark has no interval (one seed, or the same value in all seeds). × "
        "is an interaction: how much one effect changes when the other factor changes too."
    )
    shown = {effect.factors for _, effects in columns for effect in effects}
    missing = [factor.name for index, factor in enumerate(study.factors) if (index,) not in shown]
    if missing:
        caption += f" {listed(missing)}: no effect, too few cells differ in that factor alone."
    if hidden:
        caption += f" The {_INTERACTIONS_UP_TO} largest interactions of each kind are drawn."
    if bimodal:
        caption += (
            " kNN effects are conditional: only cells without any collapse count, so they say nothing about "
            "collapse itself, and cover only some of the pairs (see the table)."
        )
    return Panel(name="effects", title="Effects of the factors", caption=caption, figure=figure,
                 table=(("on", "effect", "estimate", "matched pairs of cells"), rows))  # fmt: skip


def _size(effect: Effect) -> float:
    return abs(effect.mean.estimate) if effect.mean else 0.0


def _short(study: StudyResults, effect: Effect) -> str:
    """The name of an effect on an axis: an interaction does not repeat the reference's levels."""
    if len(effect.factors) == 1:
        return effect_name(study, effect)
    factors = [study.factors[index] for index in effect.factors]
    return " × ".join(
        factor.name if len(factor.levels) == 2 else f"{factor.name} → {factor.levels[level]}"
        for factor, level in zip(factors, effect.levels, strict=True)
    )


def _draw(figure: go.Figure, index: int, effects: Sequence[Effect], places: Sequence[int]) -> None:
    for place, effect in zip(places, effects, strict=True):
        mean = effect.mean
        assert mean is not None
        middle = 100 * mean.estimate
        interval = None if mean.interval is None else [100 * mean.interval.low, 100 * mean.interval.high]
        tint = colour("accent") if len(effect.factors) == 1 else colour("muted")
        whiskers = {"color": tint, "thickness": 1.8, "width": 0, "type": "data", "symmetric": False}
        if interval is not None:
            whiskers |= {
                "array": rounded([interval[1] - middle]),
                "arrayminus": rounded([middle - interval[0]]),
            }
        figure.add_scatter(
            x=rounded([middle]),
            y=[place],
            mode="markers",
            error_x=whiskers if interval is not None else None,
            marker={"color": tint, "size": 9, "symbol": "circle" if interval else "circle-open",
                    "line": {"width": 2, "color": tint}},
            xaxis=f"x{key(index)}",
            yaxis=f"y{key(index)}",
            hovertemplate=f"{mean_points(mean)}<extra></extra>",
        )  # fmt: skip
