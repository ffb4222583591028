"""Networks that are asked together."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Members(nn.Module):
    """Networks each of which gives logits (B, K) and an embedding (B, D)."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)


def pooled(answers: Iterable[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the mean of the members' logits (B, K), and their embeddings side by side (B, sum of D)."""
    logits, embeddings = zip(*answers, strict=True)
    return torch.stack(logits).mean(0), torch.cat(embeddings, 1)
