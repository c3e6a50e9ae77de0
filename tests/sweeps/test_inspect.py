"""What can be asked of a sweep's directory without running anything."""

from pathlib import Path

import pytest

from sweeps.errors import DirectoryError
from sweeps.inspect import status


def test_status_of_a_directory_without_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"holds no sweep \(no ledger\.sqlite\)"):
        status(tmp_path)
    assert list(tmp_path.iterdir()) == []
