"""What keeps the representation from collapsing, in numbers: arrays and cells in, frozen dataclasses out.

Read verdict.py first: it says which case a study is. The sentences about it are in analysis/findings.
"""

from analysis.verdict.neighbours import Removals, changed_in_one_factor, removals
from analysis.verdict.seeds import seeds_with_collapse
from analysis.verdict.sufficient import Sufficient, sufficient_sets
from analysis.verdict.verdict import Case, Evidence, Verdict, evidence_for, study_verdict

__all__ = [
    "Case",
    "Evidence",
    "Removals",
    "Sufficient",
    "Verdict",
    "changed_in_one_factor",
    "evidence_for",
    "removals",
    "seeds_with_collapse",
    "study_verdict",
    "sufficient_sets",
]
