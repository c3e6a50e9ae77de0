"""A figure as plain data: what Plotly's script takes. Plotly's Python classes check every value, which would
take most of the time in which a large report is built, so they come in only where a figure is asked for."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import plotly.graph_objects as go

Layout = dict[str, Any]


class Drawing:
    """Traces and layout, in the words of Plotly."""

    def __init__(self, layout: Mapping[str, Any]) -> None:
        """Begins with a layout, as `theme.base` makes it, and no traces."""
        self.data: list[dict[str, Any]] = []
        self.layout: Layout = dict(layout)

    def add_scatter(self, **trace: Any) -> None:
        """Adds marks or lines."""
        self.data.append({"type": "scatter", **_plain(trace)})

    def add_bar(self, **trace: Any) -> None:
        """Adds bars."""
        self.data.append({"type": "bar", **_plain(trace)})

    def add_heatmap(self, **trace: Any) -> None:
        """Adds a heat map."""
        self.data.append({"type": "heatmap", **_plain(trace)})

    def add_shape(self, **shape: Any) -> None:
        """Adds a line or a box."""
        self.layout.setdefault("shapes", []).append(_plain(shape))

    def add_annotation(self, **annotation: Any) -> None:
        """Adds a text."""
        self.layout.setdefault("annotations", []).append(_plain(annotation))

    def update_layout(self, update: Mapping[str, Any] | None = None, **properties: Any) -> None:
        """Sets properties of the layout; a name may be a path: `xaxis2.domain`, `annotations.0.text`."""
        for path, value in {**(update or {}), **properties}.items():
            set_path(self.layout, path, _plain(value))

    def figure(self) -> go.Figure:
        """The same as a figure of Plotly's, checked."""
        return go.Figure({"data": self.data, "layout": {**self.layout, "template": "none"}})


def set_path(target: Any, path: str, value: Any) -> None:
    """Sets a value inside of nested dicts and lists. Dicts on the way are made where they are missing, and a
    dict is added to one that is there."""
    *way, last = path.split(".")
    for key in way:
        target = target[int(key)] if isinstance(target, list) else target.setdefault(key, {})
    if isinstance(value, dict) and isinstance(target.get(last), dict):
        target[last] |= value
    else:
        target[last] = value


def _plain(value: Any) -> Any:
    """Data as JSON has it: no arrays, no numpy numbers, no None among the properties."""
    if isinstance(value, Mapping):
        return {key: _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return list(value) if not value or type(value[0]) in (int, float, str) else [_plain(v) for v in value]
    if isinstance(value, np.ndarray):
        return value.tolist()
    return value.item() if isinstance(value, np.generic) else value
