"""The tables of a driver at work: up to date, whole, and known to `verify` whenever the driver is killed."""

import io
import itertools
import sqlite3
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from sweeps import files
from sweeps.record import refresh, result_digests
from sweeps.record.ledger import Ledger
from sweeps.record.refresh import TableRefresh, renew
from sweeps.record.tables import tables_written, write_tables
from sweeps.study import Study
from sweeps.verify import verify
from tests.sweeps.conftest import plan_sweep
from tests.sweeps.record.test_ledger import measurement


@pytest.fixture
def ledger(tmp_path: Path, small: Study) -> Iterator[Ledger]:
    """Of a sweep whose first trial runs, with one measurement, and whose tables are up to date."""
    with plan_sweep(tmp_path, small) as ledger:
        attempt = ledger.start(small.trials()[0].trial_id)
        assert attempt == 1
        measure(ledger, small, 0)
        renew(ledger, tmp_path)
        yield ledger


def measure(ledger: Ledger, study: Study, step: int) -> None:
    assert ledger.append(study.trials()[0].trial_id, 1, measurement(step))


def steps(out: Path) -> list[int]:
    content = (out / files.METRICS).read_bytes()  # pyarrow opens a file twice, between which it may change
    found: list[int] = pq.read_table(io.BytesIO(content))["step"].to_pylist()
    return found


def wait_for(steps_of: list[int], out: Path) -> None:
    deadline = time.monotonic() + 20
    while steps(out) != steps_of:
        assert time.monotonic() < deadline, steps(out)
        time.sleep(0.01)


def damaged(out: Path) -> list[str]:
    """The tables that `verify` calls damaged, and not only old."""
    tables = {check.name: check for check in verify(out) if check.name in result_digests.TABLES}
    assert len(tables) == 3
    return [name for name, check in tables.items() if check.problem and not check.outdated]


@pytest.mark.timeout(60)
def test_tables_follow_the_ledger_while_trials_run(tmp_path: Path, small: Study, ledger: Ledger) -> None:
    with TableRefresh(tmp_path, every=0.02).running():
        for step in (5, 10):
            measure(ledger, small, step)
            wait_for(list(range(0, step + 1, 5)), tmp_path)
    assert pq.read_table(tmp_path / files.TRIALS)["steps_run"].to_pylist()[0] == 10
    assert pq.read_table(tmp_path / files.SPECTRA).num_rows == 6
    assert damaged(tmp_path) == []
    measure(ledger, small, 15)
    time.sleep(0.2)
    assert steps(tmp_path) == [0, 5, 10], "and no longer"


@pytest.mark.timeout(60)
def test_nothing_is_written_while_nothing_is_recorded(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A refresh itself records digests, which are no reason for another."""
    times: list[float] = []

    def counted(ledger: Ledger, out: Path) -> None:
        times.append(time.monotonic())
        renew(ledger, out)

    monkeypatch.setattr(refresh, "renew", counted)
    monkeypatch.setattr(refresh, "SHARE", 1.0)
    with TableRefresh(tmp_path, every=0.01).running():
        time.sleep(0.5)
    assert len(times) == 1, "the first time, for what came before"


@pytest.mark.timeout(60)
def test_what_is_recorded_during_a_refresh_is_in_the_next(
    tmp_path: Path, small: Study, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = iter([5])

    def overtaken(ledger: Ledger, out: Path) -> None:
        renew(ledger, out)
        for step in late:
            with Ledger(out / files.LEDGER) as driver:
                measure(driver, small, step)

    monkeypatch.setattr(refresh, "renew", overtaken)
    with TableRefresh(tmp_path, every=0.01).running():
        wait_for([0, 5], tmp_path)


@pytest.mark.timeout(60)
def test_refreshes_take_a_small_share_of_the_time(
    tmp_path: Path, small: Study, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    began: list[float] = []

    def slow(ledger: Ledger, out: Path) -> None:
        began.append(time.monotonic())
        time.sleep(0.05)

    monkeypatch.setattr(refresh, "renew", slow)
    monkeypatch.setattr(refresh, "SHARE", 0.1)
    with TableRefresh(tmp_path, every=0.01).running():
        for step in range(5, 150, 5):
            measure(ledger, small, step)
            time.sleep(0.05)
    assert len(began) >= 2
    assert all(later - earlier >= 0.5 for earlier, later in itertools.pairwise(began))


@pytest.mark.timeout(60)
def test_a_driver_that_is_killed_between_two_tables_leaves_no_damage(
    tmp_path: Path, small: Study, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many have taken their place, and whatever the ledger has recorded since they were made."""
    names = (files.TRIALS, files.METRICS, files.SPECTRA)
    before = {name: (tmp_path / name).read_bytes() for name in names}
    measure(ledger, small, 5)
    renew(ledger, tmp_path)
    after = {name: (tmp_path / name).read_bytes() for name in names}
    measure(ledger, small, 10)
    for replaced in itertools.product((False, True), repeat=3):
        for name, is_new in zip(names, replaced, strict=True):
            (tmp_path / name).write_bytes((after if is_new else before)[name])
        assert damaged(tmp_path) == []
    (tmp_path / "elsewhere").mkdir()
    write_tables(ledger, tmp_path / "elsewhere")
    measure(ledger, small, 15)
    (tmp_path / files.METRICS).write_bytes((tmp_path / "elsewhere" / files.METRICS).read_bytes())
    assert damaged(tmp_path) == [files.METRICS], "one that no driver has announced"


def test_the_digests_are_in_the_ledger_before_a_table_takes_its_place(
    tmp_path: Path, small: Study, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    measure(ledger, small, 5)

    def killed(self: Path, target: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", killed)
        with pytest.raises(KeyboardInterrupt):
            renew(ledger, tmp_path)
    assert steps(tmp_path) == [0]
    assert damaged(tmp_path) == []
    new, before = result_digests.written_tables(ledger.facts()["tables"])
    assert before == result_digests.of_tables(tmp_path)
    assert new.keys() == before.keys()
    assert new != before


def test_tables_are_of_one_moment(tmp_path: Path, small: Study, ledger: Ledger) -> None:
    """Of a ledger that a driver writes meanwhile."""
    with Ledger(tmp_path / files.LEDGER, read_only=True) as other, other.as_of_now():
        assert other.trials()[0].steps_run == 0
        measure(ledger, small, 5)
        with tables_written(other, tmp_path):
            pass
    assert steps(tmp_path) == [0]
    assert pq.read_table(tmp_path / files.TRIALS)["steps_run"].to_pylist()[0] == 0


@pytest.mark.timeout(30)
def test_the_end_does_not_wait_for_a_refresh(
    tmp_path: Path, small: Study, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reading = threading.Event()

    def endless(ledger: Ledger, out: Path) -> None:
        reading.set()
        ledger._db.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n"
        )

    monkeypatch.setattr(refresh, "renew", endless)
    began = time.monotonic()
    with TableRefresh(tmp_path, every=0.01).running():
        assert reading.wait(10)
    assert time.monotonic() - began < 10
    measure(ledger, small, 5)  # the driver's own connection is as it was


@pytest.mark.timeout(30)
def test_a_refresh_that_fails_is_tried_again(
    tmp_path: Path, small: Study, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = iter([OSError("disk full"), sqlite3.OperationalError("locked"), MemoryError(), KeyError("m_")])

    def failing(ledger: Ledger, out: Path) -> None:
        for error in failures:
            raise error
        renew(ledger, out)

    monkeypatch.setattr(refresh, "renew", failing)
    measure(ledger, small, 5)
    with TableRefresh(tmp_path, every=0.01).running():
        wait_for([0, 5], tmp_path)
