"""Study files: read and checked."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from byol.config import OnBroken
from byol.errors import ConfigError, listed, nearest, plural, shortened
from byol.measure.collapse import CollapseRule
from byol.part_source import forget, search_in
from sweeps.errors import StudyError
from sweeps.study import designs, limits
from sweeps.study.design_section import read_design
from sweeps.study.designs import CellError, Design, Labels
from sweeps.study.entries import Entry, parse
from sweeps.study.factor_section import check_shared_settings, read_factors, read_settings
from sweeps.study.reproduces_section import check_reproduced_cells, read_reproduces
from sweeps.study.search_section import read_search
from sweeps.study.seeds_section import read_seeds
from sweeps.study.spaces import Search
from sweeps.study.study import Resources, StatedCost, Study

SHIPPED = Path(__file__).parent.parent / "studies"
"""The folder of the studies that ship."""

_ON_BROKEN: tuple[OnBroken, ...] = get_args(OnBroken)


def load_study(path_or_name: str | Path, settings: Sequence[str] = ()) -> Study:
    """Reads and checks a study.

    Parts of your own that it names are looked for where Python looks for modules, then in the folder of the
    file and in the working directory, which are added to sys.path.

    Args:
        path_or_name: a .yaml file, or the name of a study that ships.
        settings: `KEY=VALUE` each: settings that override the file's reference, as if they stood there.

    Raises:
        StudyError: for a study that does not exist, cannot be read or breaks a rule.

    >>> study = load_study("collapse-quickstart")
    >>> len(study.cells()), study.seeds, study.trial_count
    (5, (0, 1, 2), 15)
    """
    path = Path(path_or_name)
    if path.suffix not in (".yaml", ".yml"):
        names = [file.stem for file in _shipped_files()]
        if str(path_or_name) not in names:
            hint = nearest(path_or_name, names) or f" (those that ship: {listed(names)})"
            rule = "is neither a .yaml file nor the name of a study"
            raise StudyError(rule, file=str(path_or_name), hint=hint)
        path = SHIPPED / f"{path_or_name}.yaml"
        search_in(Path())
    else:
        search_in(path.parent, Path())
    forget()  # a process may load a study again, after its parts have changed
    return study_from_text(_read(path), str(path), settings)


def _read(path: Path) -> str:
    try:
        if path.exists() and not path.is_file() and not path.is_dir():  # reading a pipe would wait for ever
            raise OSError(0, "is not a file")
        with path.open(encoding="utf-8") as file:
            return file.read(limits.LONGEST_FILE + 1)
    except OSError as error:
        raise StudyError(f"cannot be read: {error.strerror}", file=str(path)) from None
    except UnicodeDecodeError as error:
        raise StudyError(f"cannot be read: is not UTF-8 text ({error.reason})", file=str(path)) from None
    except ValueError:  # a name with NUL or surrogates
        raise StudyError("is no name of a file", file=str(path)) from None


def list_studies() -> tuple[Study, ...]:
    """The studies that ship, by name.

    >>> [study.name for study in list_studies()][:3]
    ['batch-size', 'batch-statistics', 'byol-predictor-target-negatives']
    """
    return tuple(load_study(path) for path in _shipped_files())


def _shipped_files() -> list[Path]:
    return sorted(SHIPPED.glob("*.yaml"))


def study_from_text(text: str, file: str, settings: Sequence[str] = ()) -> Study:
    """Reads and checks a study from its text.

    Args:
        text: YAML, as docs/study-format.md describes it.
        file: what errors call it.
        settings: as for `load_study`.

    Raises:
        StudyError: for a study that breaks a rule.

    >>> study = study_from_text("name: norms\\nfactors: {encoder_norm: [batch, group]}", "norms.yaml")
    >>> [cell.labels for cell in study.cells()]
    [{'encoder_norm': 'batch'}, {'encoder_norm': 'group'}]
    >>> study_from_text("name: norms\\nseeds: many\\nfactors: {encoder_norm: [batch]}", "norms.yaml")
    Traceback (most recent call last):
    sweeps.errors.StudyError: norms.yaml:2: seeds: must be a whole number, at least 1, but got 'many'
    """
    entries, overrides = _entries(text, file, settings)
    name = _read_name(entries["name"])
    reference = read_settings(entries["reference"]) if "reference" in entries else {}
    (seeds, sequence), collapse = read_seeds(entries.get("seeds")), _read_collapse(entries.get("collapse"))
    search = None
    if "search" in entries:
        for key in ("factors", "design", "reproduces"):
            if key in entries:
                raise entries[key].error("must be left out of a search, which draws its own cells")
        if sequence:
            raise entries["seeds"].error("must be a number or a list in a search, which has no verdict")
        search = read_search(entries["search"], reference, seeds, collapse)
    factors = () if search else read_factors(entries["factors"])
    design = read_design(entries.get("design"), factors)
    if factors:
        check_shared_settings(entries["factors"], factors, design)
    _check_overrides(overrides, factors, search)
    if factors:
        _check_count(entries, factors, design)
    study = Study(
        name=name,
        title=_read_text(entries, "title") or name,
        question=_read_text(entries, "question"),
        source=_read_text(entries, "source"),
        expected=_read_text(entries, "expected"),
        reference=reference,
        factors=factors,
        design=design,
        search=search,
        seeds=seeds,
        sequence=sequence,
        resources=_read_resources(entries.get("resources"), is_search=search is not None),
        collapse=collapse,
        on_broken=entries["on_broken"].option(_ON_BROKEN) if "on_broken" in entries else "fail",
        estimate=_read_estimate(entries.get("estimate")),
        reproduces=read_reproduces(entries.get("reproduces"), factors),
    )
    if not search:
        _check_cells(study, entries)
        _check_trials(study, entries)
        check_reproduced_cells(entries.get("reproduces"), study)
    return study


def _entries(text: str, file: str, settings: Sequence[str]) -> tuple[dict[str, Entry], dict[str, Entry]]:
    """The keys of a study, its reference with the command line's settings in it; and these alone, by name."""
    if len(text) > limits.LONGEST_FILE:
        raise StudyError(f"must have at most {limits.LONGEST_FILE:,} characters, but has more", file=file)
    root = parse(text, file)
    _refuse_schedulers(root)
    keys = [field.name for field in dataclasses.fields(Study) if field.name != "sequence"]  # part of seeds
    entries = dict(root.mapping(keys))
    overrides = dict(map(_override, settings))
    if overrides:
        given = entries["reference"].mapping() if "reference" in entries else {}
        entries["reference"] = Entry(file, None, "reference", {**given, **overrides})
    if "name" not in entries:
        raise StudyError("is missing", file=file, line=1, key="name")
    if "factors" not in entries and "search" not in entries:
        raise StudyError(
            "is missing (a study has either factors or a search)", file=file, line=1, key="factors"
        )
    return entries, overrides


