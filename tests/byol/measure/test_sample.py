"""What embeddings may be called: clouds whose answer is known, and samples that cannot tell."""

import pytest
import torch
from torch import Tensor

from byol.measure.collapse import CollapseRule, Judgement, judge
from byol.measure.embedding_files import EmbeddingFile
from byol.measure.embeddings import measure_embeddings
from byol.measure.metrics import effective_rank, embedding_std
from byol.measure.sample import LEAST_ROWS, judge_sample, known_to_differ, notes, sample_of

RULE = CollapseRule()


def draw(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def verdict(
    x: Tensor, labels: Tensor | None = None, *, inputs_differ: bool = False
) -> tuple[Judgement, tuple[str, ...]]:
    row = {
        "step": 0,
        "loss": None,
        "representation_std": embedding_std(x).item(),
        "projection_std": None,
        "effective_rank": effective_rank(x).item(),
    }
    return judge_sample(judge([row], RULE), sample_of(x, labels), RULE, inputs_differ=inputs_differ)


def one_hot(count: int, classes: int) -> tuple[Tensor, Tensor]:
    labels = torch.arange(count) % classes
    return torch.eye(classes)[labels], labels


POINT = torch.ones(64) + 1e-3 * draw(500, 64)
LINE = draw(500, 1) * draw(1, 64, seed=1)


@pytest.mark.parametrize("scale", [1e-30, 1e-6, 1e30, 1e155, 1e200, 1e-200])
def test_no_length_is_too_small_or_too_large(scale: float) -> None:
    x = draw(500, 16).double()
    x = (x * scale).float() if 1e-38 < scale < 1e38 else x * scale
    labels = torch.arange(500) % 5
    expected, found = (
        measure_embeddings(
            EmbeddingFile(representation_ND=each, projection_ND=None, labels_N=labels), k=20, temperature=0.1
        )
        for each in (draw(500, 16), x)
    )
    assert found.values == pytest.approx(expected.values, rel=1e-4)
    assert found.sample.different == 500


@pytest.mark.parametrize(
    ("x", "collapsed", "dimensional"),
    [
        (draw(500, 64), False, False),
        (POINT, True, False),
        (torch.ones(64) + 0.09 * draw(500, 64), True, False),
        (torch.ones(64) + 0.12 * draw(500, 64), False, False),
        (LINE, False, True),
        (one_hot(500, 10)[0], False, False),
        (draw(LEAST_ROWS, 2048), False, False),
        (torch.nn.functional.normalize(draw(500, 64)), False, False),
    ],
    ids=[
        "isotropic",
        "point",
        "below .1",
        "above .1",
        "line",
        "one-hot classes",
        "few rows in many dimensions",
        "of length 1",
    ],
)
def test_clouds_whose_answer_is_known(x: Tensor, collapsed: bool, dimensional: bool) -> None:
    judgement, reasons = verdict(x)
    assert (judgement.collapsed, judgement.dimensional_collapse, reasons) == (collapsed, dimensional, ())


def test_an_isotropic_cloud_has_std_1_whatever_the_length_of_its_rows() -> None:
    x = draw(4000, 64)
    assert embedding_std(x).item() == pytest.approx(1, abs=0.01)
    assert embedding_std(torch.nn.functional.normalize(x)).item() == pytest.approx(embedding_std(x).item())


@pytest.mark.parametrize("x", [draw(64, 64), POINT, LINE], ids=["isotropic", "point", "line"])
def test_fewer_rows_than_the_least_tell_nothing(x: Tensor) -> None:
    assert verdict(x[:LEAST_ROWS])[0].collapsed is not None
    judgement, (reason,) = verdict(x[: LEAST_ROWS - 1])
    assert judgement.collapsed is None
    assert judgement.dimensional_collapse is None
    assert "31 rows cannot tell: at least 32" in reason


@pytest.mark.parametrize(
    "x",
    [torch.ones(500, 64), torch.zeros(500, 64), torch.ones(500, 64) + 1e-8 * draw(500, 64).double()],
    ids=["equal", "zero", "equal but for rounding"],
)
def test_a_constant_batch_is_collapse_only_if_its_inputs_are_known_to_differ(x: Tensor) -> None:
    judgement, (reason,) = verdict(x)
    assert judgement.collapsed is None
    assert "all rows are equal" in reason
    assert verdict(x, torch.zeros(500, dtype=torch.int64))[0].collapsed is None
    assert verdict(x, torch.arange(500) % 2)[0].collapsed is True
    assert verdict(x, inputs_differ=True)[0].collapsed is True


def test_a_few_images_again_and_again_are_no_collapse() -> None:
    mostly_one = torch.cat([torch.ones(1, 64).repeat(995, 1), draw(5, 64)])
    judgement, (reason,) = verdict(mostly_one)
    assert embedding_std(mostly_one) < RULE.representation_threshold
    assert judgement.collapsed is None
    assert "only 6 of 1,000 rows differ" in reason
    assert verdict(mostly_one, inputs_differ=True)[0].collapsed is True


def test_rows_of_one_direction_but_of_different_lengths_are_no_constant_batch() -> None:
    x = torch.rand(500, 1, generator=torch.Generator().manual_seed(0)).add(1) * draw(1, 64)
    assert sample_of(x, None).different == 500
    assert verdict(x)[0].collapsed is True


def test_half_precision_rounds_rows_together() -> None:
    x = (torch.ones(500, 64) + 1e-4 * draw(500, 64)).half()
    assert sample_of(x, None).different == 1
    assert sample_of(torch.ones(500, 64) + 1e-4 * draw(500, 64), None).different == 500


@pytest.mark.parametrize(
    ("x", "words"),
    [(draw(500, 2), "from 2 dimensions"), (one_hot(501, 2)[0].repeat(1, 8), "from 2 different rows")],
)
def test_what_spans_few_dimensions_is_not_called_dimensional_collapse(x: Tensor, words: str) -> None:
    assert effective_rank(x) < 2
    judgement, reasons = verdict(x, inputs_differ=True)
    assert judgement.collapsed is False
    assert judgement.dimensional_collapse is None
    assert words in reasons[0]


def test_another_file_of_the_same_rows_shows_that_inputs_differ() -> None:
    before, constant = sample_of(draw(100, 8), None), sample_of(torch.ones(100, 8), None)
    assert known_to_differ([before, constant], constant)
    assert not known_to_differ([constant], constant)
    assert not known_to_differ([sample_of(draw(99, 8), None), constant], constant)


def test_notes_name_rows() -> None:
    x = draw(100, 200)
    x[7, 3] = torch.nan
    x[9] = torch.inf
    x[20] = 0
    x[31] = x[30]
    assert notes(sample_of(x, torch.zeros(100))) == (
        "rows 7, 9 (from 0) are not finite",
        "1 row of zeros, which have no direction",
        "1 row of 100 repeats an earlier one; copies of an input make kNN too high",
        "100 rows in 200 dimensions: no rank exceeds 100 (centred, 99), so ranks and spectrum count rows, "
        "not the dimensions in use",
        "all labels are the same, so there is no kNN accuracy",
    )
    assert notes(sample_of(draw(300, 200), None)) == ()


@pytest.mark.parametrize("broken", [torch.nan, torch.inf, -torch.inf])
def test_rows_that_are_not_finite_are_no_copies_of_each_other(broken: float) -> None:
    x = draw(100, 8)
    x[3:6] = broken
    assert sample_of(x, None).different == 97
    assert notes(sample_of(x, None)) == ("rows 3, 4, 5 (from 0) are not finite",)
    x[90:] = x[89]
    assert notes(sample_of(x, None))[1].startswith("10 rows of 100 repeat an earlier one")
    assert sample_of(torch.full((40, 8), broken), None).different == 0


def test_rows_that_are_not_finite_are_neither_collapse_nor_its_absence() -> None:
    x = torch.ones(500, 64)
    x[3, 0] = torch.nan
    judgement, reasons = verdict(x)
    assert judgement.diverged
    assert judgement.collapsed is None
    assert reasons == ()


def test_what_is_measured_of_a_file() -> None:
    x, labels = one_hot(500, 10)
    file = EmbeddingFile(representation_ND=x + 0.01 * draw(500, 10), projection_ND=POINT, labels_N=labels)
    measured = measure_embeddings(file, k=20, temperature=0.1)
    assert measured.values["knn_accuracy"] == 1
    assert measured.queries == 500
    assert measured.chance == 0.1
    assert measured.values["projection_std"] < 0.01
    assert measured.values["representation_std"] == pytest.approx(0.95, abs=0.02)
    assert sorted(measured.spectra) == ["projection", "representation"]
    assert measured.spectra["representation"].sum() == pytest.approx(0.9, abs=0.01)
    without = EmbeddingFile(representation_ND=x, projection_ND=None, labels_N=None)
    assert "knn_accuracy" not in measure_embeddings(without, k=20, temperature=0.1).values
    few = EmbeddingFile(representation_ND=x[:20], projection_ND=None, labels_N=labels[:20])
    assert measure_embeddings(few, k=20, temperature=0.1).queries is None
