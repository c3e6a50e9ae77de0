"""Whether a sweep whose seeds run one after the other needs another: judged as in its report."""

from pathlib import Path


def settled(out: Path) -> bool:
    """Whether the tables in `out` settle the verdict, or no more seeds are to run.

    Deterministic: the same tables give the same answer on every machine and after every interruption.
    """
    # They import scipy and pandas, which only such a sweep needs.
    from analysis.load import load_results
    from analysis.verdict.stopping import reason_to_stop

    (study,) = load_results([out]).studies
    return reason_to_stop(study) is not None
