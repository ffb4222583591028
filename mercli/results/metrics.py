"""Metrics of one-of schemes; absent classes are undefined, never 0. References: scikit-learn (tests)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]


def confusion(targets: Ints, predicted: Ints, classes: int) -> Ints:
    """Return counts (K, K): row = target, column = prediction; abstentions (-1) are in no column."""
    kept = predicted >= 0
    flat = np.bincount(targets[kept] * classes + predicted[kept], minlength=classes * classes)
    return flat.reshape(classes, classes).astype(np.int64)


def recalls(targets: Ints, predicted: Ints, classes: int) -> NDArray[np.float64]:
    """Return the recall of each class (K,), NaN where it does not occur."""
    support = np.bincount(targets, minlength=classes)
    hits = np.bincount(targets[targets == predicted], minlength=classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return hits / support


def uar(targets: Ints, predicted: Ints, classes: int) -> float:
    """Return the unweighted average recall over the classes that occur."""
    return float(np.nanmean(recalls(targets, predicted, classes)))


def accuracy(targets: Ints, predicted: Ints) -> float:
    """Return the share of segments whose class is right."""
    return float((targets == predicted).mean())


def f1(targets: Ints, predicted: Ints, classes: int) -> NDArray[np.float64]:
    """Return the F1 of each class (K,), NaN where it neither occurs nor is predicted."""
    hits = np.bincount(targets[targets == predicted], minlength=classes)
    support = np.bincount(targets, minlength=classes)
    named = np.bincount(predicted[predicted >= 0], minlength=classes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return 2 * hits / (support + named)


def weighted_f1(targets: Ints, predicted: Ints, classes: int) -> float:
    """Return the mean F1 of the classes that occur, weighted by their support."""
    support = np.bincount(targets, minlength=classes)
    return float((np.nan_to_num(f1(targets, predicted, classes)) * support).sum() / support.sum())


def macro_f1(targets: Ints, predicted: Ints, classes: int) -> float:
    """Return the plain mean of F1 over the classes that occur."""
    support = np.bincount(targets, minlength=classes)
    return float(np.nan_to_num(f1(targets, predicted, classes))[support > 0].mean())


def uar_of(matrix: NDArray[np.float64]) -> float:
    """Return the unweighted average recall of a confusion matrix (K, K) over the classes that occur."""
    support = matrix.sum(1)
    there = support > 0
    return float((matrix.diagonal()[there] / support[there]).mean())


def accuracy_of(matrix: NDArray[np.float64]) -> float:
    """Return the share of a confusion matrix (K, K) that lies on its diagonal."""
    return float(matrix.trace() / matrix.sum())


def weighted_f1_of(matrix: NDArray[np.float64]) -> float:
    """Return the mean F1 of a confusion matrix (K, K) over the classes that occur, weighted by their support."""
    support = matrix.sum(1)
    f1_ = 2 * matrix.diagonal() / np.maximum(support + matrix.sum(0), 1)
    return float((f1_ * support).sum() / support.sum())


def summary(targets: Ints, predicted: Ints, names: Sequence[str]) -> dict[str, object]:
    """Return every metric with the class set and its supports."""
    classes = len(names)
    support = np.bincount(targets, minlength=classes)
    recall = recalls(targets, predicted, classes)
    per_class: Mapping[str, float | None] = {
        name: None if np.isnan(value) else float(value) for name, value in zip(names, recall, strict=True)
    }
    return {
        "n": len(targets),
        "uar": uar(targets, predicted, classes),
        "accuracy": accuracy(targets, predicted),
        "weighted_f1": weighted_f1(targets, predicted, classes),
        "macro_f1": macro_f1(targets, predicted, classes),
        "recall": per_class,
        "support": {name: int(count) for name, count in zip(names, support, strict=True)},
    }
