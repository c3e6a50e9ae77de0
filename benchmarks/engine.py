"""Simulated trials through Ray: what the engine itself costs, and whether that grows with their number.

    python -m benchmarks.engine TRIALS PACK FOLDER

runs so many trials that train nothing in a process of its own, PACK of them in one worker; the part `engine`
does that for several numbers and watches the ledger from outside.
"""

import io
import json
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from itertools import pairwise
from pathlib import Path

from benchmarks.report import Report, Table
from sweeps import files

MEASUREMENTS = 5
PACK = 8
"""Trials of a pack in the rows that have packs."""
_STUDY = """
name: engine
reference: {{steps: {steps}, eval_every: 1}}
factors:
  lr: [{rates}]
seeds: {seeds}
"""


def measure(*, long: bool = False, sizes: tuple[int, ...] = ()) -> Report:
    """Runs each number of trials once.

    Args:
        long: up to 10,000 trials.
        sizes: numbers of trials, multiples of 10; by default 100 and 1,000, and 4,000 and 10,000 if long. The
            largest runs again in packs.
    """
    sizes = sizes or ((100, 1_000, 4_000, 10_000) if long else (100, 1_000))
    rows, notes = [], []
    for trials, pack in [*((trials, 1) for trials in sizes), (sizes[-1], PACK)]:
        print(f"engine: {trials} trials in packs of {pack}", file=sys.stderr, flush=True)
        run = _Watched(trials, pack)
        rows.append(run.row())
        notes.append(f"{trials:,} trials in packs of {pack}: {run.tenths()}")
    setup = (
        f"Trials that train nothing, {MEASUREMENTS} measurements each, through Ray Tune on this machine; "
        "n = 1 run of each number, in a process of its own. Times are those at which the ledger has them."
    )
    columns = (
        "trials",
        "in packs of",
        "s until the first ends",
        "ms a trial after it",
        "s after the last",
        "driver's CPU s",
        "its peak MiB",
    )
    note = f"ms a trial in each tenth of them: {'; '.join(notes)}."
    return Report(
        title="Simulated trials through Ray",
        setup=setup,
        tables=[Table(columns=columns, rows=rows, note=note)],
    )


class _Watched:
    """A run of simulated trials, watched from outside."""

    def __init__(self, trials: int, pack: int) -> None:
        self.trials, self.pack = trials, pack
        self._done: list[tuple[float, int]] = []
        """Seconds since the start -> trials that have ended, whenever that grew."""
        self._over = threading.Event()
        with tempfile.TemporaryDirectory() as folder:
            self._start = time.monotonic()
            watch = threading.Thread(target=self._watch, args=(Path(folder) / "out" / files.LEDGER,))
            watch.start()
            try:
                process = subprocess.run(
                    [sys.executable, "-m", "benchmarks.engine", str(trials), str(pack), folder],
                    capture_output=True,
                    text=True,
                    check=False,
                )
            finally:
                self._wall = time.monotonic() - self._start
                self._over.set()
                watch.join()
            assert process.returncode == 0, process.stderr
        self._driver: dict[str, float] = json.loads(process.stdout.splitlines()[-1])

    def _watch(self, ledger: Path) -> None:
        """Looks 20 times a second until a trial has ended, then twice."""
        while not self._over.wait(0.5 if self._done else 0.05):
            ended = _ended(ledger)
            if ended > (self._done[-1][1] if self._done else 0):
                self._done.append((time.monotonic() - self._start, ended))

    def _time_of(self, ended: float) -> float:
        """When so many trials had ended, between two looks in proportion."""
        for (before, fewer), (after, more) in pairwise([(self._done[0][0], 0), *self._done]):
            if more >= ended:
                return before + (after - before) * (ended - fewer) / (more - fewer)
        return self._done[-1][0]

    def row(self) -> tuple[str, ...]:
        """The cells of this run."""
        (first, _), (last, _) = self._done[0], self._done[-1]
        numbers = (1e3 * (last - first) / max(1, self.trials - 1), self._wall - last)
        return (
            f"{self.trials:,}",
            f"{self.pack}",
            f"{first:.1f}",
            f"{numbers[0]:.1f}",
            f"{numbers[1]:.1f}",
            f"{self._driver['cpu']:.1f}",
            f"{self._driver['peak_mib']:.0f}",
        )

    def tenths(self) -> str:
        """Milliseconds a trial in each tenth."""
        times = [self._time_of(self.trials * tenth / 10) for tenth in range(11)]
        each = (1e3 * (after - before) / (self.trials / 10) for before, after in pairwise(times))
        return ", ".join(f"{value:.1f}" for value in each)


def _ended(ledger: Path) -> int:
    """How many trials of a ledger have ended; 0 where there is none yet."""
    if not ledger.exists():
        return 0
    try:
        db = sqlite3.connect(f"{ledger.as_uri()}?mode=ro", uri=True)
        try:
            return int(db.execute("SELECT count(*) FROM trials WHERE state = 'COMPLETE'").fetchone()[0])
        finally:
            db.close()
    except sqlite3.Error:  # it is being made
        return 0


def main(trials: int, pack: int, folder: Path) -> None:
    """Runs the trials in this process; prints its CPU seconds and peak memory as JSON."""
    from sweeps.options import RunOptions
    from sweeps.run import run
    from sweeps.simulated import TRAINER
    from sweeps.study import study_from_text

    cells = min(100, trials // 10)
    rates = ", ".join(f"{0.001 * (1 + index):g}" for index in range(cells))
    text = _STUDY.format(steps=MEASUREMENTS - 1, rates=rates, seeds=trials // cells)
    study, options = study_from_text(text, "engine"), RunOptions(pack=pack)
    outcome = run(study, folder / "out", options=options, trainer=TRAINER, stream=io.StringIO())
    assert outcome.counts["complete"] == trials, outcome.counts
    # Not getrusage, whose peak is that of the process that started this one if it was larger.
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    peak_kib = int(status["VmHWM"].split()[0])
    print(json.dumps({"cpu": time.process_time(), "peak_mib": peak_kib / 1024}))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
