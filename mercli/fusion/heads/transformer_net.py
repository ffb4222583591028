"""The network of the ``transformer`` head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mercli.contracts import Batch, HeadOutput
from mercli.fusion.losses import cross_entropy


class TransformerNet(nn.Module):
    """Encoder layers (Vaswani et al. 2017, normalised first) over tokens of every modality and one that decides.

    A token is its row, mapped, plus what marks its modality, plus its place in time (sines and cosines).
    """

    def __init__(
        self, dims: Mapping[str, int], classes: int, width: int, heads: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.modalities = tuple(dims)
        self.rows = nn.ModuleDict({m: nn.Linear(dim, width) for m, dim in dims.items()})
        self.marks = nn.ParameterDict({m: nn.Parameter(torch.randn(width) * 0.02) for m in dims})
        self.decides = nn.Parameter(torch.randn(width) * 0.02)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                width, heads, 4 * width, dropout, activation="gelu", batch_first=True, norm_first=True
            )
            for _ in range(layers)
        )
        self.norm = nn.LayerNorm(width)
        self.classifier = nn.Linear(width, classes)

    def forward(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K)."""
        count, width = batch.present.shape[0], len(self.decides)  # a length would be fixed in a traced graph
        device = self.decides.device
        tokens, valid = [self.decides.expand(count, 1, width)], [torch.ones(count, 1, dtype=torch.bool, device=device)]
        for modality in self.modalities:
            real = batch.valid[modality]
            rows = self.rows[modality](batch.values[modality].masked_fill(~real.unsqueeze(-1), 0))
            tokens.append(rows + self.marks[modality] + places(real.shape[1], width).to(rows))
            valid.append(real)
        sequence, ignored = torch.cat(tokens, 1), ~torch.cat(valid, 1)
        for layer in self.layers:
            sequence = layer(sequence, src_key_padding_mask=ignored)
        return HeadOutput(self.classifier(self.norm(sequence[:, 0])))

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of the targets."""
        return cross_entropy(output.logits, batch)


def places(count: int, width: int) -> torch.Tensor:
    """Return sines and cosines (count, width) of each place, with wavelengths from 2 pi to 20000 pi."""
    speeds = 10_000.0 ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(count).unsqueeze(1) * speeds
    return torch.cat([angles.sin(), angles.cos()], 1)
