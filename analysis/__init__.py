"""From result tables to findings, figures and one HTML report. Reads tables only.

Read in this order: results.py and load.py (what the tables become), outcomes.py and cells.py (what became of
each trial and cell), verdict/ (what keeps the representation from collapsing, in numbers), findings/ (the
sentences), page/report.py (the report). stats.py holds the statistics, figures/ one module per view.

api.py has the functions for notebooks and scripts. Nothing is imported here, for the engine takes a few words
from this package and needs no pandas for that.
"""
