"""The ledger keeps what it has acknowledged, and refuses what is out of date."""

import contextlib
import dataclasses
import math
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sweeps.errors import DirectoryError
from sweeps.record.checksums import checksum
from sweeps.record.ledger import Ledger
from sweeps.record.rows import METRICS, Ending, EndReason, Measurement, TrialState, count_trials
from sweeps.record.tables import write_tables
from sweeps.study import Study

FINISHED = Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=True, onset_step=5)


def measurement(step: int, **values: float | None) -> Measurement:
    row: dict[str, Any] = {**dict.fromkeys(METRICS, 0.5), "step": step, **values}
    return Measurement(
        **row,
        spectra={"representation": bytes(8), "projection": bytes(4)},
        wall_seconds=step / 10,
        device="cpu",
    )


@pytest.fixture
def ledger(tmp_path: Path, small: Study) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.sqlite") as new_ledger:
        new_ledger.plan((trial, 20) for trial in small.trials())
        yield new_ledger


def test_waiting_and_interrupted_trials_are_pending_in_order(ledger: Ledger, small: Study) -> None:
    ids = [trial.trial_id for trial in small.trials()]
    for trial_id, end in (
        (ids[0], FINISHED),
        (ids[1], Ending(state=TrialState.FAIL, end_reason=EndReason.ERROR, error="boom")),
    ):
        assert ledger.end(trial_id, ledger.start(trial_id), end)
    ledger.start(ids[3])
    assert ledger.pending(retry_failed=False) == [ids[2], *ids[4:]]
    ledger.interrupt()
    assert ledger.pending(retry_failed=False) == ids[2:]
    assert ledger.pending(retry_failed=True) == ids[1:]
    count = count_trials(ledger.trials())
    assert count["planned"] == 8
    assert (count["complete"], count["failed"], count["interrupted"], count["waiting"]) == (1, 1, 1, 5)
    assert count["collapsed"] == 1


def test_planning_again_adds_new_trials_and_keeps_results(tmp_path: Path, small: Study) -> None:
    first, *rest = small.trials()
    with Ledger(tmp_path / "l") as ledger:
        ledger.plan([(first, 20)])
        ledger.end(first.trial_id, ledger.start(first.trial_id), FINISHED)
        ledger.plan((trial, 20) for trial in [*rest, first])
        rows = ledger.trials()
    assert [row.trial_id for row in rows] == [*(trial.trial_id for trial in rest), first.trial_id]
    assert [row.state for row in rows] == ["WAITING"] * 7 + ["COMPLETE"]


def test_rows_of_an_older_attempt_are_refused(ledger: Ledger, small: Study) -> None:
    trial_id = small.trials()[0].trial_id
    old = ledger.start(trial_id)
    assert ledger.append(trial_id, old, measurement(0))
    new = ledger.start(trial_id)
    assert (old, new) == (1, 2)
    assert not ledger.append(trial_id, old, measurement(5))
    assert not ledger.end(trial_id, old, FINISHED)
    assert ledger.append(trial_id, new, measurement(0))
    assert ledger.end(trial_id, new, FINISHED)
    assert not ledger.append(trial_id, new, measurement(5)), "an ended trial takes no rows"
    assert [row.step for row in ledger.rows(trial_id)] == [0]


def test_a_new_attempt_replaces_the_rows_from_its_first_step_on(ledger: Ledger, small: Study) -> None:
    trial_id = small.trials()[0].trial_id
    attempt = ledger.start(trial_id)
    for step in (0, 5, 10, 15):
        ledger.append(trial_id, attempt, measurement(step))
    attempt = ledger.start(trial_id)
    ledger.append(trial_id, attempt, measurement(10, loss=0.25))
    assert [(row.step, row.loss) for row in ledger.rows(trial_id)] == [(0, 0.5), (5, 0.5), (10, 0.25)]
    assert [step for _, step, level, _ in ledger.spectra() if level == "projection"] == [0, 5, 10]


def test_not_a_number_is_not_the_same_as_not_measured(ledger: Ledger, small: Study) -> None:
    trial_id = small.trials()[0].trial_id
    attempt = ledger.start(trial_id)
    ledger.append(trial_id, attempt, measurement(0, loss=math.nan, knn_accuracy=None, tau=math.inf))
    (row,) = ledger.rows(trial_id)
    assert row.loss is not None
    assert math.isnan(row.loss)
    assert (row.knn_accuracy, row.tau) == (None, math.inf)


WRITER = """
import sys
from pathlib import Path
from sweeps.record.ledger import Ledger
from tests.sweeps.record.test_ledger import measurement
ledger = Ledger(Path(sys.argv[1]))
attempt = ledger.start(sys.argv[2])
for step in range(10**6):
    ledger.append(sys.argv[2], attempt, measurement(step))
    print(step, flush=True)
"""


