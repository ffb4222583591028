"""Intervals that respect how the data were collected."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

Metric = Callable[[NDArray[np.int64], NDArray[np.int64]], float]


def clustered_interval(
    metric: Metric,
    targets: NDArray[np.int64],
    predicted: NDArray[np.int64],
    clusters: Sequence[Hashable],
    *,
    draws: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of a metric, whole clusters drawn with replacement.

    Clusters are speakers, else videos, else dialogues: segments of one are not independent (Field & Welsh 2007).
    NaN bounds with fewer than two clusters.
    """
    groups = members(clusters)
    if len(groups) < 2:
        return float("nan"), float("nan")
    draw = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        rows = np.concatenate([groups[i] for i in draw.integers(0, len(groups), len(groups))])
        values.append(metric(targets[rows], predicted[rows]))
    low, high = np.nanquantile(values, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def members(clusters: Sequence[Hashable]) -> list[NDArray[np.int64]]:
    """Return the indices of each cluster's segments, clusters in the order in which they first occur."""
    groups: dict[Hashable, list[int]] = {}
    for index, cluster in enumerate(clusters):
        groups.setdefault(cluster, []).append(index)
    return [np.asarray(group) for group in groups.values()]
