"""Whether the reference learned, and what follows for effects on accuracy where it is not shown to have."""

from analysis.cells import cells_of
from analysis.controls import Gain, Learning, Side, learning
from analysis.findings.finding import Finding, Value
from analysis.results import StudyResults
from analysis.wording import mean_points, percent

_LEARNED = {
    Side.ABOVE: "The reference learned",
    Side.BELOW: "The reference did not learn",
    Side.EITHER: "The reference is not shown to have learned",
    Side.UNKNOWN: "Whether the reference learned is unknown",
}
_AGAINST_PIXELS = {
    Side.ABOVE: ", it is higher",
    Side.BELOW: ", it is lower",
    Side.EITHER: ", it is not shown to differ",
    Side.UNKNOWN: "",
}
_ANSWERS = {Side.ABOVE: "yes", Side.BELOW: "no", Side.EITHER: "not shown", Side.UNKNOWN: "unknown"}


def learned_finding(result: Learning) -> Finding:
    """The reference's kNN accuracy against its own untrained encoder, and against raw pixels."""
    values: dict[str, Value] = {"learned": _ANSWERS[result.side]}
    text = _LEARNED[result.side]
    if not result.has_accuracy:
        text += ": no trial of it ran to its end with a kNN accuracy."
        return Finding(kind="learned", text=text, values=values)
    start, pixels = result.over_start, result.over_pixels
    if start is None:
        text += ": the tables hold no kNN accuracy of its untrained encoder."
    else:
        text += (
            f": training changed its kNN accuracy by {mean_points(start.difference)}, from the "
            f"{percent(start.control, 1)} of its own untrained encoder{_zero(start)}."
        )
        values |= _values("start", start)
    if pixels is not None:
        text += (
            f" Compared with raw pixels ({percent(pixels.control, 1)}){_AGAINST_PIXELS[pixels.side]}: "
            f"{mean_points(pixels.difference)}{_zero(pixels)}."
        )
        values |= _values("pixels", pixels)
    interval, n = (start.difference.interval, start.difference.n) if start is not None else (None, None)
    return Finding(kind="learned", text=text, values=values, interval=interval, n=n)


def not_learned_caveat(study: StudyResults) -> Finding | None:
    """That effects on accuracy are not interpretable, and why; None where they are, or nobody knows."""
    note = not_interpretable(study)
    if not note:
        return None
    text = (
        f"{note} A difference in kNN accuracy between cells then says how far training moved each from its "
        "random start, not what a component is worth to a learner that learns. Findings about collapse are "
        "not affected."
    )
    return Finding(kind="not-learned", text=text, values={}, caveat=True)


def not_interpretable(study: StudyResults) -> str:
    """`Effects on accuracy are not interpretable: the reference did not learn.`; "" where they are, and where
    nobody knows whether the reference learned."""
    result = learning(cells_of(study), study.seeds)
    if result is None or not result.is_missing:
        return ""
    learned = _LEARNED[result.side].replace("The", "the", 1)
    return f"Effects on accuracy are not interpretable: {learned}."


def _zero(gain: Gain) -> str:
    return "; the interval includes zero" if gain.side is Side.EITHER else ""


def _values(name: str, gain: Gain) -> dict[str, Value]:
    difference, interval = gain.difference, gain.difference.interval
    return {
        name: gain.control,
        f"{name}_difference": difference.estimate,
        f"{name}_low": interval.low if interval else None,
        f"{name}_high": interval.high if interval else None,
        f"{name}_seeds": difference.n,
    }