def test_every_acknowledged_row_survives_a_kill(tmp_path: Path, small: Study) -> None:
    trial = small.trials()[0]
    path = tmp_path / "ledger.sqlite"
    with Ledger(path) as ledger:
        ledger.plan([(trial, 20)])
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(path), trial.trial_id], stdout=subprocess.PIPE, text=True
    )
    assert writer.stdout is not None
    for line in writer.stdout:
        if int(line) >= 200:
            writer.send_signal(signal.SIGKILL)
            break
    acknowledged = 200 + len(writer.stdout.readlines())
    writer.wait()
    with Ledger(path, read_only=True) as ledger:
        steps = [row.step for row in ledger.rows(trial.trial_id)]
        spectra = sum(1 for _ in ledger.spectra())
    # The kill may come between a commit and its acknowledgement: one more row is fine, one less is not.
    assert steps == list(range(len(steps)))
    assert len(steps) in (acknowledged + 1, acknowledged + 2)
    assert spectra == 2 * len(steps), "a measurement is whole or absent"


def test_reader_and_writer_do_not_wait_for_each_other(tmp_path: Path, ledger: Ledger, small: Study) -> None:
    trial_id = small.trials()[0].trial_id
    attempt = ledger.start(trial_id)
    ledger.append(trial_id, attempt, measurement(0))
    ledger.append(trial_id, attempt, measurement(5))
    with Ledger(tmp_path / "ledger.sqlite", read_only=True) as reader:
        reading = reader.metrics()
        next(reading)
        assert ledger.append(trial_id, attempt, measurement(10)), "while another process is reading"
        assert len(list(reading)) == 1, "the reader sees the rows of before"
        assert len(reader.rows(trial_id)) == 3


def test_wall_seconds_are_those_of_all_attempts(ledger: Ledger, small: Study) -> None:
    trial_id = small.trials()[0].trial_id
    for attempt, step in ((1, 10), (2, 20)):
        assert ledger.start(trial_id) == attempt
        assert ledger.append(trial_id, attempt, measurement(5))
        assert ledger.append(trial_id, attempt, measurement(step))
        ledger.interrupt()
    assert ledger.trials()[0].wall_seconds == 1.0 + 2.0


def test_a_ledger_from_before_provenance_opens_and_takes_it(tmp_path: Path, small: Study) -> None:
    path, trial_id = tmp_path / "ledger.sqlite", small.trials()[0].trial_id
    with Ledger(path) as ledger:
        ledger.plan([(small.trials()[0], 20)])
        attempt = ledger.start(trial_id)
        ledger.append(trial_id, attempt, measurement(0))
    with contextlib.closing(sqlite3.connect(path)) as older:
        for name in ("commit", "clean", "versions"):
            older.execute(f'ALTER TABLE trials DROP COLUMN "{name}"')
        for table in ("trials", "metrics", "spectra", "facts"):
            older.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
    with Ledger(path, read_only=True) as ledger:
        (row,) = ledger.trials()
    assert (row.device, row.commit, row.clean, row.versions) == ("cpu", None, None, None)
    with Ledger(path) as ledger:
        assert ledger.append(trial_id, attempt, dataclasses.replace(measurement(5), commit="abc", clean=True))
        (row,) = ledger.trials()
    assert (row.commit, row.clean, row.steps_run) == ("abc", True, 5)
    with contextlib.closing(sqlite3.connect(path)) as damaged, damaged:
        damaged.execute("UPDATE metrics SET knn_accuracy = 0.625 WHERE step = 0")
    with (
        Ledger(path, read_only=True) as ledger,
        pytest.raises(DirectoryError, match=r"ledger\.sqlite: is damaged: a row of metrics is not as it was"),
    ):
        ledger.rows(trial_id)


def test_a_column_that_is_added_goes_before_the_checksum_and_no_damage_is_signed(
    tmp_path: Path, small: Study
) -> None:
    path, trial_id = tmp_path / "ledger.sqlite", small.trials()[0].trial_id
    with Ledger(path) as ledger:
        ledger.plan([(small.trials()[0], 20)])
        attempt = ledger.start(trial_id)
        ledger.append(trial_id, attempt, measurement(0))
    with contextlib.closing(sqlite3.connect(path)) as older, older:
        older.create_function("checksum", -1, checksum)
        for name in ("checksum", "code", "data_digest"):
            older.execute(f"ALTER TABLE trials DROP COLUMN {name}")
        names = ", ".join(f'"{row[1]}"' for row in older.execute("PRAGMA table_info(trials)"))
        older.execute("ALTER TABLE trials ADD COLUMN checksum INTEGER")
        older.execute(f"UPDATE trials SET checksum = checksum({names})")
    before = path.read_bytes()
    with Ledger(path, read_only=True) as ledger:
        assert ledger.trials()[0].code is None
    for _ in range(2):
        with Ledger(path) as ledger:
            made_with = dataclasses.replace(measurement(5), code="1a", data_digest="2b")
            assert ledger.append(trial_id, attempt, made_with)
            ledger.check_structure()
            ledger.check_rows()
            assert (ledger.trials()[0].code, ledger.trials()[0].data_digest) == ("1a", "2b")
    path.write_bytes(before)
    with contextlib.closing(sqlite3.connect(path)) as damaged, damaged:
        damaged.execute("UPDATE trials SET loss = 0.625")
    before = path.read_bytes()
    with pytest.raises(sqlite3.DatabaseError, match="a row of trials is not as it was written"):
        Ledger(path)
    with (
        Ledger(path, read_only=True) as ledger,
        pytest.raises(DirectoryError, match="a row of trials is not as it was written"),
    ):
        ledger.trials()


