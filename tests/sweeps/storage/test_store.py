"""Stores: which URIs are valid, files to an S3 server and back, and errors."""

import errno
import os
import pickle
import socket
import time
from pathlib import Path

import pytest

from sweeps.errors import LastingStorageError, StorageError
from sweeps.record.manifest import without_secrets
from sweeps.storage import store as storage
from sweeps.storage.store import Store
from tests.sweeps.storage.object_store import ObjectStore


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("s3a://bucket/x", r"must be a path, or a URI .* but got 's3a://bucket/x' \(did you mean \"s3\"\?\)"),
        ("s3:///x", r"must name a bucket \(s3://BUCKET/PREFIX\), but got 's3:///x'"),
        ("s3:bucket/x", r"must name a bucket"),
        ("file://", r"must name a folder \(file:///FOLDER\)"),
        ("s3://b/x?regoin=a", r"regoin: is not an option of s3:// here \(did you mean \"region\"\?\)"),
        ("s3://AKIA:se/cret@b/x", r"must hold no credentials .* but got s3://\*\*\*@b/x$"),
        ("s3://b/x?access_key=AKIA", r"must hold no credentials .* but got s3://b/x\?access_key=\*\*\*$"),
    ],
)
def test_an_invalid_uri_is_refused_in_one_line(place: str, message: str) -> None:
    with pytest.raises(StorageError, match=f"^--storage: {message}") as caught:
        Store.at(place)
    assert "\n" not in str(caught.value)
    assert "cret" not in str(caught.value)


def test_secrets_in_a_command_line_are_not_recorded() -> None:
    line = "run a.yaml --storage s3://AKIA:se/c+ret@b/x?Secret_Key=abc&region=r --log http://h:80/x"
    assert without_secrets(line) == (
        "run a.yaml --storage s3://***@b/x?Secret_Key=***&region=r --log http://h:80/x"
    )
    harmless = "gs://anonymous@b/x abfs://container@account.dfs.core.windows.net/x C:\\x key=1"
    assert without_secrets(harmless) == harmless


def places(tmp_path: Path, server: ObjectStore) -> list[Store]:
    folder = tmp_path / "a store"
    return [Store.at(server.uri("some/prefix")), Store.at(str(folder)), Store.at(f"file://{tmp_path}/other")]


def test_files_are_the_same_after_upload_and_download(tmp_path: Path, object_store: ObjectStore) -> None:
    content = os.urandom(24 * 2**20 + 1)  # several parts of an upload, several requests of a download
    (tmp_path / "big").write_bytes(content)
    for original in places(tmp_path, object_store):
        store: Store = pickle.loads(pickle.dumps(original))
        assert store.modified("a/big") is None
        assert store.read("a/big") is None
        assert not store.download("a/big", tmp_path / "back")
        assert store.names("a") == {}
        store.upload(tmp_path / "big", "a/big")
        store.write("a/small", b"one")
        store.write("a/small", b"two")
        store.write("a/deeper/x", b"")
        assert store.names("a").keys() == {"big", "small"}
        assert store.names("a")["big"] == store.modified("a/big") == pytest.approx(time.time(), abs=60)
        assert store.read("a/small") == b"two"
        assert store.download("a/big", tmp_path / "back")
        assert (tmp_path / "back").read_bytes() == content
        (tmp_path / "back").unlink()
        store.delete("a/big")
        store.delete("a/big")
        assert store.names("a").keys() == {"small"}
    assert (tmp_path / "a store" / "a" / "small").read_bytes() == b"two"
    assert not list(tmp_path.rglob("*.partial"))


def test_a_server_that_is_down_is_a_one_line_error_within_seconds(object_store: ObjectStore) -> None:
    store = Store.at(object_store.uri("x"))
    object_store.stop()
    began = time.monotonic()
    with pytest.raises(StorageError, match=r"^s3://bucket/x\?.*: cannot be reached: [^\n]*$"):
        store.modified("a")
    assert time.monotonic() - began < 10


@pytest.mark.usefixtures("object_store")
def test_a_server_that_does_not_answer_is_an_error_within_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(storage, "_SILENCE_SECONDS", 1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        began = time.monotonic()
        with pytest.raises(StorageError, match="cannot be reached"):
            Store.at(f"s3://b/x?endpoint_override=127.0.0.1:{port}&scheme=http&region=r").modified("a")
        assert time.monotonic() - began < 15


def test_a_missing_permission_and_a_missing_bucket_are_different_errors(object_store: ObjectStore) -> None:
    nowhere = Store.at(object_store.uri("x").replace("//bucket", "//no-such-bucket"))
    with pytest.raises(StorageError, match=r"cannot be used: .*bucket does not exist"):
        nowhere.write("a", b"")
    object_store.forbid()
    store = Store.at(object_store.uri("x"))
    with pytest.raises(StorageError, match=r"no permission \(credentials come from the env") as caught:
        store.write("a", b"")
    assert "a-secret-key" not in str(caught.value)
    with pytest.raises(StorageError, match="no permission"):
        store.modified("a")


@pytest.mark.parametrize(
    ("error", "refused"),
    [
        (OSError("When listing x: AWS Error ACCESS_DENIED during ListObjectsV2 operation: No."), True),
        (OSError("When opening x: AWS Error INVALID_ACCESS_KEY_ID during PutObject operation: No."), True),
        (
            OSError("When opening x: AWS Error UNKNOWN (HTTP status 403) during PutObject operation: No."),
            True,
        ),
        (OSError("google::cloud::Status(PERMISSION_DENIED: no access)"), True),
        (OSError("GetProperties for 'x' failed. Azure Error: [AuthorizationFailure] 403 No."), True),
        (PermissionError(errno.EACCES, "Permission denied", "/store/a"), True),
        (
            OSError("When reading 'a403b/x' in 'exp-403': AWS Error NETWORK_CONNECTION during GetObject"),
            False,
        ),
        (
            OSError("When reading 'a403b/x' in 'exp-403': AWS Error SLOW_DOWN during GetObject operation"),
            False,
        ),
        (OSError("When reading 'Permission/x': AWS Error UNKNOWN (HTTP status 503) during GetObject"), False),
    ],
)
def test_only_the_server_says_that_permission_is_missing(
    monkeypatch: pytest.MonkeyPatch, error: OSError, refused: bool
) -> None:
    def fails(uri: str) -> None:
        raise error

    monkeypatch.setattr(storage, "_open", fails)
    with pytest.raises(StorageError) as caught:
        Store.at("s3://exp-403/x").modified("a403b")
    assert ("no permission" in str(caught.value), caught.type is LastingStorageError) == (refused, refused)
