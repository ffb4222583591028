"""The network of the ``late`` head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mercli.contracts import Batch, HeadOutput
from mercli.fusion.batch import pooled
from mercli.fusion.losses import TINY, cross_entropy
from mercli.types import SchemeKind


class LateNet(nn.Module):
    """Log-linear pooling (Genest & Zidek 1986): ``logit = sum_m w_m log p_m(k)`` over the modalities present.

    Of labels that many may hold it pools log-odds; values are averaged by the same weights.
    """

    def __init__(
        self, dims: Mapping[str, int], classes: int, hidden: int, dropout: float, kind: SchemeKind = "one-of"
    ) -> None:
        super().__init__()
        self.kind = kind
        self.modalities = tuple(dims)
        self.classifiers = nn.ModuleDict({m: _classifier(d, classes, hidden, dropout) for m, d in dims.items()})
        self.log_weight = nn.Parameter(torch.zeros(len(dims)))

    def forward(self, batch: Batch) -> HeadOutput:
        """Return pooled logits (B, K) and what each modality says alone (B, M, K), of classes log-probabilities."""
        alone = [self.classifiers[m](pooled(batch.values[m], batch.valid[m])) for m in self.modalities]
        stacked = torch.stack([one.log_softmax(-1) for one in alone] if self.kind == "one-of" else alone, 1)
        weight = self.log_weight.exp() * batch.present.to(stacked.dtype)
        if self.kind == "values":
            weight = weight / weight.sum(1, keepdim=True).clamp(min=TINY)
        return HeadOutput((stacked * weight.unsqueeze(-1)).sum(1), {"alone": stacked, "weight": weight})

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the loss of the pooled decision plus that of each modality alone, where it is present."""
        total = cross_entropy(output.logits, batch)
        for index in range(len(self.modalities)):
            rows = batch.present[:, index]
            if rows.any():
                part = Batch(
                    batch.modalities, {}, {}, batch.present[rows],
                    None if batch.targets is None else batch.targets[rows],
                    None if batch.log_prior is None else batch.log_prior[rows],
                )  # fmt: skip
                total = total + cross_entropy(output.extras["alone"][rows, index], part)
        return total


def _classifier(dim: int, classes: int, hidden: int, dropout: float) -> nn.Module:
    if hidden == 0:
        return nn.Linear(dim, classes)
    return nn.Sequential(nn.Linear(dim, hidden), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden, classes))
