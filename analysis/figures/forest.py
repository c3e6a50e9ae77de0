"""How much each factor matters: main effects and two-way interactions."""

from collections.abc import Sequence
from typing import TypeAlias

from analysis.cells import cells_of
from analysis.contrasts import is_fraction
from analysis.effect_words import aliases_text, effect_p, effect_points, pairs_text
from analysis.effects import Effect, Measure, effects_on, is_conditional
from analysis.figures.drawing import Drawing
from analysis.figures.facets import facets, key
from analysis.figures.theme import Panel, axis, colour, named_places, rounded
from analysis.findings.learning import not_interpretable
from analysis.naming import factor_words
from analysis.results import StudyResults
from analysis.stats import Interval
from analysis.verdict import study_verdict
from analysis.wording import listed, mean_points, points_range, superiority_text

_INTERACTIONS_UP_TO = 6
_ON_ACCURACY = "kNN accuracy, points"

_Column: TypeAlias = tuple[str, list[Effect]]
"""What the effects are on, and the effects."""


def forest(study: StudyResults) -> Panel | None:
    """Effects on the collapse rate and on kNN accuracy, in percentage points with t intervals over seeds."""
    bimodal = is_conditional(study)
    on_accuracy = _ON_ACCURACY + (", given no collapse" if bimodal else "")
    effects_by_title = {
        "collapse of the representation, points": effects_on(study, Measure.COLLAPSE),
        "collapse of the projection, points": effects_on(study, Measure.PROJECTION),
        on_accuracy: effects_on(study, Measure.KNN),
    }
    first = _of_verdict(study)
    columns = [
        (title, _largest(effects, first))
        for title, effects in effects_by_title.items()
        if any(effect.size for effect in effects) or (effects and title == on_accuracy)
    ]
    if not columns:
        return None
    figure = _figure(study, columns, first)
    rows = [_row(study, title, effect) for title, effects in columns for effect in effects]
    hidden = any(len(effects) < len(effects_by_title[title]) for title, effects in columns)
    caption = _caption(study, columns, first, hidden=hidden, bimodal=bimodal)
    return Panel(name="effects", title="Effects of the factors", caption=caption, drawing=figure,
                 table=(_HEADER, rows))  # fmt: skip


_HEADER = (
    "on",
    "effect",
    "estimate",
    "simultaneous 95 %",
    "p, swapped labels (Holm)",
    "probability of higher kNN",
    "over",
    "not told from",
)


def _row(study: StudyResults, title: str, effect: Effect) -> tuple[str, ...]:
    assert effect.mean is not None
    at_once = "–"
    if effect.simultaneous is not None:
        at_once = f"{points_range(effect.simultaneous)} (family of {effect.family})"
    ahead = effect.superiority if title.startswith(_ON_ACCURACY) and len(effect.factors) == 1 else None
    return (
        title,
        effect_name(study, effect),
        mean_points(effect.mean),
        at_once,
        effect_p(effect),
        superiority_text(ahead) if ahead else "–",
        pairs_text(effect),
        aliases_text(study, effect) or "–",
    )


def _of_verdict(study: StudyResults) -> tuple[int, ...]:
    """The factors that the verdict names: about the representation, or else about the projection."""
    verdicts = study_verdict(study)
    for verdict in (verdicts.representation, verdicts.projection):
        if verdict.passes and verdict.found is not None:
            rules = (verdict.found.rule, *verdict.aliases)
            return tuple(dict.fromkeys(factor for rule in rules for term in rule.factors for factor in term))
    return ()


def _largest(effects: Sequence[Effect], first: Sequence[int]) -> list[Effect]:
    """All main effects, then the largest interactions; what the verdict rests on, `first`, leads both."""
    main = [effect for effect in effects if len(effect.factors) == 1]
    crossed = [effect for effect in effects if len(effect.factors) == 2 and effect.size > 0]
    kept = sorted(crossed, key=lambda effect: (not set(effect.factors) <= set(first), -effect.size))
    kept = kept[:_INTERACTIONS_UP_TO]

    def place(effect: Effect) -> tuple[object, ...]:
        behind = [index for index in effect.factors if index not in first]
        ranks = [first.index(index) if index in first else len(first) + index for index in effect.factors]
        return len(behind), ranks, effect.levels

    return [*sorted(main, key=place), *sorted(kept, key=place)]


def effect_name(study: StudyResults, effect: Effect) -> str:
    """`encoder norm: batch → group`, or two of them joined by ×."""
    pairs = [
        (study.factors[index], level) for index, level in zip(effect.factors, effect.levels, strict=True)
    ]
    parts = [
        f"{factor_words(factor.name)}: {factor.levels[0]} → {factor.levels[level]}" for factor, level in pairs
    ]
    return " × ".join(parts)


def _short_name(study: StudyResults, effect: Effect) -> str:
    """The name of an effect on an axis: an interaction does not repeat the reference's levels."""
    if len(effect.factors) == 1:
        return effect_name(study, effect)
    factors = [study.factors[index] for index in effect.factors]
    return " × ".join(
        factor_words(factor.name)
        if len(factor.levels) == 2
        else f"{factor_words(factor.name)} → {factor.levels[level]}"
        for factor, level in zip(factors, effect.levels, strict=True)
    )


