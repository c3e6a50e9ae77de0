"""The names of data sets, and the check of one."""

from typing import Literal, TypeAlias

from byol.errors import ConfigError, nearest
from byol.own_parts import is_own
from byol.part_source import PartNotFoundError, find

EMBEDDED_SETS = ("fashion-mnist-8k", "fashion-mnist-8k-coloured")
"""The data sets that come with the tool. In the second, each image has two random colours."""

NAMED_SETS = (
    *EMBEDDED_SETS,
    "fashion-mnist",
    "cifar10",
    "cifar100",
    "stl10",
    "stl10-unlabelled",
)
"""The data sets known by name (docs/data.md), besides `folder:PATH`, `parquet:PATH` and `MODULE:NAME`."""

OnBroken: TypeAlias = Literal["fail", "skip"]
"""What to do about images that cannot be read: an error, or leave them out."""


def check_dataset(dataset: str) -> None:
    """Checks the name of a data set. Whether its folder or file exists is checked when it is loaded.

    Raises:
        ConfigError: it is neither one of NAMED_SETS nor `folder:PATH`, `parquet:PATH` or `MODULE:NAME`.
    """
    kind, _, path = dataset.partition(":")
    if dataset in NAMED_SETS or (kind in ("folder", "parquet") and path):
        return
    if is_own(dataset) and not _is_misspelt(dataset, kind):
        return
    rule = f"must be one of {', '.join(NAMED_SETS)}, MODULE:NAME, folder:PATH or parquet:PATH"
    hint = nearest(kind, ("folder", "parquet")) if path else nearest(dataset, NAMED_SETS)
    raise ConfigError("dataset", dataset, rule, hint)


def _is_misspelt(dataset: str, kind: str) -> bool:
    """Whether `foldr:photos` means a folder: no module has that name."""
    if not nearest(kind, ("folder", "parquet")):
        return False
    try:
        find(dataset)
    except PartNotFoundError:
        return True
    return False
