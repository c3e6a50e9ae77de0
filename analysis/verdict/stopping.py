"""When a study whose seeds run one after the other has an answer, and needs no more of them."""

from enum import StrEnum, auto

from analysis.cells import cells_of, collapse_by_seed
from analysis.outcomes import TO_COME
from analysis.results import StudyResults
from analysis.verdict.sequence import can_pass
from analysis.verdict.verdict import Case, study_verdict


class Stop(StrEnum):
    """Why no more seeds are run. The first that applies."""

    SETTLED = auto()
    """A rule passes for the representation."""
    MOST = auto()
    """All seeds have run."""
    ALL_FAILED = auto()
    """No trial came to a result, so more of them hardly would."""
    HOPELESS = auto()
    """No outcome of the seeds to come could let a rule pass: they have too few trials."""


def reason_to_stop(study: StudyResults) -> Stop | None:
    """Why a sequence ends with the seeds at hand; None if it goes on, or if trials of them are to come.

    The representation decides. The projection is judged at the same looks, and the sequence does not wait
    for it. Where nothing collapsed, or everything did, no rule passes, and seeds are run as long as one still
    could: few seeds never prove that something does not collapse.
    """
    sequence, seeds = study.sequence, len(study.seeds)
    to_come = study.trials["outcome"].isin(TO_COME)
    if sequence is None or seeds < sequence.least or to_come.any():
        return None
    verdict = study_verdict(study).representation
    cells = cells_of(study)
    if verdict.passes or verdict.case is Case.CONFOUNDED:
        return Stop.SETTLED
    if seeds >= sequence.most:
        return Stop.MOST
    if verdict.case is Case.ALL_FAILED:
        return Stop.ALL_FAILED
    possible = can_pass(len(cells), collapse_by_seed(cells, study.seeds), sequence)
    return None if possible else Stop.HOPELESS
