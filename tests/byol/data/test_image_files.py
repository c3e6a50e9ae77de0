import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torchvision.transforms.functional import InterpolationMode, center_crop, resize

from byol.config import OnBroken
from byol.data import DataError, load_data
from tests.byol.data.image_sources import in_memory, save, values


def test_folder_with_splits_and_classes(tmp_path: Path) -> None:
    for split, base in (("train", 0), ("test", 100)):
        for index, name in enumerate(("ant", "bee", "cat")):
            for copy in range(3):
                save(tmp_path / split / name / "deeper" / f"{copy}.png", base + 10 * index + copy)
    shutil.rmtree(tmp_path / "test" / "ant")
    save(tmp_path / "train" / "ant" / "._0.png", 255)  # a file that another system adds
    (tmp_path / "train" / "notes.txt").write_text("not an image")
    data = in_memory(f"folder:{tmp_path}")
    assert data.classes == ("ant", "bee", "cat")
    assert data.train_images.shape == (9, 1, 8, 8)
    assert data.train_labels is not None
    assert data.test_labels is not None
    np.testing.assert_array_equal(data.train_images[:, 0, 3, 3] // 10, data.train_labels)
    np.testing.assert_array_equal((data.test_images[:, 0, 3, 3] - 100) // 10, data.test_labels)
    assert data.train_labels.tolist() != sorted(data.train_labels.tolist()), "any first part is a sample"


def test_val_is_used_where_test_has_no_labels(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        save(tmp_path / "train" / name / "0.png", 1)
        save(tmp_path / "val" / name / "0.png", 2)
    save(tmp_path / "test" / "0.png", 3)
    assert values(in_memory(f"folder:{tmp_path}").test_images) == [2, 2]


def test_a_tenth_of_a_flat_folder_is_the_test_split_and_stays_so_as_it_grows(tmp_path: Path) -> None:
    for index in range(200):
        save(tmp_path / f"{index}.png", index)
    before = in_memory(f"folder:{tmp_path}")
    assert before.train_labels is None
    assert before.test_labels is None
    assert values(before.train_images) + values(before.test_images) != list(range(200))
    assert sorted(values(before.train_images) + values(before.test_images)) == list(range(200))
    assert 10 <= len(before.test_images) <= 30
    for index in range(200, 240):
        save(tmp_path / f"{index}.png", index)
    after = in_memory(f"folder:{tmp_path}")
    assert [v for v in values(after.test_images) if v < 200] == values(before.test_images)


def test_a_single_class_is_no_label(tmp_path: Path) -> None:
    for index in range(30):
        save(tmp_path / "images" / f"{index}.png", index)
    data = in_memory(f"folder:{tmp_path}")
    assert data.classes is None
    assert data.train_labels is None


def test_mixed_sizes_are_resized_and_cut_at_the_centre(tmp_path: Path) -> None:
    save(tmp_path / "test" / "a.png", 0, (8, 8))
    wide = Image.new("RGB", (40, 20), (0, 0, 255))
    wide.paste((255, 0, 0), (10, 0, 30, 20))  # the central square
    (tmp_path / "train").mkdir()
    wide.save(tmp_path / "train" / "wide.png")
    data = in_memory(f"folder:{tmp_path}", image_size=10)
    assert data.train_images.shape == (1, 3, 10, 10)
    expected = center_crop(resize(wide, [10], InterpolationMode.BICUBIC), [10])
    np.testing.assert_array_equal(data.train_images[0].transpose(1, 2, 0), expected)
    assert data.test_images.shape == (1, 3, 10, 10), "gray as colour beside colour"


def test_squares_of_one_size_keep_it(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (12, 12, 3), np.uint8)
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        Image.fromarray(pixels).save(tmp_path / split / "a.png")
    data = in_memory(f"folder:{tmp_path}", image_size=5)
    np.testing.assert_array_equal(data.train_images[0], pixels.transpose(2, 0, 1))


@pytest.mark.parametrize("on_broken", ["fail", "skip"])
def test_broken_images_are_counted_and_named(tmp_path: Path, on_broken: OnBroken) -> None:
    for split in ("train", "test"):
        for index in range(6):
            save(tmp_path / split / "ab"[index % 2] / f"{index}.png", index, (64, 64))
    train = tmp_path / "train"
    for name in ("a/0.png", "b/1.png", "a/2.png"):
        (train / name).write_bytes(b"no image")
    noise = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
    Image.fromarray(noise).save(train / "b/3.png")
    (train / "b/3.png").write_bytes((train / "b/3.png").read_bytes()[:2000])  # sound header, cut short
    if on_broken == "fail":
        with pytest.raises(DataError) as caught:
            load_data(f"folder:{tmp_path}")
        message = str(caught.value)
        assert message.startswith(f"folder:{tmp_path}: 4 of 6 images cannot be read: ")
        assert message.endswith(", ...")
        assert message.count(".png") == 3
    else:
        data = in_memory(f"folder:{tmp_path}", on_broken="skip")
        assert sorted(data.broken) == ["a/0.png", "a/2.png", "b/1.png", "b/3.png"]
        assert values(data.train_images) == [4, 5]
        assert data.train_labels is not None
        np.testing.assert_array_equal(data.train_images[:, 0, 0, 0] % 2, data.train_labels)


def test_sixteen_bit_images_are_not_clipped_but_refused(tmp_path: Path) -> None:
    for split in ("train", "test"):
        (tmp_path / split).mkdir()
        Image.fromarray(np.full((4, 4), 1000, np.uint16)).save(tmp_path / split / "a.png")
    with pytest.raises(DataError, match=r"1 of 1 images cannot be read: a\.png"):
        load_data(f"folder:{tmp_path}")


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="must be a folder of images, but there is none"):
        load_data(f"folder:{tmp_path / 'absent'}")
    with pytest.raises(DataError, match=r"must hold images .*, but holds none"):
        load_data(f"folder:{tmp_path}")
    save(tmp_path / "a.png", 0)
    with pytest.raises(
        DataError, match=r"must have a test split .*, or more images to take one from, but has 1$"
    ):
        load_data(f"folder:{tmp_path}")
    save(tmp_path / "ant" / "a.png", 0)
    with pytest.raises(
        DataError, match=r"either all in class folders or all outside them, but a\.png is beside ant/"
    ):
        load_data(f"folder:{tmp_path}")


def test_test_classes_must_be_training_classes(tmp_path: Path) -> None:
    for place in ("train/a", "train/b", "test/a", "test/x"):
        save(tmp_path / place / "0.png", 0)
    with pytest.raises(DataError, match="test classes must be in train/ too, but 'x' is not"):
        load_data(f"folder:{tmp_path}")
