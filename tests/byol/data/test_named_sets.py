import gzip
import hashlib
import pickle
import shutil
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torchvision.datasets  # noqa: F401  (slow: not on the clock of the first test that patches it)

from byol.data import DataError, load_data, named_sets
from byol.data.assets.make_fashion_mnist_8k import DEBIAN_FOLDER, first_of_each_class, make, read_idx
from byol.data.load import training_subset
from tests.byol.data.image_sources import in_memory, write_idx

PIXELS_8K = "919d4005acc67494abe22942609dfcfd46404fd8cf72966db9276bfc9a78271d"
"""sha256 of the embedded training and test pixels, one after the other."""
COLOURED_PIXELS_8K = "e85391cc4ac0d8ecd55043c349c14d9f231b4b1f96c00587dc281203bf137d2d"
"""The same of `fashion-mnist-8k-coloured`: its colours are drawn alike everywhere."""


# The embedded set


def test_embedded_set_is_the_one_published() -> None:
    data = in_memory("fashion-mnist-8k")
    assert data.train_images.shape == (8000, 1, 28, 28)
    assert data.test_images.shape == (2000, 1, 28, 28)
    digest = hashlib.sha256(data.train_images.tobytes() + data.test_images.tobytes())
    assert digest.hexdigest() == PIXELS_8K
    assert data.mean == pytest.approx((0.2860,), abs=0.002)  # of all 60,000, as widely published
    assert data.std == pytest.approx((0.3530,), abs=0.002)


def test_coloured_set_is_the_embedded_one_between_two_colours_of_each_image() -> None:
    gray, colour = in_memory("fashion-mnist-8k"), in_memory("fashion-mnist-8k-coloured")
    assert colour.train_images.shape == (8000, 3, 28, 28)
    assert colour.train_labels is not None
    np.testing.assert_array_equal(colour.train_labels, gray.train_labels)
    digest = hashlib.sha256(colour.train_images.tobytes() + colour.test_images.tobytes())
    assert digest.hexdigest() == COLOURED_PIXELS_8K
    for image, original in zip(colour.test_images[:50].astype(float), gray.test_images[:50], strict=True):
        background = image[:, original[0] == 0].mean(axis=1)[:, None, None]
        change = (image - background).reshape(3, -1)
        share = original.reshape(-1) / 255
        slope = (change @ share / (share @ share))[:, None]
        assert np.abs(change - slope * share).max() <= 1  # a straight line between two colours, rounded
        assert (abs(slope + background[:, :, 0] - 127.5) <= 128.5).all()


def test_colours_of_the_coloured_set_say_nothing_about_the_class() -> None:
    data = in_memory("fashion-mnist-8k-coloured")
    assert data.train_labels is not None
    corner_colours = data.train_images[:, :, 0, 0].astype(float)
    means = [corner_colours[data.train_labels == label].mean(axis=0) for label in range(10)]
    standard_error = corner_colours.std() / np.sqrt(800)
    assert np.abs(np.asarray(means) - corner_colours.mean(axis=0)).max() < 4 * standard_error


def test_embedded_set_is_balanced_in_every_ten_images() -> None:
    data = in_memory("fashion-mnist-8k")
    for labels in (data.train_labels, data.test_labels):
        assert labels is not None
        assert (labels.reshape(-1, 10) == np.arange(10)).all()
    assert data.classes is not None
    assert data.classes[9] == "Ankle boot"


@pytest.mark.skipif(not DEBIAN_FOLDER.is_dir(), reason="the Debian package dataset-fashion-mnist is not here")
@pytest.mark.parametrize(("split", "prefix"), [("train", "train"), ("test", "t10k")])
def test_embedded_images_are_the_first_of_their_class_in_the_debian_package(split: str, prefix: str) -> None:
    images = read_idx(DEBIAN_FOLDER / f"{prefix}-images-idx3-ubyte.gz")
    labels = read_idx(DEBIAN_FOLDER / f"{prefix}-labels-idx1-ubyte.gz")
    data = in_memory("fashion-mnist-8k")
    embedded = data.train_images if split == "train" else data.test_images
    indices_KN = first_of_each_class(labels, len(embedded) // 10)
    for label in range(10):
        np.testing.assert_array_equal(embedded[label::10, 0], images[indices_KN[label]])


def test_corrupted_embedded_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in named_sets.ASSETS.glob("fashion-mnist-8k*"):
        shutil.copy(file, tmp_path)
    broken = tmp_path / "fashion-mnist-8k-test.png"
    expected = hashlib.sha256(broken.read_bytes()).hexdigest()
    content = bytearray(broken.read_bytes())
    content[1000] ^= 1
    broken.write_bytes(content)
    monkeypatch.setattr(named_sets, "ASSETS", tmp_path)
    with pytest.raises(DataError) as caught:
        load_data("fashion-mnist-8k")
    digest = hashlib.sha256(content).hexdigest()
    assert str(caught.value) == f"{broken}: sha256 must be {expected}, but got {digest}; restore the file"


def test_idx_round_trip(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 256, (3, 4, 5), np.uint8)
    write_idx(tmp_path / "a.gz", array)
    np.testing.assert_array_equal(read_idx(tmp_path / "a.gz"), array)


def test_idx_of_other_values_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(bytes([0, 0, 0x0D, 1, 0, 0, 0, 0])))
    with pytest.raises(ValueError, match="must be an idx file of unsigned bytes, but starts with 00000d01"):
        read_idx(tmp_path / "a.gz")


