"""From factors to cells, and from cells and seeds to trials. All of it deterministic.

A cell is one combination of levels; a trial is a cell with a seed. Trials come in replicate-major order:
every cell's first seed before any cell's second, so that a sweep that is stopped is still a balanced design.
"""

import hashlib
import itertools
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias, get_args

from byol.config import Scalar, TrialConfig
from byol.encoder_names import check_installed
from byol.errors import ConfigError
from byol.presets import from_settings
from sweeps.study import fractional, limits

_ALL_IMAGES = 50_000
"""What "all training images" is taken for; it matters only where some cells have steps and others epochs."""

Labels: TypeAlias = dict[str, Scalar]
"""Factor name -> label of its level, in the order of the factors; a factor that does not apply is absent."""

DesignKind: TypeAlias = Literal["full-factorial", "leave-one-out", "add-one-in", "fractional", "listed"]
"""The kinds of designs."""
DESIGN_KINDS: tuple[DesignKind, ...] = get_args(DesignKind)
"""Their names, in the order in which messages list them."""


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level of a factor."""

    label: Scalar
    """The value of the factor's column in the tables."""
    settings: Mapping[str, Scalar]
    """What it sets: fields and bundles of TrialConfig, which override those of the reference."""


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One thing that a study varies. Its first level is the reference's."""

    name: str
    """A field of TrialConfig, or a name of the study's own when the levels set several fields."""
    levels: tuple[Level, ...]
    """At least one, with distinct labels of one type."""
    when: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    """Earlier factor -> its levels at which this factor applies. It applies where all of these conditions
    hold; elsewhere it has no label and sets nothing."""

    def level(self, label: Scalar) -> Level:
        """The level with this label."""
        return next(level for level in self.levels if level.label == label)


