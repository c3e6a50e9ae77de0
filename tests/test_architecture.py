"""What may import what, and how large a piece may be. Each rule is seen to fail where it is broken.

The import rules are the contracts of import-linter in pyproject.toml.
"""

import ast
import contextlib
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("byol", "sweeps", "analysis")

BROKEN_BY = {
    "learner": ("byol/data/decoding.py", "import pandas"),
    "analysis": ("analysis/page/markup.py", "from byol.errors import nearest"),
    "results": ("sweeps/record/directory.py", "from analysis.load import load_results"),
    "ray": ("sweeps/tracker.py", "from ray import tune"),
    "planning": ("sweeps/study/designs.py", "from byol.seeding import stream"),
    "byol-layers": ("byol/config.py", "from byol.presets import from_settings"),
    "sweeps-layers": ("sweeps/record/rows.py", "from sweeps.tracker import Tracker"),
    "analysis-layers": ("analysis/stats.py", "from analysis.load import load_results"),
}
"""Contract -> an import that it forbids, and a file that it must not be in."""


def tool(name: str) -> str:
    """A command of the environment that runs the tests."""
    return str(Path(sys.executable).with_name(name))


def configuration() -> dict[str, dict[str, str]]:
    """The contracts by their ids."""
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    return {contract["id"]: contract for contract in tools["importlinter"]["contracts"]}


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The packages and their contracts, to be broken."""
    folder = tmp_path_factory.mktemp("architecture")
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", "assets")
        )
    (folder / "byol" / "data" / "assets").mkdir()
    (folder / "byol" / "data" / "assets" / "__init__.py").touch()
    shutil.copy(ROOT / "pyproject.toml", folder)
    return folder


@contextlib.contextmanager
def planted(file: Path, line: str) -> Iterator[None]:
    """Within it, `line` is the last of `file`."""
    text = file.read_text()
    file.write_text(f"{text}\n{line}\n")
    yield
    file.write_text(text)


def verdicts(folder: Path, *contracts: str) -> dict[str, str]:
    """Name of the contract -> KEPT or BROKEN, for the named contracts or all of them."""
    command = [tool("lint-imports"), "--no-logo", "--no-cache"]
    for contract in contracts:
        command += ["--contract", contract]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True, env={"COLUMNS": "500"}).stdout
    return dict(re.findall(r"^(.+) (KEPT|BROKEN)\b", shown, re.MULTILINE))


def test_every_contract_is_kept(copied: Path) -> None:
    names = {contract["name"] for contract in configuration().values()}
    assert verdicts(copied) == dict.fromkeys(names, "KEPT")


def test_every_contract_is_seen_to_fail() -> None:
    assert set(BROKEN_BY) == set(configuration())


@pytest.mark.parametrize("contract", BROKEN_BY)
def test_a_contract_is_broken_by_an_import_that_it_forbids(copied: Path, contract: str) -> None:
    file, line = BROKEN_BY[contract]
    with planted(copied / file, line):
        assert verdicts(copied, contract) == {configuration()[contract]["name"]: "BROKEN"}


def loaded_by(code: str, *forbidden: str) -> list[str]:
    """Which of the `forbidden` top-level modules are loaded after `code` has run in a new process."""
    probe = f"import sys\n{code}\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    process = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return sorted(set(process.stdout.split()) & set(forbidden))


def test_planning_needs_no_torch_ray_or_pandas() -> None:
    """As the contract says, and beyond it: what the command line imports, and what other packages import."""
    heavy = ("torch", "torchvision", "ray", "pandas", "pyarrow", "plotly", "scipy", "optuna")
    code = "import byol.presets, byol.measure.collapse, sweeps.study, sweeps.study.designs, run_sweep"
    assert loaded_by(code, *heavy) == []


def test_the_check_sees_a_forbidden_import() -> None:
    assert loaded_by("import email.message, json", "email", "torch") == ["email"]


LONGEST_FUNCTION = 60
LONGEST_FILE = 450
USUAL_FILE = 250
"""Lines of nine files in ten, at most."""


def product_files() -> list[Path]:
    return [ROOT / "run_sweep.py", *(file for name in PACKAGES for file in (ROOT / name).rglob("*.py"))]


def long_functions(text: str) -> list[str]:
    """Functions of more than LONGEST_FUNCTION lines, decorators not counted."""
    functions = [
        node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lines = [(node.name, (node.end_lineno or 0) - node.lineno + 1) for node in functions]
    return [f"{name}: {count} lines" for name, count in lines if count > LONGEST_FUNCTION]


def test_no_function_is_long() -> None:
    too_long = {str(file.relative_to(ROOT)): long_functions(file.read_text()) for file in product_files()}
    assert {file: functions for file, functions in too_long.items() if functions} == {}


def test_a_long_function_is_seen() -> None:
    longest, too_long = (" x = 1\n" * lines for lines in (59, 60))
    assert long_functions(f"def f():\n{longest}\nasync def g():\n{too_long}") == ["g: 61 lines"]


def test_files_are_of_a_usual_length() -> None:
    lines = {str(file.relative_to(ROOT)): file.read_text().count("\n") for file in product_files()}
    assert {file: count for file, count in lines.items() if count > LONGEST_FILE} == {}
    assert sum(count > USUAL_FILE for count in lines.values()) <= len(lines) / 10


def test_ruff_sees_a_function_that_is_too_complex() -> None:
    branches = "".join(f"    if a == {number}:\n        b = {number}\n" for number in range(30))
    code = f"def f(a, b, c, d, e, g, h, i, j):\n{branches}"
    command = [tool("ruff"), "check", "--output-format=concise", "--stdin-filename"]
    shown = subprocess.run(
        [*command, "byol/planted.py", "-"], cwd=ROOT, input=code, capture_output=True, text=True
    ).stdout
    for rule in ("C901", "PLR0912", "PLR0913", "PLR0915"):
        assert f" {rule} " in shown


def folders(top: Path) -> set[str]:
    """The folders in `top` that hold a file, with a slash at the end, relative to the root."""
    files = [file for file in top.rglob("*") if file.is_file() and "__pycache__" not in file.parts]
    return {f"{file.parent.relative_to(ROOT)}/" for file in files}


def test_the_map_in_contributing_shows_the_folders() -> None:
    rows = re.findall(r"^\| `(\S+/)` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    shown = [*PACKAGES, "benchmarks", "docs"]
    assert sorted(rows) == sorted({"tests/"}.union(*(folders(ROOT / name) for name in shown)))