def _override(text: str) -> tuple[str, Entry]:
    """A setting of the command line, as if it stood in the file."""
    option = f"--set {shortened(text)}"
    key, equals, value = text.partition("=")
    if not equals:
        raise StudyError("must be KEY=VALUE", file=option)
    return key, dataclasses.replace(parse(value, option), line=None, key=f"reference.{key}")


def _check_overrides(
    overrides: Mapping[str, Entry], factors: Sequence[designs.Factor], search: Search | None
) -> None:
    """Refuses a setting without effect, because a factor's first level or each sample of a search sets it."""
    for factor in factors:
        for key in overrides.keys() & factor.levels[0].settings.keys():
            if not factor.when:
                raise overrides[key].error(f"is set by the factor {factor.name}, also in the reference")
    for parameter in search.space if search else ():
        if parameter.name in overrides and not parameter.when:
            raise overrides[parameter.name].error("is drawn by the search, in every sample")


def _refuse_schedulers(root: Entry) -> None:
    """Says why a study that is not a search cannot stop trials early."""
    entries = root.value if isinstance(root.value, dict) else {}
    design = entries["design"].value if "design" in entries else None
    for mapping in (entries, design if isinstance(design, dict) else {}):
        if "scheduler" in mapping:
            raise mapping["scheduler"].error(
                "must be under search: stopping trials early truncates cells, which a design compares at "
                "equal length"
            )


def _read_name(entry: Entry) -> str:
    if not re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.text()):
        raise entry.wrong_value("must be lower-case letters and digits, joined by dashes")
    if len(entry.text()) > limits.LONGEST_NAME:
        raise entry.wrong_value(f"must have at most {limits.LONGEST_NAME} characters")
    return entry.text()


def _read_text(entries: Mapping[str, Entry], key: str) -> str:
    # An empty text is what to_yaml writes for one that is not given.
    return "" if key not in entries or entries[key].value == "" else entries[key].text()


