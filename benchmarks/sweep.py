"""Where the wall time of a sweep goes, and how many trials an hour it does beside the plain way.

The sweep is `make sweep`'s with more seeds, run as a command of its own: from its start to its end, report
included. Its trials note their times (timed_trainer.py). The plain way is the tutorial's loop as a trainable
of Ray Tune (plain_tune.py), on the first of the same trials.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import timed_trainer
from benchmarks.report import Report, Table
from benchmarks.timed_trainer import Spent
from sweeps.study import Study, load_study

SEEDS = 5
"""Of the quickstart: with its five cells, 25 trials."""


def measure(
    *, long: bool = False, steps: int = 0, seeds: int = SEEDS, plain_trials: int = 4, rounds: int = 0
) -> Report:
    """Runs both sweeps in turns.

    Args:
        long: whole trials, three rounds.
        steps: of each trial; 0 is 100, or those of the study if long. Each trial is measured as often as the
            study's.
        seeds: of each cell.
        plain_trials: how many of the trials the plain way trains, because it takes so much longer; 0 is none.
        rounds: how often; 0 is 1, or 3 if long.
    """
    whole = load_study("collapse-quickstart")
    planned = int(str(whole.reference["steps"]))
    steps, rounds = steps or (planned if long else 100), rounds or (3 if long else 1)
    every = max(1, int(str(whole.reference["eval_every"])) * steps // planned)
    reference = {**whole.reference, "steps": steps, "eval_every": every}
    study = dataclasses.replace(whole, reference=reference, seeds=tuple(range(seeds)))
    cores = len(os.sched_getaffinity(0))
    ours, plain = [], []
    for _ in range(rounds):
        ours.append(_ours(study))
        print(f"sweep: {ours[-1].wall:.1f} s", file=sys.stderr, flush=True)
        if plain_trials:
            plain.append(_plain(study, plain_trials))
            print(f"plain: {plain[-1].wall:.1f} s", file=sys.stderr, flush=True)
    trials = len(study.trials())
    setup = (
        f"collapse-quickstart with {seeds} seeds: {trials} trials of {steps:,} steps, measured each {every}, "
        f"one CPU each, on {cores} cores; n = {rounds} runs{' in turns with the plain way' if plain else ''}."
    )
    if steps != planned:
        setup += f" **Shortened**: the study has {planned:,} steps, and overhead weighs less there."
    tables = [_split_table(ours, cores)]
    if plain:
        tables.append(_rate_table(ours, plain, trials, plain_trials))
    return Report(title="A sweep", setup=setup, tables=tables)


@dataclasses.dataclass(frozen=True)
class Run:
    """One run of a sweep. Seconds are of wall time from its start."""

    wall: float
    first: float
    """When the first trial begins."""
    last: float
    """When the last trial ends."""
    trials: list[Spent]

    def split(self, cores: int) -> dict[str, float]:
        """Wall seconds by what they are spent on. Those of trials are divided by the cores."""
        steps, measurements, training, whole = (
            sum(values) / cores
            for values in zip(
                *((t.steps, t.measurements, t.training, t.end - t.begin) for t in self.trials), strict=True
            )
        )
        return {
            "optimiser steps, views included": steps,
            "measurements": measurements,
            "start, until the first trial": self.first,
            "in trials: imports, building the learner, checkpoints": training - steps - measurements,
            "in trials: reporting": whole - training,
            "between trials, and cores without one": self.last - self.first - whole,
            "end: tables, report, Ray's": self.wall - self.last,
        }


def _run(command: list[str], folder: Path) -> Run:
    """Runs a command that leaves its trials' times in `folder`."""
    start = time.monotonic()
    process = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, check=False)
    wall = time.monotonic() - start
    assert process.returncode == 0, process.stdout + process.stderr
    trials = timed_trainer.read(folder)
    first, last = min(trial.begin for trial in trials), max(trial.end for trial in trials)
    return Run(wall, first - start, last - start, trials)


def _ours(study: Study) -> Run:
    with tempfile.TemporaryDirectory() as scratch:
        file, times = _written(study, scratch), Path(scratch) / "times"
        out = Path(scratch) / "out"
        return _run(["benchmarks.timed_trainer", str(times), "run", str(file), "--out", str(out)], times)


def _plain(study: Study, trials: int) -> Run:
    with tempfile.TemporaryDirectory() as scratch:
        file, times = _written(study, scratch), Path(scratch) / "times"
        return _run(["benchmarks.plain_tune", str(file), str(trials), str(times)], times)


def _written(study: Study, folder: str) -> Path:
    file = Path(folder) / "study.yaml"
    file.write_text(study.to_yaml())
    return file


def _split_table(runs: list[Run], cores: int) -> Table:
    middle = sorted(runs, key=lambda run: run.wall)[len(runs) // 2]
    split = middle.split(cores)
    rows = [(what, f"{seconds:.1f}", f"{seconds / middle.wall:.1%}") for what, seconds in split.items()]
    rows.append(("**all**", f"{middle.wall:.1f}", "100%"))
    useful = {"optimiser steps, views included", "measurements"}

    def overhead(run: Run) -> float:
        return sum(seconds for what, seconds in run.split(cores).items() if what not in useful) / run.wall

    shares = [overhead(run) for run in runs]
    note = (
        f"Anything but optimiser steps and measurements: {overhead(middle):.1%} of the wall time"
        f"{f' ({min(shares):.1%} to {max(shares):.1%})' if len(runs) > 1 else ''}. Seconds of trials are "
        f"divided by the {cores} cores."
    )
    if len(runs) > 1:
        note += f" The run with the median wall time, of {', '.join(f'{run.wall:.1f}' for run in runs)} s."
    return Table(title="Where the wall time goes", columns=("what", "s", "share"), rows=rows, note=note)


def _rate_table(ours: list[Run], plain: list[Run], trials: int, plain_trials: int) -> Table:
    """Trials an hour. The plain way's time for all follows from its start and the pace of those run."""
    rates = [3600 * trials / run.wall for run in ours]
    whole = [run.first + (run.wall - run.first) * trials / plain_trials for run in plain]
    plain_rates = [3600 * trials / seconds for seconds in whole]
    ratios = [mine / its for mine, its in zip(rates, plain_rates, strict=True)]
    rows = [
        ("this project", _list(rates), f"{trials}", _list([run.first for run in ours], 1)),
        ("plain Ray Tune", _list(plain_rates), f"{plain_trials}", _list([run.first for run in plain], 1)),
    ]
    note = (
        f"Ratio {_list(ratios, 1)}. Trials an hour are of a whole sweep of {trials} trials, start included; "
        f"the plain way ran the first {plain_trials} of them, and the others are reckoned at their pace."
    )
    columns = ("way", "trials an hour", "trials run", "s until the first trial")
    return Table(title="Trials an hour", columns=columns, rows=rows, note=note)


def _list(values: list[float], digits: int = 0) -> str:
    return ", ".join(f"{value:,.{digits}f}" for value in values)
