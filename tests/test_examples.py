"""The examples in docstrings, and of tables made elsewhere, do what they show."""

import doctest
import importlib
from pathlib import Path

import pytest

from run_sweep import main
from tests.test_architecture import ROOT, product_files


def with_examples() -> list[str]:
    """Modules that show an example; others are not imported."""
    paths = [file.relative_to(ROOT) for file in product_files() if ">>> " in file.read_text()]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return sorted(names)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("name", with_examples())
def test_the_examples_of_a_module(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    flags = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    result = doctest.testmod(importlib.import_module(name), optionflags=flags)
    assert result.attempted > 0
    assert result.failed == 0


@pytest.mark.timeout(60)
def test_tables_made_elsewhere_are_judged_without_a_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (ROOT / "docs" / "result-tables.md").read_text()
    section = text.partition("### Tables made elsewhere")[2]
    _, code, _, command, *_ = (block.partition("\n")[2] for block in section.split("```"))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    folder = tmp_path / "from-a-notebook"
    assert sorted(path.name for path in folder.iterdir()) == ["study.yaml", "trials.parquet"]
    assert main(command.split()[2:]) == 0
    assert "predictor" in capsys.readouterr().out
    made = ["effects.parquet", "findings.json", "findings.txt", "report.html", "study.yaml", "trials.parquet"]
    assert sorted(path.name for path in folder.iterdir()) == made


def test_a_wrong_example_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "example", None, None)
    assert doctest.DocTestRunner().run(example) == (1, 1)
    assert "Expected:\n    3" in capsys.readouterr().out
