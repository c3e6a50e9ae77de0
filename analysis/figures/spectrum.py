"""The eigenvalues of the embeddings' covariance, as training goes on, by cell."""

import numpy as np
import pandas as pd

from analysis.figures.groups import groups
from analysis.figures.theme import Panel, axis, facets, key, rounded
from analysis.results import StudyResults
from analysis.wording import number, plural

_STEPS = 5
_VALUES = 48
_VIEWS = 16
_SCALE = ("#9fb8cf", "#7f9fc0", "#5d84ae", "#3f6896", "#7a4a9c")
"""From the first step to the last; the last stands out."""
_DECADES = 12
"""Decades below the greatest eigenvalue that are drawn: what float32 can hold apart from rounding."""


def spectrum(study: StudyResults) -> Panel | None:
    """Median spectrum over the seeds at a few steps, for each cell a view; both levels."""
    if study.spectra.empty:
        return None
    figure = facets(
        ["representation", "projection"],
        columns=(2, 1),
        row_px=230,
        x=axis("number of the eigenvalue", type="log"),
        y=axis("eigenvalue", type="log", exponentformat="power", dtick=1),
    )
    by_trial = dict(list(study.spectra.groupby("trial_id", sort=False)))
    views, rows = [], []
    every = groups(study, 64)
    # Cells that differ in outcome say more than neighbours: the reference first, then those that collapsed.
    ordered = sorted(every, key=lambda group: (group is not every[0], -group.collapsed))
    for group in ordered[:_VIEWS]:
        own = [by_trial[trial] for trial in group.trials["trial_id"] if trial in by_trial]
        if not own:
            continue
        first = len(figure.data)
        table = pd.concat(own)
        steps = sorted({int(step) for step in table["step"]})
        picked = sorted({steps[round(i * (len(steps) - 1) / (_STEPS - 1))] for i in range(_STEPS)})
        ranks = _ranks(study, group.trials["trial_id"])
        for index, level in enumerate(("representation", "projection")):
            for place, step in enumerate(picked):
                values = _median(table[(table["level"] == level) & (table["step"] == step)])
                if values is None:
                    continue
                rank = ranks.get((level, step), float("nan"))
                x, y = _thinned(values)
                tint = _SCALE[-1] if place == len(picked) - 1 else _SCALE[min(place, 3)]
                figure.add_scatter(
                    x=x,
                    y=y,
                    mode="lines",
                    line={"color": tint, "width": 2.4 if place == len(picked) - 1 else 1.5},
                    name=f"step {step}",
                    legendgroup=f"step {step}",
                    showlegend=index == 0,
                    xaxis=f"x{key(index)}",
                    yaxis=f"y{key(index)}",
                    hovertemplate=f"step {step}, rank {rank:.3g}: %{{y:.2e}}<extra></extra>",
                )
                rows.append((group.name, level, str(step), number(rank)))
        views.append(
            (
                f"{group.short} ({group.collapsed}/{group.judged} collapsed)",
                tuple(range(first, len(figure.data))),
            )
        )
    if not views:
        return None
    caption = (
        "A healthy spectrum falls slowly; a collapsed one sinks as a whole (towards a point) or keeps a few "
        "large values (dimensional collapse). Medians over the trials. The eigenvalues are of the centred "
        "covariance; the effective rank (on hover, and in the numbers) is not, so that a point reads 1."
    )
    if len(every) > len(views):
        caption += f" {plural(len(views), 'group')} of {len(every)} can be chosen."
    header = ("cell", "level", "step", "effective rank")
    chooser = "outcome" if study.searched else "cell"
    return Panel(name="spectrum", title="Spectrum of the embeddings", caption=caption, figure=figure,
                 table=(header, rows), views=tuple(views), chooser=chooser)  # fmt: skip


def _ranks(study: StudyResults, trials: pd.Series) -> dict[tuple[str, int], float]:
    """Level and step -> median effective rank over the trials, as measured with each spectrum."""
    own = study.metrics[study.metrics["trial_id"].isin(trials)]
    columns = {"representation": "effective_rank", "projection": "projection_effective_rank"}
    return {
        (level, int(step)): float(value)
        for level, column in columns.items()
        for step, value in own.groupby("step", as_index=False)[column].median().to_numpy()
    }


def _median(rows: pd.DataFrame) -> np.ndarray | None:
    """Elementwise median over trials, up to the shortest spectrum; None without a finite one."""
    spectra = [np.asarray(values, dtype=np.float64) for values in rows["eigenvalues"]]
    spectra = [values for values in spectra if len(values) and np.isfinite(values).all()]
    if not spectra:
        return None
    return np.median([values[: min(map(len, spectra))] for values in spectra], axis=0)


def _thinned(values: np.ndarray) -> tuple[list[int], list[float | None]]:
    """At most _VALUES of the eigenvalues, evenly on a logarithmic axis; without those lost in rounding."""
    index = np.unique(np.geomspace(1, len(values), _VALUES).round().astype(int))
    floor = max(values[0], 1e-30) * 10.0**-_DECADES
    kept = index[values[index - 1] > floor]
    return kept.tolist(), rounded(values[kept - 1], 3)
