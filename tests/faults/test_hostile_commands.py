"""Any command line ends in one line and changes nothing, or does what it says."""

import contextlib
import io
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from run_sweep import main
from sweeps.doctor import Check
from sweeps.errors import EngineError
from sweeps.simulated import TRAINER
from sweeps.study import study_from_text
from tests.faults.examples import GIB, LONGEST_LINE, SECONDS, examples, peak_gib
from tests.faults.injected import REFUSED, REPAIRED
from tests.faults.simulated_sweep import run_simulated
from tests.sweeps.conftest import SMALL

OPTIONS = [
    *(
        "--workers",
        "--price",
        "--out",
        "--from",
        "--set",
        "--data-root",
        "--cpus-per-trial",
        "--pack",
        "--gpus-per-trial",
    ),
    *(
        "--checkpoint-every",
        "--time-budget",
        "--storage",
        "--mirror-every",
        "--data-via",
        "--log",
        "--address",
    ),
    *("--threshold", "--patience", "--to", "--json", "--retry-failed", "--calibrate", "--nothing"),
]
VALUES = [
    *(
        "",
        " ",
        "0",
        "-1",
        "1",
        "1.5",
        "nan",
        "inf",
        "1e400",
        "9" * 400,
        "9" * 5000,
        "9" * 400 + "h",
        "90s",
        "0s",
    ),
    *(
        "é",
        "\ud800",
        "\udc80",
        "a\nb",
        "\0",
        "x" * 5000,
        "=",
        "a=b",
        "steps=",
        "steps=[",
        "steps=1e400",
        "²",
        "١",
    ),
    *(
        "/dev/zero",
        "/dev/null/x",
        ".",
        "missing",
        "s3://",
        "s3a://b",
        "file://",
        "http://x",
        "auto",
        "127.0.0.1:1",
    ),
    *(":", "[::1]:99999999", "node", "mlflow", "--", "-", "a" * 300 + ".yaml", "collapse-quickstart"),
]
COMMANDS = ["plan", "run", "status", "report", "replay", "export", "verify", "doctor", "studies", "", "paln"]
STUDY = study_from_text(SMALL, "small.yaml")


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A folder to be in, with a study and a complete sweep of it; and nothing that takes long is done."""
    folder, earlier = tmp_path_factory.mktemp("place"), Path.cwd()
    (folder / "small.yaml").write_text(SMALL)
    run_simulated(STUDY, folder / "sweep")
    os.chdir(folder)
    patch = pytest.MonkeyPatch()
    patch.setattr("analysis.api.report", lambda results: "<html>the report</html>")
    patch.setattr(
        "sweeps.doctor.examine", lambda out, address, storage: [Check(name="a", fine=True, detail="b")]
    )
    patch.setattr("sweeps.engine.runtime.connected", refuse)
    yield
    patch.undo()
    os.chdir(earlier)


def refuse(*_: object) -> None:
    """Ray would take seconds to start; up to here a run has changed nothing."""
    raise EngineError("no Ray here")


@examples(150)
@example("report", "a\nb", [])
@example("replay", "x" * 5000, [])
@example("run", "small.yaml", [("--out", "new"), ("--storage", "s3://")])
@given(
    st.sampled_from(COMMANDS),
    st.sampled_from(["missing.yaml", "small.yaml", "sweep", "sweep", *VALUES]),
    st.lists(st.tuples(st.sampled_from(OPTIONS), st.sampled_from(["sweep", *VALUES])), max_size=3),
)
def test_any_command_line(
    injected: Callable[..., None], command: str, first: str, options: list[tuple[str, str]]
) -> None:
    if command == "plan":
        options = [pair for pair in options if pair[0] != "--calibrate"]  # which trains
    line = [command, first, *(part for pair in options for part in pair)]
    before = content()
    shown, said = io.StringIO(), io.StringIO()
    began, memory = time.process_time(), peak_gib()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        try:
            status = main(line, trainer=TRAINER)
        except SystemExit as ended:
            status = int(ended.code or 0) if not isinstance(ended.code, str) else 1
    assert time.process_time() - began < SECONDS
    assert peak_gib() - memory < GIB
    if status == 0:
        assert shown.getvalue()
    else:
        assert status == 2
        assert said.getvalue().count("\n") == 1, said.getvalue()
        assert len(said.getvalue()) < LONGEST_LINE
        assert content() == before
    injected("commands", REFUSED if status else REPAIRED)


def content() -> dict[str, bytes]:
    """Every file here; what SQLite keeps beside an open ledger is no change."""
    return {
        str(path): path.read_bytes() if path.is_file() else b""
        for path in sorted(Path().rglob("*"))
        if not path.name.endswith(("-shm", "-wal"))
    }
