"""Measures of spectra against closed forms, exact power laws and published spectra."""

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.load import study_from_tables
from analysis.spectra import Shape, alpha_req, effective_rank, nesum, participation_ratio, shape
from analysis.stats import Floats
from tests.analysis.tables import write_sweep

LI = np.load(Path(__file__).parent / "assets" / "li-2022-singular-values.npy").astype(np.float64)
"""Singular values [6, 512] of centred representations: ResNet-18, SimSiam on 1, 5, 10, 20, 50, 100 % of
ImageNet (see the README beside the file)."""


def power_law(alpha: float, size: int) -> Floats:
    return np.arange(1.0, size + 1) ** -alpha


@pytest.mark.parametrize("size", [1, 2, 7, 128])
def test_equal_eigenvalues_have_their_number_as_rank(size: int) -> None:
    equal = np.full(size, 0.37)
    assert effective_rank(equal) == pytest.approx(size)
    assert nesum(equal) == pytest.approx(size)
    assert participation_ratio(equal) == pytest.approx(size)


def test_a_line_has_rank_one() -> None:
    line = np.array([0.8, 0, 0, 0, 0, 0, 0])
    assert (effective_rank(line), nesum(line), participation_ratio(line)) == pytest.approx((1, 1, 1))
    assert math.isnan(alpha_req(line))


def test_a_point_has_no_shape() -> None:
    assert effective_rank(np.zeros(4)) == pytest.approx(1)
    assert (nesum(np.zeros(4)), participation_ratio(np.zeros(4))) == (0, 0)
    assert math.isnan(alpha_req(np.zeros(200)))


def test_a_given_spectrum() -> None:
    eigenvalues = np.array([9.0, 4.0, 1.0])
    shares = np.array([3, 2, 1]) / 6  # of the singular values
    assert effective_rank(eigenvalues) == pytest.approx(math.exp(-(shares * np.log(shares)).sum()))
    assert nesum(eigenvalues) == pytest.approx(14 / 9)
    assert participation_ratio(eigenvalues) == pytest.approx(14**2 / (81 + 16 + 1))


@pytest.mark.parametrize("alpha", [0, 0.5, 1, 1.7, 3])
@pytest.mark.parametrize("size", [6, 50, 128, 2048])
def test_alpha_is_the_exponent_of_an_exact_power_law(alpha: float, size: int) -> None:
    assert alpha_req(0.02 * power_law(alpha, size)) == pytest.approx(alpha, abs=1e-9)


def test_alpha_is_fitted_from_the_fourth_to_the_hundredth_eigenvalue() -> None:
    spectrum = power_law(1.2, 300)
    spectrum[:3] *= 1000
    spectrum[100:] *= 1e-3
    assert alpha_req(spectrum) == pytest.approx(1.2)
    spectrum[3] *= 1.5
    assert alpha_req(spectrum) != pytest.approx(1.2, abs=1e-3)
    spectrum = power_law(1.2, 300)
    spectrum[99] *= 0.5
    assert alpha_req(spectrum) != pytest.approx(1.2, abs=1e-5)


def test_alpha_weighs_the_places_as_its_authors_do() -> None:
    """Weighted least squares by the normal equations, on a spectrum that is no power law."""
    eigenvalues = np.exp(-0.05 * np.arange(1, 151))
    places = np.arange(4, 101)
    design = np.stack([-np.log(places), np.ones(len(places))], axis=1)
    weighted = design / places[:, None]
    slope, _ = np.linalg.solve(design.T @ weighted, weighted.T @ np.log(eigenvalues[3:100]))
    assert alpha_req(eigenvalues) == pytest.approx(slope)
    unweighted = -np.polyfit(np.log(places), np.log(eigenvalues[3:100]), 1)[0]
    assert abs(slope - unweighted) > 0.2


def test_what_rounding_left_of_eigenvalues_is_not_fitted() -> None:
    spectrum = power_law(1, 128)
    spectrum[20:] = 1e-17
    assert alpha_req(spectrum) == pytest.approx(1)


def test_published_spectra_have_their_published_area_and_rank() -> None:
    """Li et al. 2022, equation 2: the area under the cumulative explained variance of their six spectra,
    which shows that these are they. The ranks are the exponential of the entropy, summed value by value."""
    areas = [(np.cumsum(row) / row.sum()).mean() for row in LI]
    assert areas == pytest.approx([0.6098, 0.7480, 0.8449, 0.8787, 0.8714, 0.8578], abs=5e-5)
    ranks = [math.exp(-math.fsum(v / row.sum() * math.log(v / row.sum()) for v in row)) for row in LI]
    assert ranks == pytest.approx([465.2, 323.5, 186.5, 140.0, 161.3, 165.6], abs=0.05)
    assert [effective_rank(row**2) for row in LI] == pytest.approx(ranks)


def test_measures_agree_about_the_published_spectra() -> None:
    """All order the first four alike: with more data, fewer directions."""
    shapes = [shape(row**2) for row in LI[:4]]
    for name in ("effective_rank_centred", "nesum", "participation_ratio"):
        values = [getattr(one, name) for one in shapes]
        assert values == sorted(values, reverse=True), name
    alphas = [one.alpha_req for one in shapes]
    assert alphas == sorted(alphas)
    assert shapes[0].nesum == pytest.approx((LI[0] ** 2).sum() / LI[0, 0] ** 2)


def test_a_spectrum_that_is_not_finite_has_no_shape() -> None:
    for bad in (np.array([1.0, np.nan]), np.array([])):
        assert np.isnan(shape(bad)).all()


def test_tables_without_these_columns_have_them_from_their_spectra(tmp_path: Path) -> None:
    tables = [pd.read_parquet(write_sweep(tmp_path) / f"{name}.parquet") for name in ("trials", "spectra")]
    trials, spectra = tables
    assert "nesum" not in trials
    steps = spectra["step"].rank(method="dense")  # a shape that changes from step to step
    shapes = pd.Series([power_law(0.1 * step, 16) for step in steps], index=spectra.index)
    spectra = spectra.assign(eigenvalues=shapes)
    loaded = study_from_tables(trials, spectra=spectra).trials.set_index("trial_id")
    one = spectra[(spectra["trial_id"] == trials["trial_id"][0]) & (spectra["level"] == "representation")]
    last = np.asarray(one.sort_values("step")["eigenvalues"].iloc[-1], dtype=np.float64)
    got = loaded.loc[trials["trial_id"][0], list(Shape._fields)]
    assert got.tolist() == pytest.approx(list(shape(last)), nan_ok=True)
    assert loaded["nesum"].notna().all()
    stated = study_from_tables(trials.assign(nesum=5.0), spectra=spectra)
    assert (stated.trials["nesum"] == 5).all()
