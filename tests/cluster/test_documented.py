"""The commands that the documents and files on clusters show are commands that run_sweep.py takes."""

import re
import shlex
from argparse import Namespace

import pytest

from run_sweep import _parser
from tests.cluster.launcher_rules import ROOT

SHOWN_IN = ("docs/cluster.md", "cluster.yaml")


def commands(name: str) -> list[Namespace]:
    """What a file shows, parsed; continued lines and the marks of comments are undone."""
    text = re.sub(r"\\\n#?\s*", "", (ROOT / name).read_text())
    shown = re.findall(r"python run_sweep\.py ([^\"`\n]*)", text)
    return [_parser().parse_args(shlex.split(arguments, comments=True)) for arguments in shown]


@pytest.mark.parametrize("name", SHOWN_IN)
def test_every_command_is_taken(name: str) -> None:
    assert "run" in [options.command for options in commands(name)]


@pytest.mark.parametrize("name", SHOWN_IN)
def test_a_sweep_on_nodes_that_go_away_is_kept_in_an_object_store(name: str) -> None:
    for options in commands(name):
        if options.command == "run" and str(options.study) != "my-study.yaml":  # which is for one machine
            assert options.storage.startswith("s3://")
            assert options.checkpoint_every != 0


def test_a_wrong_command_would_be_seen() -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(shlex.split("run STUDY --out DIR --checkpoints s3://BUCKET"))


def test_what_the_document_links_to_is_there() -> None:
    page = ROOT / "docs" / "cluster.md"
    links = re.findall(r"\]\(([^)#]+)", page.read_text())
    assert {"../cluster.yaml", "cluster/rayjob.yaml", "cluster/sweep.sbatch"} <= set(links)
    assert [link for link in links if not (page.parent / link).exists()] == []
