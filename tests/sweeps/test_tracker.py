"""What the ledger says after each event of a running sweep."""

import dataclasses
import io
from collections.abc import Iterator
from pathlib import Path

import pytest

from byol.measure.collapse import CollapseRule
from sweeps.progress import Display
from sweeps.record.ledger import Ledger
from sweeps.record.rows import EndReason, TrialRow, TrialState
from sweeps.study import Study
from sweeps.tracker import OUT_OF_MEMORY_ADVICE, Tracker
from tests.sweeps.record.test_ledger import measurement


@pytest.fixture
def ledger(tmp_path: Path, small: Study) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as new_ledger:
        new_ledger.plan((trial, 20) for trial in small.trials())
        yield new_ledger


@pytest.fixture
def tracker(ledger: Ledger, small: Study) -> Tracker:
    return Tracker(ledger, Display(io.StringIO()), small.trials(), rule=CollapseRule())


def row(ledger: Ledger, trial_id: str) -> TrialRow:
    trial_row = ledger.trial(trial_id)
    assert trial_row is not None
    return trial_row


def test_a_trial_that_runs_out_of_memory_waits_with_that_reason(
    ledger: Ledger, tracker: Tracker, small: Study
) -> None:
    trial, other, *_ = small.trials()
    tracker.started(trial.trial_id)
    tracker.started(other.trial_id)
    tracker.failed(trial.trial_id, "OutOfMemoryError: no\nroom", "all of it", out_of_memory=True)
    waiting = row(ledger, trial.trial_id)
    assert (waiting.state, waiting.end_reason) == (TrialState.WAITING, EndReason.OUT_OF_MEMORY)
    assert (waiting.error, waiting.attempt) == ("OutOfMemoryError: no room", 1)
    assert tracker.to_retry_alone() == [trial]
    assert ledger.pending(retry_failed=False)[0] == trial.trial_id, "a later driver retries it, too"
    ledger.interrupt()
    assert row(ledger, other.trial_id).end_reason == EndReason.INTERRUPTED
    counts = ledger.counts()
    assert (counts["interrupted"], counts["waiting"], counts["failed"]) == (1, 7, 0)


def test_a_trial_retried_alone_finishes_or_fails_with_advice(
    ledger: Ledger, tracker: Tracker, small: Study
) -> None:
    first, second, *_ = small.trials()
    for trial in (first, second):
        tracker.started(trial.trial_id)
        tracker.failed(trial.trial_id, "OutOfMemoryError: no", "all of it", out_of_memory=True)
    tracker.started(first.trial_id)
    tracker.measured(first.trial_id, measurement(20))
    tracker.returned(first.trial_id)
    assert row(ledger, first.trial_id).end_reason == EndReason.FINISHED
    assert row(ledger, first.trial_id).error is None
    tracker.started(second.trial_id)
    tracker.failed(second.trial_id, "OutOfMemoryError: no", "all of it", out_of_memory=True)
    failed = row(ledger, second.trial_id)
    assert (failed.state, failed.end_reason) == (TrialState.FAIL, EndReason.ERROR)
    assert failed.error == f"OutOfMemoryError: no; {OUT_OF_MEMORY_ADVICE}"
    assert tracker.to_retry_alone() == []


def test_a_trial_whose_processes_died_at_once_is_tried_again_and_then_fails(
    ledger: Ledger, tracker: Tracker, small: Study
) -> None:
    first, second, *_ = small.trials()
    for trial in (first, second):
        tracker.started(trial.trial_id)
        tracker.lost(trial.trial_id, "the process of the trial died 4 times", "all of it")
    waiting = row(ledger, first.trial_id)
    assert (waiting.state, waiting.end_reason) == (TrialState.WAITING, EndReason.INTERRUPTED)
    assert not waiting.has_ended
    assert tracker.to_try_again() == [first, second]
    assert tracker.snapshot().failed == 0
    tracker.started(first.trial_id)
    tracker.measured(first.trial_id, measurement(20))
    tracker.returned(first.trial_id)
    assert row(ledger, first.trial_id).end_reason == EndReason.FINISHED
    tracker.started(second.trial_id)
    tracker.lost(second.trial_id, "the process of the trial died 4 times", "all of it")
    failed = row(ledger, second.trial_id)
    assert (failed.state, failed.end_reason) == (TrialState.FAIL, EndReason.ERROR)
    assert failed.error == "the process of the trial died 4 times"
    assert tracker.to_try_again() == []


def test_a_trial_that_left_its_pack_may_still_meet_a_node_that_dies(
    ledger: Ledger, tracker: Tracker, small: Study
) -> None:
    trial, *_ = small.trials()
    died = ("the process of the trial died 4 times", "all of it")
    tracker.started(trial.trial_id)
    tracker.lost(trial.trial_id, "OutOfMemoryError: no\nroom", "", in_pack=True)
    assert row(ledger, trial.trial_id).error == "OutOfMemoryError: no room"
    assert (tracker.to_try_again(), tracker.died_at_once()) == ([trial], False), "nothing to wait for"
    tracker.started(trial.trial_id)
    tracker.lost(trial.trial_id, *died)
    assert (tracker.to_try_again(), tracker.died_at_once()) == ([trial], True)
    tracker.started(trial.trial_id)
    tracker.lost(trial.trial_id, *died)
    assert row(ledger, trial.trial_id).end_reason == EndReason.ERROR


def test_what_runs_out_of_memory_also_without_its_pack_has_a_whole_gpu_next(
    ledger: Ledger, tracker: Tracker, small: Study
) -> None:
    trial, *_ = small.trials()
    tracker.started(trial.trial_id)
    tracker.lost(trial.trial_id, "OutOfMemoryError: no", "", in_pack=True)
    assert tracker.to_try_again() == [trial]
    tracker.started(trial.trial_id)
    tracker.failed(trial.trial_id, "OutOfMemoryError: no", "", out_of_memory=True)
    assert (tracker.to_try_again(), tracker.to_retry_alone()) == ([], [trial])


def test_what_is_left_is_shared_by_workers_and_not_by_the_trials_of_their_packs(
    ledger: Ledger, tracker: Tracker, small: Study
) -> None:
    """Eight trials of a second each, of their own turns, on two workers: four seconds."""
    tracker.in_packs(4)
    for trial in small.trials():
        tracker.started(trial.trial_id)
        tracker.measured(trial.trial_id, dataclasses.replace(measurement(10), wall_seconds=0.5))
    assert tracker.snapshot().seconds_left == pytest.approx(2.0)
    for trial in small.trials():
        tracker.measured(trial.trial_id, measurement(20))
        tracker.returned(trial.trial_id)
    tracker.in_packs(1)
    again = small.trials()[0].trial_id
    tracker.started(again)
    assert tracker._max_running == 1, "that of eight trials in two packs says nothing any more"


def test_training_that_ends_early_without_a_reason_is_a_failure(
    ledger: Ledger, tracker: Tracker, small: Study
) -> None:
    trial = small.trials()[0]
    tracker.started(trial.trial_id)
    tracker.measured(trial.trial_id, measurement(5))
    tracker.returned(trial.trial_id)
    assert row(ledger, trial.trial_id).error == "training ended at step 5 of 20 without a reason"
