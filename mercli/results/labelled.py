"""Metrics of many-of schemes, each label by itself; a label that does not occur is undefined, never 0.

References: scikit-learn (tests). SMIL's own variants are in ``seed_metrics``.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from mercli.labels import THRESHOLD
from mercli.results.stats import numbered

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]
FIGURES = ("weighted_accuracy", "f1", "weighted_f1", "precision", "recall")


def said(probabilities: Floats) -> Bools:
    """Return which labels probabilities (N, K) give."""
    return probabilities >= THRESHOLD


def tallies(there: Bools, given: Bools, clusters: Sequence[Hashable] | NDArray[np.int64]) -> Floats:
    """Return hits, false alarms, misses and rejections of each label (N, K) per cluster (C, 4, K); they add."""
    number = numbered(list(clusters))
    cells = (there & given, ~there & given, there & ~given, ~there & ~given)
    counts = np.zeros((number.max(initial=-1) + 1, 4, there.shape[1]))
    for place, cell in enumerate(cells):
        np.add.at(counts[:, place], number, cell)
    return counts


def figures(counts: Floats) -> dict[str, Floats]:
    """Return each figure of each label (..., K) of tallies (..., 4, K), NaN where it is undefined.

    Weighted accuracy is (TP N/P + TN) / 2N (Tong et al. 2017), the mean recall of presence and absence; F1 is that of
    presence, weighted F1 the mean of both F1 by how often each is true.
    """
    hits, alarms, misses, rejections = np.moveaxis(counts, -2, 0)
    positive, negative = hits + misses, rejections + alarms
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / positive
        f1 = np.where(positive > 0, 2 * hits / (2 * hits + alarms + misses), np.nan)
        absent = np.where(negative > 0, 2 * rejections / (2 * rejections + alarms + misses), 0)
        return {
            "weighted_accuracy": (recall + rejections / negative) / 2,
            "f1": f1,
            "weighted_f1": (f1 * positive + absent * negative) / (positive + negative),
            "precision": np.where(positive > 0, hits / (hits + alarms), np.nan),
            "recall": recall,
        }


def main(counts: Floats) -> Floats:
    """Return the mean weighted accuracy (...) over the labels where it is defined, of tallies (..., 4, K)."""
    return mean(figures(counts)["weighted_accuracy"])


def mean(values: Floats) -> Floats:
    """Return the mean (...) of what is defined among figures (..., K), NaN where nothing is."""
    there = ~np.isnan(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(there, values, 0).sum(-1) / there.sum(-1))
