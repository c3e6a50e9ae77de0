"""Runs sweeps: turns a study into trials, and their results into tables."""

__version__ = "0.2.0"
