"""Any study file is a study that can be planned, or an error of one line, at once."""

import dataclasses
import functools
import json
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from byol.presets import SETTING_NAMES
from sweeps.errors import StudyError
from sweeps.planning import estimates
from sweeps.planning.plan import make_plan
from sweeps.planning.render import as_json, as_text
from sweeps.study import Study, study_from_text
from sweeps.study.load import SHIPPED
from tests.faults.examples import answered, examples

TEXTS = [path.read_text(encoding="utf-8") for path in sorted(SHIPPED.glob("*.yaml"))]
WORDS = [
    *(
        "name",
        "title",
        "reference",
        "factors",
        "design",
        "seeds",
        "search",
        "resources",
        "collapse",
        "estimate",
    ),
    *(
        "levels",
        "when",
        "kind",
        "listed",
        "exclude",
        "resolution",
        "generators",
        "low",
        "high",
        "log",
        "choices",
    ),
    *(
        "space",
        "trials",
        "objectives",
        "scheduler",
        "min",
        "max",
        "until",
        "cpu",
        "gpu",
        "reproduces",
        "preset",
    ),
    *("knn_accuracy", "label", "settings", "grace_steps", "on_broken", "views", "a", "b"),
    *SETTING_NAMES,
]
HOSTILE = [
    *("", "null", "~", ".nan", ".inf", "-.inf", "1e400", "-1", "0", "1e-320", "1" + 400 * "0", "9" * 5000),
    *(
        "9223372036854775808",
        "-9223372036854775809",
        '"\\ud800"',
        '"\\0"',
        '"a\\nb"',
        "!!bool maybe",
        "!!int x",
    ),
    *("!!float ''", "!!timestamp x", "!!binary x", "!!set {a}", "!!python/name:os.system x", "*a", "&a [*a]"),
    *("[", "{", "[" * 400, "- a", "? a", "a: b: c", "%TAG", "1e9", "1000000000000", "[" + "1," * 3000 + "]"),
    *(
        "{a: {}, b: {}}",
        "[[1]]",
        "{kind: fractional}",
        "2026-11-24",
        "0x10",
        "1_000",
        "é" * 200,
        "'" + "x" * 12_000,
    ),
    *("folder:/dev/zero", "parquet:.", "folder:", "full-factorial", "{min: 2, max: 3, until: decided}"),
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([2**63, 10**12, 10**400, -(2**63) - 1]),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from([*WORDS, "\ud800", "byol", "mlp", "leave-one-out", "add-one-in", "listed"]),
)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda below: st.lists(below, max_size=4) | st.dictionaries(st.sampled_from(WORDS), below, max_size=4),
    max_leaves=20,
)


def planned(text: str) -> Study:
    """The study of a text, with all that `plan` does with it, and as study.yaml has it."""
    study = study_from_text(text, "f")
    estimate = estimates.of_study(study, study.cells())
    plan = make_plan(study, workers=2, estimate=estimate, price=1.0)
    assert as_text(plan).encode()
    assert json.dumps(as_json(plan)).encode()
    assert study_from_text(study.to_yaml(), "f") == study
    return study


@examples(60)
@given(st.data())
def test_a_shipped_study_with_other_values(injected: Callable[..., None], data: st.DataObject) -> None:
    lines = data.draw(st.sampled_from(TEXTS)).splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        index = data.draw(st.integers(0, len(lines) - 1))
        key, colon, _ = lines[index].partition(":")
        value = data.draw(st.sampled_from(HOSTILE))
        kept = data.draw(st.booleans()) and colon
        lines[index] = f"{key}: {value}" if kept else data.draw(st.sampled_from([value, "", lines[0]]))
    answered(lambda: planned("\n".join(lines)), StudyError, functools.partial(injected, "studies"))


@examples(60)
@given(st.dictionaries(st.sampled_from(WORDS), DOCUMENTS, max_size=5), st.booleans())
def test_any_document(injected: Callable[..., None], sections: dict[str, Any], complete: bool) -> None:
    document = {"name": "a", "factors": {"predictor": ["mlp", "none"]}, **sections} if complete else sections
    answered(lambda: planned(json.dumps(document)), StudyError, functools.partial(injected, "studies"))


@examples(60)
@given(
    st.sampled_from(SETTING_NAMES), st.lists(SCALARS, max_size=3), st.sampled_from(["factors", "reference"])
)
def test_any_value_of_any_setting(
    injected: Callable[..., None], name: str, values: list[Any], section: str
) -> None:
    document: dict[str, Any] = {"name": "a", "factors": {"f": {"x": {}, "y": {"knn_k": 3}}}}
    if section == "factors":
        document["factors"] = {name: values}
    else:
        document["reference"] = {name: values[0] if values else None}
    answered(lambda: planned(json.dumps(document)), StudyError, functools.partial(injected, "studies"))


@examples(60)
@given(st.text() | st.binary().map(lambda content: content.decode("latin-1")))
def test_any_text(injected: Callable[..., None], text: str) -> None:
    answered(lambda: planned(text), StudyError, functools.partial(injected, "studies"))


@examples(30)
@given(st.sampled_from([*SETTING_NAMES, "", "é", "a.b"]), st.sampled_from(HOSTILE) | st.text(max_size=10))
def test_any_setting_of_the_command_line(injected: Callable[..., None], key: str, value: str) -> None:
    answered(
        lambda: study_from_text("name: a\nfactors: {knn_k: [1, 2]}", "f", [f"{key}={value}"]),
        StudyError,
        functools.partial(injected, "studies"),
    )


def test_the_words_are_those_of_the_format() -> None:
    """The examples reach into each section."""
    assert {field.name for field in dataclasses.fields(Study)} - {"sequence"} - set(WORDS) <= {
        *("question", "source", "expected"),
    }
