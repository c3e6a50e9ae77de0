"""Sentences, each built from its numbers."""

from analysis.findings.finding import Finding
from analysis.findings.study import Findings, findings, study_findings

__all__ = ["Finding", "Findings", "findings", "study_findings"]
