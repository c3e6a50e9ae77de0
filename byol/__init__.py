"""The learner: BYOL, its relatives and their ablations, as points in one space of configurations.

Read first: train.py (the loop of one trial), learner.py (one step), config.py (every choice there is) and
measure/collapse.py (when a trial counts as collapsed). The package knows nothing of sweeps, Ray or reports.
"""
