"""Why a study whose seeds run one after the other ended where it did."""

from analysis.findings.finding import Finding
from analysis.results import SeedSequence, StudyResults
from analysis.verdict.stopping import Stop, reason_to_stop
from analysis.wording import plural


def sequence_finding(study: StudyResults) -> Finding | None:
    """What was planned, where it ended and why; None where the number of seeds was fixed."""
    sequence, seeds = study.sequence, len(study.seeds)
    if sequence is None:
        return None
    stop, looks = reason_to_stop(study), sequence.most - sequence.least + 1
    text = (
        f"{_ended(sequence, seeds, stop)} The p and the intervals of the verdict allow for all {looks} looks "
        "that were planned; everything else is computed as if the number of seeds had been fixed."
    )
    values = {"min": sequence.least, "max": sequence.most, "seeds": seeds, "looks": looks}
    stopped = stop.value if stop is not None else None
    return Finding(kind="sequence", text=text, values={**values, "stopped": stopped}, n=seeds)


def _ended(sequence: SeedSequence, seeds: int, stop: Stop | None) -> str:
    of = f"after {seeds} of at most {plural(sequence.most, 'seed')}"
    match stop:
        case Stop.SETTLED:
            return f"Stopped {of}, because a rule passes for the representation."
        case Stop.MOST:
            return f"Stopped {of}, because these are all; no rule passes for the representation."
        case Stop.ALL_FAILED:
            return f"Stopped {of}, because no trial came to a result."
        case Stop.HOPELESS:
            return f"Stopped {of}, because no outcome of the seeds to come could let a rule pass."
    return f"Not ended {of}: the verdict is looked at after every seed from the {_th(sequence.least)} on."


def _th(number: int) -> str:
    return {2: "second", 3: "third"}.get(number, f"{number}th")
