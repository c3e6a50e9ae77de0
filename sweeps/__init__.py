"""Runs sweeps: turns a study into trials, and their results into tables.

To read it, start with sweep.py; then study/, engine/ and record/. `sweeps.run.run` is the way in from Python.
"""

__version__ = "0.2.0"
