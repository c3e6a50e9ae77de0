"""The `design` section of a study file."""

from collections.abc import Mapping, Sequence

from byol.errors import nearest
from sweeps.study import fractional, limits
from sweeps.study.designs import (
    DESIGN_KINDS,
    Design,
    DesignKind,
    Factor,
    Labels,
    applicable,
    describe_condition,
)
from sweeps.study.entries import Entry
from sweeps.study.factor_section import read_label

_KEYS = ("kind", "listed", "exclude", "resolution", "generators")


def read_design(entry: Entry | None, factors: tuple[Factor, ...]) -> Design:
    """Reads and checks the design; None is the default.

    Raises:
        StudyError: for a design that breaks a rule or does not fit the factors.
    """
    if entry is None:
        return Design()
    parts = entry.mapping(_KEYS) if isinstance(entry.value, dict) else {"kind": entry}
    kind: DesignKind = parts["kind"].option(DESIGN_KINDS) if "kind" in parts else "full-factorial"
    if kind == "fractional":
        return Design(kind=kind, generators=_read_fraction(entry, parts, factors))
    for key in ("resolution", "generators"):
        if key in parts:
            raise parts[key].wrong_value("must be left out unless the kind is fractional")
    if "exclude" in parts:
        parts["exclude"].at_most(limits.MOST_EXCLUDED, "entries")
    exclude = _read_cells(parts.get("exclude"), factors)
    return Design(kind=kind, listed=_read_listed(entry, parts, kind, factors), exclude=exclude)


def _read_listed(
    entry: Entry, parts: Mapping[str, Entry], kind: DesignKind, factors: tuple[Factor, ...]
) -> tuple[Labels, ...]:
    if "listed" in parts:
        parts["listed"].at_most(limits.MOST_CELLS, "cells")
    listed = _read_cells(parts.get("listed"), factors)
    if kind == "listed" and not listed:
        raise entry.error("must have cells under `listed`, because its kind is listed")
    if kind != "listed" and listed:
        raise parts["listed"].error("must be left out unless the kind is listed")
    for item, labels in zip(parts["listed"].items() if listed else (), listed, strict=True):
        check_conditions(item, factors, labels)
    return listed


def check_conditions(cell: Entry, factors: Sequence[Factor], labels: Labels) -> None:
    """Checks that a cell names no factor whose condition does not hold in it.

    Raises:
        StudyError: it names one.
    """
    applied = applicable(factors, {factor.name: factor.levels[0].label for factor in factors} | labels)
    for factor in factors:
        if factor.name in labels and factor.name not in applied:
            raise cell.mapping()[factor.name].error(
                f"must be left out of this cell, where its condition ({describe_condition(factor)}) "
                "does not hold"
            )


def _read_fraction(
    entry: Entry, parts: Mapping[str, Entry], factors: tuple[Factor, ...]
) -> dict[str, tuple[str, ...]]:
    """The generators of a fractional design, as they are given or from the published designs."""
    for key in ("listed", "exclude"):
        if key in parts and parts[key].items():
            raise parts[key].error("must be left out of a fractional design, whose runs balance one another")
    for factor in factors:
        if factor.when:
            raise entry.error(
                "a fractional design must have no conditional factor, because its runs balance every factor "
                f"over all cells, but {factor.name} has a condition ({describe_condition(factor)})"
            )
        if len(factor.levels) != 2:
            raise entry.error(
                "every factor of a fractional design must have two levels, but "
                f"{factor.name} has {len(factor.levels)}"
            )
    names = [factor.name for factor in factors]
    if ("resolution" in parts) == ("generators" in parts):
        raise entry.error("a fractional design must have either a resolution or generators")
    if "generators" in parts:
        return _read_generators(parts["generators"], names)
    resolution = parts["resolution"].whole(3)
    if resolution > 5:
        raise parts["resolution"].wrong_value("must be 3, 4 or 5")
    generators = fractional.published(names, resolution)
    if generators is None:
        raise parts["resolution"].wrong_value(
            f"must be at most that of a published fraction of {len(names)} factors (fractions are published "
            f"for 3 to {fractional.MOST_FACTORS} factors)"
        )
    return generators


def _read_generators(entry: Entry, names: list[str]) -> dict[str, tuple[str, ...]]:
    generators: dict[str, tuple[str, ...]] = {}
    generated = entry.mapping(names)
    entry.at_most(limits.MOST_GENERATORS, "generators")
    for key, item in generated.items():
        product = tuple(factor.text() for factor in item.items())
        for name in product:
            if name not in names:
                raise item.error("must name factors of the study", value=name, hint=nearest(name, names))
            if name in generated:
                raise item.error(f"must name factors that have no generator themselves, unlike {name}")
        if len(set(product)) < len(product):
            raise item.error("must name each factor once")
        generators[key] = product
    if not generators or fractional.resolution(generators) < 3:
        raise entry.error("must give a resolution of at least III, so that no main effect is another's alias")
    return generators


def _read_cells(entry: Entry | None, factors: tuple[Factor, ...]) -> tuple[Labels, ...]:
    """The cells of a list; each is given by levels of some of the factors."""
    by_name = {factor.name: factor for factor in factors}
    cells = []
    for item in entry.items() if entry else []:
        labels: Labels = {}
        for name, value in item.mapping(by_name).items():
            labels[name] = read_label(value, by_name[name])
        cells.append(labels)
    return tuple(cells)
