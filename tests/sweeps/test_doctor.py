"""The doctor: what it compares, and that it says what is wrong instead of failing."""

import importlib.metadata
from pathlib import Path

import pytest

from sweeps import doctor
from sweeps.doctor import Check, examine


def results(out: Path, *names: str) -> dict[str, Check]:
    """The checks of these names, which must be the first; the later ones take seconds."""
    checks = examine(out, None)
    return {name: next(checks) for name in names}


def test_a_sound_environment_is_called_so(tmp_path: Path) -> None:
    for name, finding in results(tmp_path, "python", "packages", "studies", "disk").items():
        assert (finding.name, finding.fine) == (name, True)


def test_packages_are_compared_with_the_pins_of_the_checkout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numpy = importlib.metadata.version("numpy")
    requirements = tmp_path / "requirements.txt"
    monkeypatch.setattr(doctor, "_REQUIREMENTS", requirements)
    requirements.write_text(
        f"# Pinned.\n-r other.txt\nnumpy=={numpy}  # arrays\nray[tune]==0.1; python_version > '3'\n"
    )
    finding = results(tmp_path, "python", "packages")["packages"]
    assert (finding.fine, finding.detail) == (
        False, f"ray must be 0.1, but is {importlib.metadata.version('ray')}",
    )  # fmt: skip
    requirements.write_text(f"numpy=={numpy}\nno-such-package==1.0\n")
    finding = results(tmp_path, "python", "packages")["packages"]
    assert (finding.fine, finding.detail) == (False, "no-such-package must be 1.0, but is missing")
    requirements.write_text(f"numpy=={numpy}\n")
    finding = results(tmp_path, "python", "packages")["packages"]
    assert (finding.fine, finding.detail) == (True, "1 as pinned in requirements.txt")


def test_a_directory_that_is_not_there_yet_is_on_the_disk_of_its_parent(tmp_path: Path) -> None:
    assert results(tmp_path / "runs" / "new", "python", "packages", "studies", "disk")[
        "disk"
    ].detail.endswith(f" GiB free at {tmp_path}")
