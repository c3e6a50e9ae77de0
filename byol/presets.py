"""From settings to a configuration: bundles of settings are filled in, and every name is checked."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from byol.config import FIELD_NAMES, TrialConfig, ViewConfig
from byol.errors import ConfigError, nearest
from byol.own_parts import PARTS, PartSettings, is_part_setting
from byol.recipes import PRESETS as PRESETS
from byol.recipes import VIEWS as VIEWS
from byol.recipes import Bundle

_CODES = ("metrics_code", *(f"{part}_code" for part in PARTS))
SETTING_NAMES = ("preset", "views", *(name for name in FIELD_NAMES if name not in _CODES))
"""What a study may set: the two bundles, and the fields of TrialConfig but for digests, which are found."""


def is_setting(name: str) -> bool:
    """Whether a study may set this: one of SETTING_NAMES, or a setting of a part of your own."""
    return name in SETTING_NAMES or is_part_setting(name)


def from_settings(settings: Mapping[str, object]) -> TrialConfig:
    """Builds a configuration from flat settings.

    Keys are SETTING_NAMES, digests, and settings of parts such as `encoder.width`. The bundles `preset` and
    `views` fill in what the settings leave out: explicit keys override `views`, which overrides `preset`.

    Raises:
        ConfigError: an unknown key or bundle, a wrong type, or a value that breaks a rule.

    >>> config = from_settings({"preset": "simsiam", "lr": 0.05, "view2.hue": 0.2})
    >>> config.projector_depth, config.lr, config.view2.hue
    (3, 0.05, 0.2)
    >>> from_settings({"tau_bas": 0.99})
    Traceback (most recent call last):
    byol.errors.ConfigError: tau_bas: is not a setting (did you mean "tau_base"?), but got 0.99
    """
    fields: dict[str, Any] = {}
    views: dict[str, dict[str, object]] = {"view1": {}, "view2": {}}
    parts: dict[str, dict[str, Any]] = {}
    for key, value in expand(settings).items():
        view, _, name = key.partition(".")
        if is_part_setting(key):
            parts.setdefault(view, {})[name] = value
        elif key not in FIELD_NAMES:
            raise ConfigError(key, value, "is not a setting", nearest(key, SETTING_NAMES))
        elif name:
            views[view][name] = value
        else:
            fields[key] = value
    for view, values in views.items():
        fields[view] = _view(view, values)
    for part, keywords in parts.items():
        fields[f"{part}_settings"] = PartSettings.of(keywords)
    return TrialConfig(**fields)


def _view(view: str, values: Mapping[str, Any]) -> ViewConfig:
    default = {"view1": TrialConfig.view1, "view2": TrialConfig.view2}[view]
    try:
        return dataclasses.replace(default, **values)
    except ConfigError as error:
        raise ConfigError(f"{view}.{error.key}", error.value, error.rule, error.hint) from None


def expand(settings: Mapping[str, object]) -> dict[str, object]:
    """Flat settings with the bundles `preset` and `views` replaced by what they stand for.

    An explicit length (`steps` or `epochs`) replaces the length of the preset or the default, even if that
    is given as the other of the two.

    Raises:
        ConfigError: there is no bundle of that name.
    """
    explicit = dict(settings)
    preset = explicit.pop("preset", None)
    preset_settings = {} if preset is None else _bundle("preset", preset, PRESETS).settings
    expanded: dict[str, object] = {**preset_settings, **explicit}
    if explicit.get("epochs") and "steps" not in explicit:
        expanded["steps"] = 0
    elif explicit.get("steps") and "epochs" not in explicit:
        expanded["epochs"] = 0.0
    views = expanded.pop("views", None)
    if views is None:
        return expanded
    return {**_bundle("views", views, VIEWS).settings, **expanded}


def _bundle(key: str, name: object, bundles: Mapping[str, Bundle]) -> Bundle:
    if name not in bundles:
        raise ConfigError(key, name, f"must be one of {', '.join(bundles)}", nearest(name, bundles))
    return bundles[str(name)]
