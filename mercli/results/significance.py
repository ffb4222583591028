"""Whether a difference is more than chance: permutation by cluster, Holm's correction, what could be seen at all."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from mercli.results.stats import Score, by_cluster, redrawn

LEVEL, POWER = 0.05, 0.8
"""At which level a difference is found with which probability."""


def paired_permutation(
    score: Score,
    targets: NDArray[np.int64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    clusters: Sequence[Hashable],
    classes: int,
    *,
    draws: int = 2000,
    seed: int = 0,
) -> tuple[float, float]:
    """Return ``score(one) - score(other)`` and its two-sided p-value, both (N,) predictions of the same segments.

    Under the null the two are exchangeable, so each draw swaps them in some clusters as a whole (Good 2005, ch. 3);
    the p-value counts the draw that was seen (Phipson & Smyth 2010). NaN with fewer than two clusters.
    """
    left, right = (by_cluster(targets, predicted, clusters, classes) for predicted in (one, other))
    ours, theirs = left.sum(0), right.sum(0)
    seen = score(ours) - score(theirs)
    if len(left) < 2:
        return seen, float("nan")
    moved = (right - left).reshape(len(left), -1)
    draw = np.random.default_rng(seed)
    extreme = 1
    for _ in range(draws):
        shift = ((draw.random(len(left)) < 0.5) @ moved).reshape(ours.shape)
        extreme += abs(score(ours + shift) - score(theirs - shift)) >= abs(seen) - 1e-12
    return seen, extreme / (draws + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p-values adjusted for their number (Holm 1979), in the given order; NaN stays NaN and is not counted."""
    values = np.asarray(p_values, float)
    adjusted = np.full(len(values), np.nan)
    order = [i for i in np.argsort(values) if not np.isnan(values[i])]
    highest = 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * values[index]))
        adjusted[index] = highest
    return adjusted.tolist()


def smallest_difference(
    score: Score,
    targets: NDArray[np.int64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
    clusters: Sequence[Hashable],
    classes: int,
    *,
    tests: int = 1,
    draws: int = 500,
    seed: int = 0,
) -> float:
    """Return the difference that these segments would show with probability 0.8 at the 5 % level of so many ``tests``.

    From the clustered bootstrap's standard error of the paired difference (Cohen 1988), at Holm's first and strictest
    level, a share of 5 %. NaN with fewer than two clusters, and where every draw shows the same.
    """
    pairs = np.stack([by_cluster(targets, predicted, clusters, classes) for predicted in (one, other)], 1)
    if len(pairs) < 2:
        return float("nan")
    values = [score(left) - score(right) for left, right in redrawn(pairs, draws, seed)]
    normal = NormalDist()
    errors = normal.inv_cdf(1 - LEVEL / (2 * tests)) + normal.inv_cdf(POWER)
    return float(errors * np.nanstd(values, ddof=1)) or float("nan")
