"""A small study, and one Ray for all tests of a module that need it."""

from collections.abc import Iterator

import pytest

from sweeps.study import Resources, Study, study_from_text

SMALL = """
name: small
question: Does it run?
reference: {dataset: fashion-mnist-8k, steps: 20, eval_every: 5}
factors:
  encoder_norm: [batch, group]
  heads:
    batch: {projector_norm: batch, predictor_norm: batch}
    none: {projector_norm: none, predictor_norm: none}
seeds: 2
"""


@pytest.fixture
def small() -> Study:
    """Two factors of two levels each, two seeds: 8 trials of 5 measurements."""
    return study_from_text(SMALL, "small.yaml")


@pytest.fixture(scope="module")
def one_ray() -> Iterator[None]:
    """Starts Ray once for all tests of a module."""
    from sweeps import engine

    with engine.connected(None, Resources()):
        yield
