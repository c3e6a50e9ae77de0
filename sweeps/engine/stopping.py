"""Ends a run of Ray Tune: the running trials are told to save their states, and have some time for it."""

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ray import tune

from byol.errors import plural
from sweeps.beside import beside
from sweeps.engine import heartbeat
from sweeps.engine.runtime import Interruption
from sweeps.tracker import Tracker

SAVE_SECONDS = 30.0
"""Most seconds that the running trials have to save their states."""
_LOOK_SECONDS = 0.2
_ANSWER_SECONDS = 5.0
"""Most seconds that Ray's control service has to answer."""


class Stopping(tune.Stopper):  # type: ignore[misc]
    """Polled by Ray Tune, whose run goes on until it returns True: measurements on their way are recorded."""

    def __init__(
        self,
        interruption: Interruption,
        tracker: Tracker,
        run: str,
        *,
        saves: bool = True,
        has_saved: Callable[[str, str], bool] = heartbeat.has_saved,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ends the run with this token when `interruption` requests it.

        Args:
            interruption: requests the end, and learns when trials are cut off.
            tracker: knows which trials run, and shows what happens.
            run: the token of the run.
            saves: whether the trials save checkpoints.
            has_saved: whether a trial of a run has saved its state.
            now: the clock, in seconds.
        """
        self._interruption, self._tracker, self._run = interruption, tracker, run
        self._saves, self._has_saved, self._now = saves, has_saved, now
        self._until: float | None = None
        self._look_at = 0.0
        self._saved: set[str] = set()
        self._is_over = False
        self._answers = True
        """Whether Ray's control service has answered so far."""

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles stoppers for a restore that never happens; the ledger cannot be pickled.
        return {}

    @contextlib.contextmanager
    def in_run(self) -> Iterator[None]:
        """While it lasts trials may be running, so that a second Ctrl-C ends them without an error."""
        self._interruption.in_run = True
        try:
            yield
        finally:
            self._interruption.in_run = False

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        """Returns False: it never stops a single trial."""
        return False

    def stop_all(self) -> bool:
        """Whether all trials are now cut off."""
        if self._is_over or not self._interruption.stop_all():
            return self._is_over
        if not self._interruption.at_once:
            if self._until is None:
                self._begin()
            self._look()
        if self._interruption.at_once:
            self._end()
        return self._is_over

    def _begin(self) -> None:
        self._until = self._now() + SAVE_SECONDS
        trials = _trials(len(self._tracker.running))
        if self._saves and self._tracker.running:
            limit = f"for at most {SAVE_SECONDS:.0f} s; Ctrl-C again ends it at once"
            self._tracker.note(f"stopping: saving {trials}, {limit}")
            self._ask(lambda: heartbeat.tell_all_to_end(self._run))
        else:
            self._interruption.at_once = True
            why = "" if self._saves else ", and without checkpoints nothing is saved"
            self._tracker.note(f"stopping: {trials}{why}")

    def _look(self) -> None:
        """Cuts the trials off if all have saved their states, or have had the time to."""
        assert self._until is not None
        now = self._now()
        if now < self._look_at:
            return
        self._look_at = now + _LOOK_SECONDS
        unsaved = [*self._unsaved()]
        self._ask(lambda: self._saved.update(trial for trial in unsaved if self._has_saved(self._run, trial)))
        self._interruption.at_once |= now >= self._until or not self._unsaved()

    def _ask(self, call: Callable[[], None]) -> None:
        """Calls Ray's control service. If a signal to all processes has ended it, nothing can be saved."""
        try:
            beside(call).result(_ANSWER_SECONDS)
        except TimeoutError:
            self._interruption.at_once, self._answers = True, False

    def _end(self) -> None:
        self._is_over = True  # Ray Tune ends all trials as soon as this is returned, and starts no other
        if self._until is not None and self._saves and self._answers:
            self._ask(lambda: heartbeat.tell_run_is_over(self._run))
        if self._until is None or not self._saves or not self._tracker.running:
            return
        unsaved = self._unsaved()
        if not unsaved:
            self._tracker.note(f"saved {_trials(len(self._saved))}")
            return
        done = f"saved {len(self._saved)} of {_trials(len(self._tracker.running))}"
        names = "; ".join(unsaved.values())
        self._tracker.note(f"{done}; what these did since their last checkpoints is lost: {names}")

    def _unsaved(self) -> dict[str, str]:
        """Id of a running trial that has not saved its state -> its name."""
        return {trial: name for trial, name in self._tracker.running.items() if trial not in self._saved}


def _trials(count: int) -> str:
    return plural(count, "running trial") if count else "no trial is running"
