"""Any command line ends in one line and changes nothing, or does what it says."""

import contextlib
import io
import os
import time
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from run_sweep import main
from sweeps.simulated import TRAINER
from tests.faults.examples import LONGEST_LINE, SECONDS, examples

OPTIONS = [
    *(
        "--workers",
        "--price",
        "--out",
        "--from",
        "--set",
        "--data-root",
        "--cpus-per-trial",
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
COMMANDS = ["plan", "run", "status", "report", "replay", "export", "studies", "", "paln"]


@pytest.fixture(scope="module", autouse=True)
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> "object":
    """An empty folder to be in: a study named here is missing, and whatever is made shows."""
    folder, earlier = tmp_path_factory.mktemp("empty"), Path.cwd()
    os.chdir(folder)
    yield
    os.chdir(earlier)


@examples(150)
@example("report", "a\nb", [])
@example("replay", "x" * 5000, [])
@given(
    st.sampled_from(COMMANDS),
    st.sampled_from(["missing.yaml", *VALUES]),
    st.lists(st.tuples(st.sampled_from(OPTIONS), st.sampled_from(VALUES)), max_size=3),
)
def test_any_command_line(command: str, first: str, options: list[tuple[str, str]]) -> None:
    if command == "run":
        first = "missing.yaml"  # a good one would start Ray
    if command == "plan":
        options = [pair for pair in options if pair[0] != "--calibrate"]  # which trains
    line = [command, first, *(part for pair in options for part in pair)]
    before = sorted(Path().rglob("*"))
    shown, said = io.StringIO(), io.StringIO()
    began = time.process_time()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(said):
        try:
            status = main(line, trainer=TRAINER)
        except SystemExit as ended:
            status = int(ended.code or 0) if not isinstance(ended.code, str) else 1
    assert time.process_time() - began < SECONDS
    if status == 0:
        assert shown.getvalue()
    else:
        assert status == 2
        assert said.getvalue().count("\n") == 1, said.getvalue()
        assert len(said.getvalue()) < LONGEST_LINE
        assert sorted(Path().rglob("*")) == before
