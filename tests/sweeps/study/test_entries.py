"""Strict YAML: what is read as what, and what is refused."""

import pytest
import yaml

from sweeps.errors import StudyError
from sweeps.study.entries import Entry, dump, parse


def plain(entry: Entry) -> object:
    if isinstance(entry.value, dict):
        return {key: plain(value) for key, value in entry.value.items()}
    if isinstance(entry.value, list):
        return [plain(value) for value in entry.value]
    return entry.value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.5E+2", 150.0),
        (".5", 0.5),
        ("010", 10),
        ("-3", -3),
        ("no", "no"),
        ("off", "off"),
        ("none", "none"),
        ("True", True),
        ("false", False),
        ("~", None),
        ("12:30", "12:30"),
        ("2020-01-01", "2020-01-01"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        ("'1'", "1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    document = plain(parse(f"key: {text}", "f"))
    assert document == {"key": value}
    assert isinstance(document, dict)
    assert type(document["key"]) is type(value)


def test_entries_know_their_line_and_name() -> None:
    root = parse("a: 1\nb:\n  c:\n  - x\n  - {d: 2}\n", "file.yaml")
    item = root.mapping()["b"].mapping()["c"].items()[1].mapping()["d"]
    assert (item.line, item.key, item.value) == (5, "b.c[1].d", 2)
    assert str(item.wrong_value("must be odd")) == "file.yaml:5: b.c[1].d: must be odd, but got 2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", "f:2: a: duplicate key"),
        ("x: {a: 1, a: 2}", "f:1: x.a: duplicate key"),
        ("a: 1\n2: b", "f:2: a key must be text, but got 2 (quote it)"),
        ("a: &x [*x]", "f:1: is not YAML: aliases (*name) are not allowed"),
        ("a:\n  - [1\nb: 2", "f:3: is not YAML"),
        ("a: !!python/object/apply:os.getcwd []", "f:1: a: must be plain data, but has the tag"),
        ("a: !!python/name:os.getcwd x", "f:1: is not YAML: could not determine a constructor"),
        ("a: \x00", "f:1: is not YAML: unacceptable character"),
        ("--- 1\n--- 2", "f:2: is not YAML: but found another document"),
    ],
)
def test_refused(text: str, message: str) -> None:
    with pytest.raises(StudyError) as error:
        parse(text, "f").mapping()["a"].number(0)
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_what_is_dumped_reads_the_same_in_both_versions_of_yaml() -> None:
    document = {"a": ["no", "1e-3", "1.0", "none", "null", "12:30", "0x10", "", "010"], "b": [1e-5, 1, True]}
    text = dump(document)
    assert plain(parse(text, "f")) == document
    assert yaml.safe_load(text) == document
