"""Feeds a logger in a thread of its own, so that a sweep neither waits for it nor ends because of it."""

import queue
import threading
from collections.abc import Callable, Mapping

from byol.config import Scalar
from byol.errors import shortened
from sweeps.errors import one_line
from sweeps.loggers.run import Logger, Run
from sweeps.record.rows import AT_THE_END, METRICS, Ending, EndReason, Measurement, TrialState
from sweeps.record.tables import OWN_PREFIX
from sweeps.study.designs import Trial

PATIENCE_SECONDS = 120.0
"""How long the end of a sweep waits for what has not been sent."""
_INTERRUPTED = Ending(state=TrialState.WAITING, end_reason=EndReason.INTERRUPTED)
_NUMBERS = tuple(name for name in (*METRICS, *AT_THE_END) if name != "step")


class Feed:
    """Passes the events of trials to one logger. `Tracker` calls it, after the ledger has them."""

    def __init__(
        self, name: str, logger: Logger, sweep: Mapping[str, Scalar], warn: Callable[[str], None]
    ) -> None:
        """Starts the thread, which alone uses the logger from now on.

        Args:
            name: as in --log.
            logger: where to log.
            sweep: what all runs are told of the sweep, see `Run.sweep`.
            warn: shows a line, from any thread.
        """
        self._name = name
        self._logger = logger
        self._sweep = sweep
        self._warn = warn
        self._events: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._runs: dict[str, Run] = {}
        """Trial -> its run, while that is open."""
        self._last_steps: dict[str, int] = {}
        """Trial -> the last step that its run has; -1 if none."""
        self._thread = threading.Thread(target=self._work, name="byol-sweeps-logger", daemon=True)
        self._thread.start()

    def started(self, trial: Trial) -> None:
        """Opens the run of a trial that has started. One that has started again goes on in its run."""
        self._put(lambda: self._start(trial))

    def measured(self, trial_id: str, measurement: Measurement) -> None:
        """Logs a measurement. A step that the run has already, as after a restart, is left as it is."""
        values = {name: getattr(measurement, name) for name in _NUMBERS}
        values |= {f"{OWN_PREFIX}{name}": value for name, value in measurement.own.items()}
        numbers = {name: float(value) for name, value in values.items() if value is not None}
        self._put(lambda: self._log(trial_id, measurement.step, numbers))

    def ended(self, trial_id: str, ending: Ending) -> None:
        """Closes the run of a trial that has ended, or that waits to be tried again."""
        self._put(lambda: self._end(trial_id, ending))

    def close(self) -> None:
        """Closes the runs of trials that are still running as interrupted, and waits until all is sent."""
        self._put(self._interrupt)
        self._put(None)
        self._thread.join(PATIENCE_SECONDS)
        if self._thread.is_alive():
            late = f"not all was sent in the {PATIENCE_SECONDS:g} s that a sweep waits for it"
            self._warn(f"--log {self._name}: {late}; the tables have it all")

    def _put(self, event: Callable[[], None] | None) -> None:
        if self._thread.is_alive():
            self._events.put(event)

    def _work(self) -> None:
        try:
            while (event := self._events.get()) is not None:
                event()
        except Exception as error:  # whatever it is, it is about a copy
            reason = shortened(f"{type(error).__name__}: {one_line(error)}", 300)
            self._warn(f"--log {self._name}: {reason}; nothing more is logged there, and the sweep goes on")

    def _start(self, trial: Trial) -> None:
        if trial.trial_id not in self._runs:
            run = Run(trial=trial, sweep=self._sweep)
            self._last_steps[trial.trial_id] = self._logger.start(run)
            self._runs[trial.trial_id] = run

    def _log(self, trial_id: str, step: int, numbers: Mapping[str, float]) -> None:
        if step > self._last_steps[trial_id]:
            self._logger.log(self._runs[trial_id], step, numbers)
            self._last_steps[trial_id] = step

    def _end(self, trial_id: str, ending: Ending) -> None:
        self._logger.end(self._runs.pop(trial_id), ending)

    def _interrupt(self) -> None:
        for trial_id in list(self._runs):
            self._end(trial_id, _INTERRUPTED)