def test_sheets_made_by_the_script_load_as_their_source(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(1)
    labels = np.tile(np.arange(10, dtype=np.uint8)[::-1], 900)
    images = rng.integers(0, 256, (9000, 28, 28), np.uint8)
    for prefix in ("train", "t10k"):
        write_idx(tmp_path / f"{prefix}-images-idx3-ubyte.gz", images)
        write_idx(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", labels)
    make(tmp_path, tmp_path)
    monkeypatch.setattr(named_sets, "ASSETS", tmp_path)
    data = in_memory("fashion-mnist-8k")
    np.testing.assert_array_equal(data.train_images[[0, 9, 10], 0], images[[9, 0, 19]])


# Through torchvision, on files made up in its layouts


@pytest.fixture
def no_checksums(monkeypatch: pytest.MonkeyPatch) -> None:
    def is_file(path: str, md5: str | None = None) -> bool:
        return Path(path).is_file()

    for module in ("cifar", "stl10", "mnist"):
        monkeypatch.setattr(f"torchvision.datasets.{module}.check_integrity", is_file)


def test_fashion_mnist_layout(tmp_path: Path, no_checksums: None) -> None:
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    images = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    for prefix, part in (("train", slice(0, 3)), ("t10k", slice(3, 5))):
        write_idx(folder / f"{prefix}-images-idx3-ubyte", images[part])
        write_idx(folder / f"{prefix}-labels-idx1-ubyte", np.arange(5, dtype=np.uint8)[part])
    data = in_memory("fashion-mnist", root=tmp_path)
    np.testing.assert_array_equal(data.train_images, images[:3, None])
    np.testing.assert_array_equal(data.test_images, images[3:, None])
    assert data.test_labels is not None
    assert data.test_labels.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("name", "folder", "files", "meta", "label_key", "classes_key"),
    [
        (
            "cifar10",
            "cifar-10-batches-py",
            [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"],
            "batches.meta",
            "labels",
            "label_names",
        ),
        ("cifar100", "cifar-100-python", ["train", "test"], "meta", "fine_labels", "fine_label_names"),
    ],
)
def test_cifar_layout(
    name: str,
    folder: str,
    files: list[str],
    meta: str,
    label_key: str,
    classes_key: str,
    tmp_path: Path,
    no_checksums: None,
) -> None:
    (tmp_path / folder).mkdir()
    images = np.random.default_rng(0).integers(0, 256, (len(files), 2, 3, 32, 32), np.uint8)
    for index, file in enumerate(files):
        entry = {"data": images[index].reshape(2, 3072), label_key: [index, index + 1]}
        (tmp_path / folder / file).write_bytes(pickle.dumps(entry))
    names = [f"class {i}" for i in range(10)]
    (tmp_path / folder / meta).write_bytes(pickle.dumps({classes_key: names}))
    data = in_memory(name, root=tmp_path)
    np.testing.assert_array_equal(data.train_images, images[:-1].reshape(-1, 3, 32, 32))
    np.testing.assert_array_equal(data.test_images, images[-1])
    assert data.test_labels is not None
    assert data.test_labels.tolist() == [len(files) - 1, len(files)]
    assert data.classes == tuple(names)


def write_stl10(root: Path) -> dict[str, npt.NDArray[np.uint8]]:
    folder = root / "stl10_binary"
    folder.mkdir()
    rng = np.random.default_rng(0)
    splits = {name: rng.integers(0, 256, (3, 3, 96, 96), np.uint8) for name in ("train", "test", "unlabeled")}
    for name, images in splits.items():
        (folder / f"{name}_X.bin").write_bytes(images.swapaxes(2, 3).tobytes())  # column by column
    for name in ("train", "test"):
        (folder / f"{name}_y.bin").write_bytes(bytes([1, 10, 2]))  # counted from 1
    (folder / "class_names.txt").write_text("\n".join("abcdefghij"))
    return splits


def test_stl10_layout(tmp_path: Path, no_checksums: None) -> None:
    splits = write_stl10(tmp_path)
    data = in_memory("stl10", root=tmp_path)
    np.testing.assert_array_equal(data.train_images, splits["train"])
    np.testing.assert_array_equal(data.test_images, splits["test"])
    assert data.train_labels is not None
    assert data.train_labels.tolist() == [0, 9, 1]
    assert data.classes == tuple("abcdefghij")
    assert data.bank_images is None


def test_unlabelled_stl10_has_the_labelled_split_as_bank(tmp_path: Path, no_checksums: None) -> None:
    splits = write_stl10(tmp_path)
    data = in_memory("stl10-unlabelled", root=tmp_path, train_images=2)
    subset = training_subset(3, 2, "")
    np.testing.assert_array_equal(data.train_images, splits["unlabeled"][subset])
    assert data.train_labels is None
    assert data.bank_images is not None
    np.testing.assert_array_equal(data.bank_images, splits["train"])
    assert data.bank_labels is not None
    assert data.bank_labels.tolist() == [0, 9, 1]


def test_damaged_download_is_one_line(tmp_path: Path) -> None:
    """Torchvision looks at the checksums of Fashion-MNIST only when it downloads it."""
    folder = tmp_path / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (folder / f"{name}-ubyte").write_bytes(bytes(8))
    with pytest.raises(DataError) as caught:
        load_data("fashion-mnist", root=tmp_path)
    assert (
        str(caught.value) == f"fashion-mnist: must be in {tmp_path} or downloadable, but got: a damaged file"
    )


def test_failed_download_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        raise OSError("no\nnetwork")

    monkeypatch.setattr("torchvision.datasets.cifar.download_and_extract_archive", refuse)
    with pytest.raises(DataError) as caught:
        load_data("cifar10", root=tmp_path)
    assert str(caught.value) == f"cifar10: must be in {tmp_path} or downloadable, but got: no network"
