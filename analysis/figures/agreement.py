"""Published orderings, and what the same comparisons come to here."""

from collections.abc import Sequence

from analysis.agreement import Agreement, PairResult, TableResult, agreements
from analysis.figures.drawing import Drawing
from analysis.figures.facets import facets, key
from analysis.figures.theme import Panel, axis, colour, named_places, rounded, text, wrapped
from analysis.findings.agreement import HEADER, HOW, agreement_rows, counts_text, pair_text, verdict_text
from analysis.published import Measure
from analysis.results import StudyResults

_LOOKS = {
    Agreement.AGREES: ("survived", "circle"),
    Agreement.DISAGREES: ("collapsed", "x"),
    Agreement.CANNOT_TELL: ("other", "diamond-open"),
}
"""Colour and symbol."""
_ACCURACY, _SPREAD, _RATIO = "kNN accuracy, points", "std of the embedding", "spread over seeds, ratio"


def agreement(study: StudyResults) -> Panel | None:
    """A row for each published ordering: the difference here with its interval."""
    results = agreements(study)
    pairs = [pair for result in results for pair in result.pairs]
    if not pairs:
        return None
    units = [unit for unit in (_ACCURACY, _SPREAD, _RATIO) if any(_unit(pair) == unit for pair in pairs)]
    places, narrow = named_places([pair_text(pair.pair) for pair in pairs])
    figure = facets(
        units,
        columns=(len(units), 1),
        row_px=34 + 21 * len(pairs),
        x=axis(nticks=6),
        y=axis(showgrid=False, **places),
        shared=False,
    )
    figure.layout["meta"]["narrow"]["height"] += len(units) * narrow["height"]
    for index, unit in enumerate(units):
        _set_up(figure, index, unit, narrow["yaxis.ticktext"])
        for agreement_, (tint, symbol) in _LOOKS.items():
            of_these = [place for place, pair in enumerate(pairs) if pair.agreement is agreement_]
            _draw(figure, index, pairs, [p for p in of_these if _unit(pairs[p]) == unit], tint, symbol)
    rows = [(result.table.title, *row) for result in results for row in agreement_rows(result.pairs)]
    caption = (
        f"{_sources(results)} Here: {counts_text(pairs)}. Right of the line is the published direction, with "
        f"≈ it is the line itself. {HOW}"
    )
    return Panel(name="agreement", title="Agreement with published orderings", caption=caption,
                 drawing=figure, table=(("published table", *HEADER), rows))  # fmt: skip


def _sources(results: Sequence[TableResult]) -> str:
    return " ".join(f"{result.table.title}: {result.table.setting}." for result in results)


def _unit(pair: PairResult) -> str:
    if pair.pair.measure is Measure.SEED_SPREAD:
        return _RATIO
    return _SPREAD if pair.pair.measure.is_of_spread else _ACCURACY


def _set_up(figure: Drawing, index: int, unit: str, narrow_names: Sequence[str]) -> None:
    """The line of no difference; names beside the first plot alone, but on a narrow screen beside each."""
    suffix, none = key(index), 1.0 if unit == _RATIO else 0.0
    figure.add_shape(
        type="line", x0=none, x1=none, y0=0, y1=1, xref=f"x{suffix}", yref=f"y{suffix} domain", layer="below",
        line={"color": colour("axis"), "width": 1.4},
    )  # fmt: skip
    meta = figure.layout["meta"]
    meta["narrow"][f"yaxis{suffix}.ticktext"] = list(narrow_names)
    if index:
        figure.layout[f"yaxis{suffix}"]["showticklabels"] = False
        meta["wide"][f"yaxis{suffix}.showticklabels"] = False
        meta["narrow"][f"yaxis{suffix}.showticklabels"] = True


def _draw(
    figure: Drawing, index: int, pairs: Sequence[PairResult], places: Sequence[int], tint: str, symbol: str
) -> None:
    """The pairs of one unit that came out alike."""
    known = [place for place in places if pairs[place].estimate is not None]
    if not known:
        return
    shown = [pairs[place] for place in known]
    scale = 100.0 if _unit(shown[0]) == _ACCURACY else 1.0
    middle = [scale * (pair.estimate or 0.0) for pair in shown]
    ends = [
        (scale * pair.interval.low, scale * pair.interval.high) if pair.interval else (value, value)
        for pair, value in zip(shown, middle, strict=True)
    ]
    name = shown[0].agreement.value
    figure.add_scatter(
        x=rounded(middle), y=known, mode="markers", name=name, legendgroup=name,
        showlegend=not any(trace.get("name") == name for trace in figure.data),
        marker={"color": colour(tint), "symbol": symbol, "size": 8,
                "line": {"width": 1.6, "color": colour(tint)}},
        error_x={
            "type": "data", "symmetric": False, "color": colour(tint), "thickness": 2, "width": 0,
            "array": rounded(high - value for (_, high), value in zip(ends, middle, strict=True)),
            "arrayminus": rounded(value - low for (low, _), value in zip(ends, middle, strict=True)),
        },
        text=[f"{wrapped(pair_text(pair.pair), 60, 3)}<br>{text(verdict_text(pair))}" for pair in shown],
        hovertemplate="%{text}: %{x:.3g}<extra></extra>",
        xaxis=f"x{key(index)}", yaxis=f"y{key(index)}",
    )  # fmt: skip
