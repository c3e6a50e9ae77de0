"""What keeps the network from collapsing, in numbers: arrays and cells in, frozen dataclasses out.

Read verdict.py first: it says which case a study is. rules.py lists the candidate answers, search.py finds
the best and tests it. The sentences about it are in analysis/findings.
"""

from analysis.verdict.decide import Outlook
from analysis.verdict.neighbours import Removals, changed_in_one_factor, removals
from analysis.verdict.rules import Component, Rule
from analysis.verdict.search import LEVEL, Search, Side
from analysis.verdict.seeds import seeds_with_collapse
from analysis.verdict.verdict import Case, StudyVerdict, Verdict, study_verdict

__all__ = [
    "LEVEL",
    "Case",
    "Component",
    "Outlook",
    "Removals",
    "Rule",
    "Search",
    "Side",
    "StudyVerdict",
    "Verdict",
    "changed_in_one_factor",
    "removals",
    "seeds_with_collapse",
    "study_verdict",
]
