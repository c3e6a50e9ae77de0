"""A made-up sweep, written once."""

from pathlib import Path

import pytest

from analysis.load import load_results
from analysis.results import StudyResults
from tests.analysis.tables import write_sweep


@pytest.fixture(scope="session")
def sweep(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a whole 2x2x2x2 sweep with three seeds."""
    return write_sweep(tmp_path_factory.mktemp("sweeps") / "whole")


@pytest.fixture(scope="session")
def study(sweep: Path) -> StudyResults:
    """Its results."""
    return load_results([sweep]).studies[0]
