"""The reference of all settings, from the fields of TrialConfig and ViewConfig and their docstrings.

    python -m byol.settings --to docs/settings.md

A new field appears by itself. Imports no torch: the command `settings` answers at once.
"""

import argparse
import ast
import dataclasses
import inspect
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from byol.config import INHERITED, Scalar, TrialConfig, ViewConfig
from byol.errors import ConfigError, nearest
from byol.fields import MOST
from byol.files import write_text
from byol.own_parts import PartSettings, is_part_setting
from byol.presets import SETTING_NAMES
from byol.recipes import PRESETS, VIEWS, Bundle

VIEW_NAMES = tuple(
    field.name for field in dataclasses.fields(TrialConfig) if isinstance(field.default, ViewConfig)
)
"""The fields of TrialConfig that are views."""

BUNDLES: dict[str, tuple[str, dict[str, Bundle]]] = {
    "preset": ("A published system or recipe.", PRESETS),
    "views": ("A pair of view settings; overrides `preset`.", VIEWS),
}
"""The settings that stand for others: what each is, and its values."""

_WIDTH = 100


@dataclass(frozen=True, kw_only=True)
class Setting:
    """One setting, or one of each view."""

    names: tuple[str, ...]
    """`("tau_base",)`; of a view's field `("view1.hue", "view2.hue")`."""
    section: str
    """The heading above the field: "Target"."""
    values: str
    """Type and range, in words: "a number from 0 to 1"."""
    defaults: tuple[str, ...]
    """The default of each name, as YAML has it; none of what a part of your own is called with."""
    since: str
    """The version that brought it; "" if it has been there since 0.2.0 or earlier."""
    text: str
    """What the docstring below the field says, source included, as one line."""

    @property
    def name(self) -> str:
        """Its names as one: "view1.hue, view2.hue"."""
        return ", ".join(self.names)

    @property
    def keys(self) -> tuple[str, ...]:
        """By what it is found: its names, and that of the field: "view1.hue", "view2.hue" and "hue"."""
        return (*self.names, self.names[0].rpartition(".")[2])

    @property
    def default(self) -> str:
        """Its defaults as one, if they are equal."""
        return ", ".join(dict.fromkeys(self.defaults)) or "none"


def all_settings() -> tuple[Setting, ...]:
    """Every setting but the bundles, in the order of the fields.

    >>> [setting.name for setting in all_settings()][:3]
    ['dataset', 'train_images', 'image_size']
    """
    settings = []
    for field, section, text in _documented(TrialConfig):
        if field.type is PartSettings:
            name = f"{field.name.removesuffix('_settings')}.NAME"
            settings.append(_setting(field, section, text, (name,), ()))
        elif field.name in SETTING_NAMES:
            settings.append(
                _setting(field, section, text, (field.name,), (getattr(TrialConfig, field.name),))
            )
    for field, _, text in _documented(ViewConfig):
        names = tuple(f"{view}.{field.name}" for view in VIEW_NAMES)
        defaults = tuple(getattr(getattr(TrialConfig, view), field.name) for view in VIEW_NAMES)
        settings.append(_setting(field, "Views", text, names, defaults))
    return tuple(settings)


