"""Any folder gives images of which none is in both splits, or an error of one line; and no hang."""

import functools
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from byol.config import OnBroken
from byol.data import DataError, load_data
from byol.data.image_files import FolderImages, list_folder
from tests.faults.examples import answered, examples

PLACES = [
    "",
    "train",
    "test",
    "val",
    "train/ant",
    "train/bee",
    "test/ant",
    "ant",
    "bee",
    "ant/deep",
    "train/x/y",
]
NAMES = [
    "1.png",
    "2.png",
    "3.PNG",
    "a.jpg",
    "notes.txt",
    ".hidden.png",
    "é.png",
    "\udc80.png",
    "x.tiff",
    "dir.png",
]
TARGETS = [
    ".",
    "..",
    "../..",
    "/",
    "/dev/zero",
    "1.png",
    "../test",
    "../train",
    "train",
    "ant",
    "../ant/1.png",
    "no",
]
KINDS = ["gray", "rgb", "empty", "text", "cut", "pipe", "link", "folder", "16 bit", "palette"]
ENTRIES = st.tuples(
    st.sampled_from(PLACES), st.sampled_from(NAMES), st.sampled_from(KINDS), st.sampled_from(TARGETS)
)


def put(path: Path, kind: str, target: str, shade: int) -> None:
    """Makes an entry, unless something is in its way: writing to a pipe would wait for ever."""
    if os.path.lexists(path):
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if kind == "link":
            path.symlink_to(target)
        elif kind == "pipe":
            os.mkfifo(path)
        elif kind == "folder":
            path.mkdir()
        elif kind in ("empty", "text"):
            path.write_bytes(b"" if kind == "empty" else b"not an image")
        elif path.suffix.lower() in (".png", ".tiff"):
            mode = {"rgb": "RGB", "16 bit": "I;16", "palette": "P"}.get(kind, "L")
            Image.new(mode, (8, 8 + shade % 2), shade).save(path)
            if kind == "cut":
                path.write_bytes(path.read_bytes()[:-20])
    except OSError:
        return


@examples(60)
@given(st.lists(ENTRIES, max_size=12), st.integers(0, 30), st.sampled_from(["fail", "skip"]))
def test_any_folder(
    injected: Callable[..., None], entries: list[tuple[str, str, str, str]], more: int, on_broken: OnBroken
) -> None:
    count = functools.partial(injected, "folders")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "images"
        folder.mkdir()
        for index in range(more):
            put(
                folder / "train/ant" / f"m{index}.png" if more % 2 else folder / f"m{index}.png",
                "gray",
                "",
                index,
            )
        for index, (place, name, kind, target) in enumerate(entries):
            put(folder / place / name, kind, target, index)
        answered(
            lambda: load_data(
                f"folder:{folder}", image_size=8, on_broken=on_broken, memory_limit=0 if more % 3 else 2**31
            ),
            DataError,
            count,
        )
        split = answered(lambda: list_folder(folder), DataError, count)
        if split is not None:
            assert not real_paths(split.train.images) & real_paths(split.test.images)


def real_paths(images: FolderImages) -> set[str]:
    return {os.path.realpath(images.root / images.name(index)) for index in range(len(images))}
