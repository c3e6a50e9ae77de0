"""Metrics of your own, computed at each measurement on the embeddings of which collapse is measured.

Shape suffixes: N images, F features of the representation, D features of the projection.
"""

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor

from byol.config import TrialConfig
from byol.own_parts import PartError, column, load, metric_names, naming_errors

OwnMetrics: TypeAlias = Callable[[Tensor, Tensor, Tensor | None], dict[str, float]]
"""Representation [N, F], projection [N, D], labels int64 [N] or None -> column -> value."""


def own_metrics(config: TrialConfig) -> OwnMetrics:
    """The functions that `config.metrics` names, as one.

    A function that returns a number has the column of its name; one that returns a mapping has a column for
    each key, `NAME_KEY`. Embeddings that are not finite have no values.

    Raises:
        OtherPartError, PartError: as `byol.own_parts.load`.
    """
    names = metric_names(config.metrics)
    codes = config.metrics_code.split(",")
    functions = {
        name: load("metrics", name, code) for name, code in zip(names, codes if names else [], strict=True)
    }

    def measure(y_NF: Tensor, z_ND: Tensor, labels_N: Tensor | None) -> dict[str, float]:
        values: dict[str, float] = {}
        if not (y_NF.isfinite().all() and z_ND.isfinite().all()):
            return values  # a trial that diverged is a result, whatever a function makes of NaN
        for name, function in functions.items():
            with naming_errors("metrics", name), torch.no_grad():
                returned = function(y_NF, z_ND, labels_N)
            stem = column(name)
            of_one = (
                {f"{stem}_{key}": value for key, value in returned.items()}
                if isinstance(returned, Mapping)
                else {stem: returned}
            )
            for key, value in of_one.items():
                values[_checked_column(name, key, values)] = _number(name, value)
        return values

    return measure


def _checked_column(name: str, key: str, taken: Mapping[str, float]) -> str:
    if not key.isidentifier() or key in taken:
        problem = f"must have columns of their own, of letters, digits and underscores, but has {key!r}"
        raise PartError("metrics", name, problem)
    return key


def _number(name: str, value: Any) -> float:
    if isinstance(value, Tensor) and value.numel() == 1:
        value = value.item()
    if isinstance(value, bool) or not isinstance(value, int | float):
        got = f"a tensor of shape {list(value.shape)}" if isinstance(value, Tensor) else repr(value)[:80]
        raise PartError("metrics", name, f"must return a number, or a mapping to numbers, but returned {got}")
    return float(value)
