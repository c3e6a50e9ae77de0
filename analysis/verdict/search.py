"""The search for the best rule, and a test that knows that it has searched.

A rule's score is the likelihood-ratio statistic (twice the log of the ratio) of two rates of collapse, inside
and outside, against one, less log(trials) for each component that it names, as often as it does, and less
2 log 2 more for each of them that is a remedy: as if, beforehand, a change were half as likely to prevent
collapse as the reference's level. If all trials outside collapsed, it scores 2 log 2 more: as if, beforehand,
a rule without which collapse is certain were twice as likely as another. So a few strays do not hide a clear
rule behind a shorter one. Inside must have the lower rate. No rule at all scores 0.
The p-value of the best is the share of permutations in which the best rule scores as well: outcomes are
permuted over the cells within each seed, so seeds stay blocks, and a seed that decides alone shows nothing.

The search is akin to logic regression (Ruczinski, Kooperberg and LeBlanc 2003), the test is the max test of
Westfall and Young (1993), the penalty is that of Schwarz (1978).
"""

import itertools
import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
from scipy import special

from analysis.stats import Floats
from analysis.verdict.rules import Family, Rule

Ints: TypeAlias = npt.NDArray[np.int64]

LEVEL = 0.05
"""A rule is claimed if its adjusted p is not above this."""
PERMUTATIONS = 999
_EXACT_UP_TO = 5_000
"""Arrangements of the outcomes that are all tried, instead of permutations."""
_REMEDY = _CERTAIN = 2 * math.log(2)
_ROUNDING = 1e-9
_CHUNK = 1_000_000
"""Scores that are computed at once."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """Trials inside a rule, or outside of it."""

    collapsed: int
    trials: int

    @property
    def rate(self) -> float:
        """The share that collapsed."""
        return self.collapsed / self.trials


@dataclass(frozen=True, kw_only=True)
class Search:
    """The best rule, and how surprising it is."""

    rule: Rule
    aliases: tuple[Rule, ...]
    """Other rules with the same cells inside, the shortest first."""
    ties: tuple[Rule, ...]
    """Rules with other cells inside that score less by less than the penalty of one component, best first."""
    inside_C: npt.NDArray[np.bool_]
    """Which cells are inside."""
    inside: Side
    outside: Side
    score: float
    adjusted_p: float
    """To be compared with LEVEL: at a look of a sequence, the p-value times LEVEL by the look's level."""
    z: float
    """The quantile for a two-sided 95 % interval that makes up for the search: the 97.5 % quantile, over the
    permutations, of the best rule's standardised difference; at least 1.96. At a look of a sequence likewise,
    at its level."""
    rules: int
    """How many were searched: those that the cells can tell apart."""
    permutations: int
    exact: bool
    """Whether these are all arrangements of the outcomes."""

    @property
    def equals(self) -> tuple[Rule, ...]:
        """The aliases that say it as shortly: nothing in these cells prefers the rule to them. That a factor
        does not apply says what another factor's level says, so only the latter counts."""
        best = (self.rule.mentions, self.rule.uses_absence)
        return tuple(rule for rule in self.aliases if (rule.mentions, rule.uses_absence) == best)


