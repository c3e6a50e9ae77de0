"""Which parameters set the best samples of a search apart."""

from analysis.figures.drawing import Drawing
from analysis.figures.theme import Panel, axis, base, colour, named_places, rounded
from analysis.importance import importance as importance_of
from analysis.naming import factor_words
from analysis.results import StudyResults
from analysis.search import search_result
from analysis.wording import percent, plural


def importance(study: StudyResults) -> Panel | None:
    """A bar for each parameter; None for a design, and for a search with too few samples."""
    found = importance_of(study)
    if found is None:
        return None
    names = [factor_words(name) for name in found.shares]
    places, narrow = named_places(names)
    height = 96 + 26 * len(names)
    meta = {"wide": {"height": height}, "narrow": narrow | {"height": height + narrow["height"]}}
    figure = Drawing(base(height, legend=False, meta=meta))
    figure.add_bar(
        x=rounded(found.shares.values()), y=list(range(len(names))), orientation="h", width=0.55,
        marker={"color": colour("accent")}, hovertemplate="%{x:.0%}<extra></extra>",
    )  # fmt: skip
    figure.update_layout(
        xaxis=axis("share of the importance", tickformat=".0%", range=[0, 1]),
        yaxis=axis(showgrid=False, **places),
    )
    objective = search_result(study).objectives[0].name
    caption = (
        f"Optuna's PED-ANOVA, version {found.version}, for {objective}: how far the best tenth of "
        f"{plural(found.samples, 'sample')} differs from all of them in each parameter. A description of "
        "these samples: a parameter that was hardly varied looks unimportant."
    )
    rows = [(name, percent(share)) for name, share in zip(names, found.shares.values(), strict=True)]
    return Panel(name="importance", title="Importance of the parameters", caption=caption, drawing=figure,
                 table=(("parameter", "share"), rows), half=True)  # fmt: skip
