"""Losses of one-of heads."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from mercli.contracts import Batch


def cross_entropy(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Return the mean cross-entropy of logits (B, K); each corpus's log-prior is added, so that logits stay uniform.

    Adding the prior in training only is logit adjustment (Menon et al. 2021; balanced softmax, Ren et al. 2020).
    """
    if batch.targets is None:
        raise ValueError("a loss needs targets")
    adjusted = logits if batch.log_prior is None else logits + batch.log_prior
    return F.cross_entropy(adjusted, batch.targets)
