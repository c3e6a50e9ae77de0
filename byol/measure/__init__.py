"""What is measured of a learner, and what the numbers mean.

Read first: metrics.py (what each number is) and collapse.py (the rule that judges a trial; imports no torch).
measurer.py measures a learner while it trains; knn.py and probe.py are the accuracies of its frozen features,
baselines.py those without any encoder.
"""
