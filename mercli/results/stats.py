"""Intervals that respect how the data were collected.

Every figure here is a function of a confusion matrix, and matrices add: one per cluster is counted once, and a draw is
a weighted sum of them, however many segments there are.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Sequence
from itertools import islice

import numpy as np
from numpy.typing import NDArray

TOGETHER = 1 << 21
"""Clusters of all draws that are summed at once: one product of matrices is much faster than many by a vector."""
FEW = 5
"""Clusters below which a percentile bootstrap says little of what others would show."""
Score = Callable[[NDArray[np.float64]], float]
"""A figure of a confusion matrix (K, K): row = target, column = prediction."""


def too_few(clusters: int) -> bool:
    """Tell whether there is an interval over so many clusters, and it is much too narrow, or jumps."""
    return 1 < clusters < FEW


def clustered_interval(
    score: Score,
    targets: NDArray[np.int64],
    predicted: NDArray[np.int64],
    clusters: Sequence[Hashable],
    classes: int,
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a figure, whole clusters drawn with replacement.

    Clusters are speakers, else dialogues, else clips: segments of one are not independent (Field & Welsh 2007).
    NaN bounds with fewer than two clusters.
    """
    matrices = by_cluster(targets, predicted, clusters, classes)
    if len(matrices) < 2:
        return float("nan"), float("nan")
    values = [score(matrix) for matrix in redrawn(matrices, draws, seed)]
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def numbered(clusters: Iterable[Hashable]) -> NDArray[np.int64]:
    """Return the number of each cluster (N,), in the order in which they first occur."""
    order: dict[Hashable, int] = {}
    return np.asarray([order.setdefault(cluster, len(order)) for cluster in clusters], np.int64)


def interval(
    figure: Callable[[NDArray[np.float64]], NDArray[np.float64]], tallies: NDArray[np.float64], *, draws: int = 1000
) -> list[float] | None:
    """Return the 95 % percentile interval of a figure of summed tallies (draws, ...), one tally a cluster.

    Whole clusters are drawn with replacement; ``None`` for fewer than two, and where no draw defines the figure.
    """
    return bounds(figure(redrawn(tallies, draws, 0))) if len(tallies) > 1 else None


def bounds(values: NDArray[np.float64]) -> list[float] | None:
    """Return the middle 95 % of the draws (N,) in which a figure is defined, ``None`` where it is in none."""
    kept = values[~np.isnan(values)]
    return [float(bound) for bound in np.quantile(kept, [0.025, 0.975])] if len(kept) else None


def by_cluster(
    targets: NDArray[np.int64], predicted: NDArray[np.int64], clusters: Sequence[Hashable], classes: int
) -> NDArray[np.float64]:
    """Return the confusion matrix of each cluster (C, K, K), clusters in the order in which they first occur."""
    number = numbered(clusters)
    count = number.max(initial=-1) + 1
    cells = (number * classes + targets) * classes + predicted
    counts = np.bincount(cells, minlength=count * classes * classes)
    return counts.reshape(count, classes, classes).astype(np.float64)


def redrawn(matrices: NDArray[np.float64], draws: int, seed: int) -> NDArray[np.float64]:
    """Return the summed matrix (draws, K, K) of as many clusters as there are, drawn with replacement."""
    draw = np.random.default_rng(seed)
    count = len(matrices)
    flat = matrices.reshape(count, -1)
    times = (np.bincount(draw.integers(0, count, count), minlength=count) for _ in range(draws))
    sums = []
    while some := list(islice(times, max(1, TOGETHER // count))):
        sums.append(np.stack(some).astype(np.float64) @ flat)
    return np.concatenate(sums).reshape(draws, *matrices.shape[1:])
