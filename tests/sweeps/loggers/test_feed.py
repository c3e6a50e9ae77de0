"""A logger that is slow or broken costs the sweep nothing but its copy."""

import dataclasses
import threading
from collections.abc import Mapping

import pytest

from sweeps.loggers import feed as feeds
from sweeps.loggers.feed import Feed
from sweeps.loggers.run import Run, verdict
from sweeps.record.rows import Ending, EndReason, TrialState
from sweeps.study.designs import Trial
from tests.sweeps.record.test_ledger import measurement

FINISHED = Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=True, onset_step=5)
SWEEP = {"study": "small", "sweep": "abc123", "report": "/runs/a/report.html"}


class Written:
    """A logger that writes down what it is told, and has some steps of each run already."""

    def __init__(self, has: int = -1, breaks_at: int | None = None) -> None:
        self.events: list[tuple[object, ...]] = []
        self.has, self.breaks_at = has, breaks_at
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def start(self, run: Run) -> int:
        self.may_go_on.wait()
        self.events.append(("start", run.name))
        return self.has

    def log(self, run: Run, step: int, numbers: Mapping[str, float]) -> None:
        if step == self.breaks_at:
            raise ConnectionError("the server\nis gone")
        self.events.append(("log", step, numbers["loss"], sorted({"knn_accuracy", "lidar"} & set(numbers))))

    def end(self, run: Run, ending: Ending) -> None:
        self.events.append(("end", run.name, str(ending.end_reason)))


def fed(logger: Written, trial: Trial, *, end: bool = True) -> list[str]:
    """Feeds a trial of three measurements; returns the warnings."""
    warnings: list[str] = []
    feed = Feed("wandb", logger, SWEEP, warnings.append)
    feed.started(trial)
    for step in (0, 5, 10):
        feed.measured(trial.trial_id, measurement(step, knn_accuracy=None))
    if end:
        feed.ended(trial.trial_id, FINISHED)
    feed.close()
    return warnings


def test_events_arrive_in_order_without_what_is_unknown(healthy: Trial) -> None:
    logger = Written()
    assert fed(logger, healthy) == []
    name = "encoder_norm=batch, data=a/b|c, seed 7"
    assert logger.events == [
        ("start", name),
        *(("log", step, 0.5, []) for step in (0, 5, 10)),
        ("end", name, "finished"),
    ]


def test_metrics_of_the_users_own_have_the_names_of_their_columns(healthy: Trial) -> None:
    logged: dict[str, float] = {}

    class Numbers(Written):
        def log(self, run: Run, step: int, numbers: Mapping[str, float]) -> None:
            logged.update(numbers)

    feed = Feed("wandb", Numbers(), SWEEP, pytest.fail)
    feed.started(healthy)
    feed.measured(healthy.trial_id, dataclasses.replace(measurement(5), own={"loss": 2.0, "norm": 3.0}))
    feed.close()
    assert (logged["m_loss"], logged["m_norm"], logged["loss"]) == (2.0, 3.0, 0.5)


def test_steps_that_a_run_has_are_not_sent_again(healthy: Trial) -> None:
    logger = Written(has=5)
    fed(logger, healthy)
    assert [event[1] for event in logger.events if event[0] == "log"] == [10]


def test_what_still_runs_at_the_end_is_interrupted(healthy: Trial) -> None:
    logger = Written()
    fed(logger, healthy, end=False)
    assert logger.events[-1][2] == "interrupted"


def test_a_logger_that_breaks_is_said_once_and_left_alone(healthy: Trial) -> None:
    logger = Written(breaks_at=5)
    reason = "ConnectionError: the server is gone"
    assert fed(logger, healthy) == [
        f"--log wandb: {reason}; nothing more is logged there, and the sweep goes on"
    ]
    assert [event[0] for event in logger.events] == ["start", "log"]


def test_a_logger_that_hangs_is_not_waited_for_without_end(
    healthy: Trial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "PATIENCE_SECONDS", 0.1)
    logger = Written()
    logger.may_go_on.clear()
    [warning] = fed(logger, healthy)
    assert (
        warning
        == "--log wandb: not all was sent in the 0.1 s that a sweep waits for it; the tables have it all"
    )
    logger.may_go_on.set()


def test_a_run_says_what_it_is(healthy: Trial) -> None:
    run = Run(trial=healthy, sweep=SWEEP)
    assert run.facts == {
        **SWEEP,
        "cell": "encoder_norm=batch, data=a/b|c",
        "cell_id": healthy.cell_id,
        "trial_id": healthy.trial_id,
        "seed": 7,
    }
    assert run.run_id == f"{healthy.trial_id}-abc123"
    long = Trial(
        trial_id="t",
        cell_id="c1",
        seed=0,
        labels={f"factor{place}": "x" * 20 for place in range(9)},
        settings={},
    )
    assert len(Run(trial=long, sweep=SWEEP).cell) <= 128, "W&B's limit of a group"
    assert Run(trial=long, sweep=SWEEP).cell.endswith(" c1")


def test_the_verdict_in_words() -> None:
    assert verdict(None) == {
        "end_reason": "running",
        "collapsed": "unknown",
        "projection_collapsed": "unknown",
    }
    assert verdict(FINISHED) == {
        "end_reason": "finished",
        "collapsed": True,
        "projection_collapsed": "unknown",
        "onset_step": 5,
    }