def _read_resources(entry: Entry | None, *, is_search: bool) -> Resources:
    parts = entry.mapping(("cpu", "gpu", "pack")) if entry else {}
    cpu = parts["cpu"].number(0.01, limits.MOST_RESOURCES) if "cpu" in parts else 1.0
    gpu = parts["gpu"].number(0, limits.MOST_RESOURCES) if "gpu" in parts else 0.0
    for key, value in (("cpu", cpu), ("gpu", gpu)):
        if value > 1 and value != int(value):
            raise parts[key].wrong_value("must be whole, or a fraction below 1")
    pack = parts["pack"].whole(1, limits.MOST_TRIALS) if "pack" in parts else 1
    if is_search and pack > 1:
        raise parts["pack"].wrong_value(limits.NO_PACKS)
    return Resources(cpu=cpu, gpu=gpu, pack=pack)


def _read_collapse(entry: Entry | None) -> CollapseRule:
    defaults = dataclasses.asdict(CollapseRule())
    rule: dict[str, Any] = {}
    for key, item in (entry.mapping(defaults) if entry else {}).items():
        if isinstance(defaults[key], bool):
            rule[key] = item.flag()
        elif isinstance(defaults[key], int):
            rule[key] = item.whole(1)
        else:
            rule[key] = item.number(0)
    return CollapseRule(**rule)


def _read_estimate(entry: Entry | None) -> StatedCost | None:
    if entry is None:
        return None
    parts = entry.mapping(("seconds_per_trial", "hardware"))
    if len(parts) < 2:
        raise entry.error("must have seconds_per_trial and hardware")
    return StatedCost(
        seconds_per_trial=parts["seconds_per_trial"].number(0, limits.MOST_SECONDS),
        hardware=parts["hardware"].text(),
    )


def _check_count(entries: Mapping[str, Entry], factors: Sequence[designs.Factor], design: Design) -> None:
    """Counts the cells before any is built: there may be more than could ever be."""
    count = designs.count(factors, design)
    if count > limits.MOST_CELLS:
        places = "factors" if design.kind == "full-factorial" else "design"
        is_known = not any(factor.when for factor in factors)
        makes = limits.count_text(count) if is_known else "more"
        raise entries[places].error(f"must make at most {limits.MOST_CELLS:,} cells, but makes {makes}")


def _check_trials(study: Study, entries: Mapping[str, Entry]) -> None:
    seeds = study.sequence.most if study.sequence else len(study.seeds)
    count = len(study.cells()) * seeds
    if count > limits.MOST_TRIALS:
        raise entries.get("seeds", entries["factors"]).error(
            f"must make at most {limits.MOST_TRIALS:,} trials, but {plural(len(study.cells()), 'cell')} with "
            f"{plural(seeds, 'seed')} make {count:,}"
        )


def _check_cells(study: Study, entries: Mapping[str, Entry]) -> None:
    """Builds every cell, and turns the first error into one that names the line of the file."""
    try:
        cells = study.cells()
    except CellError as error:
        raise _located(error, study, entries) from None
    if not cells:
        raise entries["design"].error("must leave at least one cell, but excludes all")
    for factor in study.factors:
        if not any(factor.name in cell.labels for cell in cells):
            condition = designs.describe_condition(factor)
            raise _factor_entry(factor.name, study, entries).error(
                f"its condition ({condition}) holds in no cell of the design", key=f"factors.{factor.name}"
            )


def _located(error: CellError, study: Study, entries: Mapping[str, Entry]) -> StudyError:
    if not isinstance(error.cause, ConfigError):
        return entries["factors"].error(str(error))
    setter = _setter(error.cause.key, error.labels, study, entries)
    return setter.refused(error.cause, f"in the cell {designs.describe(error.labels)}")


def _setter(key: str, labels: Labels, study: Study, entries: Mapping[str, Entry]) -> Entry:
    """The entry that set `key` in a cell: a factor's, or the reference's."""
    for factor in study.factors:
        if factor.name in labels and key in factor.level(labels[factor.name]).settings:
            return _factor_entry(factor.name, study, entries)
    reference = entries.get("reference")
    if reference is not None and key in reference.mapping():
        return reference.mapping()[key]
    return entries["factors"]


def _factor_entry(name: str, study: Study, entries: Mapping[str, Entry]) -> Entry:
    factors = entries["factors"].value
    assert isinstance(factors, list | dict)
    index = [factor.name for factor in study.factors].index(name)
    return factors[index] if isinstance(factors, list) else factors[name]
