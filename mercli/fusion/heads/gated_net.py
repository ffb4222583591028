"""The network of the ``gated`` head (the ``AVTmodel`` and ``GFL`` of the SMIL emotion recogniser)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from mercli.contracts import Batch, HeadOutput
from mercli.fusion.batch import pooled
from mercli.fusion.losses import cross_entropy

# each pair in the seed's order: a softmax gate is small everywhere, so the second of a pair weighs more than the first
PAIRS = (("audio", "face"), ("face", "text"), ("text", "audio"))


class Gate(nn.Module):
    """A gated unit of two vectors: ``h = z * tanh(x A) + (1 - z) * tanh(y B)``, the gate ``z`` from ``[x; y] C``.

    ``A`` (X, G), ``B`` (Y, G), ``C`` (X + Y, G), without biases.
    """

    def __init__(self, first: int, second: int, width: int, gate: Literal["softmax", "sigmoid"] = "softmax") -> None:
        super().__init__()
        self.kind = gate
        self.first = nn.Parameter(torch.empty(first, width))
        self.second = nn.Parameter(torch.empty(second, width))
        self.gate = nn.Parameter(torch.empty(first + second, width))
        for matrix in self.parameters():
            nn.init.xavier_uniform_(matrix)

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the fused vectors and the gates, both (B, G), of x (B, X) and y (B, Y)."""
        score = torch.cat([x, y], dim=1) @ self.gate
        gate = score.softmax(1) if self.kind == "softmax" else score.sigmoid()
        return gate * torch.tanh(x @ self.first) + (1 - gate) * torch.tanh(y @ self.second), gate


class GatedNet(nn.Module):
    """Pooled features, a linear layer each, a gate for each pair, one layer over all pairs, and the classifier.

    Two modalities have their one pair; one alone goes through a linear layer to the gates' width instead. An absent
    modality is zeros before its linear layer, as in the seed's ablation.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: int,
        width: int,
        dropout: float = 0.0,
        gate: Literal["softmax", "sigmoid"] = "softmax",
        presence: bool = False,
    ) -> None:
        super().__init__()
        self.modalities = tuple(dims)
        self.presence = presence
        self.pairs = [pair for pair in PAIRS if set(pair) <= set(dims)]
        self.project = nn.ModuleDict({m: _linear(d, d) for m, d in dims.items()})
        self.gates = nn.ModuleDict({f"{x}_{y}": Gate(dims[x], dims[y], width, gate) for x, y in self.pairs})
        self.alone = None if self.pairs else _linear(dims[self.modalities[0]], width)
        self.tables = {"gates": tuple(f"{x} (1) over {y} (0)" for x, y in self.pairs)}
        flags = len(dims) if presence else 0
        self.join = _linear(max(len(self.pairs), 1) * width + flags, width)
        self.classifier = _linear(width, classes)
        self.dropout = nn.Dropout(dropout)

    def forward(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K), and of the P pairs ``gates`` and ``fused`` (B, P, G) as extras, in their order."""
        own = {m: self.dropout(self.project[m](pooled(batch.values[m], batch.valid[m]))) for m in self.modalities}
        if self.alone is None:
            made = [self.gates[f"{x}_{y}"](own[x], own[y]) for x, y in self.pairs]
            fused = torch.stack([vectors for vectors, _ in made], 1)
            extras = {"fused": fused, "gates": torch.stack([gates for _, gates in made], 1)}
        else:
            fused, extras = self.alone(own[self.modalities[0]]), {}
        joined = fused.flatten(1).relu()
        if self.presence:
            joined = torch.cat([joined, batch.present.to(joined.dtype)], dim=1)
        return HeadOutput(self.classifier(self.dropout(self.join(joined))), extras)

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the loss of the targets by the run's objective."""
        return cross_entropy(output.logits, batch)


def _linear(inputs: int, outputs: int) -> nn.Linear:
    layer = nn.Linear(inputs, outputs)
    nn.init.xavier_uniform_(layer.weight)
    return layer
