"""A sweep goes on under the code, versions and data that its trials ran under, or says that it does not."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from sweeps import files, simulated
from sweeps.errors import DirectoryError
from sweeps.options import RunOptions
from sweeps.record import conditions
from sweeps.record.ledger import Ledger
from sweeps.record.manifest import versions
from sweeps.record.rows import Baselines, Fact
from sweeps.run import run
from sweeps.study import Study, study_from_text
from tests.faults.simulated_sweep import entered, run_simulated
from tests.sweeps.conftest import SMALL

ACCEPTED = RunOptions(accept_changes=True)
DATA = "fashion-mnist-8k, all training images, 28 pixels"


def other_code(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(conditions, "code_digest", lambda: "1" * 64)


def other_versions(patch: pytest.MonkeyPatch) -> None:
    later = {**versions(), "torch": "9.9"}
    patch.setattr(conditions, "versions", lambda: later)


def other_data(patch: pytest.MonkeyPatch) -> None:
    def load(dataset: str, **options: Any) -> simulated.SimulatedImages:
        return dataclasses.replace(simulated.load_data(dataset, **options), digest="another")

    def baselines(*given: object) -> Baselines:
        return Baselines(pixels=0.25, chance=0.1, test_images=500)

    trainer = dataclasses.replace(simulated.TRAINER, load_data=load, baselines=baselines)
    patch.setattr("tests.faults.simulated_sweep.TRAINER", trainer)


CHANGES: dict[str, tuple[Callable[[pytest.MonkeyPatch], None], str]] = {
    "code": (other_code, r"the code of byol/ from [0-9a-f]{12} \(commit .* to 111111111111 \(commit "),
    "versions": (other_versions, r"since: torch from 2\.\S+ to 9\.9\. "),
    "data": (other_data, f"the data of {DATA} from simulated-10 to another"),
}


def trials(out: Path) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(out / files.TRIALS).to_pylist()
    return rows


@pytest.mark.parametrize("kind", CHANGES)
def test_a_change_is_refused_unless_it_is_accepted(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    out, (change, told) = tmp_path / "out", CHANGES[kind]
    run_simulated(small, out, trials=3)
    before = (out / files.LEDGER).read_bytes()
    change(monkeypatch)
    with pytest.raises(DirectoryError, match=told) as refused:
        run_simulated(small, out)
    assert "--accept-changes goes on" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert (out / files.LEDGER).read_bytes() == before
    run_simulated(small, out, ACCEPTED, trials=2)
    run_simulated(small, out)  # accepted once
    assert {row["state"] for row in trials(out)} == {"COMPLETE"}
    monkeypatch.undo()
    with pytest.raises(DirectoryError, match="changed since"):  # and back
        run_simulated(study_from_text(SMALL.replace("seeds: 2", "seeds: 3"), "f"), out)


def test_each_trial_says_on_which_data_it_ran_and_is_compared_with_its_baselines(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_simulated(small, tmp_path, trials=3)
    other_data(monkeypatch)
    run_simulated(small, tmp_path, ACCEPTED)
    ran = [(row["data_digest"], row["knn_accuracy_pixels"], row["test_images"]) for row in trials(tmp_path)]
    assert ran == [("simulated-1000", 0.5, 1000)] * 3 + [("another", 0.25, 500)] * 5


def test_what_is_no_change(tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, grown = tmp_path / "begun", tmp_path / "grown"
    with entered(small, begun):
        pass
    run_simulated(small, grown)
    run_simulated(study_from_text(SMALL.replace("seeds: 2", "seeds: 3"), "f"), grown)
    monkeypatch.setattr(conditions, "git_state", lambda: {"commit": "f" * 40, "clean": False})
    run_simulated(study_from_text(SMALL.replace("seeds: 2", "seeds: 4"), "f"), grown)  # a README was changed
    for change, _ in CHANGES.values():
        change(monkeypatch)
    run_simulated(small, begun)  # nothing had run
    assert {row["data_digest"] for row in trials(begun)} == {"another"}
    assert {row["knn_accuracy_pixels"] for row in trials(begun)} == {0.25}


def test_a_complete_sweep_is_reported_under_any_code(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_simulated(small, tmp_path)
    other_code(monkeypatch)
    assert not run(small, tmp_path).ran
    with Ledger(tmp_path / files.LEDGER, read_only=True) as ledger:
        assert "1" * 64 not in ledger.facts()[Fact.CODE]


def test_a_driver_of_other_code_on_the_same_store_is_refused(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = str(tmp_path / "store")
    run_simulated(small, tmp_path / "one", RunOptions(storage=store), trials=3)
    other_code(monkeypatch)
    with pytest.raises(DirectoryError, match="the code of byol/ from"):
        run_simulated(small, tmp_path / "two", RunOptions(storage=store))
    assert not (tmp_path / "two").exists()
    run_simulated(small, tmp_path / "two", RunOptions(storage=store, accept_changes=True))


def test_a_ledger_from_before_is_compared_by_the_versions_of_its_manifest(
    tmp_path: Path, small: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_simulated(small, tmp_path, trials=3)
    with Ledger(tmp_path / files.LEDGER) as ledger:
        ledger._db.execute("DELETE FROM facts WHERE key IN (?, ?)", (Fact.CODE, Fact.VERSIONS))
        for trial_id in [row.trial_id for row in ledger.trials()]:
            ledger._db.execute("UPDATE trials SET data_digest = NULL")
            ledger._sign("trials", "trial_id = ?", trial_id)
    run_simulated(small, tmp_path, trials=1)
    with Ledger(tmp_path / files.LEDGER) as ledger:
        manifest = json.loads(ledger.facts()[Fact.MANIFEST])
        ledger.set_fact(Fact.MANIFEST, json.dumps({**manifest, "versions": {"torch": "1.0"}}))
        ledger._db.execute("DELETE FROM facts WHERE key IN (?, ?)", (Fact.CODE, Fact.VERSIONS))
    with pytest.raises(DirectoryError, match=r"torch from 1\.0 to 2\..* and \d+ more|torch from 1\.0 to"):
        run_simulated(small, tmp_path)
    other_data(monkeypatch)
    run_simulated(small, tmp_path, ACCEPTED)
    assert [row["data_digest"] for row in trials(tmp_path)] == ["simulated-1000"] * 4 + ["another"] * 4
