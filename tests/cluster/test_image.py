"""docs/cluster/Dockerfile builds what docs/cluster/rayjob.yaml runs, from files that exist, pinned.

Docker is not used: no base image is at hand. What the image runs, `plan` among it, other tests run.
"""

import re
from collections.abc import Callable

import pytest

from tests.cluster.launcher_rules import ROOT, pins

IMAGE = ROOT / "docs" / "cluster" / "Dockerfile"
IGNORED = IMAGE.with_name("Dockerfile.dockerignore")


def complaints(text: str, ignored: str) -> list[str]:
    """Everything that is wrong with a Dockerfile and what it ignores; empty if it may be used."""
    lines = re.sub(r"\\\n", " ", text).splitlines()
    wrong, ray = [], pins()["ray[tune]"]
    if lines and not any(line.startswith(f"FROM rayproject/ray:{ray}-py311") for line in lines):
        wrong.append(f"not from Ray's image {ray}")
    sources = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    sources = [source for source in sources if not source.startswith("--")]
    needed = {"requirements.txt", "requirements.lock", "run_sweep.py", "byol", "sweeps", "analysis"}
    wrong += [f"lacks {name}" for name in sorted(needed - set(sources))]
    wrong += [f"{name} does not exist" for name in sources if not (ROOT / name).exists()]
    wrong += [f"{name} is not sent to Docker" for name in sources if f"!{name}" not in ignored.splitlines()]
    installed = "\n".join(line for line in lines if line.startswith("RUN"))
    if "-r requirements.txt -c requirements.lock" not in installed:
        wrong.append("does not install requirements.txt as requirements.lock has it")
    if f"ray[default]=={ray}" not in installed:
        wrong.append("has no job server")
    uv = re.search(r"uv==([\d.]+)", (ROOT / "Makefile").read_text())
    if uv is None or uv[0] not in installed:
        wrong.append("installs another uv than the Makefile")
    return wrong


def test_the_image_has_what_a_sweep_needs() -> None:
    assert complaints(IMAGE.read_text(), IGNORED.read_text()) == []


BROKEN: dict[str, tuple[Callable[[str], str], str]] = {
    "another Ray": (lambda text: text.replace("ray:2", "ray:1"), "not from Ray's image"),
    "a part is missing": (lambda text: text.replace("analysis analysis", "byol byol"), "lacks analysis"),
    "a file is gone": (
        lambda text: text.replace("COPY --chown=ray:users run", "COPY run2"),
        "does not exist",
    ),
    "free versions": (lambda text: text.replace(" -c requirements.lock", ""), "as requirements.lock has it"),
    "no job server": (lambda text: text.replace("[default]", ""), "no job server"),
    "another uv": (lambda text: text.replace("uv==", "uv>="), "another uv"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_rule_can_fail(name: str) -> None:
    broken, complaint = BROKEN[name]
    assert complaint in "; ".join(complaints(broken(IMAGE.read_text()), IGNORED.read_text()))


def test_what_docker_ignores_counts() -> None:
    assert "byol is not sent to Docker" in complaints(IMAGE.read_text(), "*\n!requirements.txt\n")
