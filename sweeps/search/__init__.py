"""Searches with Optuna through Ray Tune: the searcher, the pruner, and how a search runs."""

import sweeps.engine  # noqa: F401 - must be the first to import Ray
