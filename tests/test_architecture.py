"""The import rules of the packages: what may know what. Each rule is checked in a fresh interpreter."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def loaded_by(code: str, *forbidden: str) -> list[str]:
    """Which of the `forbidden` top-level modules are loaded after `code` has run in a new process."""
    probe = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True)
    return sorted(set(done.stdout.split()) & set(forbidden))


def modules_of(package: str) -> str:
    files = sorted((ROOT / package).rglob("*.py"))
    paths = [file.relative_to(ROOT).with_suffix("") for file in files if not file.stem.startswith("__")]
    names = [".".join(path.parts) for path in paths]
    assert names, f"no modules in {package}"
    return "import " + ", ".join(names)


@pytest.mark.timeout(60)
def test_the_learner_knows_no_engine_and_no_tables() -> None:
    assert loaded_by(modules_of("byol"), "ray", "pandas", "yaml", "plotly", "sweeps", "analysis") == []


def test_planning_needs_no_torch_ray_or_pandas() -> None:
    heavy = ("torch", "torchvision", "ray", "pandas", "pyarrow", "plotly", "scipy", "optuna")
    code = "import byol.presets, byol.measure.collapse, sweeps.study, sweeps.study.designs, run_sweep"
    assert loaded_by(code, *heavy) == []


@pytest.mark.timeout(60)
def test_the_analysis_reads_tables_and_nothing_else() -> None:
    assert loaded_by(modules_of("analysis"), "byol", "sweeps", "ray", "torch") == []


def test_only_the_engine_and_the_search_import_ray() -> None:
    importers = {
        file.parent.name
        for file in (ROOT / "sweeps").rglob("*.py")
        if "import ray" in file.read_text() or "from ray" in file.read_text()
    }
    assert importers <= {"engine", "search"}


def test_the_check_sees_a_forbidden_import() -> None:
    assert loaded_by("import email.message, json", "email", "torch") == ["email"]
