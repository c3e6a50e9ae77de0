"""A search in sentences: the best configuration, its score on fresh seeds, and what of that is optimistic."""

from analysis.findings.finding import Finding, Value
from analysis.outcomes import JUDGED
from analysis.results import StudyResults
from analysis.search import Searched, searched, settings_text
from analysis.wording import plural


def search_findings(study: StudyResults) -> list[Finding]:
    """The verdict first."""
    found = searched(study)
    candidates = [_verdict(study, found), _front(found), _collapse(found), _unfinished(found)]
    return [item for item in candidates if item is not None]


def _verdict(study: StudyResults, found: Searched) -> Finding:
    first = found.objectives[0]
    if found.best is None:
        text = f"Nothing has won yet: none of {plural(len(found.samples), 'sample')} has a {first.name}."
        return Finding(kind="verdict", text=text, values={"samples": len(found.samples)})
    row, own = found.samples.iloc[found.best], float(found.values[found.best, 0])
    text = (
        f"The best configuration of {plural(len(found.samples), 'sample')} by {first.name} is "
        f"{settings_text(study, row)}. "
    )
    values: dict[str, Value] = {"samples": len(found.samples), "own": own, "trial": str(row["trial_id"])}
    score = found.scores[0] if found.scores else None
    if score is None:
        why = (
            "no trial with a fresh seed has a value"
            if len(found.fresh)
            else "it has yet to run on fresh seeds"
        )
        text += f"It has no score: {why}. "
        text += f"The {first.shown(own)} with which it won is the best of many, and so optimistic."
        return Finding(kind="verdict", text=text, values=values)
    text += f"Its score on fresh seeds: {first.name} {first.score(score)}"
    for objective, other in zip(found.objectives[1:], found.scores[1:], strict=True):
        if other is not None:
            text += f"; {objective.name} {objective.score(other)}"
    text += f". The {first.shown(own)} with which it won is the best of many, and so optimistic."
    collapsed = int((found.fresh["outcome"] == "collapsed").sum())
    if collapsed:
        text += f" It collapsed in {collapsed} of {plural(len(found.fresh), 'fresh seed')}."
    lost = len(found.fresh) - score.n
    if lost:
        text += f" {plural(lost, 'fresh seed')} of {len(found.fresh)} ended without a value."
    values |= {"score": score.estimate, "seeds": score.n, "fresh_collapsed": collapsed}
    return Finding(kind="verdict", text=text, values=values)


def _front(found: Searched) -> Finding | None:
    if len(found.objectives) < 2 or found.best is None:
        return None
    size = int(found.front.sum())
    names = " and ".join(one.name for one in found.objectives)
    text = (
        f"By {names} together, {size} of {plural(len(found.samples), 'sample')} are not beaten by any other "
        f"(the Pareto front); the winner is the one of them with the best {found.objectives[0].name}."
    )
    return Finding(kind="front", text=text, values={"front": size, "samples": len(found.samples)})


def _collapse(found: Searched) -> Finding | None:
    judged = found.samples[found.samples["outcome"].isin(JUDGED)]
    if judged.empty:
        return None
    k = int((judged["outcome"] == "collapsed").sum())
    text = (
        f"The representation collapsed in {k} of {plural(len(judged), 'sample')}. This is a description "
        "without an interval: samples of a search are not a design."
    )
    return Finding(kind="collapse", text=text, values={"k": k, "n": len(judged)})


def _unfinished(found: Searched) -> Finding | None:
    asked = int(found.section.get("trials") or 0)
    left = asked - len(found.samples)
    if left <= 0 or len(found.fresh):  # a repeated configuration is one trial, however often it was drawn
        return None
    text = f"Not finished: {plural(left, 'sample')} of {asked} still to be drawn."
    return Finding(kind="missing", text=text, values={"left": left}, caveat=True)
