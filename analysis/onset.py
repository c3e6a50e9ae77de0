"""When collapse sets in: Kaplan-Meier survival over training steps."""

import warnings
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import stats

from analysis.outcomes import Outcome, judged
from analysis.stats import Floats


@dataclass(frozen=True, kw_only=True)
class Survival:
    """The share of trials that have not collapsed, by step."""

    steps: Floats
    """Where it changes, beginning with 0. Shape [steps]."""
    survival: Floats
    """From each step on. Shape [steps]."""
    low: Floats
    """Lower end of the pointwise log-log interval; NaN where it is not defined. Shape [steps]."""
    high: Floats
    """Upper end. Shape [steps]."""
    n: int
    events: int
    horizon: float
    """The last step that any trial reached."""
    restricted_mean: float
    """Mean number of steps without collapse, up to the horizon."""
    median: float | None
    """First step at which at most half survive; None if more than half do to the end."""


def kaplan_meier(times: npt.ArrayLike, events: npt.ArrayLike, horizon: float | None = None) -> Survival:
    """The product-limit estimate.

    Args:
        times: step of the onset, or of the end for a trial that did not collapse. Shape [trials], n >= 1.
        events: whether it collapsed. Shape [trials].
        horizon: up to where the mean is taken; the largest time if None.
    """
    t, event = np.asarray(times, dtype=np.float64), np.asarray(events, dtype=bool)
    end = float(t.max()) if horizon is None else horizon
    if not event.any():
        return Survival(
            steps=np.zeros(1), survival=np.ones(1), low=np.full(1, np.nan), high=np.ones(1),
            n=len(t), events=0, horizon=end, restricted_mean=end, median=None,
        )  # fmt: skip
    curve = stats.ecdf(stats.CensoredData(uncensored=t[event], right=t[~event])).sf
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # log-log is undefined where survival is 0 or 1
        band = curve.confidence_interval(method="log-log")
    steps = np.union1d(0.0, curve.quantiles)
    survival = curve.evaluate(steps)
    low = np.where(steps < curve.quantiles[0], np.nan, band.low.evaluate(steps))
    widths = np.diff(np.r_[np.minimum(steps, end), end])
    half = np.flatnonzero(survival <= 0.5)
    return Survival(
        steps=steps,
        survival=survival,
        low=low,
        high=band.high.evaluate(steps),
        n=len(t),
        events=int(event.sum()),
        horizon=end,
        restricted_mean=float((survival * widths).sum()),
        median=float(steps[half[0]]) if len(half) else None,
    )


def onset_times(trials: pd.DataFrame) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """Times and events of the judged trials. Shapes [trials].

    A trial's end is censoring. Scheduler-stopped, diverged and failed trials are not judged, so stay out.
    A collapsed trial without an onset (never below the threshold when measured) counts at its end.
    """
    judged_trials = judged(trials)
    events = (judged_trials["outcome"] == Outcome.COLLAPSED).to_numpy(bool)
    ends = judged_trials["steps_run"].to_numpy(np.float64, na_value=np.nan)
    onsets = judged_trials["onset_step"].to_numpy(np.float64, na_value=np.nan)
    times = np.where(events & ~np.isnan(onsets), onsets, ends)
    has_time = ~np.isnan(times)
    return times[has_time], events[has_time]


def numbers_at_risk(times: Floats, steps: Floats) -> npt.NDArray[np.int64]:
    """How many trials had neither collapsed nor ended before each step. Shape [steps]."""
    return np.asarray((times[None, :] >= steps[:, None]).sum(axis=1), dtype=np.int64)


def cadence(metrics: pd.DataFrame) -> int | None:
    """The usual number of steps between two measurements; None if no trial was measured twice."""
    gaps = metrics.groupby("trial_id", sort=False)["step"].diff().dropna()
    return int(gaps.mode().iloc[0]) if len(gaps) else None
