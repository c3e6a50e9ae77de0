"""What the results show, in sentences that carry their numbers.

Read study.py first: it puts the findings of a study in order. verdict.py has the first sentence, search.py
those of a search, caveats.py what limits the others.
"""

from analysis.findings.finding import Finding
from analysis.findings.study import Findings, findings, study_findings

__all__ = ["Finding", "Findings", "findings", "study_findings"]
