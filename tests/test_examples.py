"""The examples in docstrings, of tables made elsewhere and of the analysis from Python do what they show."""

import contextlib
import doctest
import importlib
import io
import re
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
    made = {"effects.parquet", "findings.json", "findings.txt", "report.html", "results.sha256"}
    assert {path.name for path in folder.iterdir()} == made | {"study.yaml", "trials.parquet"}


@pytest.mark.timeout(60)
def test_embeddings_from_elsewhere_are_measured_as_their_page_shows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section = (ROOT / "docs" / "measure.md").read_text().partition("## An example")[2]
    _, code, _, command, _, shown, *_ = (block.partition("\n")[2] for block in section.split("```"))
    monkeypatch.chdir(tmp_path)
    exec(code, {})
    assert main(command.split()[2:]) == 0
    printed, expected = (
        [line.partition(", kNN")[0] for line in text.splitlines()]  # whose last digit is up to the machine
        for text in (capsys.readouterr().out, shown)
    )
    assert printed == expected
    assert (tmp_path / "report" / "report.html").exists()


@pytest.mark.timeout(60)
def test_the_page_on_the_analysis_shows_what_its_blocks_print(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "docs" / "analysis.md").read_text()
    blocks = re.findall(r"```(python|text)\n(.*?)```\n", text, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    printed = ""
    for kind, block in blocks:
        if kind == "text":
            assert block == printed
            continue
        with contextlib.redirect_stdout(io.StringIO()) as shown:
            exec(block, names)
        printed = shown.getvalue()
    assert [kind for kind, _ in blocks].count("text") == 6
    assert (tmp_path / "report.html").stat().st_size > 500_000


def test_links_and_pictures_of_the_documents_are_there() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/**/*.md")]
    found = [
        (page, target)
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target
    ]
    assert len(found) > 100
    assert [(page.name, target) for page, target in found if not (page.parent / target).exists()] == []


def test_a_wrong_example_is_seen(capsys: pytest.CaptureFixture[str]) -> None:
    example = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "example", None, None)
    assert doctest.DocTestRunner().run(example) == (1, 1)
    assert "Expected:\n    3" in capsys.readouterr().out
