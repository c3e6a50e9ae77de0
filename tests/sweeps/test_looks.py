"""A sweep whose seeds run until the verdict is settled: where it stops, and how it resumes. Without Ray."""

import contextlib
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sweeps.errors import DirectoryError
from sweeps.inspect import status
from sweeps.options import RunOutcome
from sweeps.record.rows import Ending, EndReason, TrialState
from sweeps.simulated import TRAINER
from sweeps.study import Study, study_from_text
from sweeps.study.designs import Trial
from sweeps.sweep import Sweep
from tests.sweeps.conftest import SMALL

SEQUENCE = SMALL.replace("seeds: 2", "seeds: {min: 3, max: 8, until: decided}")


class FakeDriver:
    """Ends trials at once: without batch statistics in the encoder they collapse. Stops after `limit`."""

    def __init__(self, sweep: Sweep, interruption: Any, *, limit: int, collapses: bool) -> None:
        self.sweep, self.interruption, self.limit, self.collapses = sweep, interruption, limit, collapses

    def run(self, trials: Sequence[Trial], **options: Any) -> None:
        ledger = self.sweep.ledger
        for trial in trials:
            if not self.limit:
                self.interruption.request()
                return
            collapsed = self.collapses and trial.labels["encoder_norm"] == "group"
            ending = Ending(
                state=TrialState.COMPLETE,
                end_reason=EndReason.FINISHED,
                collapsed=collapsed,
                projection_collapsed=False,
            )
            ledger.end(trial.trial_id, ledger.start(trial.trial_id), ending)
            self.limit -= 1


def execute(
    out: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    text: str = SEQUENCE,
    limit: int = 99,
    collapses: bool = True,
) -> RunOutcome:
    from sweeps.engine import runtime

    @contextlib.contextmanager
    def connected(*arguments: Any) -> Iterator[dict[str, float]]:
        yield {"CPU": 2.0}

    def driver(sweep: Sweep, interruption: Any) -> FakeDriver:
        return FakeDriver(sweep, interruption, limit=limit, collapses=collapses)

    monkeypatch.setattr(runtime, "connected", connected)
    monkeypatch.setattr(Sweep, "_driver", driver)
    with Sweep.open(study_from_text(text, "f"), out, trainer=TRAINER, stream=io.StringIO()) as sweep:
        if not sweep.is_complete:
            sweep.execute()
        return sweep.finish()


def begun(out: Path) -> tuple[int, int]:
    """Seeds in the table of trials, and in study.yaml."""
    seeds = pq.read_table(out / "trials.parquet", columns=["seed"])["seed"].to_pylist()
    study: Study = study_from_text((out / "study.yaml").read_text(), "f")
    return len(set(seeds)), len(study.seeds)


@pytest.mark.timeout(120)  # the first to import Ray
def test_a_sequence_stops_where_the_verdict_is_settled_and_stays_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Of 216 arrangements of three seeds two are as clear, so p is .0093, which is above .05 / 6; of four
    # seeds, 2 of 1,296.
    outcome = execute(tmp_path, monkeypatch)
    assert (outcome.ran, outcome.interrupted, outcome.counts["complete"]) == (True, False, 16)
    assert begun(tmp_path) == (4, 4)
    again = execute(tmp_path, monkeypatch)
    assert (again.ran, again.counts["planned"]) == (False, 16)
    assert begun(tmp_path) == (4, 4)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("limit", [5, 12, 14, 16])
def test_an_interrupted_sequence_comes_to_the_same_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    """Within the first seeds, between the looks, within the added seed, and when all is done."""
    execute(tmp_path, monkeypatch, limit=limit)
    assert status(tmp_path)["complete"] == limit
    outcome = execute(tmp_path, monkeypatch)
    assert (outcome.interrupted, outcome.counts["complete"], begun(tmp_path)) == (False, 16, (4, 4))
    attempts = pq.read_table(tmp_path / "trials.parquet", columns=["attempt"])["attempt"].to_pylist()
    assert set(attempts) == {1}


@pytest.mark.timeout(60)
def test_without_collapse_seeds_run_until_none_can_help_and_the_looks_may_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = execute(tmp_path, monkeypatch, collapses=False)
    # After the seventh of eight seeds: the last has 6 arrangements, and no p of .05.
    assert (outcome.counts["complete"], begun(tmp_path)) == (28, (7, 7))
    for changed in ("{min: 3, max: 9, until: decided}", "6"):
        text = SMALL.replace("seeds: 2", f"seeds: {changed}")
        with pytest.raises(
            DirectoryError, match=r"with seeds: \{min: 3, max: 8, until: decided\}, which must"
        ):
            execute(tmp_path, monkeypatch, text=text)