@dataclass(frozen=True, kw_only=True)
class Design:
    """Which combinations of levels are run."""

    kind: DesignKind = "full-factorial"
    """full-factorial: all of them. leave-one-out: the reference, and the reference with each factor in turn
    at each of its other levels. add-one-in: the reference, the baseline (every factor at its last level), and
    the baseline with each factor in turn at its first level. fractional: the runs of a two-level fractional
    factorial. listed: those in `listed`."""
    listed: tuple[Labels, ...] = ()
    """For the kind listed: the cells; a factor that a cell does not name is at its first level."""
    exclude: tuple[Labels, ...] = ()
    """Combinations that are not run: a cell is left out if it has all the labels of one of these. A cell in
    which a factor does not apply has no label of it."""
    generators: fractional.Generators = field(default_factory=dict)
    """For the kind fractional: generated factor -> the factors whose product it is."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """One combination of levels."""

    cell_id: str
    """A short hash of the canonical configuration without its seed."""
    labels: Labels
    """The level of each factor."""
    config: TrialConfig
    """The configuration; its seed has no meaning."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """A cell with a seed."""

    trial_id: str
    """A short hash of the complete canonical configuration, seed included."""
    cell_id: str
    """That of its cell."""
    seed: int
    """Names the replicate."""
    labels: Labels
    """Those of its cell."""
    settings: Mapping[str, Scalar]
    """The complete canonical configuration, `TrialConfig.to_settings`."""


class CellError(ValueError):
    """A combination of levels that TrialConfig refuses, or whose configuration another cell has already."""

    def __init__(self, labels: Labels, cause: ConfigError | str) -> None:
        """Joins both to one line.

        Args:
            labels: the combination.
            cause: TrialConfig's error, or what else is wrong.
        """
        super().__init__(f"{describe(labels)}: {cause}")
        self.labels = labels
        self.cause = cause


def describe(labels: Mapping[str, Scalar]) -> str:
    """Labels as text: 'encoder_norm=batch, tau_base=0.99'; 'the reference' if there are none."""
    texts = {name: f"{label:.6g}" if isinstance(label, float) else label for name, label in labels.items()}
    return ", ".join(f"{name}={text}" for name, text in texts.items()) or "the reference"


def describe_condition(factor: Factor) -> str:
    """When a factor applies, as text: 'predictor=mlp or linear, symmetric=True'; '' if it always does."""
    return ", ".join(f"{name}={' or '.join(map(str, labels))}" for name, labels in factor.when.items())


def _applies(factor: Factor, labels: Labels) -> bool:
    """Whether a factor applies beside these labels of earlier ones."""
    return all(name in labels and labels[name] in allowed for name, allowed in factor.when.items())


def applicable(factors: Sequence[Factor], labels: Labels) -> Labels:
    """The labels of those factors that apply.

    Args:
        factors: in their order; a condition names earlier ones.
        labels: a level of each factor.
    """
    applied: Labels = {}
    for factor in factors:
        if _applies(factor, applied):
            applied[factor.name] = labels[factor.name]
    return applied


def cells(reference: Mapping[str, Scalar], factors: Sequence[Factor], design: Design) -> tuple[Cell, ...]:
    """The cells of a design, the reference first (unless it is excluded or not listed).

    Raises:
        CellError: for a combination that TrialConfig refuses, or two with the same configuration.
    """
    by_id: dict[str, Cell] = {}
    for labels in _combinations(factors, design):
        if any(excluded.items() <= labels.items() for excluded in design.exclude):
            continue
        cell = _cell(reference, factors, labels)
        if cell.cell_id in by_id:
            other = describe(by_id[cell.cell_id].labels)
            raise CellError(labels, f"is the same configuration as {other}")
        by_id[cell.cell_id] = cell
    return tuple(by_id.values())


def reference_cell(reference: Mapping[str, Scalar], factors: Sequence[Factor]) -> Cell:
    """The cell with every factor that applies at its first level; without factors, the reference itself.

    Raises:
        CellError: TrialConfig refuses it.
    """
    firsts = {factor.name: factor.levels[0].label for factor in factors}
    return _cell(reference, factors, applicable(factors, firsts))


def count(factors: Sequence[Factor], design: Design) -> int:
    """The number of combinations of a design, before any is excluded, without building one.

    Where factors are conditional, one more than MOST_CELLS stands for any larger number.
    """
    if design.kind == "full-factorial":
        product = math.prod(len(factor.levels) for factor in factors)
        if product <= limits.MOST_CELLS or not any(factor.when for factor in factors):
            return product
        return sum(1 for _ in itertools.islice(_full_factorial(factors), limits.MOST_CELLS + 1))
    if design.kind == "leave-one-out":
        return 1 + sum(len(factor.levels) - 1 for factor in factors)
    if design.kind == "add-one-in":
        return 2 + len(factors)
    if design.kind == "fractional":
        return int(2 ** (len(factors) - len(design.generators)))
    return len(design.listed)


def trials(cells: Sequence[Cell], seeds: Sequence[int]) -> Iterator[Trial]:
    """All cells with all seeds, in replicate-major order; within a replicate the longest trials first.

    A long trial that starts last would leave all other workers idle.
    """
    longest_first = sorted(cells, key=lambda cell: -_pixels(cell.config))
    settings_of = {cell.cell_id: cell.config.to_settings() for cell in longest_first}
    for seed in seeds:
        for cell in longest_first:
            settings = {**settings_of[cell.cell_id], "seed": seed}
            yield Trial(
                trial_id=digest(settings),
                cell_id=cell.cell_id,
                seed=seed,
                labels=cell.labels,
                settings=settings,
            )


def _pixels(config: TrialConfig) -> float:
    """Pixels that a trial sees: trials that share an encoder take time in proportion to them."""
    images = config.steps * config.batch_size or config.epochs * (config.train_images or _ALL_IMAGES)
    return images * config.image_size**2


def digest(settings: Mapping[str, Scalar]) -> str:
    """The first 12 hexadecimal digits of the sha256 of `settings` as canonical JSON."""
    text = json.dumps(settings, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def _combinations(factors: Sequence[Factor], design: Design) -> Iterable[Labels]:
    if design.kind == "full-factorial":
        return _full_factorial(factors)
    combinations = (applicable(factors, labels) for labels in _crossed(factors, design))
    # Cells that would differ only by factors that do not apply are one. A cell listed twice is an error.
    return combinations if design.kind == "listed" else _distinct(combinations)


def _crossed(factors: Sequence[Factor], design: Design) -> Iterable[Labels]:
    """The combinations of a design but the full factorial, as if every factor applied everywhere."""
    first = {factor.name: factor.levels[0].label for factor in factors}
    if design.kind == "leave-one-out":
        changed = ({**first, factor.name: level.label} for factor in factors for level in factor.levels[1:])
        return (first, *changed)
    if design.kind == "add-one-in":
        last = {factor.name: factor.levels[-1].label for factor in factors}
        added = ({**last, factor.name: first[factor.name]} for factor in factors)
        return (first, last, *added)  # with a single factor, the one added cell is the reference again
    if design.kind == "fractional":
        return _fraction(factors, design.generators)
    assert design.kind == "listed", design.kind
    return ({**first, **labels} for labels in design.listed)


def _full_factorial(factors: Sequence[Factor]) -> Iterator[Labels]:
    """Every combination of levels, each factor only where it applies; the last factor changes fastest."""
    combinations: Iterator[Labels] = iter(({},))
    for factor in factors:
        combinations = _extended(combinations, factor)
    return combinations


def _extended(combinations: Iterable[Labels], factor: Factor) -> Iterator[Labels]:
    for labels in combinations:
        if _applies(factor, labels):
            yield from ({**labels, factor.name: level.label} for level in factor.levels)
        else:
            yield labels


def _fraction(factors: Sequence[Factor], generators: fractional.Generators) -> Iterator[Labels]:
    for signs in fractional.runs([factor.name for factor in factors], generators):
        yield {
            factor.name: factor.levels[0 if sign > 0 else 1].label
            for factor, sign in zip(factors, signs, strict=True)
        }


def _distinct(combinations: Iterable[Labels]) -> list[Labels]:
    return list({json.dumps(labels): labels for labels in combinations}.values())


def _cell(reference: Mapping[str, Scalar], factors: Sequence[Factor], labels: Labels) -> Cell:
    settings = dict(reference)
    for factor in factors:
        if factor.name in labels:
            settings.update(factor.level(labels[factor.name]).settings)
    try:
        config = from_settings(settings)
        limits.check_size(config)
        check_installed(config.encoder)
    except ConfigError as error:
        raise CellError(labels, error) from None
    return cell_of(config, labels)


def cell_of(config: TrialConfig, labels: Labels) -> Cell:
    """The cell of a configuration, whose seed does not matter."""
    canonical = config.to_settings()
    del canonical["seed"]
    return Cell(cell_id=digest(canonical), labels=labels, config=config)
