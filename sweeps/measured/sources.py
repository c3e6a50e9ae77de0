"""Finds the embeddings that a request names: which files are one trial, and of which step each is.

A file is a trial with one measurement. A folder of files with steps in their names is a trial with one a
step. A folder of such folders is a trial each.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from byol.errors import shown
from byol.measure.embedding_files import LABELS_SUFFIX, SUFFIXES
from sweeps.errors import RequestError

MOST_FILES = 10_000
"""Files that one request may name, folders included."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where one trial's embeddings are."""

    name: str
    """What the trial is called: the last part of its path, or as much as tells it from the others."""
    files: tuple[tuple[int, Path], ...]
    """Step and file, in order of step. A file by itself has the step 0."""
    is_series: bool
    """Whether the steps are those of a training, and not a file by itself."""


def find_sources(paths: Sequence[Path]) -> list[Source]:
    """The trials that the paths name, in order.

    Raises:
        RequestError: a path is neither, a folder holds nothing of use, a step cannot be told, or two trials
            are the same.
    """
    named = [path for path in paths if not path.name.endswith(LABELS_SUFFIX)]  # `*.npy` names labels, too
    if not named:
        raise RequestError(f"{paths[0]}: must be embeddings, but is a file of labels by its name")
    found = [entry for path in named for entry in _of_path(path)]
    total = sum(len(files) for _, files, _ in found)
    if total > MOST_FILES:
        raise RequestError(f"{paths[0]}: must be at most {MOST_FILES:,} files in all, but got {total:,}")
    places = [place.resolve() for place, _, _ in found]
    for place, times in Counter(places).items():
        if times > 1:
            raise RequestError(f"{place}: must be named once, but is named {times} times")
    return [
        Source(name=name, files=tuple(files), is_series=series)
        for name, (_, files, series) in zip(_names(places), found, strict=True)
    ]


def _of_path(path: Path) -> Iterator[tuple[Path, list[tuple[int, Path]], bool]]:
    """Place, files by step, and whether they are a series, of each trial at the path."""
    if path.is_file():
        yield path, [(0, path)], False
        return
    if not path.is_dir():
        raise RequestError(f"{path}: must be a file or a folder of embeddings, but is not there")
    inside = _visible(path)
    folders = [one for one in inside if one.is_dir()]
    files = _embeddings(inside)
    if files and folders:
        rule = "must hold files of embeddings, or folders of them"
        raise RequestError(f"{path}: {rule}, but has {files[0].name} beside the folder {folders[0].name}")
    if files:
        yield path, _by_step(path, files), True
        return
    trials = [entry for folder in folders for entry in _of_folder(folder)]
    if not trials:
        rule = f"must hold files that end in {', '.join(SUFFIXES)}, or folders of them"
        raise RequestError(f"{path}: {rule}, but holds none")
    yield from trials


def _of_folder(folder: Path) -> Iterator[tuple[Path, list[tuple[int, Path]], bool]]:
    """The trial in a folder of a folder."""
    files = _embeddings(_visible(folder))
    if not files:
        rule = f"must hold files that end in {', '.join(SUFFIXES)}"
        raise RequestError(f"{folder}: {rule}, but holds none")
    yield folder, _by_step(folder, files), True


def _visible(folder: Path) -> list[Path]:
    return sorted(one for one in folder.iterdir() if not one.name.startswith("."))


def _embeddings(paths: Sequence[Path]) -> list[Path]:
    """The files of embeddings among them, without those of labels."""
    return [one for one in paths if one.suffix in SUFFIXES and not one.name.endswith(LABELS_SUFFIX)]


def _by_step(folder: Path, files: Sequence[Path]) -> list[tuple[int, Path]]:
    steps: dict[int, Path] = {}
    for file in files:
        step = step_of(file)
        if step is None:
            rule = "must have its step in its name, such as step-001000.npy"
            raise RequestError(f"{folder}: {rule}, but got {shown(file.name)}")
        if step in steps:
            raise RequestError(
                f"{folder}: must have one file a step, but {steps[step].name} and {file.name} are both of "
                f"step {step}"
            )
        steps[step] = file
    return sorted(steps.items())


def step_of(file: Path) -> int | None:
    """The step in a file's name: the digits after the last "step", else the last digits; None without any.

    >>> names = ("step-001000.npy", "epoch=3-step=1200-v2.npy", "emb_50.npy", "last.npy")
    >>> [step_of(Path(name)) for name in names]
    [1000, 1200, 50, None]
    """
    after_step = re.findall(r"step[-_=. ]*([0-9]{1,15})(?![0-9])", file.stem, re.IGNORECASE)
    digits = after_step or re.findall(r"(?<![0-9])[0-9]{1,15}(?![0-9])", file.stem)
    return int(digits[-1]) if digits else None


def _names(places: Sequence[Path]) -> list[str]:
    """The last parts of the paths without the ending of a file, as few as tell them apart."""
    parts = [(*place.parts[:-1], place.stem if place.suffix in SUFFIXES else place.name) for place in places]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-length:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return [place.as_posix() for place in places]  # files that differ in their ending alone
