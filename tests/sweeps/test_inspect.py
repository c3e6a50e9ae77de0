"""What can be asked of a sweep's directory without running anything."""

from pathlib import Path

import pytest

from sweeps.errors import DirectoryError, RequestError
from sweeps.inspect import export_encoder, status
from sweeps.study import Study
from tests.sweeps.conftest import plan_sweep
from tests.sweeps.tensor_files import tensor_file


def test_status_of_a_directory_without_a_sweep(tmp_path: Path) -> None:
    with pytest.raises(DirectoryError, match=r"holds no sweep \(no ledger\.sqlite\)"):
        status(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_export_copies_the_encoder_or_says_why_it_cannot(tmp_path: Path, small: Study) -> None:
    finished, waiting, *_ = (trial.trial_id for trial in small.trials())
    plan_sweep(tmp_path, small).close()
    folder = tmp_path / "checkpoints" / finished
    folder.mkdir(parents=True)
    whole = tensor_file(b"weights", finished)
    (folder / "encoder.safetensors").write_bytes(whole)
    export_encoder(tmp_path, finished, tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == whole
    for broken in (whole[:-1], b"", whole.replace(b"weights", b"weighty"), tensor_file(b"weights", waiting)):
        (folder / "encoder.safetensors").write_bytes(broken)
        with pytest.raises(RequestError, match=r"encoder\.safetensors: is .*; the trial's results stand"):
            export_encoder(tmp_path, finished, tmp_path / "damaged copy")
    assert not (tmp_path / "damaged copy").exists()
    (folder / "encoder.safetensors").write_bytes(whole)
    with pytest.raises(RequestError, match=rf'has no trial "{finished[:-1]}x" \(did you mean "{finished}"'):
        export_encoder(tmp_path, f"{finished[:-1]}x", tmp_path / "copy")
    with pytest.raises(RequestError, match="has no trained encoder \\(it is waiting\\)"):
        export_encoder(tmp_path, waiting, tmp_path / "copy")
    with pytest.raises(RequestError, match="cannot be written: No such file"):
        export_encoder(tmp_path, finished, tmp_path / "missing" / "copy")
