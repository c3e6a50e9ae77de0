"""What embeddings from elsewhere show. Nothing was varied or repeated, so this is a description of each."""

from collections.abc import Sequence

from analysis.findings.finding import Finding, Value
from analysis.findings.rules import verdict_values
from analysis.information import information
from analysis.naming import measured_names
from analysis.outcomes import Counts, Outcome, judged
from analysis.results import StudyResults
from analysis.verdict import Case, Side, Verdict
from analysis.wording import as_written, listed, percent, plural, shortened

_NAMED = 3
"""Embeddings that a sentence names."""
_NOTES_UP_TO = 12
_ENDS = {
    Outcome.COLLAPSED: "collapsed",
    Outcome.DIMENSIONAL: "kept the spread along hardly more than one direction (dimensional collapse)",
    Outcome.SURVIVED: "kept the spread",
    Outcome.UNKNOWN: "cannot be judged",
    Outcome.DIVERGED: "with numbers that are not finite",
}
"""Outcome -> what is said of it, in this order."""


def measured_findings(study: StudyResults, counts: Counts) -> list[Finding]:
    """The verdicts, what is known of projections and classes, and what limits them."""
    candidates = (_verdicts(study, counts), _projection(study), _classes(study), _notes(study))
    return [item for item in candidates if item is not None]


def _verdicts(study: StudyResults, counts: Counts) -> Finding:
    outcomes, names = study.trials["outcome"], measured_names(study.trials["trial_id"])
    parts = []
    for outcome, words in _ENDS.items():
        of_these = [names[trial] for trial in study.trials.loc[outcomes == outcome, "trial_id"]]
        if of_these:
            parts.append(f"{len(of_these)} {words}: {_named(of_these)}")
    text = f"Of {plural(counts.planned, 'set')} of embeddings, {'; '.join(parts)}."
    text += f" Collapsed is a std below {as_written(study.representation_threshold)}, where 1 is isotropic "
    text += "and 0 a point. There is no interval: nothing was repeated or varied here."
    collapsed = Side(collapsed=counts.collapsed, trials=counts.judged)
    case = Case.UNDETERMINED if counts.judged else Case.ALL_FAILED
    values = verdict_values(study, Verdict(case=case, collapsed=collapsed), "representation")
    return Finding(kind="verdict", text=text, values=values, n=counts.judged)


def _projection(study: StudyResults) -> Finding | None:
    known = judged(study.trials).dropna(subset=["projection_collapsed"])
    if known.empty:
        return None
    collapsed = known[known["projection_collapsed"].astype(bool)]
    only = collapsed[collapsed["outcome"] != Outcome.COLLAPSED]
    names = measured_names(study.trials["trial_id"])
    text = f"The projection collapsed in {len(collapsed)} of {plural(len(known), 'set')} with a projection"
    if len(only):
        told = _named([names[trial] for trial in only["trial_id"]])
        text += f"; in {len(only)} of them the representation did not ({told})"
    values: dict[str, Value] = {"k": len(collapsed), "n": len(known), "only": len(only)}
    return Finding(kind="projection", text=f"{text}.", values=values, n=len(known))


def _classes(study: StudyResults) -> Finding | None:
    """Whether kNN is above chance, set by set."""
    known = judged(study.trials)
    names = measured_names(study.trials["trial_id"])
    found = {
        names[row["trial_id"]]: information(known[known["trial_id"] == row["trial_id"]])
        for _, row in known.iterrows()
    }
    results = {name: result for name, result in found.items() if result is not None}
    if not results:
        return None
    below = [name for name, result in results.items() if not result.above]
    above = len(results) - len(below)
    text = f"kNN accuracy is shown to be above chance in {above} of {plural(len(results), 'set')} with labels"
    text += f", and not in {_named(below)}" if below else ""
    low = min(result.knn[0] for result in results.values())
    high = max(result.knn[1] for result in results.values())
    text += (
        f" (exact 95 % intervals; {percent(low, 1)} to {percent(high, 1)}, each row labelled by its "
        "neighbours among the others). Collapse is loss of spread, and loss of classes is another question."
    )
    values: dict[str, Value] = {"above": above, "n": len(results), "knn_low": low, "knn_high": high}
    return Finding(kind="information", text=text, values=values, n=len(results))


def _notes(study: StudyResults) -> Finding | None:
    """What `measure` found about the rows themselves."""
    noted = study.trials.dropna(subset=["note"])
    if noted.empty:
        return None
    names = measured_names(study.trials["trial_id"])
    pairs = zip([names[trial] for trial in noted["trial_id"]], noted["note"].astype(str), strict=True)
    texts = [f"{shortened(name, 60)}: {note}" for name, note in pairs]
    more = f"; and {len(texts) - _NOTES_UP_TO} more" if len(texts) > _NOTES_UP_TO else ""
    text = f"About the rows. {'. '.join(texts[:_NOTES_UP_TO])}{more}."
    return Finding(kind="rows", text=text, values={"n": len(texts)}, n=len(texts), caveat=True)


def _named(names: Sequence[str]) -> str:
    first = [shortened(name, 60) for name in names[:_NAMED]]
    more = len(names) - len(first)
    return listed([*first, *([f"{more} more"] if more else [])])
