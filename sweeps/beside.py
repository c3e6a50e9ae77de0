"""Work in a thread that holds up neither an error of what runs meanwhile nor the end of the process.

The threads of an executor do: the line that says what is wrong would come after the import of torch.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

_T = TypeVar("_T")
_NAME = "byol-sweeps-beside"


def beside(work: Callable[[], _T]) -> Future[_T]:
    """Does `work` in a thread; returns its result to come."""
    future: Future[_T] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=_NAME, daemon=True).start()
    return future


def is_at_work() -> bool:
    """Whether such a thread is still at work. While it uses torch, Python's orderly exit aborts it all."""
    return any(thread.name == _NAME for thread in threading.enumerate())
