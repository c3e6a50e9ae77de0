"""Links, pipes and devices in a folder of images: each image once, and no hang."""

import os
from pathlib import Path

import pytest

from byol.config import OnBroken
from byol.data import DataError, load_data
from byol.data.folder_walk import walk
from tests.byol.data.image_sources import in_memory, save, values


def splits(folder: Path) -> None:
    for split, base in (("train", 0), ("test", 100)):
        for index, name in enumerate(("ant", "bee")):
            save(folder / split / name / f"{base}.png", base + index)


@pytest.mark.parametrize(
    ("place", "target"),
    [("train/ant/up", "../.."), ("train/here", "."), ("test/bee/self", "../bee"), ("train/all", "/")],
)
def test_a_link_to_a_folder_above_is_named(tmp_path: Path, place: str, target: str) -> None:
    splits(tmp_path)
    (tmp_path / place).symlink_to(target)
    with pytest.raises(DataError, match="must not be a link to a folder above it") as error:
        load_data(f"folder:{tmp_path}")
    assert str(error.value).startswith(str(tmp_path / place))
    assert "\n" not in str(error.value)


def test_two_loops_end(tmp_path: Path) -> None:
    splits(tmp_path)
    (tmp_path / "train/ant/x").symlink_to("../bee")
    (tmp_path / "train/bee/y").symlink_to("../ant")
    with pytest.raises(DataError, match=r"is the same folder as .*, by a link: remove one of them"):
        load_data(f"folder:{tmp_path}")


@pytest.mark.parametrize(
    ("place", "target"), [("train/cat", "../test/ant"), ("train/ant/0b.png", "../../test/ant/100.png")]
)
def test_no_link_makes_a_test_image_a_training_image(tmp_path: Path, place: str, target: str) -> None:
    splits(tmp_path)
    (tmp_path / place).symlink_to(target)
    with pytest.raises(
        DataError, match=r"is a training image, but by a link the same file as .*100\.png \(1 such"
    ):
        load_data(f"folder:{tmp_path}")


def test_a_test_split_that_is_the_training_split_is_refused(tmp_path: Path) -> None:
    for index in range(3):
        save(tmp_path / "train" / f"{index}.png", index)
    (tmp_path / "test").symlink_to("train")
    with pytest.raises(DataError, match=r"\(3 such images\)"):
        load_data(f"folder:{tmp_path}")


def test_no_link_crosses_a_split_by_name(tmp_path: Path) -> None:
    for index in range(40):
        save(tmp_path / f"{index}.png", index)
    [held_out, *_] = values(in_memory(f"folder:{tmp_path}").test_images)
    for index in range(20):  # nine in ten of these names are training images
        (tmp_path / f"again-{index}.png").symlink_to(f"{held_out}.png")
    with pytest.raises(DataError, match=f"same file as the test image .*{held_out}.png"):
        load_data(f"folder:{tmp_path}")


def test_links_elsewhere_are_followed(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    splits(elsewhere)
    folder = tmp_path / "links"
    (folder / "train").mkdir(parents=True)
    for name in ("ant", "bee"):
        (folder / "train" / name).symlink_to(elsewhere / "train" / name)
    (folder / "test").symlink_to(elsewhere / "test")
    linked, plain = in_memory(f"folder:{folder}"), in_memory(f"folder:{elsewhere}")
    assert linked.digest == plain.digest
    assert walk(folder / "test")[1]
    assert not walk(elsewhere / "test")[1]


@pytest.mark.parametrize("on_broken", ["fail", "skip"])
def test_pipes_devices_and_dead_links_are_broken_images(tmp_path: Path, on_broken: OnBroken) -> None:
    splits(tmp_path)
    os.mkfifo(tmp_path / "train/ant/pipe.png")
    (tmp_path / "train/ant/zero.png").symlink_to("/dev/zero")
    (tmp_path / "train/bee/dead.png").symlink_to("nowhere.png")
    (tmp_path / "train/bee/self.png").symlink_to("self.png")
    names = {"ant/pipe.png", "ant/zero.png", "bee/dead.png", "bee/self.png"}
    if on_broken == "skip":
        data = in_memory(f"folder:{tmp_path}", on_broken="skip")
        assert set(data.broken) == names
        assert values(data.train_images) == [0, 1]
    else:
        with pytest.raises(DataError, match="4 of 6 images cannot be read"):
            load_data(f"folder:{tmp_path}")
    streamed = load_data(f"folder:{tmp_path}", memory_limit=0, on_broken="skip")
    assert set(streamed.broken) == names


def test_an_image_of_too_many_pixels_is_broken(tmp_path: Path) -> None:
    """A bitmap of 60 bytes that claims 400 million pixels."""
    splits(tmp_path)
    side = 20_000
    header = b"BM" + (60).to_bytes(4, "little") + bytes(4) + (54).to_bytes(4, "little")
    header += (40).to_bytes(4, "little") + 2 * side.to_bytes(4, "little") + b"\1\0\x18\0" + bytes(30)
    (tmp_path / "train/ant/large.bmp").write_bytes(header)
    data = in_memory(f"folder:{tmp_path}", on_broken="skip")
    assert data.broken == ("ant/large.bmp",)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_named(tmp_path: Path) -> None:
    splits(tmp_path)
    (tmp_path / "train/ant").chmod(0)
    with pytest.raises(DataError, match=r"ant/?: cannot be read: Permission denied"):
        load_data(f"folder:{tmp_path}")
    (tmp_path / "train/ant").chmod(0o755)
