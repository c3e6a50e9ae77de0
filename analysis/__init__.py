"""From result tables to findings, figures and one HTML report. Reads tables only.

Read in this order: results.py and load.py (what the tables become), outcomes.py and cells.py (what became of
each trial and cell), verdict/ (what keeps the representation from collapsing, in numbers), findings/ (the
sentences), page/report.py (the report). stats.py holds the statistics, figures/ one module per view.

api.py has the functions for notebooks and scripts. They can be imported from here, too, and are loaded when
they are asked for: the engine takes a few words from this package, and needs no pandas for that.
"""

import importlib
import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.api import VIEWS as VIEWS
    from analysis.api import collapse_map as collapse_map
    from analysis.api import effects as effects
    from analysis.api import findings as findings
    from analysis.api import findings_document as findings_document
    from analysis.api import load_results as load_results
    from analysis.api import report as report
    from analysis.api import study_from_tables as study_from_tables
    from analysis.api import verdict as verdict
    from analysis.api import view as view

__all__ = [
    "VIEWS",
    "collapse_map",
    "effects",
    "findings",
    "findings_document",
    "load_results",
    "report",
    "study_from_tables",
    "verdict",
    "view",
]

_ALSO_MODULES = ("effects", "findings", "verdict")
"""Functions that share their name with a part of this package. Importing the part binds the name to it, so
the part can be called like the function, whichever of the two was imported first."""


def __getattr__(name: str) -> Any:
    if name in _ALSO_MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    if name in __all__:
        return getattr(importlib.import_module(f"{__name__}.api"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Part(ModuleType):
    """A part of this package that is called like the function of the same name."""

    def __call__(self, *arguments: Any) -> Any:
        api = importlib.import_module(f"{__package__}.api")
        return getattr(api, self.__name__.rpartition(".")[2])(*arguments)


class _Package(ModuleType):
    """This package, which makes such parts as they are bound to it."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _ALSO_MODULES and isinstance(value, ModuleType):
            value.__class__ = _Part
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
