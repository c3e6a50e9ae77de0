"""What can be asked of a sweep's directory without running anything."""

from pathlib import Path

import pytest

import run_sweep
from sweeps import files
from sweeps.errors import DirectoryError
from sweeps.inspect import refresh_tables, status
from sweeps.record import directory, result_digests
from sweeps.record.refresh import renew
from sweeps.study import Study
from tests.sweeps.conftest import SMALL, plan_sweep
from tests.sweeps.record.test_ledger import measurement
from tests.sweeps.record.test_refresh import damaged, steps


def test_status_of_a_directory_without_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"holds no sweep \(no ledger\.sqlite\)"):
        status(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.timeout(60)
def test_a_report_leaves_the_tables_to_the_driver_at_work(tmp_path: Path, small: Study) -> None:
    """So `verify` knows them all, also if the driver is killed before it writes them again."""
    out, trial_id = tmp_path / "out", small.trials()[0].trial_id
    with plan_sweep(out, small) as ledger, directory.driver_lock(out):
        (out / files.STUDY).write_text(SMALL)
        ledger.append(trial_id, ledger.start(trial_id), measurement(0))
        renew(ledger, out)
        before = result_digests.of_tables(out)
        ledger.append(trial_id, 1, measurement(5))
        assert run_sweep.main(["report", str(out), "--to", str(tmp_path / "x.html")]) == 0
        assert result_digests.of_tables(out) == before
        ledger.append(trial_id, 1, measurement(10))
    assert damaged(out) == []
    refresh_tables(out)
    assert steps(out) == [0, 5, 10]


def test_a_report_writes_tables_that_no_driver_has_written_yet(tmp_path: Path, small: Study) -> None:
    trial_id = small.trials()[0].trial_id
    with plan_sweep(tmp_path, small) as ledger, directory.driver_lock(tmp_path):
        ledger.append(trial_id, ledger.start(trial_id), measurement(0))
        refresh_tables(tmp_path)
        assert steps(tmp_path) == [0]
