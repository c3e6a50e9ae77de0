"""Keeps a sweep's tables up to date while trials run, at a cost that stays small however they grow."""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

from sweeps import files
from sweeps.record import result_digests
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Fact
from sweeps.record.tables import tables_written

EVERY_SECONDS = 30.0
"""Least seconds between two refreshes."""
SHARE = 0.02
"""Largest share of the time that refreshes take: of a sweep with many rows they come less often."""


def renew(ledger: Ledger, out: Path) -> None:
    """Writes the tables in `out` again. `verify` tells damage from age by their digests in the ledger.

    The ledger has them before a table takes its place, and those of the tables before: whenever a driver
    is killed, all that it leaves is known.
    """
    known = result_digests.written_tables(ledger.facts().get(Fact.TABLES))
    present = result_digests.of_tables(out)
    before = {name: sha for name, sha in present.items() if sha in [each.get(name) for each in known]}
    with tables_written(ledger, out) as partials:
        new = {name: result_digests.digest(partials[name]) for name in result_digests.TABLES}
        ledger.set_fact(Fact.TABLES, result_digests.tables_text(new, before))


class TableRefresh:
    """Renews the tables in a thread of its own, which reads the ledger through its own connection."""

    def __init__(self, out: Path, *, every: float = EVERY_SECONDS) -> None:
        """Renews the tables in `out`, at most every `every` seconds."""
        self._out, self._every = out, every
        self._writing = threading.Lock()
        self._stopped = threading.Event()
        self._ledger: Ledger | None = None
        self._seen: int | None = None
        """The version of the ledger that the tables have at least."""

    def renew(self, ledger: Ledger) -> None:
        """Writes the tables now, in this thread."""
        with self._writing:
            renew(ledger, self._out)

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Renews the tables at intervals until the block ends. One that is being made then is left."""
        thread = threading.Thread(target=self._repeat, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stopped.set()
            while thread.is_alive():  # it may not have begun to read when it is told
                if self._ledger is not None:
                    with contextlib.suppress(sqlite3.ProgrammingError):  # it is closed
                        self._ledger.stop_reading()
                thread.join(0.1)

    def _repeat(self) -> None:
        pause = self._every
        with contextlib.ExitStack() as opened:
            while not self._stopped.wait(pause):
                began = time.monotonic()
                # A full disk, a damaged ledger, whatever it is: the driver meets it, too, and says so.
                with contextlib.suppress(Exception):
                    if self._ledger is None:
                        self._ledger = opened.enter_context(Ledger(self._out / files.LEDGER))
                    self._renew_if_changed(self._ledger)
                pause = max(self._every, (time.monotonic() - began) / SHARE)

    def _renew_if_changed(self, ledger: Ledger) -> None:
        with self._writing:
            version = ledger.version()  # before the tables: what is recorded meanwhile is for the next time
            if version != self._seen:
                renew(ledger, self._out)
                self._seen = version
