"""What a run checks before any trial starts, and what it writes if none is left to run."""

import dataclasses
from pathlib import Path

import pytest

from sweeps.errors import DirectoryError, RequestError
from sweeps.files import STUDY
from sweeps.record.rows import Ending, EndReason, TrialState
from sweeps.run import run
from sweeps.simulated import TRAINER, SimulatedImages
from sweeps.study import Study, study_from_text
from tests.sweeps.conftest import SMALL, plan_sweep
from tests.sweeps.record.test_ledger import measurement


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("ledger")}


def test_data_that_differs_from_before_is_refused_and_nothing_is_changed(
    tmp_path: Path, small: Study
) -> None:
    with plan_sweep(tmp_path, small) as ledger:
        ledger.set_fact("fashion-mnist-8k, all training images, 28 pixels", "another digest")
        trial_id = small.trials()[0].trial_id
        ledger.append(trial_id, ledger.start(trial_id), measurement(0))
    before = contents(tmp_path)
    with pytest.raises(
        DirectoryError, match="the data of fashion-mnist-8k, all training images, 28 pixels from another dig"
    ):
        run(small, tmp_path, trainer=TRAINER)
    assert contents(tmp_path) == before


def test_data_that_cannot_be_loaded_is_a_wrong_request(tmp_path: Path, small: Study) -> None:
    def broken(dataset: str, **options: object) -> SimulatedImages:
        raise ValueError("file.png: sha256 must be\nabc")

    with pytest.raises(RequestError, match=r"^file.png: sha256 must be abc$"):
        run(small, tmp_path / "out", trainer=dataclasses.replace(TRAINER, load_data=broken))
    assert not (tmp_path / "out").exists()


def test_a_batch_larger_than_the_data_is_a_wrong_request(tmp_path: Path) -> None:
    text = SMALL.replace("steps: 20", "epochs: 1").replace("seeds: 2", "  batch_size: [64, 4096]\nseeds: 1")
    with pytest.raises(RequestError, match="batch_size=4096: batch_size: must not exceed the 1000 training"):
        run(study_from_text(text, "f"), tmp_path / "out", trainer=TRAINER)
    assert not (tmp_path / "out").exists()


def test_a_warm_up_longer_than_the_trial_is_a_wrong_request(tmp_path: Path) -> None:
    text = SMALL.replace("seeds: 2", "  warmup_epochs: [0, 5]\nseeds: 1")
    with pytest.raises(RequestError, match=r"warmup_epochs=5.*must be shorter than the trial"):
        run(study_from_text(text, "f"), tmp_path / "out", trainer=TRAINER)
    assert not (tmp_path / "out").exists()


def test_of_a_complete_sweep_only_texts_and_tables_are_written_again(tmp_path: Path, small: Study) -> None:
    with plan_sweep(tmp_path, small) as ledger:
        for trial in small.trials():
            end = Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=False)
            ledger.end(trial.trial_id, ledger.start(trial.trial_id), end)
    retitled = dataclasses.replace(small, title="Another title")
    outcome = run(retitled, tmp_path)  # the learner of byol/ is not even imported
    assert not outcome.ran
    assert outcome.counts["complete"] == 8
    assert "Another title" in (tmp_path / STUDY).read_text()
    assert (tmp_path / "trials.parquet").exists()
