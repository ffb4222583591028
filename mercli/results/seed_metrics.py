"""The seeds' own variants of the metrics, by name, to compare with their published figures.

``mercli.results.metrics`` is what this toolkit reports; these differ where classes or labels are absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
GUARD = 1e-16
RECALLED = 6


def smil(targets: Ints, predicted: Ints) -> dict[str, float]:
    """Return SMIL's UAR, accuracy, macro and weighted F1 of class indices (N,).

    Means run over the classes that occur in targets *or* predictions: one that is predicted and never true lowers UAR
    and macro F1 by a 0, where ``metrics.uar`` leaves it out.
    """
    hits, support, named = _counts(targets, predicted)
    recall, f1 = _ratio(hits, support), _ratio(2 * hits, support + named)
    return {
        "uar": float(recall.mean()),
        "accuracy": float(hits.sum() / support.sum()),
        "macro_f1": float(f1.mean()),
        "weighted_f1": float((f1 * support).sum() / support.sum()),
    }


def smil_many_of(targets: Ints, predicted: Ints) -> dict[str, Any]:
    """Return SMIL's multi-label figures of 0/1 indicators (N, K).

    ``weighted_accuracy`` (K,) = (TP N/P + TN) / 2N; ``accuracy``: mean intersection over union of a sample's labels,
    and ``macro_f1`` the mean Dice of a sample, 1 where both are empty; ``recall`` of the positives of the first six
    labels; ``weighted_f1`` (K,) over a label's two values (the seed stops there with an error: what it intends).
    """
    true, said = targets.astype(bool), predicted.astype(bool)
    both, either = (true & said).sum(1), (true | said).sum(1)
    positive, negative = true.sum(0), (~true).sum(0)
    hits, rejections = (true & said).sum(0), (~true & ~said).sum(0)
    empty = either == 0
    columns = [smil(t, p)["weighted_f1"] for t, p in zip(targets.T, predicted.T, strict=True)]
    return {
        "weighted_accuracy": (hits * negative / (positive + GUARD) + rejections) / (2 * negative + GUARD),
        "accuracy": float(np.where(empty, 1.0, _ratio(both, either)).mean()),
        "macro_f1": float(np.where(empty, 1.0, _ratio(2 * both, true.sum(1) + said.sum(1))).mean()),
        "recall": _ratio(hits, positive)[:RECALLED],
        "weighted_f1": np.asarray(columns),
    }


def foalnet(targets: Ints, predicted: Ints) -> dict[str, float]:
    """Return Foal-Net's UA (mean recall) and WA (accuracy) of class indices (N,).

    UA runs over the classes in targets or predictions, and is NaN where one is predicted that is never true.
    """
    hits, support, _ = _counts(targets, predicted)
    with np.errstate(invalid="ignore"):
        return {"ua": float((hits / support).mean()), "wa": float(hits.sum() / support.sum())}


def _counts(targets: Ints, predicted: Ints) -> tuple[Floats, Floats, Floats]:
    """Return hits, support and predictions of each class that occurs in either."""
    classes = np.union1d(targets, predicted)
    found = (targets[targets == predicted], targets, predicted)
    hits, support, named = ((part[:, None] == classes).sum(0).astype(np.float64) for part in found)
    return hits, support, named


def _ratio(over: NDArray[Any], under: NDArray[Any]) -> Floats:
    """Return the quotients, 0 where nothing is to be divided by."""
    return np.divide(over, under, out=np.zeros(np.shape(under), np.float64), where=np.asarray(under) > 0)


VARIANTS: Mapping[str, Callable[[Ints, Ints], Mapping[str, Any]]] = {
    "smil": smil,
    "smil-many-of": smil_many_of,
    "foalnet": foalnet,
}
