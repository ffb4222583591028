"""What is measured on logits: accuracy, UAR, and the temperature that makes them probabilities."""

from __future__ import annotations

import torch
from torch import Tensor


def recalls(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """Return accuracy and UAR (mean recall over the classes present) of logits (N, K)."""
    hits = (logits.argmax(1) == labels).double()
    per = [hits[labels == c].mean().item() for c in labels.unique()]
    return hits.mean().item(), sum(per) / len(per)


def balanced_loss(logits: Tensor, labels: Tensor, temperature: float) -> float:
    """Return the mean negative log-likelihood of softmax(logits / temperature), each class present weighing alike.

    Weighing classes alike makes it the likelihood under the uniform prior that the logits are meant for.
    """
    losses = -(logits.double() / temperature).log_softmax(1)[torch.arange(len(labels)), labels]
    return float(torch.stack([losses[labels == c].mean() for c in labels.unique()]).mean())


def temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature in 0.1..10 with the least balanced loss (Guo et al. 2017), by golden section on its log.

    Logits of classes that ``labels`` lack are left out.
    """
    present = labels.unique()
    kept, places = logits[:, present], torch.searchsorted(present, labels.contiguous())
    ratio = (5**0.5 - 1) / 2
    low, high = -2.302585, 2.302585
    for _ in range(40):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        losses = [balanced_loss(kept, places, float(torch.tensor(x).double().exp())) for x in (left, right)]
        low, high = (low, right) if losses[0] < losses[1] else (left, high)
    return float(torch.tensor((low + high) / 2).double().exp())
