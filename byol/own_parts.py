"""Parts of your own, named `MODULE:NAME`: what they are called with, and how they are checked and imported.

The name, the settings and a digest of the source belong to a trial's configuration. `docs/extending.md` says
what each part is given and what it returns. Imports no torch.
"""

import contextlib
import importlib
import json
import math
import re
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byol.encoder_names import TIMM, TIMM_FIXED
from byol.errors import ConfigError, nearest, shortened
from byol.fields import Scalar
from byol.part_source import PartNotFoundError, changed_since_start, find, forget

PARTS = {"encoder": 0, "objective": 3, "dataset": 0}
"""Settings that may name a part which has settings of its own, `encoder.width`; and how many arguments the
part is called with before these."""
_OF_METRICS = 3
"""How many arguments a metric is called with."""

_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*:[A-Za-z_]\w*", re.ASCII)
_SETTING = re.compile(rf"(?:{'|'.join(PARTS)})\.[A-Za-z_]\w*", re.ASCII)
_PATHS = ("folder:", "parquet:")
_LONGEST_MESSAGE = 500

_imported: dict[str, str] = {}
"""Top-level module -> the digest of its source when this process imported a part of it."""


class PartError(ValueError):
    """A part of your own that fails. `str(error)` is one line: which setting, which part, what is wrong."""

    def __init__(self, key: str, name: str, problem: str) -> None:
        """Joins the setting that names the part, its name, and what is wrong with it."""
        super().__init__(f"{key} {name}: {problem}")


class OtherPartError(ValueError):
    """A part whose source is not here, or not the one that a configuration was made with."""


@dataclass(frozen=True)
class PartSettings:
    """Settings of a part: its keyword arguments."""

    items: tuple[tuple[str, Scalar], ...] = ()
    """Name and value of each, by name."""

    @classmethod
    def of(cls, values: Mapping[str, Scalar]) -> "PartSettings":
        """Those of a mapping."""
        return cls(tuple(sorted(values.items())))

    def named(self, key: str) -> dict[str, Scalar]:
        """The settings as a study names them: `encoder.width` for the key "encoder"."""
        return {f"{key}.{name}": value for name, value in self.items}


def is_own(name: str) -> bool:
    """Whether a name is `MODULE:NAME`, and not the path of images.

    >>> is_own("mypkg.models:make_encoder"), is_own("resnet18"), is_own("folder:photos")
    (True, False, False)
    """
    return bool(_NAME.fullmatch(name)) and not name.startswith(_PATHS)


def is_part_setting(key: str) -> bool:
    """Whether a key is a setting of a part, such as `encoder.width`."""
    return bool(_SETTING.fullmatch(key))


def checked_part(key: str, name: str, settings: PartSettings, code: str, valid: Iterable[str]) -> str:
    """Checks what a configuration says of a part; returns the digest of its source.

    Args:
        key: the setting that names the part: one of PARTS.
        name: what it names: a part of your own, or one that is built in, whose digest is "".
        settings: the part's settings.
        code: the digest, if it is known: then the part is not looked for.
        valid: names of settings, for a hint.

    Raises:
        ConfigError: there is no such part, or it does not take these settings.
    """
    for setting, value in settings.items:
        is_scalar = isinstance(value, str | bool | int | float)
        if not is_scalar or (isinstance(value, float) and not math.isfinite(value)):
            raise ConfigError(f"{key}.{setting}", value, "must be text, a finite number, true or false")
        if not is_own(name) and not name.startswith(TIMM):
            rule = f"is not a setting, for {key} {name} has none of its own"
            raise ConfigError(f"{key}.{setting}", value, rule, nearest(f"{key}.{setting}", valid))
        if name.startswith(TIMM) and (setting in TIMM_FIXED or "drop" in setting):
            rule = "must be left out: weights are random, images have three channels, nothing is dropped"
            raise ConfigError(f"{key}.{setting}", value, rule)
    if is_own(name):
        return code or digest(key, name, settings, given=PARTS[key])
    if code:
        raise ConfigError(f"{key}_code", code, f"must be left out for {key} {name}")
    return ""


def checked_metrics(names: str, code: str) -> tuple[str, str]:
    """Checks the names of metrics, joined by commas; returns them without spaces, and their sources' digests.

    Raises:
        ConfigError: one does not exist, or two would have the same column.
    """
    listed = metric_names(names)
    for index, name in enumerate(listed):
        if not is_own(name):
            raise ConfigError("metrics", name, "must be MODULE:NAME, or several of them")
        if column(name) in map(column, listed[:index]):
            raise ConfigError(
                "metrics", name, "must be functions of different names, after which columns are named"
            )
    if listed and not code:
        code = ",".join(digest("metrics", name, PartSettings(), given=_OF_METRICS) for name in listed)
    if code.count(",") != max(0, len(listed) - 1) or bool(code) != bool(listed):
        raise ConfigError("metrics_code", code, "must be left out, or the digests of all metrics")
    return ",".join(listed), code


def metric_names(names: str) -> list[str]:
    """The names of metrics, from one text in which commas join them."""
    return [name.strip() for name in names.split(",")] if names.strip() else []


def column(name: str) -> str:
    """What the columns of a metric are named after: the function."""
    return name.rpartition(":")[2]


