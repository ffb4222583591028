"""Batch normalisation that padding does not enter."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import nn


def batch_norm(norm: nn.BatchNorm1d, rows: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
    """Return ``rows`` (B, T, C) normalised over the ``real`` ones (B, T); zeros elsewhere.

    A batch with fewer than two real rows has no variance to learn from: it is normalised by the running statistics.
    """
    picked = rows[real]
    if norm.training and len(picked) < 2:
        fresh = F.batch_norm(picked, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps)
    else:
        fresh = norm(picked)
    spread = fresh.new_zeros(rows.shape)
    spread[real] = fresh
    return spread