def search(collapsed_CS: Floats, family: Family, *, level: float = LEVEL) -> Search | None:
    """Finds the best rule; None if there is none: too few cells, or all outcomes are alike.

    Args:
        collapsed_CS: 1 where the trial of a cell and seed collapsed, 0 where not, NaN without one.
        family: the rules; see `rules.family`.
        level: at which it is tested: less than LEVEL if this is one look of several, 0 if nothing may pass.
    """
    scored = _scored(collapsed_CS, family)
    if scored is None:
        return None
    scorer, scores_R, best = scored
    judged_C, counts_C = _counts(collapsed_CS)
    trials = int(judged_C.sum())
    exact = _n_arrangements(collapsed_CS) <= _EXACT_UP_TO
    permuted_PC = _arrangements(collapsed_CS) if exact else _permutations(collapsed_CS)
    best_P, difference_P = scorer.best(permuted_PC)
    at_least = int((best_P >= max(0.0, scores_R[best]) - _ROUNDING).sum())
    p = at_least / len(best_P) if exact else (1 + at_least) / (1 + len(best_P))
    near = np.argsort(-scores_R, kind="stable")
    near = near[scores_R[near] > scores_R[best] - math.log(trials) + _ROUNDING]
    inside_C = family.inside_RC[best]
    return Search(
        rule=family.rules[best],
        aliases=family.aliases[best],
        ties=tuple(family.rules[other] for other in near if other != best),
        inside_C=inside_C,
        inside=Side(collapsed=int(counts_C[inside_C].sum()), trials=int(judged_C[inside_C].sum())),
        outside=Side(collapsed=int(counts_C[~inside_C].sum()), trials=int(judged_C[~inside_C].sum())),
        score=float(scores_R[best]),
        adjusted_p=min(1.0, p * LEVEL / level) if level else 1.0,
        z=max(-float(special.ndtri(level / 2)), float(np.quantile(difference_P, 1 - level / 2))),
        rules=len(family.rules),
        permutations=len(best_P),
        exact=exact,
    )


def best_rule(collapsed_CS: Floats, family: Family) -> Rule | None:
    """The best rule alone, whether it passes or not: `search` without its test. Args as for `search`."""
    scored = _scored(collapsed_CS, family)
    return None if scored is None else family.rules[scored[2]]


def _counts(collapsed_CS: Floats) -> tuple[Ints, Ints]:
    """Judged trials by cell, and those of them that collapsed. Shapes [cells]."""
    return (~np.isnan(collapsed_CS)).sum(axis=1), np.nansum(collapsed_CS, axis=1).astype(np.int64)


def _scored(collapsed_CS: Floats, family: Family) -> tuple["_Scorer", Floats, int] | None:
    """A scorer, the score of each rule and the place of the best; None without a best. Shape [rules]."""
    judged_C, counts_C = _counts(collapsed_CS)
    total, trials = int(counts_C.sum()), int(judged_C.sum())
    if total in (0, trials) or not family.rules:
        return None
    scorer = _Scorer(family, judged_C, total)
    scores_R = scorer.scores(counts_C[:, None])[:, 0]
    best = int(scores_R.argmax())
    return None if scores_R[best] == -math.inf else (scorer, scores_R, best)


def smallest_p(collapsed_CS: Floats) -> float:
    """What no p-value of these outcomes can be below, however they lie. Args as for `search`."""
    ways = _n_arrangements(collapsed_CS)
    return 1 / (ways if ways <= _EXACT_UP_TO else PERMUTATIONS + 1)


