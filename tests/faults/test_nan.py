"""A loss that becomes NaN is a result: it is recorded, reported, and survives a resume."""

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet as pq
import pytest

import run_sweep
from sweeps import files
from tests.faults.injected import SAME
from tests.faults.real import STUDY, tables
from tests.faults.simulated_sweep import run_simulated


@pytest.mark.timeout(120)
def test_nan_in_the_loss(
    tmp_path: Path, injected: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.api.report", lambda results: "<html>the report</html>")
    run_simulated(STUDY, tmp_path / "whole")
    for trials in (1, 4):
        out = tmp_path / str(trials)
        run_simulated(STUDY, out, trials=trials)
        run_simulated(STUDY, out)
        assert tables(out) == tables(tmp_path / "whole")
        injected("nan", SAME)
    rows = pq.read_table(tmp_path / "whole" / files.TRIALS).to_pylist()
    diverged = [row for row in rows if row["end_reason"] == "diverged"]
    assert len(diverged) == 2
    assert run_sweep.main(["report", str(tmp_path / "whole")]) == 0
    text = (tmp_path / "whole" / files.FINDINGS_DATA).read_text()
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
