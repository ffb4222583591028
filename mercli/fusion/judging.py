"""The dev figures of a head while it is trained, a set for each kind of scheme, on the device of its logits.

They are over what occurs in the targets, as in ``mercli.results``.
"""

from __future__ import annotations

import torch

from mercli.fusion.readout import scaled
from mercli.types import LabelScheme


def figures(logits: torch.Tensor, targets: torch.Tensor, scheme: LabelScheme | None = None) -> dict[str, float]:
    """Return the figures of logits (N, K) by name, of classes where there is no ``scheme``.

    ``targets``: class indices (N,), or (N, K) of many-of and values.
    """
    if scheme is None or scheme.kind == "one-of":
        return classes(logits, targets)
    return labels(logits, targets) if scheme.kind == "many-of" else dimensions(scaled(logits, scheme), targets)


def classes(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Return UAR, accuracy, weighted and macro F1 of the highest of logits (N, K) for class indices (N,)."""
    predicted, count = logits.argmax(1), logits.shape[1]
    support, named, hits = (
        torch.bincount(found, minlength=count).double() for found in (targets, predicted, targets[targets == predicted])
    )
    f1 = 2 * hits / (support + named).clamp(min=1)
    return {
        "uar": recall(predicted, targets),
        "accuracy": float((predicted == targets).double().mean()),
        "weighted_f1": float((f1 * support).sum() / support.sum()),
        "macro_f1": float(f1[support > 0].mean()),
    }


def recall(predicted: torch.Tensor, targets: torch.Tensor) -> float:
    """Return the mean recall over the classes that occur in ``targets``."""
    return float(torch.stack([(predicted[targets == k] == k).double().mean() for k in targets.unique()]).mean())


def labels(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Return weighted accuracy, F1 and weighted F1, means over the labels that occur and are not always there.

    A label is given at even odds, a logit (N, K) of 0. Every figure is 0 where no label is such.
    """
    said, there = logits >= 0, targets > 0
    hits, rejections = (both.double().sum(0) for both in (said & there, ~said & ~there))
    positive, negative = there.double().sum(0), (~there).double().sum(0)
    f1 = 2 * hits / (said.double().sum(0) + positive).clamp(min=1)
    of_absent = 2 * rejections / ((~said).double().sum(0) + negative).clamp(min=1)
    found = {
        "weighted_accuracy": (hits / positive.clamp(min=1) + rejections / negative.clamp(min=1)) / 2,
        "f1": f1,
        "weighted_f1": (f1 * positive + of_absent * negative) / len(targets),
    }
    varied = (positive > 0) & (negative > 0)
    return {name: float(each[varied].mean()) if varied.any() else 0.0 for name, each in found.items()}


def dimensions(values: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Return CCC (n, Lin 1989), Pearson's r and mean absolute error of values (N, K), means over dimensions.

    The correlation of what never varies counts as 0.
    """
    values, targets = values.double(), targets.double()
    x, y = values - values.mean(0), targets - targets.mean(0)
    both, apart = (x * y).mean(0), (values.mean(0) - targets.mean(0)) ** 2
    own, other = (x**2).mean(0), (y**2).mean(0)
    found = {
        "ccc": 2 * both / (own + other + apart),
        "pearson": both / (own * other).sqrt(),
        "mae": (values - targets).abs().mean(0),
    }
    return {name: float(each.nan_to_num(0.0, 0.0, 0.0).mean()) for name, each in found.items()}