class _Scorer:
    """Scores of rules, for many arrangements of the same outcomes. The suffix P counts these.

    A score depends on the trials inside, those of them that collapsed and the components named, so that all
    are looked up in a table.
    """

    def __init__(self, family: Family, judged_C: Ints, total: int) -> None:
        trials, inside_R = int(judged_C.sum()), family.floats_RC @ judged_C.astype(np.float32)
        penalty_R = [math.log(trials) * rule.mentions + _REMEDY * rule.remedies for rule in family.rules]
        kinds_K2, row_R = np.unique(
            np.stack([inside_R.astype(np.float64), penalty_R], axis=1), axis=0, return_inverse=True
        )
        inside_K, penalty_K = kinds_K2[:, :1], kinds_K2[:, 1:]
        outside_K, collapsed = trials - inside_K, np.arange(total + 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            difference = (total - collapsed) / outside_K - collapsed / inside_K
            rate = total / trials
            error_K = np.sqrt(rate * (1 - rate) * (1 / inside_K + 1 / outside_K))
            ratio = _log_likelihood(collapsed, inside_K) + _log_likelihood(total - collapsed, outside_K)
        ratio -= _log_likelihood(np.array(total), np.array(trials))
        certain = _CERTAIN * (total - collapsed == outside_K)
        lower = difference > _ROUNDING
        self._scores = np.where(lower, 2 * ratio - penalty_K + certain, -math.inf).ravel()
        self._standardised = np.where(lower, difference / error_K, 0.0).ravel()
        self._inside_RC = family.floats_RC
        self._first_R = (row_R.ravel() * (total + 1)).astype(np.int32)

    def scores(self, counts_CP: Ints) -> Floats:
        """Penalised scores; minus infinity where the rate inside is not lower. [R, P]"""
        return np.asarray(self._scores[self._places(counts_CP.T)].T)

    def _places(self, counts_PC: Ints) -> npt.NDArray[np.int32]:
        """Where the rules' scores are in the tables. Shape [P, R], so that rules lie side by side."""
        places_PR = (counts_PC.astype(np.float32) @ self._inside_RC.T).astype(np.int32)
        places_PR += self._first_R
        return np.asarray(places_PR)

    def best(self, counts_PC: Ints) -> tuple[Floats, Floats]:
        """The best rule's score (at least 0) and its standardised difference, by arrangement. [P]"""
        size = max(1, _CHUNK // len(self._first_R))
        best_P, difference_P = np.zeros(len(counts_PC)), np.zeros(len(counts_PC))
        for begin in range(0, len(counts_PC), size):
            chunk = slice(begin, begin + size)
            places_PR = self._places(counts_PC[chunk])
            scores_PR = np.take(self._scores, places_PR)
            chosen_P = scores_PR.argmax(axis=1)
            rows_P = np.arange(len(chosen_P))
            best_P[chunk] = np.maximum(scores_PR[rows_P, chosen_P], 0.0)
            difference_P[chunk] = self._standardised[places_PR[rows_P, chosen_P]]
        return best_P, difference_P


def _log_likelihood(k: Ints, n: Ints) -> Floats:
    """Of k of n at the rate k / n; NaN where k is above n."""
    return np.asarray(special.xlogy(k, k / n) + special.xlogy(n - k, (n - k) / n))


def _n_arrangements(collapsed_CS: Floats) -> int:
    """How many ways there are to arrange the outcomes over the cells, within each seed."""
    judged_S, collapsed_S = (~np.isnan(collapsed_CS)).sum(axis=0), np.nansum(collapsed_CS, axis=0)
    return math.prod(math.comb(int(n), int(k)) for n, k in zip(judged_S, collapsed_S, strict=True))


def _permutations(collapsed_CS: Floats) -> Ints:
    """Collapsed trials by cell, outcomes permuted over the cells within each seed. [PERMUTATIONS, cells]"""
    rng = np.random.default_rng(0)
    counts_PC = np.zeros((PERMUTATIONS, len(collapsed_CS)), dtype=np.int64)
    for outcomes_C in collapsed_CS.T:
        cells = np.flatnonzero(~np.isnan(outcomes_C))
        rows = np.tile(outcomes_C[cells].astype(np.int64), (PERMUTATIONS, 1))
        columns = slice(None) if len(cells) == len(collapsed_CS) else cells  # a slice is added at once
        counts_PC[:, columns] += rng.permuted(rows, axis=1)
    return counts_PC


def _arrangements(collapsed_CS: Floats) -> Ints:
    """Collapsed trials by cell, for each arrangement within the seeds. [arrangements, cells]"""
    counts_PC = np.zeros((1, len(collapsed_CS)), dtype=np.int64)
    for outcomes_C in collapsed_CS.T:
        cells = np.flatnonzero(~np.isnan(outcomes_C))
        rows_AC = _choices(cells, int(np.nansum(outcomes_C)), len(collapsed_CS))
        counts_PC = (counts_PC[:, None] + rows_AC[None]).reshape(-1, len(collapsed_CS))
    return counts_PC


def _choices(cells: Ints, k: int, width: int) -> Ints:
    """A row of 0 and 1 for each way to choose k of the cells. Shape [ways, width]."""
    chosen = list(itertools.combinations(cells, k))
    rows = np.zeros((len(chosen), width), dtype=np.int64)
    for row, places in zip(rows, chosen, strict=True):
        row[list(places)] = 1
    return rows
