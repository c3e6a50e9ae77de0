"""The report: one HTML page. Read report.py first, then sections.py, which puts the parts in order."""
