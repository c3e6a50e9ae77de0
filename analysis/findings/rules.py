"""Rules, cells and seeds in words, and a verdict as plain data."""

from collections.abc import Sequence

from analysis.cells import ABSENT, Cell
from analysis.findings.finding import Value
from analysis.naming import level_words
from analysis.results import NOT_SET, StudyResults
from analysis.stats import Rate
from analysis.verdict import Component, Rule, Verdict
from analysis.wording import listed, plural, rate


def alternative_text(study: StudyResults, components: Sequence[Component]) -> str:
    """`encoder_norm = batch and predictor = mlp or linear`."""
    return listed([_component(study, component) for component in components])


def rule_text(study: StudyResults, rule: Rule) -> str:
    """`encoder_norm = batch, or head_norm = batch and predictor = mlp`."""
    return ", or ".join(alternative_text(study, components) for components in rule.alternatives)


def _component(study: StudyResults, component: Component) -> str:
    factor = study.factors[component.factor]
    levels = [factor.levels[code] for code in component.codes if code != ABSENT]
    levels += [NOT_SET] if ABSENT in component.codes else []
    others = [level for level in factor.levels if level not in levels]
    if len(others) == 1 and len(levels) > 2:
        return f"{factor.name} = any but {others[0]}"
    return f"{factor.name} = {listed(levels, 'or')}"


def rule_names(study: StudyResults, rule: Rule) -> list[list[str]]:
    """The components' names, by alternative: the factor's, or of a remedy `factor = level`."""
    return [
        [
            _component(study, component) if component.is_remedy else study.factors[component.factor].name
            for component in components
        ]
        for components in rule.alternatives
    ]


def changes_text(cell: Cell) -> str:
    """`no predictor and tau 0`: what a cell changes in the reference."""
    changes = [level_words(name, level) for name, level in cell.changes]
    return listed(changes) if changes else "the reference"


def seeds_text(seeds: Rate) -> str:
    """`0 of 3 seeds, 95 % interval 0 to 71 %`: seeds in which something collapsed."""
    return f"{seeds.k} of {plural(seeds.n, 'seed')}, {rate(seeds) if seeds.n > 1 else 'so no interval'}"


def verdict_values(study: StudyResults, verdict: Verdict, level: str) -> dict[str, Value]:
    """A verdict as plain data: what docs/result-tables.md says of the finding of kind `verdict`."""
    found, passes = verdict.found, verdict.passes
    rule = verdict.rule
    aliases = (found.rule, *verdict.aliases) if found is not None and verdict.aliases else ()
    values: dict[str, Value] = {
        "level": level,
        "case": verdict.case.value,
        "rule": rule_names(study, rule) if rule is not None else None,
        "levels": _levels(study, rule) if rule is not None else None,
        "collapsed": verdict.collapsed.collapsed,
        "trials": verdict.collapsed.trials,
        "adjusted_p": found.adjusted_p if found is not None else None,
        "rules": found.rules if found is not None else 0,
        "permutations": found.permutations if found is not None else 0,
        "best": rule_names(study, found.rule) if found is not None else None,
        "aliases": [rule_names(study, other) for other in aliases],
        "ties": [rule_names(study, other) for other in found.ties] if found is not None and passes else [],
        "inside": None,
        "outside": None,
        "difference": verdict.difference,
        "interval": [verdict.interval.low, verdict.interval.high] if verdict.interval else None,
        "thresholds": [verdict.thresholds.low, verdict.thresholds.high] if verdict.thresholds else None,
        "confounded": [study.factors[index].name for index in verdict.confounded],
        "exceptions": [list(cell.labels) for cell in verdict.exceptions] if passes else [],
    }
    if found is not None and passes:
        for name, side in (("inside", found.inside), ("outside", found.outside)):
            values[name] = {"collapsed": side.collapsed, "trials": side.trials}
    return values


def _levels(study: StudyResults, rule: Rule) -> list[list[list[str]]]:
    """The levels of each component, in the shape of the rule."""
    return [
        [
            [
                NOT_SET if code == ABSENT else study.factors[component.factor].levels[code]
                for code in component.codes
            ]
            for component in components
        ]
        for components in rule.alternatives
    ]
