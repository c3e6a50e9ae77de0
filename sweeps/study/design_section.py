"""The `design` section of a study file."""

from collections.abc import Mapping

from byol.errors import nearest
from sweeps.study import fractional
from sweeps.study.designs import KINDS, Design, Factor, Labels, applying, describe_condition
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
    kind = parts["kind"].text() if "kind" in parts else "full-factorial"
    if kind not in KINDS:
        raise parts["kind"].wrong(f"must be one of {', '.join(KINDS)}", nearest(kind, KINDS))
    listed = _labels(parts.get("listed"), factors)
    if bool(listed) != (kind == "listed"):
        raise entry.wrong("must have cells under `listed` if its kind is listed, and only then")
    if "listed" in parts:
        _check_listed(parts["listed"], listed, factors)
    exclude = _labels(parts.get("exclude"), factors)
    if kind != "fractional":
        for key in ("resolution", "generators"):
            if key in parts:
                raise parts[key].wrong("must stand only where the kind is fractional")
        return Design(kind=kind, listed=listed, exclude=exclude)
    if exclude:
        raise parts["exclude"].wrong(
            "must not stand with a fractional design, whose runs balance one another"
        )
    return Design(kind=kind, generators=_generators(entry, parts, factors))


def _generators(
    entry: Entry, parts: Mapping[str, Entry], factors: tuple[Factor, ...]
) -> dict[str, tuple[str, ...]]:
    for factor in factors:
        if factor.when:
            raise entry.wrong(
                f"fractional: must have no conditional factor, for its runs balance every factor over all "
                f"cells, but {factor.name} has a condition ({describe_condition(factor)})"
            )
        if len(factor.levels) != 2:
            raise entry.wrong(
                f"fractional: every factor must have two levels, but {factor.name} has {len(factor.levels)}"
            )
    names = [factor.name for factor in factors]
    if ("resolution" in parts) == ("generators" in parts):
        raise entry.wrong("fractional: must have either a resolution or generators")
    if "generators" in parts:
        return _given(parts["generators"], names)
    least = parts["resolution"]
    if least.whole(3) > 5:
        raise least.wrong("must be 3, 4 or 5")
    found = fractional.published(names, least.whole(3))
    if found is None:
        raise least.wrong(
            f"must be that of a published fraction of {len(names)} factors (3 to "
            f"{fractional.MOST_FACTORS} factors, fewer runs than the full factorial)"
        )
    return found


def _given(entry: Entry, names: list[str]) -> dict[str, tuple[str, ...]]:
    generators: dict[str, tuple[str, ...]] = {}
    given = entry.mapping(names)
    for left, item in given.items():
        right = tuple(factor.text() for factor in item.items())
        for name in right:
            if name not in names:
                raise item.wrong(f"must name factors of the study, not {name}", nearest(name, names))
            if name in given:
                raise item.wrong(f"must name factors that have no generator themselves, unlike {name}")
        if len(set(right)) < len(right):
            raise item.wrong("must name each factor once")
        generators[left] = right
    if not generators or fractional.resolution(generators) < 3:
        raise entry.wrong("must give a resolution of at least III: no main effect may be another's alias")
    return generators


def _check_listed(entry: Entry, listed: tuple[Labels, ...], factors: tuple[Factor, ...]) -> None:
    first = {factor.name: factor.levels[0].label for factor in factors}
    for item, labels in zip(entry.items(), listed, strict=True):
        standing = applying(factors, {**first, **labels})
        for factor in factors:
            if factor.name in labels and factor.name not in standing:
                value = item.mapping()[factor.name]
                raise value.error(
                    f"must be left out of this cell, where its condition ({describe_condition(factor)}) "
                    "does not hold"
                )


def _labels(entry: Entry | None, factors: tuple[Factor, ...]) -> tuple[Labels, ...]:
    by_name = {factor.name: factor for factor in factors}
    found = []
    for item in entry.items() if entry else []:
        labels: Labels = {}
        for name, value in item.mapping(by_name).items():
            labels[name] = read_label(value, by_name[name])
        found.append(labels)
    return tuple(found)
