"""What a run checks and writes before any trial starts, and what can be asked of a directory afterwards."""

import dataclasses
import os
import signal
from pathlib import Path

import pytest

from byol.config import TrialConfig
from sweeps.errors import DirectoryError, RequestError
from sweeps.files import LEDGER, STUDY
from sweeps.inspect import export_encoder, status
from sweeps.record import directory
from sweeps.record.ledger import Ledger
from sweeps.record.rows import Ending, EndReason, TrialState
from sweeps.run import run
from sweeps.simulated import TRAINER, SimulatedImages
from sweeps.study import Resources, Study, study_from_text
from tests.sweeps.conftest import SMALL


def planned(out: Path, study: Study) -> Ledger:
    with directory.driver_lock(out):
        ledger = Ledger(out / LEDGER)
    ledger.set_fact("study", study.name)
    ledger.set_fact("collapse", directory.rule_text(study))
    ledger.plan((trial, 20) for trial in study.trials())
    return ledger


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if not path.name.startswith("ledger")}


def test_other_data_than_before_is_refused_and_nothing_is_changed(tmp_path: Path, small: Study) -> None:
    with planned(tmp_path, small) as ledger:
        ledger.set_fact("fashion-mnist-8k, all training images, 28 pixels", "another digest")
    before = files(tmp_path)
    with pytest.raises(
        DirectoryError, match="was started with other data: the digest of fashion-mnist-8k must"
    ):
        run(small, tmp_path, trainer=TRAINER)
    assert files(tmp_path) == before


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


def test_a_complete_sweep_is_only_written_down_again(tmp_path: Path, small: Study) -> None:
    with planned(tmp_path, small) as ledger:
        for trial in small.trials():
            end = Ending(state=TrialState.COMPLETE, end_reason=EndReason.FINISHED, collapsed=False)
            ledger.end(trial.trial_id, ledger.start(trial.trial_id), end)
    retitled = dataclasses.replace(small, title="Another title")
    outcome = run(retitled, tmp_path)  # the learner of byol/ is not even imported
    assert not outcome.ran
    assert outcome.counts["complete"] == 8
    assert "Another title" in (tmp_path / STUDY).read_text()
    assert (tmp_path / "trials.parquet").exists()


def test_status_of_a_directory_without_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"holds no sweep \(no ledger\.sqlite\)"):
        status(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_export_copies_the_encoder_or_says_why_not(tmp_path: Path, small: Study) -> None:
    done, waiting, *_ = (trial.trial_id for trial in small.trials())
    planned(tmp_path, small).close()
    folder = tmp_path / "checkpoints" / done
    folder.mkdir(parents=True)
    (folder / "encoder.safetensors").write_bytes(b"weights")
    export_encoder(tmp_path, done, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == b"weights"
    with pytest.raises(RequestError, match=rf'holds no trial "{done[:-1]}x" \(did you mean "{done}"'):
        export_encoder(tmp_path, f"{done[:-1]}x", tmp_path / "copy")
    with pytest.raises(RequestError, match="left no trained encoder \\(it is waiting\\)"):
        export_encoder(tmp_path, waiting, tmp_path / "copy")
    with pytest.raises(RequestError, match="cannot be written: No such file"):
        export_encoder(tmp_path, done, tmp_path / "missing" / "copy")


@pytest.mark.timeout(90)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_ask_for_an_end_and_handlers_are_given_back(number: signal.Signals) -> None:
    from sweeps.engine.runtime import interruptible

    before = signal.getsignal(number)
    with interruptible() as interruption:
        assert not interruption.stop_all()
        os.kill(os.getpid(), number)
        assert interruption.stop_all()
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(number) is before


def test_the_simulated_learner_depends_on_its_configuration_alone() -> None:
    images = TRAINER.load_data("x", root=None, train_images=0, image_size=28, on_broken="fail")
    config = TrialConfig(steps=20, eval_every=5)

    def stds(of: TrialConfig) -> list[float]:
        rows = TRAINER.train(of, images, checkpoint_folder=None, checkpoint_every=0)
        return [row.representation_std for row in rows]

    assert stds(config) == stds(config)
    assert stds(config) != stds(dataclasses.replace(config, seed=1))


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    ("resources", "available", "fit"),
    [
        (Resources(), {"CPU": 2.0}, 2),
        (Resources(cpu=0.5), {"CPU": 2.0}, 4),
        (Resources(cpu=1, gpu=0.4), {"CPU": 16.0, "GPU": 2.0}, 4),
        (Resources(cpu=4, gpu=0.1), {"CPU": 16.0, "GPU": 2.0}, 4),
        (Resources(gpu=2), {"CPU": 16.0, "GPU": 5.0}, 2),
        (Resources(gpu=1), {"CPU": 16.0}, 1),
    ],
)
def test_how_many_trials_fit(resources: Resources, available: dict[str, float], fit: int) -> None:
    from sweeps.engine.runtime import room

    assert room(resources, available) == fit
