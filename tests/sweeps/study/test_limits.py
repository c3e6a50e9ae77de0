"""Studies that no machine could run, or no table could hold: one line, at once, before anything is built."""

import dataclasses
import os
import time
from pathlib import Path

import pytest

from byol.config import TrialConfig
from byol.errors import ConfigError
from sweeps.errors import StudyError
from sweeps.study import designs, limits, load_study, study_from_text

HEAD = "name: a\n"


def factors(count: int, levels: int) -> str:
    """Named factors with the given number of levels each, none of which is ever built."""
    settings = [field.name for field in dataclasses.fields(TrialConfig)]
    lines = []
    for index in range(count):
        names = ", ".join(f"l{level}: {{{settings[index]}: {level}}}" for level in range(levels))
        lines.append(f"  f{index}: {{{names}}}\n")
    return "factors:\n" + "".join(lines)


NAMES = [field.name for field in dataclasses.fields(TrialConfig)][2:32]
CONDITIONAL = (
    HEAD
    + factors(2, 2)
    + "".join(f"  g_{name}: {{levels: {{a: {{{name}: 1}}, b: {{}}}}, when: {{f0: l0}}}}\n" for name in NAMES)
)

REFUSED = [
    (HEAD + factors(10, 10), "factors: must make at most 10,000 cells, but makes 10,000,000,000"),
    (HEAD + factors(40, 100), "factors: must make at most 10,000 cells, but makes 1e+80"),
    (HEAD + factors(1, 1001), "factors.f0: must have at most 1,000 levels, but has 1,001"),
    (
        HEAD + "factors:\n" + "".join(f"  f{index}: {{a: {{}}}}\n" for index in range(101)),
        "factors: must have at most 100 factors, but has 101",
    ),
    (HEAD + "seeds: 10000\nfactors: {knn_k: [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]}", "make 110,000"),
    (HEAD + "seeds: 10001\n" + factors(1, 2), "seeds: must be at most 10,000, but got 10001"),
    (HEAD + "factors: {lr: [0.1, .nan]}", "factors.lr[1]: must be finite, but got nan"),
    (HEAD + "factors: {lr: [0.1, .inf]}", "factors.lr[1]: must be finite, but got inf"),
    (HEAD + "factors: {lr: [0.1, 1" + 400 * "0" + "]}", "[1]: must be at least -2**63 and below 2**63, but"),
    (
        HEAD + "factors: {lr: [0.1, 1" + 5000 * "0" + "]}",
        "factors.lr[1]: cannot be read as int, but got '1000",
    ),
    (HEAD + "factors: {knn_k: [1, 9223372036854775808]}", "must be at least -2**63 and below 2**63, but got"),
    (HEAD + "factors: {? 1" + 5000 * "0" + " : [1]}", "cannot be read as int"),
    (HEAD + "factors: {symmetric: [true, !!bool maybe]}", "[1]: cannot be read as bool, but got 'maybe'"),
    (HEAD + "factors: {symmetric: [!!timestamp x]}", "[0]: cannot be read as timestamp, but got 'x'"),
    (
        HEAD + "factors: {symmetric: !!set {a, b}}",
        "must be plain data, but has the tag tag:yaml.org,2002:set",
    ),
    (
        HEAD + 'title: "a \\ud800"\n' + factors(1, 2),
        "title: must be text without control characters and surr",
    ),
    (HEAD + 'factors: {f: {"\\ud800": {}}}', "factors.f: must be text without control characters and surrog"),
    (HEAD + 'title: "a \\0"\n' + factors(1, 2), "but got 'a \\x00'"),
    (HEAD + f"title: {'a' * 10_001}\n" + factors(1, 2), "title: must have at most 10,000 characters"),
    (f"name: {'a' * 201}\n" + factors(1, 2), "name: must have at most 200 characters"),
    (HEAD + f"factors: {{f: {{{'a' * 201}: {{}}}}}}", "factors.f: a name must be one line of 1 to 200 chara"),
    (HEAD + 'factors: {f: {"a\\nb": {}}}', "a name must be one line of 1 to 200 characters, but got 'a\\nb'"),
    (HEAD + f"{'a' * 1001}: 1\n", "must have at most 1,000 characters with the keys above it"),
    (HEAD + f"reference: {{'{'a' * 900}': 1}}\n" + factors(1, 2), "is not a setting"),
    (
        HEAD + "factors: {projector_width: [1000000000000]}",
        "factors.projector_width: must be at most 1,000,000",
    ),
    (HEAD + "factors: {projector_width: [200000000]}", "must leave a trial below 256 GiB of memory, but it"),
    (HEAD + "factors: {batch_size: [1000000000]}", "factors.batch_size: must leave a trial below 256 GiB"),
    (HEAD + "factors: {warmup_epochs: [1e300]}", "factors.warmup_epochs: must be at most 1,000,000"),
    (HEAD + "resources: {gpu: 1e300}\n" + factors(1, 2), "resources.gpu: must be at most 100000"),
    (CONDITIONAL, "factors: must make at most 10,000 cells, but makes more"),
    (
        HEAD + "search: {trials: 1000000, space: {lr: {low: 0.1, high: 1}}}",
        "search.trials: must be at most 100,000, but got 1000000",
    ),
]


