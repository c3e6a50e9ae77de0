"""The collapse map of many cells: groups, and in each a small tile per cell, those that collapsed first."""

import math
from collections.abc import Sequence

from analysis.cell_groups import CellGroup, by_collapse, grouped
from analysis.cells import Cell
from analysis.figures.selection import cell_term, level_term
from analysis.naming import level_words
from analysis.page.markup import element, escaped
from analysis.stats import clopper_pearson
from analysis.wording import percent, percent_range, plural

_GROUPS_UP_TO = 12
_ZOOM = "Read its cells"


def large_map(cells: Sequence[Cell], scale: tuple[float, float]) -> str:
    """Groups of cells as HTML, the one with the highest rate first. Unfolded, a group's tiles have names.

    Args:
        cells: of the design.
        scale: the least and the greatest mean kNN accuracy of a cell.
    """
    groups = grouped(cells, _GROUPS_UP_TO) or _by_rate(cells)
    ordered = sorted(groups, key=lambda group: -(group.collapsed / group.judged if group.judged else -1))
    note = (
        f"{len(cells):,} cells in {plural(len(groups), 'group')}. A square is a cell; those that collapsed "
        "come first. In brackets: exact 95 % intervals."
    )
    body = "".join(_group(group, scale) for group in ordered)
    return element("p", note, class_="note") + f'<div class="groups">{body}</div>'


def _by_rate(cells: Sequence[Cell]) -> list[CellGroup]:
    """Where a single factor has too many levels to group by: by what became of the cells' trials."""
    names = (
        "collapsed in every trial",
        "collapsed in some trials",
        "collapsed in no trial",
        "without a result",
    )
    members: dict[str, list[Cell]] = {}
    for cell in cells:
        place = 3 if not cell.judged else 0 if cell.collapsed == cell.judged else 1 if cell.collapsed else 2
        members.setdefault(names[place], []).append(cell)
    return [CellGroup(name=name, cells=tuple(same), shared=()) for name, same in members.items()]


def _group(group: CellGroup, scale: tuple[float, float]) -> str:
    rate = clopper_pearson(group.collapsed, group.judged)
    interval = f" ({percent_range(rate.interval)})" if rate.interval else ""
    name = escaped(group.name)
    if group.shared:
        terms = " ".join(level_term(*pair) for pair in group.shared)
        name = element("button", name, type="button", class_="level", data_term=terms)
    k = sum(cell.projection_collapsed for cell in group.cells)
    n = sum(cell.projection_judged for cell in group.cells)
    counts = (
        f"{plural(len(group.cells), 'cell')}. Representation collapsed in {group.collapsed:,} of "
        f"{plural(group.judged, 'trial')}{interval}, projection in {k:,} of {n:,}."
    )
    title = element("h4", name) + element("p", escaped(counts), class_="note")
    zoom = f"<details><summary>{_ZOOM}</summary></details>" if len(group.cells) > 1 else ""
    tiles = "".join(_tile(group, cell, scale) for cell in by_collapse(group.cells))
    return f'<section class="group">{title}{zoom}<div class="minis">{tiles}</div></section>'


def _tile(group: CellGroup, cell: Cell, scale: tuple[float, float]) -> str:
    """A square; with the group unfolded, a tile with a number and what differs within the group."""
    shared = set(group.shared)
    own = ", ".join(level_words(*change) for change in cell.changes if change not in shared)
    values = cell.values("knn_accuracy")
    mean, (low, high) = float(values.mean()) if len(values) else math.nan, scale
    shares = (
        cell.collapsed / cell.judged if cell.judged else math.nan,
        cell.projection_collapsed / cell.projection_judged if cell.projection_judged else math.nan,
        (mean - low) / (high - low) if high > low else 1.0 if len(values) else math.nan,
    )
    texts = (
        f"{cell.collapsed}/{cell.judged}" if cell.judged else "–",
        f"{cell.projection_collapsed}/{cell.projection_judged}" if cell.projection_judged else "–",
        percent(mean, 1),
    )
    style = ";".join(
        f"--{name}:{share:.2g}" for name, share in zip("rpk", shares, strict=True) if share == share
    )
    kinds = "".join(f" no-{name}" for name, share in zip("rpk", shares, strict=True) if share != share)
    inner = "".join(f"<i>{text}</i>" for text in texts) + f"<b>{escaped(own or 'as in the reference')}</b>"
    reference = {"data_reference": ""} if cell.is_reference else {}
    return element(
        "button", inner, type="button", class_=f"tile mini{kinds}", tabindex="-1", style=style,
        data_term=cell_term(cell),
        title=f"{cell.text}: representation collapsed {texts[0]}, projection {texts[1]}, kNN {texts[2]}",
        **reference,
    )  # fmt: skip