def digest(key: str, name: str, settings: PartSettings, *, given: int) -> str:
    """Finds a part, and checks its arguments where the source tells them; returns the digest of the source.

    Args:
        key: the setting that names the part.
        name: MODULE:NAME.
        settings: its keyword arguments.
        given: how many arguments it is called with before these.

    Raises:
        ConfigError: there is no such part, or it does not take these arguments.
    """
    try:
        found = find(name)
    except PartNotFoundError as error:
        raise ConfigError(key, name, f"must name a part that can be found, but {error}") from None
    if found.arguments is None:
        return found.code
    arguments = found.arguments
    before = [*arguments.posonlyargs, *arguments.args]
    if len(before) < given and arguments.vararg is None:
        raise ConfigError(key, name, f"must take {given} arguments before its settings")
    optional = {argument.arg for argument in before[len(before) - len(arguments.defaults) :]}
    optional |= {
        argument.arg
        for argument, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)
        if default is not None
    }
    valid = [argument.arg for argument in (*before[given:], *arguments.kwonlyargs)]
    values = dict(settings.items)
    for unknown in [] if arguments.kwarg else values.keys() - set(valid):
        rule = f"is not an argument of {name}"
        raise ConfigError(f"{key}.{unknown}", values[unknown], rule, nearest(unknown, valid))
    for missing in [argument for argument in valid if argument not in values and argument not in optional]:
        raise ConfigError(key, name, f"needs the setting {key}.{missing}, which has no default")
    return found.code


def named_parts(settings: Mapping[str, Scalar]) -> list[tuple[str, str, str]]:
    """The parts of your own that complete settings name: setting, MODULE:NAME and digest of each."""
    pairs = [(key, str(settings.get(key, ""))) for key in PARTS]
    parts = [(key, name, str(settings[f"{key}_code"])) for key, name in pairs if is_own(name)]
    metrics = metric_names(str(settings.get("metrics", "")))
    codes = str(settings["metrics_code"]).split(",") if metrics else []
    return parts + [("metrics", name, code) for name, code in zip(metrics, codes, strict=True)]


def packages(names: Iterable[str]) -> list[Path]:
    """The files and folders of the top-level modules that hold these parts, but for installed ones."""
    found = dict.fromkeys(find(name).package for name in names)
    return [path for path in found if not {"site-packages", "dist-packages"} & set(path.parts)]


def check_source(key: str, name: str, code: str) -> None:
    """Checks that a part's source is here, and is the one that a configuration was made with.

    Raises:
        OtherPartError: it is not.
    """
    try:
        found = find(name)
    except PartNotFoundError as error:
        raise OtherPartError(f"{key} {name}: {error}") from None
    if found.code != code:
        what = "all Python files in" if found.package.is_dir() else "the file"
        raise OtherPartError(
            f"{key} {name}: the digest of {what} {found.package} is {found.code[:12]}, and not "
            f"{code[:12]} as when the trials were planned"
        )


def load(key: str, name: str, code: str) -> Callable[..., Any]:
    """Imports a part.

    Args:
        key: the setting that names it.
        name: MODULE:NAME.
        code: the digest that its source must have.

    Raises:
        OtherPartError: its source is not here, or another, or may have changed since this process imported
            it.
        PartError: its module raises an error, or it cannot be called.
    """
    forget()
    check_source(key, name, code)
    module, _, attribute = name.partition(":")
    top = module.partition(".")[0]
    changed = None if top in _imported else changed_since_start(top)
    if changed is not None:
        problem = f"this process has imported {top} already, and {changed} may have changed since"
        raise OtherPartError(f"{key} {name}: {problem}; start a new process")
    if _imported.setdefault(top, code) != code:
        raise OtherPartError(f"{key} {name}: has changed since this process imported it; start a new process")
    with naming_errors(key, name):
        part = getattr(importlib.import_module(module), attribute)
    if not callable(part):
        raise PartError(key, name, f"must be a function, but is a {type(part).__name__}")
    return part  # type: ignore[no-any-return]


@contextlib.contextmanager
def naming_errors(key: str, name: str) -> Iterator[None]:
    """Turns what a part raises into an error that names it, but for a device that is out of memory.

    Raises:
        PartError: the block has raised an error.
    """
    try:
        yield
    except PartError:
        raise
    except Exception as error:
        if type(error).__name__ == "OutOfMemoryError":
            raise
        problem = shortened(" ".join(str(error).split()), _LONGEST_MESSAGE)
        raise PartError(
            key, name, f"raised {type(error).__name__}: {problem}{_place(name, error)}"
        ) from error


def _place(name: str, error: Exception) -> str:
    """` (models.py, line 6)`: the last line of the part's own package that an error came through."""
    with contextlib.suppress(PartNotFoundError):
        package = find(name).package
        for frame in reversed(traceback.extract_tb(error.__traceback__)):
            file = Path(frame.filename)
            if file == package or package in file.parents:
                return f" ({file.name}, line {frame.lineno})"
    return ""


def call_text(name: str, settings: PartSettings) -> str:
    """A part with its settings as one text, which `parse_call` reads.

    >>> call_text("mypkg.data:load", PartSettings.of({"size": 3}))
    'mypkg.data:load {"size": 3}'
    """
    return f"{name} {json.dumps(dict(settings.items))}" if settings.items else name


def called(key: str, settings: Mapping[str, Scalar]) -> str:
    """`call_text` of the part that complete settings name under `key`."""
    prefix = f"{key}."
    own = {name.removeprefix(prefix): value for name, value in settings.items() if name.startswith(prefix)}
    return call_text(str(settings[key]), PartSettings.of(own))


def parse_call(text: str) -> tuple[str, dict[str, Scalar]]:
    """The name and the settings in a text of `call_text`; any other text has none."""
    name, _, settings = text.partition(" ")
    if not (settings and is_own(name)):
        return text, {}
    return name, dict(json.loads(settings))
