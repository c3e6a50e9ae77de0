"""Copies of the measurements for TensorBoard, MLflow and Weights & Biases: `run --log`.

The ledger stays the record. These are for people who watch many projects in one place: each trial is a run of
its own that says what it is and how it ended. All of it happens in the driver's process, so the packages are
needed on the driver's machine alone. See docs/trackers.md.
"""
