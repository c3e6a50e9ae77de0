"""Effects in words, the same way in sentences, tables and figures."""

from analysis.effects import Effect
from analysis.results import StudyResults
from analysis.stats import PValue
from analysis.wording import interval_text, listed, number, plural, points, points_range


def effect_points(effect: Effect) -> str:
    """The estimate, which there must be, and its simultaneous interval or why there is none."""
    mean = effect.mean
    assert mean is not None
    if effect.simultaneous is None:
        return f"{points(mean.estimate)} points ({interval_text(mean, points_range)})"
    at_once = f", simultaneous over {effect.family} effects" if effect.family > 1 else ""
    ends = points_range(effect.simultaneous)
    return f"{points(mean.estimate)} points (95 % interval {ends}{at_once}, {plural(mean.n, 'seed')})"


def p_text(test: PValue | None, adjusted: float | None, unit: str = "pair") -> str:
    """`p = 0.002, 24 pairs differ`; or why there is no p.

    Args:
        test: before it was adjusted.
        adjusted: p, or None where so few differences cannot be below .05.
        unit: what differs.
    """
    if test is None:
        return "–"
    if test.n == 0:
        return f"no {unit} differs"
    differ = f"{plural(test.n, unit)} differ{'s' if test.n == 1 else ''}"
    if adjusted is None:
        return f"too few: {differ}"
    return f"p < 0.001, {differ}" if adjusted < 0.001 else f"p = {number(adjusted, 2)}, {differ}"


def effect_p(effect: Effect) -> str:
    """The adjusted p of an effect, or why there is none."""
    unit = "seed" if effect.contrast.of_fraction else "pair" if len(effect.factors) == 1 else "four"
    return p_text(effect.test, effect.adjusted_p, unit)


def pairs_text(effect: Effect) -> str:
    """`4 of 8 matched pairs of cells`, or `all 8 cells` of a fraction."""
    if effect.contrast.of_fraction:
        return f"all {len(effect.cells)} cells"
    what = "matched pair" if len(effect.factors) == 1 else "matched four"
    return f"{effect.matched} of {plural(effect.planned, what)} of cells"


def aliases_text(study: StudyResults, effect: Effect) -> str:
    """`a × b or c × d`: what a fraction cannot tell from the effect; "" where it can."""
    aliases = effect.contrast.aliases
    names = [" × ".join(study.factors[index].name for index in alias) for alias in aliases]
    return listed(names, "or") if names else ""
