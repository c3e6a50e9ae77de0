"""An S3 store that answers with errors, cuts connections, takes its time: the sweep goes on, or says so."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from byol.files import ENCODER, STATE
from sweeps.errors import StorageError
from sweeps.options import RunOptions
from sweeps.storage.checkpoints import Checkpoints, local_copies
from sweeps.storage.store import Store
from tests.faults import ALL
from tests.faults.faulty_proxy import FAULTS, FaultyProxy
from tests.faults.injected import REFUSED, SAME
from tests.faults.real import tables
from tests.faults.simulated_sweep import run_simulated
from tests.faults.test_damaged_files import STUDY, TRIAL
from tests.sweeps.storage.object_store import ENVIRONMENT, ObjectStore
from tests.sweeps.tensor_files import tensor_file

pytestmark = pytest.mark.timeout(600)


@pytest.fixture
def proxy(object_store: ObjectStore) -> Iterator[FaultyProxy]:
    started = FaultyProxy(object_store.port)
    yield started
    started.close()


def uri(proxy: FaultyProxy, prefix: str) -> str:
    endpoint = f"endpoint_override=127.0.0.1:{proxy.port}"
    return f"s3://bucket/{prefix}?{endpoint}&scheme=http&region=us-east-1"


def one_line_error(call: Callable[[], object]) -> str:
    """The error of a store, "" if it did not fail."""
    try:
        call()
    except (StorageError, OSError) as error:
        told = str(error)
    else:
        return ""
    assert "\n" not in told
    assert "s3://bucket/" in told
    return told


@pytest.mark.parametrize("seed", range(20 if ALL else 1))
def test_a_sweep_with_a_faulty_object_store(
    tmp_path: Path, proxy: FaultyProxy, injected: Callable[..., None], seed: int
) -> None:
    run_simulated(STUDY, tmp_path / "whole")
    options = RunOptions(storage=uri(proxy, f"sweep{seed}"), mirror_every=0.05)
    proxy.disturb((0.1, 0.3, 0.8)[seed % 3], seed)
    for _ in range(2):
        one_line_error(lambda: run_simulated(STUDY, tmp_path / "first", options, trials=4))
    proxy.disturb(0)
    run_simulated(STUDY, tmp_path / "first", options, trials=6)
    proxy.disturb(0.1, f"again {seed}")
    one_line_error(lambda: run_simulated(STUDY, tmp_path / "second", options, trials=1))
    proxy.disturb(0)
    shutil.rmtree(tmp_path / "second", ignore_errors=True)
    run_simulated(STUDY, tmp_path / "third", options)
    assert tables(tmp_path / "third") == tables(tmp_path / "whole")
    assert proxy.met
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [
        path for path in written if ENVIRONMENT["AWS_SECRET_ACCESS_KEY"].encode() in path.read_bytes()
    ]
    injected("S3", SAME, len(proxy.met))


@pytest.mark.parametrize("fault", FAULTS)
def test_a_checkpoint_through_a_faulty_object_store(
    tmp_path: Path, proxy: FaultyProxy, injected: Callable[..., None], fault: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    """What arrives is what was sent, or an error: never half a file."""
    monkeypatch.setattr("tests.faults.faulty_proxy.FAULTS", (fault,))
    store = Store.at(uri(proxy, "checkpoints"))
    content = tensor_file(bytes(range(256)) * 40, TRIAL)
    proxy.disturb(0.5, fault)
    for number in range(20 if ALL else 2):
        name = f"checkpoints/{TRIAL}/{number}"
        failed = one_line_error(lambda: store.write(name, content))  # noqa: B023
        found = list[bytes | None]()
        failed += one_line_error(lambda: found.append(store.read(name)))  # noqa: B023
        assert failed or found == [content]
        assert all(each in (None, content) for each in found)
        injected("S3", REFUSED if failed else SAME)


def test_an_encoder_is_exported_once_the_store_answers_again(
    tmp_path: Path, proxy: FaultyProxy, injected: Callable[..., None]
) -> None:
    store = Store.at(uri(proxy, "export"))
    checkpoints = Checkpoints(folder=tmp_path, store=store)
    weights = tensor_file(b"weights", TRIAL)
    proxy.disturb(1, "export")
    with checkpoints.workspace(TRIAL) as workspace:
        (workspace.folder / ENCODER).write_bytes(weights)
    left = (local_copies(store) / TRIAL / ENCODER).exists()
    proxy.disturb(0)
    if left:  # the next trial on this machine sends it
        with checkpoints.workspace("other") as workspace:
            (workspace.folder / STATE).write_bytes(tensor_file(b"state", "other"))
    assert checkpoints.encoder(TRIAL) == weights
    shutil.rmtree(local_copies(store), ignore_errors=True)
    injected("S3", SAME)
