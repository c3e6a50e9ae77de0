"""What a search tried and what came of it: kNN accuracy against each thing that was varied."""

import numpy as np
import pandas as pd

from analysis.figures.planes import trial_names
from analysis.figures.theme import SYMBOLS, Panel, axis, colour, facets, key, rounded, text
from analysis.load import StudyResults
from analysis.outcomes import JUDGED, NOT_SET
from analysis.wording import number, plural

_POINTS_UP_TO = 1000


def search(study: StudyResults) -> Panel | None:
    """A plot per factor, a mark per trial; None for a design, whose cells say more."""
    judged = study.trials[study.trials["outcome"].isin(JUDGED)].dropna(subset=["knn_accuracy"])
    factors = [factor for factor in study.factors if judged[factor.column].nunique() > 1]
    if not study.searched or judged.empty or not factors:
        return None
    drawn = judged.iloc[:: -(-len(judged) // _POINTS_UP_TO)]
    figure = facets([text(factor.name) for factor in factors], columns=(3, 1), row_px=190, x=axis(nticks=5),
                    y=axis(tickformat=".0%", nticks=5), shared=False)  # fmt: skip
    rows = []
    for index, factor in enumerate(factors):
        unset = [NOT_SET] if (judged[factor.column] == NOT_SET).any() else []
        x, more = _positions(judged[factor.column], [*factor.levels, *unset])
        figure.update_layout({f"xaxis{key(index)}": more})
        for outcome in [outcome for outcome in SYMBOLS if (drawn["outcome"] == outcome).any()]:
            own = drawn[drawn["outcome"] == outcome]
            figure.add_scatter(
                x=rounded(x[own.index]),
                y=rounded(own["knn_accuracy"]),
                mode="markers",
                name=outcome,
                legendgroup=outcome,
                showlegend=index == 0,
                text=[text(name) for name in trial_names(study, own)],
                marker={"color": colour(outcome), "symbol": SYMBOLS[outcome], "size": 7,
                        "line": {"width": 1.6, "color": colour(outcome)}},
                opacity=0.75,
                hovertemplate="%{text}: %{y:.1%}<extra></extra>",
                xaxis=f"x{key(index)}",
                yaxis=f"y{key(index)}",
            )  # fmt: skip
        ranks = x.rank().corr(judged["knn_accuracy"].rank())
        rows.append((factor.name, str(len(judged)), number(float(ranks), 2) if not factor.levels else "–"))
    caption = (
        "A mark per trial. A search tries what looked promising, so marks crowd where it was lucky before: "
        "this describes, and no interval or effect is drawn from it."
    )
    if len(drawn) < len(judged):
        caption += f" {len(drawn):,} of {plural(len(judged), 'trial')} are drawn, evenly picked."
    return Panel(name="search", title="What was tried", caption=caption, figure=figure,
                 table=(("factor", "trials", "rank correlation with kNN"), rows))  # fmt: skip


def _positions(values: pd.Series, levels: list[str]) -> tuple[pd.Series, dict[str, object]]:
    """Where each value stands, and the axis: linear or logarithmic for numbers, a place each for levels."""
    if levels:
        places = values.map({level: place for place, level in enumerate(levels)}).astype(np.float64)
        ticks = {"tickvals": list(range(len(levels))), "ticktext": [text(level) for level in levels]}
        return places, {**ticks, "range": [-0.5, len(levels) - 0.5]}
    numbers = values.astype(np.float64)
    wide = numbers.min() > 0 and numbers.max() / numbers.min() > 30
    return numbers, {"type": "log" if wide else "linear"}
