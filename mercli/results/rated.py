"""Metrics of values, each dimension by itself; what never varies has no correlation. References: scipy (tests)."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from mercli.results import metrics
from mercli.results.labelled import mean
from mercli.results.stats import numbered

Floats = NDArray[np.float64]
FIGURES = ("ccc", "pearson", "mae")


def tallies(targets: Floats, values: Floats, clusters: Sequence[Hashable] | NDArray[np.int64]) -> Floats:
    """Return, per cluster and dimension (C, 7, K), what adds: n, sums of both, of their squares, product, distance."""
    number = numbered(list(clusters))
    x, y = values.astype(np.float64), targets.astype(np.float64)
    cells = (np.ones_like(x), x, y, x**2, y**2, x * y, np.abs(x - y))
    counts = np.zeros((number.max(initial=-1) + 1, len(cells), x.shape[1]))
    for place, cell in enumerate(cells):
        np.add.at(counts[:, place], number, cell)
    return counts


def figures(counts: Floats) -> dict[str, Floats]:
    """Return CCC (n, Lin 1989), Pearson's r and mean absolute error of each dimension (..., K), NaN if undefined."""
    n, x, y, xx, yy, xy, apart = np.moveaxis(counts, -2, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        own, other = (np.maximum(square / n - (one / n) ** 2, 0) for square, one in ((xx, x), (yy, y)))
        both = xy / n - x * y / n**2
        # sums of squares leave a remainder where nothing varies
        own, other = (np.where(each > 1e-12, each, 0) for each in (own, other))
        both = np.where((own > 0) & (other > 0), both, 0)
        spread = own + other + ((x - y) / n) ** 2
        return {
            "ccc": np.where(spread > 0, 2 * both / spread, np.nan),
            "pearson": both / np.sqrt(own * other),
            "mae": apart / n,
        }


def main(counts: Floats) -> Floats:
    """Return the mean CCC (...) over the dimensions where it is defined, of tallies (..., 7, K)."""
    return mean(figures(counts)["ccc"])


def sentiment(targets: Floats, values: Floats) -> dict[str, float]:
    """Return the accuracies of sentiments -3..3 (N,) that are reported for CMU-MOSI and CMU-MOSEI.

    Acc-2 and its weighted F1 both ways, negative against the rest and against positive (where the target is not 0);
    Acc-7 of whole numbers, halves rounded away from zero as the CMU-MultimodalSDK does and numpy does not.
    """
    some = targets != 0
    rest = ((targets >= 0).astype(np.int64), (values >= 0).astype(np.int64))
    positive = ((targets[some] > 0).astype(np.int64), (values[some] > 0).astype(np.int64))
    found = {}
    for name, (true, given) in (("rest", rest), ("positive", positive)):
        there = len(true) > 0
        found[f"acc2_negative_{name}"] = metrics.accuracy(true, given) if there else float("nan")
        found[f"f1_negative_{name}"] = metrics.weighted_f1(true, given, 2) if there else float("nan")
    return {**found, "acc7": float((_rounded(targets) == _rounded(values)).mean())}


def _rounded(values: Floats) -> Floats:
    return np.clip(np.sign(values) * np.floor(np.abs(values) + 0.5), -3, 3)