def test_a_ledger_from_before_a_metric_opens_and_takes_it(tmp_path: Path, small: Study) -> None:
    path, trial_id = tmp_path / "ledger.sqlite", small.trials()[0].trial_id
    with Ledger(path) as ledger:
        ledger.plan([(small.trials()[0], 20)])
        attempt = ledger.start(trial_id)
        ledger.append(trial_id, attempt, measurement(0, uniformity=-2.0))
    with contextlib.closing(sqlite3.connect(path)) as older:
        for table in ("trials", "metrics", "spectra", "facts"):
            older.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
        for table, names in (("trials", ("rankme", "lidar")), ("metrics", ("rankme", "projection_std_min"))):
            for name in names:
                older.execute(f'ALTER TABLE {table} DROP COLUMN "{name}"')
    with Ledger(path, read_only=True) as ledger:
        (row,) = ledger.trials()
        (numbers,) = ledger.metrics()
        write_tables(ledger, tmp_path)
    assert (row.rankme, row.lidar, row.stable_rank) == (None, None, 0.5)
    known = dict(zip(METRICS, numbers[1:], strict=True))
    assert (known["uniformity"], known["rankme"], known["stable_rank"]) == (-2.0, None, 0.5)
    assert pq.read_table(tmp_path / "metrics.parquet")["rankme"].to_pylist() == [None]
    with Ledger(path) as ledger:
        assert ledger.append(trial_id, attempt, measurement(5, rankme=7.0, uniformity=-3.0, lidar=2.0))
        assert [(row.rankme, row.uniformity) for row in ledger.rows(trial_id)] == [(None, -2.0), (7.0, -3.0)]
        assert (ledger.trials()[0].rankme, ledger.trials()[0].lidar) == (7.0, 2.0)


def test_a_report_from_before_a_metric_is_read(small: Study) -> None:
    """A checkpoint carries the measurements of the version that made it."""
    report = measurement(5).to_report()
    for name in ("rankme", "lidar", "representation_std_max"):
        del report[name]
    assert Measurement.from_report(report).rankme is None


def test_spectra_fill_their_pages(tmp_path: Path, small: Study) -> None:
    """Measurements of trials that run side by side, with 3 KB of spectra, take at most 4 KB each."""
    path = tmp_path / "ledger.sqlite"
    spectra = {"representation": bytes(range(256)) * 8, "projection": bytes(range(256)) * 4}
    trials = [trial.trial_id for trial in small.trials()]
    with Ledger(path) as ledger:
        ledger.plan((trial, 50) for trial in small.trials())
        attempts = {trial_id: ledger.start(trial_id) for trial_id in trials}
        with ledger.transaction():
            for step in range(50):
                for trial_id in trials:
                    row = dataclasses.replace(measurement(step), spectra=spectra)
                    assert ledger.append(trial_id, attempts[trial_id], row)
    assert path.stat().st_size / (50 * len(trials)) < 4096


def test_a_ledger_with_rows_in_the_order_of_their_keys_goes_on(tmp_path: Path, small: Study) -> None:
    """As versions before 0.4 created the tables of measurements and spectra."""
    path, (first, second, *_) = tmp_path / "ledger.sqlite", small.trials()
    with Ledger(path) as ledger:
        ledger.plan([(first, 20), (second, 20)])
        attempt = ledger.start(first.trial_id)
        ledger.append(first.trial_id, attempt, measurement(0))
    with contextlib.closing(sqlite3.connect(path)) as older:
        for table in ("metrics", "spectra"):
            (statement,) = older.execute(
                "SELECT sql FROM sqlite_master WHERE name = ? AND type = 'table'", (table,)
            ).fetchone()
            older.executescript(
                f"ALTER TABLE {table} RENAME TO earlier; {statement} WITHOUT ROWID; "
                f"INSERT INTO {table} SELECT * FROM earlier; DROP TABLE earlier;"
            )
    with Ledger(path) as ledger:
        assert ledger.append(first.trial_id, attempt, measurement(5))
    with Ledger(path, read_only=True) as ledger:
        ledger.check_structure()
        ledger.check_rows()
        assert [row.step for row in ledger.rows(first.trial_id)] == [0, 5]
