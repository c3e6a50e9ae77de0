"""Temporary folders where other users write too."""

import fcntl
import os
import tempfile
from pathlib import Path

import pytest

from sweeps.temporary import temporary_folder


@pytest.fixture(autouse=True)
def shared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


@pytest.mark.timeout(20)
def test_a_file_that_another_user_has_locked_does_not_block(shared: Path) -> None:
    with (shared / f"byol-sweeps-{os.getuid()}-lock").open("w") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        with temporary_folder("some") as folder:
            assert folder.is_dir()
    assert not folder.exists()
    own = shared / f"byol-sweeps-{os.getuid()}"
    assert (own.stat().st_mode & 0o777, [path.name for path in own.iterdir()]) == (0o700, ["lock"])


@pytest.mark.timeout(20)
@pytest.mark.parametrize("taken", ["open to all", "a file", "a link"])
def test_where_another_has_taken_the_name_nothing_is_removed(shared: Path, taken: str) -> None:
    own, left = (shared / f"byol-sweeps-{os.getuid()}{end}" for end in ("", "-some-left"))
    left.mkdir()
    if taken == "a file":
        own.touch()
    elif taken == "a link":
        own.symlink_to(shared)
    else:
        own.mkdir()
        own.chmod(0o777)
    with temporary_folder("some") as folder:
        assert folder.is_dir()
        assert left.exists()
    own.rename(shared / "elsewhere")
    with temporary_folder("some"):
        assert not left.exists()
