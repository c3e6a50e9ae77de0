"""The reference of settings says of each field what its definition says, and the page is up to date."""

import dataclasses
from pathlib import Path

import pytest

from byol import settings
from byol.config import FIELD_NAMES, TrialConfig
from byol.errors import ConfigError
from byol.fields import choice, newer, number
from byol.own_parts import PARTS
from byol.presets import PRESETS, SETTING_NAMES, VIEWS, from_settings, is_setting
from byol.settings import all_settings, described, main, page

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make settings`, or python -m byol.settings --to docs/settings.md"


def test_the_page_is_written_where_it_is_wanted(tmp_path: Path) -> None:
    main(["--to", str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text() == page()


def test_every_setting_is_there_once_with_a_text_and_a_section() -> None:
    names = [name for setting in all_settings() for name in setting.names]
    of_parts = [name for name in names if name.endswith(".NAME")]
    assert of_parts == ["encoder.NAME", "objective.NAME", "dataset.NAME"]
    assert len(names) == len(set(names))
    assert {*settings.BUNDLES, *names} == {*SETTING_NAMES, *of_parts}
    assert {*FIELD_NAMES} - {*names} == {f"{part}_code" for part in (*PARTS, "metrics")}
    assert [setting.name for setting in all_settings() if not setting.text or not setting.section] == []


def test_defaults_are_those_of_the_configuration() -> None:
    """Read back as a study would read them."""
    from sweeps.study.entries import parse

    given = {
        name: parse(default, "default").value
        for setting in all_settings()
        for name, default in zip(setting.names, setting.defaults, strict=bool(setting.defaults))
    }
    assert from_settings(given) == TrialConfig()


@pytest.mark.parametrize(
    ("name", "values", "default", "section"),
    [
        ("tau_base", "number, 0 to 1", "0.99", "Target"),
        ("steps", "whole number, 0 or more", "100", "Optimiser"),
        ("seed", "whole number, 0 to 2147483647", "0", "Measurement"),
        ("loss_scale", "number, 1e-06 to 1000000", "1", "Loss"),
        ("predictor_weight_decay", "number, 0 or more; or -1: as weight_decay", "-1", "Optimiser"),
        ("symmetric", "true or false", "true", "Loss"),
        ("encoder_stem", "auto | small | imagenet", "auto", "Encoder"),
        ("dataset", "text", "fashion-mnist-8k", "Data"),
        ("view1.hue, view2.hue", "number, 0 to 0.5", "0.1", "Views"),
        ("view1.blur_p, view2.blur_p", "number, 0 to 1", "1, 0.1", "Views"),
    ],
)
def test_type_range_default_and_section(name: str, values: str, default: str, section: str) -> None:
    [setting] = [setting for setting in all_settings() if setting.name == name]
    assert (setting.values, setting.default, setting.section) == (values, default, section)


def test_source_and_version_are_shown() -> None:
    text = described("target_statistics")
    assert "since 0.3.0" in text.splitlines()[0]
    assert "EMAN, arXiv 2101.08482" in text


@dataclasses.dataclass(frozen=True, kw_only=True)
class Grown:
    """A configuration of another version."""

    # Heads
    depth: int = number(2, 1, 5)
    """Layers
    of it."""

    # Own parts
    # in two lines, which is no heading
    part: str = choice("a", "b")
    width: float = newer(0.5, since="9.9", low=0, high=2)  # a comment beside it
    """Its width."""


def test_a_new_field_appears_by_itself() -> None:
    shown = [(field.name, section, text) for field, section, text in settings._documented(Grown)]
    assert shown == [
        ("depth", "Heads", "Layers of it."),
        ("part", "Heads", ""),
        ("width", "Heads", "Its width."),
    ]


@pytest.mark.parametrize("name", [*SETTING_NAMES, "encoder.width", "objective.power", "dataset.count"])
def test_whatever_a_study_can_set_is_described(name: str) -> None:
    assert is_setting(name)
    assert described(name)


def test_settings_of_parts_are_described_together() -> None:
    assert described("encoder.width") == described("encoder.NAME")
    assert described("encoder.width").startswith("encoder.NAME  text, number, true or false; default none")


def test_one_setting_by_any_of_its_names() -> None:
    assert described("view2.hue") == described("hue")
    assert "Set by the views: view1.hue 0.2 in simclr" in described("hue")
    assert "0.996 in byol, byol-imagenet-1000, byol-no-batch-statistics, tutorial" in " ".join(
        described("tau_base").split()
    )


@pytest.mark.parametrize(("key", "bundles"), [("preset", PRESETS), ("views", VIEWS)])
def test_presets_and_views_are_listed_with_what_they_set(key: str, bundles: dict[str, object]) -> None:
    lines = described(key).splitlines()
    assert [line for line in lines[1:] if not line.startswith(" ")] == [*bundles]
    assert "lars_clip: true" in described("byol-cifar10-solo")
    assert described("simsiam").count("arXiv 2011.10566") == 2  # a preset and a pair of views have this name


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("tau_bas", "tau_base"),
        ("solarise_p", "solarize_p"),
        ("presets", "preset"),
        ("simsim", "simsiam"),
    ],
)
def test_a_wrong_name_gets_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(ConfigError, match=f'did you mean "{nearest}"'):
        described(wrong)