def _documented(config: type) -> list[tuple["dataclasses.Field[Any]", str, str]]:
    """Each field with its section and its docstring.

    A section is a comment of one line between an empty line and a field.
    """
    lines = textwrap.dedent(inspect.getsource(config)).splitlines()
    [definition] = ast.parse("\n".join(lines)).body
    assert isinstance(definition, ast.ClassDef)
    texts, sections, section = {}, {}, ""
    for statement, after in zip(definition.body, [*definition.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        above, comment = (lines[statement.lineno - back].strip() for back in (3, 2))
        section = comment.removeprefix("# ") if comment.startswith("# ") and not above else section
        name = statement.target.id
        sections[name] = section
        has_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        texts[name] = " ".join(str(after.value.value).split()) if has_text else ""  # type: ignore[union-attr]
    return [(field, sections[field.name], texts[field.name]) for field in dataclasses.fields(config)]


def _setting(
    field: "dataclasses.Field[Any]",
    section: str,
    text: str,
    names: tuple[str, ...],
    defaults: Iterable[Scalar],
) -> Setting:
    return Setting(
        names=names,
        section=section,
        values=_values(field),
        defaults=tuple(_written(value) for value in defaults),
        since=field.metadata.get("since", ""),
        text=text,
    )


def _values(field: "dataclasses.Field[Any]") -> str:
    """Type and range of a field, from its rule."""
    if field.type is bool:
        return "true or false"
    if "options" in field.metadata:
        return " | ".join((*field.metadata["options"], *field.metadata.get("forms", ())))
    if field.type is PartSettings:
        return "text, number, true or false"
    if field.type is str:
        return "text"
    low, high = field.metadata["low"], field.metadata["high"]
    kind = "whole number" if field.type is int else "number"
    most = f"to {_written(high)}" if high not in (math.inf, MOST) else "or more"
    inherits = field.metadata.get("inherits")
    return f"{kind}, {_written(low)} {most}" + (f"; or {INHERITED:g}: as {inherits}" if inherits else "")


def _written(value: Scalar) -> str:
    """A value as it stands in a study file."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return value or '""'
    return f"{value:.10g}" if float(f"{value:.10g}") == value else str(value)


def described(name: str | None = None) -> str:
    """The reference as text: of all settings, or of one setting, bundle or preset in full.

    Raises:
        ConfigError: there is none of that name.

    >>> print(described("tau_final"))
    tau_final  number, 0 to 1; default 1
        Coefficient at the end; not used by the constant schedule.
        Set by the presets: tau_final 1 in byol, byol-imagenet-100, byol-imagenet-300, byol-imagenet-1000,
        byol-no-batch-statistics, tutorial, byol-cifar10-solo
    """
    settings = all_settings()
    if name is None:
        lines: list[str] = []
        for section in dict.fromkeys(setting.section for setting in settings):
            lines += ["", section, *(_block(each) for each in settings if each.section == section)]
        bundles = (
            f"{key}  {' | '.join(values)}\n{_indented(text)}" for key, (text, values) in BUNDLES.items()
        )
        return "\n".join(("Bundles of settings", *bundles, *lines))
    if name in BUNDLES:
        text, values = BUNDLES[name]
        return "\n".join((f"{name}  {text}", *(_bundle_block(key, values[key]) for key in values)))
    found = [bundles[name] for _, bundles in BUNDLES.values() if name in bundles]
    if found:
        return "\n".join(_bundle_block(name, bundle) for bundle in found)
    key = f"{name.partition('.')[0]}.NAME" if is_part_setting(name) else name  # encoder.width: encoder.NAME
    for setting in settings:
        if key in setting.keys:
            return "\n".join((_block(setting), *_setters(setting)))
    names = [*BUNDLES, *(key for setting in settings for key in setting.keys), *PRESETS, *VIEWS]
    rule = "must be a setting, or the name of a preset or of a pair of views"
    raise ConfigError("settings", name, rule, nearest(name, names))


def _block(setting: Setting) -> str:
    since = f"; since {setting.since}" if setting.since else ""
    head = f"{setting.name}  {setting.values}; default {setting.default}{since}"
    return f"{head}\n{_indented(setting.text)}"


def _setters(setting: Setting) -> list[str]:
    """Which presets and which pairs of views set it, and to what."""
    lines = []
    for word, (_, bundles) in zip(("presets", "views"), BUNDLES.values(), strict=True):
        for name in setting.names:
            keys_of: dict[str, list[str]] = {}
            for key, bundle in bundles.items():
                if name in bundle.settings:
                    keys_of.setdefault(_written(bundle.settings[name]), []).append(key)
            if keys_of:
                values = "; ".join(f"{value} in {', '.join(keys)}" for value, keys in keys_of.items())
                lines.append(_indented(f"Set by the {word}: {name} {values}"))
    return lines


def _bundle_block(name: str, bundle: Bundle) -> str:
    settings = ", ".join(f"{key}: {_written(value)}" for key, value in bundle.settings.items())
    return f"{name}\n{_indented(bundle.source)}\n{_indented(f'Sets {settings}')}"


def _indented(text: str) -> str:
    return textwrap.fill(
        text, _WIDTH, initial_indent="    ", subsequent_indent="    ", break_on_hyphens=False
    )


def page() -> str:
    """docs/settings.md."""
    settings = all_settings()
    lines = [
        "# Settings",
        "",
        "Written by `make settings` from the fields of `TrialConfig` (`byol/config.py`) and `ViewConfig`",
        "(`byol/view_config.py`) and their docstrings: change those, not this page. The command",
        "`python run_sweep.py settings` prints the same; with a NAME, one setting and which presets set it.",
        "",
        "A study sets them under `reference` and `factors`, `--set KEY=VALUE` on the command line",
        "([study files](study-format.md#settings)). `seed` alone is not set there: `seeds` is for that.",
        "An explicit setting overrides `views`, which overrides `preset`.",
    ]
    for section in dict.fromkeys(setting.section for setting in settings):
        lines += [
            "",
            f"## {section}",
            "",
            "| setting | values | default | meaning |",
            "| --- | --- | --- | --- |",
        ]
        for setting in settings:
            if setting.section == section:
                names = ", ".join(f"`{name}`" for name in setting.names)
                since = f" Since {setting.since}." if setting.since else ""
                lines.append(_row(names, setting.values, setting.default, setting.text + since))
    for key, (text, bundles) in BUNDLES.items():
        lines += ["", f"## `{key}`", "", text, "", "| name | what it is | sets |", "| --- | --- | --- |"]
        for name, bundle in bundles.items():
            sets = ", ".join(f"`{field}: {_written(value)}`" for field, value in bundle.settings.items())
            lines.append(_row(f"`{name}`", bundle.source, sets))
    return "\n".join(lines) + "\n"


def _row(*cells: str) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the page."""
    parser = argparse.ArgumentParser(prog="python -m byol.settings", description="Writes docs/settings.md.")
    parser.add_argument("--to", required=True, type=Path, metavar="FILE", help="the page to write")
    write_text(parser.parse_args(arguments).to, page())


if __name__ == "__main__":
    main()
