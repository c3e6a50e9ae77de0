"""The `reproduces` section of a study file: which cell stands for which condition of a published table."""

from collections.abc import Iterable, Mapping, Sequence

from analysis.published import published
from byol.errors import nearest
from sweeps.study.design_section import check_conditions
from sweeps.study.designs import Factor, Labels, applicable, describe
from sweeps.study.entries import Entry
from sweeps.study.factor_section import read_label
from sweeps.study.study import Study


def read_reproduces(entry: Entry | None, factors: Sequence[Factor]) -> Mapping[str, Mapping[str, Labels]]:
    """Reads the section: table -> condition -> labels of the factors that are named.

    Raises:
        StudyError: for a table or condition that is not published, or a factor or level that does not exist.
    """
    by_name = {factor.name: factor for factor in factors}
    tables = published().tables
    reproduces: dict[str, Mapping[str, Labels]] = {}
    for name, item in _known(entry, tables, "is not a published table").items():
        conditions: dict[str, Labels] = {}
        for condition, cell in _known(item, tables[name].results, f"is not a condition of {name}").items():
            levels = _known(cell, by_name, "is not a factor of the study")
            conditions[condition] = {key: read_label(value, by_name[key]) for key, value in levels.items()}
        reproduces[name] = conditions
    return reproduces


def check_reproduced_cells(entry: Entry | None, study: Study) -> None:
    """Checks that the design holds every cell that the section names.

    Raises:
        StudyError: for a cell that it does not hold, or one that names a factor that is absent from it.
    """
    labels_of_cells = [cell.labels for cell in study.cells()]
    first = {factor.name: factor.levels[0].label for factor in study.factors}
    for table, conditions in study.reproduces.items():
        for condition, labels in conditions.items():
            assert entry is not None
            item = entry.mapping()[table].mapping()[condition]
            check_conditions(item, study.factors, labels)
            applied = applicable(study.factors, {**first, **labels})
            if applied not in labels_of_cells:
                raise item.error(f"must be a cell of the design, unlike {describe(applied)}")


def _known(entry: Entry | None, names: Iterable[str], rule: str) -> dict[str, Entry]:
    """The entries below by key, each of which must be one of `names`."""
    valid = list(names)
    entries = {} if entry is None else entry.mapping()
    for key, item in entries.items():
        if key not in valid:
            hint = nearest(key, valid) or f" (there are: {'; '.join(valid)})"
            raise item.error(rule, hint=hint)
    return entries
