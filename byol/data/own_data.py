"""A data set of your own: what a function returns, checked and in the types of byol.data.

Shape suffixes: N images, C channels, H height, W width.
"""

from typing import Any

import numpy as np

from byol.data.decoding import DataError, Labels, Pixels
from byol.data.named_sets import NamedSet
from byol.own_parts import OtherPartError, PartError, load, naming_errors
from byol.part_source import PartNotFoundError, find


def read_own_set(name: str, settings: dict[str, Any]) -> NamedSet:
    """Calls the function that `name` names with `settings`.

    It returns training images, their labels, test images and their labels. Images are uint8 arrays
    [N, H, W, C], [N, C, H, W] or [N, H, W], with 1 or 3 channels; labels are whole numbers [N], or None.

    Raises:
        DataError: the function is not found, raises an error, or returns something else.
    """
    try:
        function = load("dataset", name, find(name).code)
        with naming_errors("dataset", name):
            returned = function(**settings)
    except (PartNotFoundError, OtherPartError, PartError) as error:
        raise DataError(str(error)) from error
    if not isinstance(returned, tuple | list) or len(returned) != 4:
        got = f"{len(returned)} values" if isinstance(returned, tuple | list) else type(returned).__name__
        rule = "must return training images, their labels, test images and their labels"
        raise DataError(f"dataset {name}: {rule}, but returned {got}")
    train, train_labels, test, test_labels = returned
    train_images, test_images = _images(name, "training", train), _images(name, "test", test)
    if train_images.shape[1] != test_images.shape[1]:
        raise DataError(f"dataset {name}: training and test images must have the same number of channels")
    return NamedSet(
        train_images=train_images,
        train_labels=_labels(name, "training", train_labels, len(train_images)),
        test_images=test_images,
        test_labels=_labels(name, "test", test_labels, len(test_images)),
        classes=None,
    )


def _images(name: str, split: str, given: Any) -> Pixels:
    """The images as [N, C, H, W]."""
    images = np.asarray(given)
    if images.ndim == 3:
        images = images[:, None]
    if images.ndim == 4 and images.shape[1] not in (1, 3) and images.shape[3] in (1, 3):
        images = images.transpose(0, 3, 1, 2)
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] not in (1, 3) or not images.size:
        rule = f"{split} images must be uint8, [N, H, W, C] or [N, C, H, W] with 1 or 3 channels"
        raise DataError(f"dataset {name}: {rule}, but are {images.dtype} {list(images.shape)}")
    return np.ascontiguousarray(images)


def _labels(name: str, split: str, given: Any, count: int) -> Labels | None:
    if given is None:
        return None
    labels = np.asarray(given)
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer):
        rule = f"labels of {split} images must be None or {count} whole numbers"
        raise DataError(f"dataset {name}: {rule}, but are {labels.dtype} {list(labels.shape)}")
    if labels.min() < 0:
        raise DataError(f"dataset {name}: labels must be at least 0, but the least is {labels.min()}")
    return labels.astype(np.int64)
