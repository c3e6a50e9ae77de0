"""The package: what is in it, and that it works far from the checkout."""

import json
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest
import yaml

import sweeps
from sweeps.study import list_studies
from tests.sweeps.record.test_manifest import git
from tests.test_architecture import PACKAGES, ROOT

PASSING = ("__pycache__", ".*", "*~")
"""What may lie about in a checkout."""

BUILD = """
import sys
from setuptools import build_meta
build_meta.build_{kind}(sys.argv[1])
"""
TELL = """
import json, sys
sys.path.insert(0, sys.argv[1])
from sweeps.doctor.machine import packages
from sweeps.record.manifest import git_state
print(json.dumps([git_state(), packages()]))
"""
CALL = """
import sys
from importlib.metadata import entry_points
sys.path.insert(0, sys.argv.pop(1))
sys.argv[0] = "byol-sweeps"
[command] = entry_points(group="console_scripts", name="byol-sweeps")
sys.exit(command.load()())
"""


def build(kind: str, folder: Path, to: Path) -> Path:
    """A "wheel" or "sdist" of the sources in `folder`, by the build backend itself, without a network."""
    to.mkdir()
    code = BUILD.format(kind=kind)
    subprocess.run([sys.executable, "-c", code, str(to)], cwd=folder, capture_output=True, check=True)
    [built] = to.iterdir()
    return built


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source distribution of this checkout, which is left as it was."""
    folder = tmp_path_factory.mktemp("sources")
    for name in (*PACKAGES, "tests", "benchmarks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns(*PASSING))
    for name in ("pyproject.toml", "requirements.txt", "MANIFEST.in", "README.md", "LICENSE", "run_sweep.py"):
        shutil.copy(ROOT / name, folder)
    return build("sdist", folder, folder / "built")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that the source distribution gives."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder, filter="data")
    [sources] = folder.iterdir()
    return build("wheel", sources, folder / "built")


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the wheel is installed."""
    folder = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def call(site: Path, cwd: Path, *arguments: str) -> str:
    """What the installed command prints; the checkout is not on its path."""
    command = [sys.executable, "-I", "-c", CALL, str(site), *arguments]
    process = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert (process.returncode, process.stderr) == (0, "")
    return process.stdout


def files_of(folder: Path) -> set[str]:
    return {str(file.relative_to(folder)) for file in folder.rglob("*") if file.is_file()}


def test_the_wheel_holds_the_program_its_data_and_nothing_else(site: Path, sdist: Path) -> None:
    sources = files_of(sdist.parents[1])
    installed = files_of(site)
    metadata = {name for name in installed if ".dist-info/" in name}
    packaged = {name for name in sources if name.startswith(tuple(f"{package}/" for package in PACKAGES))}
    assert installed - metadata == {*packaged, "run_sweep.py"}
    for name in ("sweeps/studies/collapse-quickstart.yaml", "analysis/page/script/start.js", "byol/py.typed"):
        assert name in installed


def test_its_dependencies_are_those_of_requirements_txt(sdist: Path, site: Path) -> None:
    [metadata] = site.glob("*.dist-info/METADATA")
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pins = {line for line in lines if line and not line.startswith("#")}
    required = metadata.read_text().partition("\n\n")[0].split("\nRequires-Dist: ")[1:]
    required = [line.partition("\n")[0] for line in required]
    assert {line for line in required if "extra ==" not in line} == pins
    assert [line for line in required if "extra ==" in line] == ['timm>=1.0.31; extra == "timm"']
    assert len(pins) == 12
    with tarfile.open(sdist) as archive:
        assert f"byol_sweeps-{sweeps.__version__}/requirements.txt" in archive.getnames()


def test_the_command_works_in_another_directory(site: Path, tmp_path: Path) -> None:
    assert call(site, tmp_path, "--version") == f"byol-sweeps {sweeps.__version__}\n"
    assert call(site, tmp_path, "studies").count(" trials  ") == len(list_studies())
    (tmp_path / "mine.yaml").write_text("name: mine\nfactors: {predictor: [mlp, none]}\nseeds: 2\n")
    assert "2 cells x 2 seeds (0, 1) = 4" in call(site, tmp_path, "plan", "mine.yaml")
    assert sorted(tmp_path.iterdir()) == [tmp_path / "mine.yaml"]


def test_an_installed_tool_knows_its_own_commit_and_requirements(site: Path, tmp_path: Path) -> None:
    """And takes neither from the repository and the requirements.txt that it happens to lie in."""
    folder = tmp_path / "repository" / "site"
    shutil.copytree(site, folder)
    (folder / "requirements.txt").write_text("numpy==0.1\n")
    git(tmp_path / "repository", "init", "--quiet")
    git(tmp_path / "repository", "add", "site/requirements.txt")
    git(tmp_path / "repository", "commit", "--quiet", "--message", "of something else")

    def told() -> list[object]:
        command = [sys.executable, "-I", "-c", TELL, str(folder)]
        process = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
        return list(json.loads(process.stdout))

    requirements = f"12 as byol-sweeps {sweeps.__version__} requires"
    assert told() == [{"commit": None, "clean": None}, requirements]
    [metadata] = folder.glob("*.dist-info")
    origin = metadata / "direct_url.json"
    origin.write_text(json.dumps({"url": "file:///sources", "dir_info": {}}))
    assert told() == [{"commit": None, "clean": None}, requirements]
    origin.write_text(json.dumps({"url": "file:///sources", "vcs_info": {"vcs": "git", "commit_id": "ab12"}}))
    assert told() == [{"commit": "ab12", "clean": True}, requirements]


def test_the_lock_holds_each_requirement_with_digests_and_no_address() -> None:
    text = (ROOT / "requirements.lock").read_text()
    packages = [block.splitlines() for block in re.split(r"\n(?=[a-z])", text)[1:]]
    assert all(line.startswith("    --hash=sha256:") for _, *digests in packages for line in digests)
    assert all(len(package) > 1 for package in packages)
    assert "://" not in text
    versions = {package[0].split(" ")[0] for package in packages}
    for name in ("requirements.txt", "requirements-dev.txt"):
        lines = (ROOT / name).read_text().splitlines()
        pins = {re.sub(r"\[.*\]", "", line).lower() for line in lines if "==" in line}
        assert pins - versions == set()


def test_version_and_date_are_the_same_everywhere() -> None:
    newest = re.search(r"^## (\S+) \((\S+)\)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert (citation["version"], str(citation["date-released"])) == newest.groups()
    assert citation["version"] == sweeps.__version__
    assert {"cff-version", "message", "title", "authors"} <= set(citation)
