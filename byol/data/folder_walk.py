"""Which images a folder holds, each of them once, whatever its links say.

Links to folders and files are followed. A folder that a walk would read twice is an error: its images would
count several times, or without an end.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from byol.data.decoding import DataError

EXTENSIONS = (".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp")
"""What counts as an image in a folder: torchvision's list."""


def walk(folder: Path) -> tuple[list[str], bool]:
    """Paths of the images below a folder, relative to it; hidden files do not count.

    Returns:
        The paths, with slashes; and whether the folder, or an image or a folder below it, is a symbolic link.

    Raises:
        DataError: a folder cannot be read, or a link leads to one that is read already, or to one above it.
    """
    start = os.path.realpath(folder)
    names: list[str] = []
    known = {start: "."}
    has_links = folder.is_symlink()
    waiting = [("", start)]
    while waiting:
        prefix, place = waiting.pop()
        for entry in _entries(folder, prefix):
            name = prefix + entry.name
            if _is_folder(entry):
                target = os.path.realpath(entry.path) if entry.is_symlink() else f"{place}/{entry.name}"
                _check_new(folder / name, target, (start, place), known)
                known[target] = name
                waiting.append((f"{name}/", target))
            elif not entry.name.startswith(".") and entry.name.lower().endswith(EXTENSIONS):
                names.append(name)
            else:
                continue
            has_links = has_links or entry.is_symlink()
    return names, has_links


def _entries(folder: Path, prefix: str) -> "list[os.DirEntry[str]]":
    try:
        with os.scandir(folder / prefix) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise DataError(f"{folder / prefix}: cannot be read: {error.strerror}") from None


def _is_folder(entry: "os.DirEntry[str]") -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False


def _check_new(folder: Path, target: str, places: tuple[str, str], known: dict[str, str]) -> None:
    if any(f"{place}/".startswith(f"{target.rstrip('/')}/") for place in places):
        raise DataError(f"{folder}: must not be a link to a folder above it ({target})")
    if target in known:
        raise DataError(f"{folder}: is the same folder as {known[target]}, by a link: remove one of them")


def check_held_out(train: tuple[Path, Iterable[str]], test: tuple[Path, Iterable[str]]) -> None:
    """Checks that no link makes a test image a training image too.

    Args:
        train: a folder, and paths of its images.
        test: another, or the same one.

    Raises:
        DataError: a link does.
    """
    held_out = _real_paths(*test)
    shared = [(name, held_out[path]) for path, name in _real_paths(*train).items() if path in held_out]
    if shared:
        name, other = min(shared)
        raise DataError(
            f"{train[0] / name}: is a training image, but by a link the same file as the test image "
            f"{test[0] / other} ({len(shared):,} such images)"
        )


def _real_paths(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Path of each file, all links resolved -> one of its names below the folder."""
    parents: dict[str, str] = {}
    paths: dict[str, str] = {}
    for name in names:
        parent, _, last = name.rpartition("/")
        if parent not in parents:  # of millions of files, only the folders are resolved
            parents[parent] = os.path.realpath(folder / parent)
        path = f"{parents[parent]}/{last}"
        # Unlike Path.resolve, realpath leaves a link to itself as it is.
        paths[os.path.realpath(path) if Path(path).is_symlink() else path] = name
    return paths
