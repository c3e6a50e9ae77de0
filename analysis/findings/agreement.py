"""The published pairs that a study reproduces, in a sentence for each table and in rows."""

from collections.abc import Sequence

from analysis.agreement import ALIKE_WITHIN, PairResult, TableResult, agreements, tally
from analysis.findings.finding import Finding
from analysis.published import Measure, Pair
from analysis.results import StudyResults
from analysis.stats import Interval
from analysis.wording import number, plural, points, points_range

HEADER = ("published", "size there", "here (95 % interval)", "verdict")

HOW = (
    "Published pairs are compared by direction only, never by size. A pair agrees if the 95 % interval of "
    "the difference, paired by seed, excludes 0 in the published direction, disagrees if it excludes 0 in "
    "the other, and cannot be told otherwise. Where no difference was published (≈), it agrees if the "
    f"whole interval lies within ±{100 * ALIKE_WITHIN:g} points, and disagrees if it lies wholly outside. "
    "Intervals are t intervals; those of a spread over seeds are of a ratio, by Pitman and Morgan, and "
    "have to exclude 1. What is published of a std is a collapse: it agrees if, besides, the lower side "
    "collapsed in every seed, and disagrees if in none. The pairs were named by the publications, so none "
    "is chosen by its result here, and each interval is 95 % by itself."
)
"""How a verdict on a pair is made, for pages."""

_MEASURES = {
    Measure.ACCURACY: "",
    Measure.REPRESENTATION: "representation std: ",
    Measure.PROJECTION: "projection std: ",
    Measure.FLUCTUATION: "fluctuation of kNN accuracy: ",
    Measure.SEED_SPREAD: "spread over seeds: ",
}


def agreement_findings(study: StudyResults) -> list[Finding]:
    """A finding for each published table that the study reproduces."""
    return [_finding(result) for result in agreements(study)]


def _finding(result: TableResult) -> Finding:
    counts, n = tally(result.pairs), len(result.pairs)
    text = f"Of {plural(n, 'published ordering')} of {result.table.title}, {counts_text(result.pairs)}."
    values = {agreement.replace(" ", "_"): count for agreement, count in counts.items()}
    return Finding(kind="agreement", text=text, values={"table": result.table.name, "n": n, **values}, n=n)


def counts_text(results: Sequence[PairResult]) -> str:
    """`5 agree, 0 disagree, 2 cannot be told`."""
    agree, disagree, open_ = tally(results).values()
    return (
        f"{agree} {'agrees' if agree == 1 else 'agree'}, {disagree} "
        f"{'disagrees' if disagree == 1 else 'disagree'}, {open_} cannot be told"
    )


def agreement_rows(results: Sequence[PairResult]) -> list[tuple[str, ...]]:
    """Rows under HEADER."""
    return [(pair_text(item.pair), _size(item), _here(item), verdict_text(item)) for item in results]


def pair_text(pair: Pair) -> str:
    """`tau .99 > tau 0`; with two conditions on each side, the larger difference and then the smaller."""
    higher, lower = pair.higher, pair.lower
    if len(higher) == 2:
        # a + d > b + c is a - b > c - d, which is how a publication says it.
        return f"({higher[0]} − {lower[0]}) > ({lower[1]} − {higher[1]})"
    return f"{_MEASURES[pair.measure]}{higher[0]} {'≈' if pair.alike else '>'} {lower[0]}"


def verdict_text(item: PairResult) -> str:
    """`agrees`, or `cannot tell: ` and why."""
    return f"{item.agreement}: {item.reason}" if item.reason else str(item.agreement)


def _size(item: PairResult) -> str:
    return "–" if item.size is None else f"{points(item.size / 100)} points"


def _here(item: PairResult) -> str:
    if item.estimate is None:
        return "–"
    seeds = plural(item.n, "seed")
    interval = "no interval" if item.interval is None else _range(item.pair.measure, item.interval)
    return f"{_amount(item.pair.measure, item.estimate)} ({interval}; {seeds})"


def _amount(measure: Measure, value: float) -> str:
    if measure is Measure.SEED_SPREAD:
        return f"{number(value, 2)} times"
    return _signed(value) if measure.is_of_spread else f"{points(value)} points"


def _range(measure: Measure, interval: Interval) -> str:
    if measure is Measure.SEED_SPREAD:
        return f"{number(interval.low, 2)} to {number(interval.high, 2)}"
    if measure.is_of_spread:
        return f"{_signed(interval.low)} to {_signed(interval.high)}"
    return points_range(interval)


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("-", "−")
