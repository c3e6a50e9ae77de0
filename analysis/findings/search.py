"""A search in sentences: the winner, its score on fresh seeds, the Pareto front, collapse of samples."""

from analysis.findings.finding import Finding, Value
from analysis.outcomes import Outcome, judged
from analysis.results import StudyResults
from analysis.search import SearchResult, search_result, settings_text
from analysis.wording import plural


def search_findings(study: StudyResults) -> list[Finding]:
    """The findings, the verdict first."""
    result = search_result(study)
    candidates = [_headline(study, result), _front(result), _collapse(result), _unfinished(result)]
    return [item for item in candidates if item is not None]


def _headline(study: StudyResults, result: SearchResult) -> Finding:
    samples, fresh, objective = len(result.samples), len(result.fresh), result.objectives[0]
    if result.winner is None:
        text = f"No winner yet: none of {plural(samples, 'sample')} has a {objective.name}."
        return Finding(kind="verdict", text=text, values={"samples": samples}, n=0)
    winner = result.samples.iloc[result.winner]
    winning_value = float(result.values[result.winner, 0])
    values: dict[str, Value] = {
        "samples": samples,
        "winning_value": winning_value,
        "trial": str(winner["trial_id"]),
    }
    best = (
        f"The best configuration of {plural(samples, 'sample')} by {objective.name} is "
        f"{settings_text(study, winner)}."
    )
    optimistic = (
        f"The {objective.text(winning_value)} with which it won is the best of many, and so optimistic."
    )
    score = result.scores[0]
    if score is None:
        why = "no trial with a fresh seed has a value" if fresh else "it has yet to run on fresh seeds"
        text = f"{best} It has no score: {why}. {optimistic}"
        return Finding(kind="verdict", text=text, values=values, n=0)
    scores = [
        f"{objective.name} {objective.score_text(mean)}"
        for objective, mean in zip(result.objectives, result.scores, strict=True)
        if mean is not None
    ]
    text = f"{best} Its score on fresh seeds: {'; '.join(scores)}. {optimistic}"
    collapsed = int((result.fresh["outcome"] == Outcome.COLLAPSED).sum())
    if collapsed:
        text += f" It collapsed in {collapsed} of {plural(fresh, 'fresh seed')}."
    if fresh > score.n:
        text += f" {fresh - score.n} of {plural(fresh, 'fresh seed')} ended without a value."
    values |= {"score": score.estimate, "seeds": score.n, "fresh_collapsed": collapsed}
    return Finding(kind="verdict", text=text, values=values, interval=score.interval, n=score.n)


def _front(result: SearchResult) -> Finding | None:
    if len(result.objectives) < 2 or result.winner is None:
        return None
    size, samples = int(result.front.sum()), len(result.samples)
    names = " and ".join(objective.name for objective in result.objectives)
    text = (
        f"By {names} together, {size} of {plural(samples, 'sample')} are not beaten by any other "
        f"(the Pareto front); the winner is the one of them with the best {result.objectives[0].name}."
    )
    return Finding(kind="front", text=text, values={"front": size, "samples": samples}, n=samples)


def _collapse(result: SearchResult) -> Finding | None:
    samples = judged(result.samples)
    if samples.empty:
        return None
    k = int((samples["outcome"] == Outcome.COLLAPSED).sum())
    text = (
        f"The representation collapsed in {k} of {plural(len(samples), 'sample')}. This is a description "
        "without an interval: samples of a search are not a design."
    )
    return Finding(kind="collapse", text=text, values={"k": k, "n": len(samples)}, n=len(samples))


def _unfinished(result: SearchResult) -> Finding | None:
    planned = int(result.section.get("trials") or 0)
    remaining = planned - len(result.samples)
    if remaining <= 0 or len(result.fresh):  # a repeated configuration is one trial, however often drawn
        return None
    text = f"Not finished: {remaining} of {plural(planned, 'sample')} still to be drawn."
    return Finding(kind="missing", text=text, values={"remaining": remaining}, n=remaining, caveat=True)