def _figure(study: StudyResults, columns: Sequence[_Column], first: Sequence[int]) -> Drawing:
    """A plot per column, with the same effects at the same heights."""
    every = {effect_name(study, effect): effect for _, effects in columns for effect in effects}
    # Columns can have different interactions, which all come after the main effects.
    ordered = sorted(every.items(), key=lambda item: len(item[1].factors))
    places = {name: place for place, (name, _) in enumerate(ordered)}
    axis_of_names, narrow = named_places([_short_name(study, effect) for _, effect in ordered])
    for names in (axis_of_names["ticktext"], narrow["yaxis.ticktext"]):
        for place, (_, effect) in enumerate(ordered):
            if set(effect.factors) <= set(first):
                names[place] = f"<b>{names[place]}</b>"
    figure = facets(
        [title for title, _ in columns],
        columns=(len(columns), 1),
        row_px=34 + 21 * len(places),
        x=axis(zeroline=True, zerolinecolor=colour("axis"), zerolinewidth=1, nticks=6),
        y=axis(showgrid=False, **axis_of_names),
        shared=False,
        legend_rows=(0, 0),
    )
    figure.layout["meta"]["narrow"]["height"] += len(columns) * narrow["height"]
    for index in range(len(columns)):
        suffix = key(index)
        figure.layout["meta"]["narrow"][f"yaxis{suffix}.ticktext"] = narrow["yaxis.ticktext"]
        if index:  # beside the first plot the others need no names; below it, they do
            figure.layout[f"yaxis{suffix}"]["showticklabels"] = False
            figure.layout["meta"]["wide"][f"yaxis{suffix}.showticklabels"] = False
            figure.layout["meta"]["narrow"][f"yaxis{suffix}.showticklabels"] = True
    for index, (_, effects) in enumerate(columns):
        for effect in effects:
            _draw(figure, index, effect, places[effect_name(study, effect)])
    return figure


def _draw(figure: Drawing, index: int, effect: Effect, place: int) -> None:
    """A mark; a thick line for the interval of the effect alone, a thin one for the simultaneous interval."""
    mean = effect.mean
    assert mean is not None
    tint = colour("accent") if len(effect.factors) == 1 else colour("muted")
    intervals = [] if mean.interval is None else [(mean.interval, 4.0)]
    if effect.simultaneous is not None and effect.family > 1:
        intervals.insert(0, (effect.simultaneous, 1.2))
    axes = {"xaxis": f"x{key(index)}", "yaxis": f"y{key(index)}"}
    for interval, thickness in intervals:
        figure.add_scatter(
            x=rounded(_ends(interval)), y=[place, place], mode="lines", hoverinfo="skip",
            line={"color": tint, "width": thickness}, **axes,
        )  # fmt: skip
    figure.add_scatter(
        x=rounded([100 * mean.estimate]),
        y=[place],
        mode="markers",
        marker={"color": tint, "size": 9, "symbol": "circle" if intervals else "circle-open",
                "line": {"width": 2, "color": tint}},
        hovertemplate=f"{effect_points(effect)}<extra></extra>",
        **axes,
    )  # fmt: skip


def _ends(interval: Interval) -> list[float]:
    return [100 * interval.low, 100 * interval.high]


def _caption(
    study: StudyResults, columns: Sequence[_Column], first: Sequence[int], *, hidden: bool, bimodal: bool
) -> str:
    drawn = any(title.startswith(_ON_ACCURACY) for title, _ in columns)
    caption = not_interpretable(study) if drawn else ""
    fraction = is_fraction([cell.codes for cell in cells_of(study)], [len(f.levels) for f in study.factors])
    how = (
        "all cells at one level against all at the other" if fraction else "mean over matched pairs of cells"
    )
    caption += (
        f" What leaving the reference's level changes: {how} within each seed, then a t interval over seeds. "
        "Thick lines are intervals of one effect alone. Thin ones hold for all main effects of a plot at "
        "once, or for all its interactions (Bonferroni): read these where you pick an effect out. They say "
        "what other seeds would show; p, by labels swapped within the matched pairs, whether the factor does "
        "anything in these. An open mark has no interval (one seed, or the same value in all seeds). × is an "
        "interaction: how much one effect changes when the other factor changes too."
    )
    if fraction:
        caption += " In a fraction, an effect cannot be told from the interactions beside it in the table."
    shown = {effect.factors for _, effects in columns for effect in effects}
    missing = [factor.name for index, factor in enumerate(study.factors) if (index,) not in shown]
    if missing:
        why = "a cell has no result" if fraction else "too few cells differ in that factor alone"
        caption += f" No estimate for {listed(missing)}: {why}."
    if first:
        caption += " Bold, and first: what the verdict rests on."
    if hidden:
        caption += f" Of the interactions, at most the {_INTERACTIONS_UP_TO} largest of each plot are drawn."
    if bimodal:
        caption += (
            " kNN effects are conditional: only cells without any collapse count, so they say nothing about "
            "collapse itself, and cover only some of the pairs (see the table)."
        )
    return caption.lstrip()
