"""Hands planned trials to Ray Tune one by one."""

from collections.abc import Mapping, Sequence
from typing import Any

from ray.tune.search import Searcher


class InOrder(Searcher):  # type: ignore[misc]
    """Suggests the trials of a plan in their order.

    A grid would do the same, but Tune builds all trials of a grid before it starts the first.
    """

    def __init__(self, choices: Sequence[Mapping[str, Any]]) -> None:
        """Takes the value of "trial" in the configuration of each trial."""
        super().__init__()
        self._next = iter(choices)

    def __getstate__(self) -> dict[str, Any]:
        # Ray pickles searchers for a restore that never happens.
        return {}

    def save_to_dir(self, checkpoint_dir: str, session_str: str = "default") -> None:
        """Does nothing: the ledger is the state."""

    def suggest(self, trial_id: str) -> Any:
        """Returns the next trial as Ray's configuration of its trial `trial_id`, or Searcher.FINISHED."""
        choice = next(self._next, None)
        return Searcher.FINISHED if choice is None else {"trial": choice}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        """Does nothing: the plan does not depend on results."""
