"""The network of the ``concat`` head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mercli.contracts import Batch, HeadOutput
from mercli.fusion.batch import pooled
from mercli.fusion.losses import cross_entropy


class ConcatNet(nn.Module):
    """One hidden layer over the pooled features; an absent modality is zeros and its presence flag says so."""

    def __init__(self, dims: Mapping[str, int], classes: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.modalities = tuple(dims)
        self.layers = nn.Sequential(
            nn.Linear(sum(dims.values()) + len(dims), hidden),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden, classes),
        )

    def forward(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K)."""
        parts = [pooled(batch.values[m], batch.valid[m]) for m in self.modalities]
        return HeadOutput(self.layers(torch.cat([*parts, batch.present.to(parts[0].dtype)], dim=1)))

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of the targets."""
        return cross_entropy(output.logits, batch)
