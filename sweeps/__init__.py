"""The engine: a study becomes trials, trials become tables."""

__version__ = "0.2.0"