@pytest.mark.parametrize(("text", "message"), REFUSED, ids=[message[:50] for _, message in REFUSED])
def test_what_no_machine_could_run_is_one_line(text: str, message: str) -> None:
    began = time.process_time()
    with pytest.raises(StudyError) as error:
        study_from_text(text, "f")
    assert message in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 1500
    assert time.process_time() - began < 2


def test_a_million_bytes_are_not_parsed(tmp_path: Path) -> None:
    file = tmp_path / "large.yaml"
    file.write_text("name: a\n" + "# " * 10**6)
    began = time.process_time()
    with pytest.raises(StudyError, match=r"large\.yaml: must have at most 262,144 characters, but has more"):
        load_study(file)
    assert time.process_time() - began < 0.5


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    with pytest.raises(StudyError, match=r"pipe\.yaml: cannot be read: is not a file"):
        load_study(tmp_path / "pipe.yaml")


def test_the_largest_design_is_built() -> None:
    """The limit counts what is built, so what it permits is possible."""
    levels = ", ".join(str(index / 1000) for index in range(100))
    study = study_from_text(f"name: a\nseeds: 1\nfactors:\n  lr: [{levels}]\n  weight_decay: [{levels}]", "f")
    assert len(study.cells()) == limits.MOST_CELLS


def test_cells_are_counted_as_they_are_built() -> None:
    """Before exclusion, for every kind of design and with conditions."""
    head = "name: a\nfactors:\n  predictor: [mlp, linear, none]\n"
    conditional = (
        "  predictor_norm: {levels: [batch, none], when: {predictor: [mlp, linear]}}\n  lr: [1, 2]\n"
    )
    plain = "  lr: [1, 2]\n  knn_k: [1, 2]\n"
    for kind in ("full-factorial", "leave-one-out", "add-one-in"):
        study = study_from_text(f"{head}{plain}design: {kind}", "f")
        assert designs.count(study.factors, study.design) == len(study.cells())
    study = study_from_text(f"{head}{conditional}", "f")
    assert len(study.cells()) == (2 + 2 + 1) * 2
    assert designs.count(study.factors, study.design) == 3 * 2 * 2  # an upper bound, below the limit


def test_memory_is_counted_from_below() -> None:
    """Two linear layers of width w on projections of size s: four copies of w x s weights, at least."""
    limits.check_size(TrialConfig())
    limits.check_size(
        TrialConfig(projector_width=8192, projector_size=8192, projector_depth=3, batch_size=4096)
    )
    width = limits.MOST_MEMORY // (4 * 4 * 128)
    with pytest.raises(ConfigError, match="projector_width: must leave a trial below 256 GiB"):
        limits.check_size(TrialConfig(projector_width=width))
    with pytest.raises(ConfigError, match="batch_size: must leave"):
        limits.check_size(TrialConfig(batch_size=2**24, image_size=128))
    limits.check_size(TrialConfig(batch_size=2**24, accumulate=2**10, image_size=128))
