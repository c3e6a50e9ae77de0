"""Nothing is unpickled, and nothing secret is written down."""

import ast
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from run_sweep import main
from sweeps import files
from sweeps.record.manifest import DriverRecord, manifest_text
from sweeps.simulated import TRAINER
from tests.analysis.tables import write_sweep
from tests.cli.test_cli import complete
from tests.sweeps.conftest import SMALL

ROOT = Path(__file__).parents[1]
MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "marshal", "shelve"}
CALLS = {"read_pickle", "eval", "exec", "unsafe_load", "full_load"}


def unpickling(text: str) -> list[str]:
    """What in a source could run code from data: modules, functions, options."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in MODULES]
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in MODULES:
            found.append(str(node.module))
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            unsafe = name.split(".")[-1] in CALLS and name != "self.network.eval"
            is_eval_mode = name.endswith(".eval") and not node.args  # of a torch module
            found += [name] if (unsafe and not is_eval_mode) or name == "torch.load" else []
            found += [key.arg for key in node.keywords if key.arg == "allow_pickle"]
    return found


def test_the_source_unpickles_nothing() -> None:
    sources = [
        ROOT / "run_sweep.py",
        *(path for top in ("byol", "sweeps", "analysis") for path in (ROOT / top).rglob("*.py")),
    ]
    assert len(sources) > 100
    found = {str(path.relative_to(ROOT)): unpickling(path.read_text(encoding="utf-8")) for path in sources}
    assert {path: names for path, names in found.items() if names} == {}


@pytest.mark.parametrize(
    "line",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(f)",
        "np.load(f, allow_pickle=True)",
        "eval(text)",
    ],
)
def test_the_check_sees_what_it_looks_for(line: str) -> None:
    assert unpickling(line)


def test_no_secret_of_the_environment_is_written_down(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A complete sweep, finished again: its ledger, study, tables, findings and report; and a manifest."""
    secret = "a-secret-of-the-environment"
    for name in ("RAY_AUTH_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "WANDB_API_KEY"):
        monkeypatch.setenv(name, secret)
    study_file = tmp_path / "small.yaml"
    study_file.write_text(SMALL)
    out = tmp_path / "out"
    complete(out, study_file)
    assert main(["run", str(study_file), "--out", str(out)], trainer=TRAINER) == 0
    record = DriverRecord(command=sys.argv, started=datetime.now(UTC), wall_seconds=1.0, resources={})
    text = manifest_text({}, study="a", precision="fp32", data={"a": "1"}, driver=record, plan=None)
    (out / files.MANIFEST).write_text(text)
    assert main(["report", str(write_sweep(tmp_path / "other"))]) == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {files.LEDGER, files.REPORT, files.FINDINGS, files.MANIFEST} <= {path.name for path in written}
    assert [path for path in written if secret.encode() in path.read_bytes()] == []
    assert secret not in capsys.readouterr().out
