"""Hands planned packs to Ray Tune one by one, and tells it which is next, at a cost that does not grow.

A pack is one trial of Ray Tune.
"""

from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.experiment import Trial
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher


class FirstWaiting(FIFOScheduler):  # type: ignore[misc]
    """Runs trials in the order in which they come, as Tune's own does.

    That one looks for the first trial that waits among all trials, at every event: of 10,000 trials the last
    took twice as long as the first.
    """

    def __init__(self) -> None:
        """Knows no trial yet."""
        super().__init__()
        self._waiting: deque[Trial] = deque()

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles schedulers for a restore that never happens.
        return {}

    def on_trial_add(self, tune_controller: Any, trial: Trial) -> None:
        """Takes a trial that is new, or starts again."""
        self._waiting.append(trial)

    def choose_trial_to_run(self, tune_controller: Any) -> Trial | None:
        """The first trial that waits; None if none does."""
        while self._waiting and self._waiting[0].status != Trial.PENDING:
            self._waiting.popleft()
        return self._waiting[0] if self._waiting else None


class InOrder(Searcher):  # type: ignore[misc]
    """Suggests the packs of a plan in their order.

    A grid would do the same, but Tune builds all trials of a grid before it starts the first.
    """

    def __init__(self, packs: Sequence[Sequence[Mapping[str, Any]]]) -> None:
        """Takes the trials of each pack: what Ray's configuration has under "pack"."""
        super().__init__()
        self._next = iter(packs)

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles searchers for a restore that never happens.
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Does nothing: the ledger is the state."""

    def suggest(self, trial_id: str) -> Any:
        """Returns the next pack as Ray's configuration of its trial `trial_id`, or Searcher.FINISHED."""
        pack = next(self._next, None)
        return Searcher.FINISHED if pack is None else {"pack": pack}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Does nothing: the plan does not depend on results."""
