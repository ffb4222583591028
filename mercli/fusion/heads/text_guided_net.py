"""The network of the ``text-guided`` head."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from mercli.contracts import Batch, HeadOutput
from mercli.fusion.batch import pooled
from mercli.fusion.losses import cross_entropy
from mercli.fusion.masked import batch_norm

ACOUSTIC, PROSODIC_SPECTRAL = 512, 50  # the parts of 562 audio dimensions


class Rows(nn.Module):
    """A linear layer, ReLU, and normalisation after it (the order of the description)."""

    def __init__(self, dim: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, width)
        self.norm = nn.BatchNorm1d(width)

    def forward(self, rows: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return (B, T, width) from rows (B, T, dim); zeros where a row is not valid."""
        return batch_norm(self.norm, torch.relu(self.linear(rows)), valid)


class SplitSound(nn.Module):
    """Acoustic dimensions, and prosodic with spectral ones, each through their own layer, then joined."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.acoustic = Rows(ACOUSTIC, width)
        self.prosodic = Rows(PROSODIC_SPECTRAL, width // 2)
        self.join = nn.Linear(width + width // 2, width)

    def forward(self, rows: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
        """Return (B, T, width) from rows (B, T, 562)."""
        acoustic = self.acoustic(rows[..., :ACOUSTIC], valid)
        prosodic = self.prosodic(rows[..., ACOUSTIC:], valid)
        return torch.relu(self.join(torch.cat([acoustic, prosodic], -1)))


class TextGuidedNet(nn.Module):
    """The text, plus what it finds in sound, beside the text, plus what it finds in the face.

    An absent modality adds nothing; an absent text is zeros, and what is found is then nearly the mean of the rows.
    """

    def __init__(self, dims: Mapping[str, int], classes: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        half = width // 2
        self.modalities = tuple(dims)
        self.others = tuple(m for m in ("audio", "face") if m in dims)
        split = dims.get("audio") == ACOUSTIC + PROSODIC_SPECTRAL
        self.rows = nn.ModuleDict({m: Rows(dims[m], half) for m in self.others if m != "audio" or not split})
        if split:
            self.rows["audio"] = SplitSound(half)
        self.text = nn.Sequential(nn.Linear(dims["text"], width), nn.ReLU(), nn.Dropout(dropout))
        self.attention = nn.ModuleDict(
            {m: nn.MultiheadAttention(width, heads, kdim=half, vdim=half, batch_first=True) for m in self.others}
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Sequential(
            nn.Linear(2 * width, width), nn.ReLU(), nn.Dropout(dropout),
            nn.Linear(width, half), nn.ReLU(), nn.Dropout(dropout), nn.Linear(half, classes),
        )  # fmt: skip

    def forward(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K); extras: the attention ``text_to_audio``, ``text_to_face`` (B, H, T)."""
        spoken = batch.valid["text"]
        text = self.text(pooled(batch.values["text"].masked_fill(~spoken.unsqueeze(-1), 0), spoken))
        text = text * spoken.any(1, keepdim=True)
        parts, maps = [], {}
        for modality in ("audio", "face"):
            found = text
            if modality in self.others:
                answer, maps[f"text_to_{modality}"] = self._asked(modality, text, batch)
                found = text + answer
            parts.append(found)
        return HeadOutput(self.classifier(torch.cat(parts, 1)), maps)

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of the targets."""
        return cross_entropy(output.logits, batch)

    def _asked(self, modality: str, text: torch.Tensor, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what the text (B, W) finds in the rows of a modality (B, W), and its attention (B, H, T)."""
        valid = batch.valid[modality]
        rows = self.dropout(self.rows[modality](batch.values[modality].masked_fill(~valid.unsqueeze(-1), 0), valid))
        here = valid.any(1, keepdim=True)
        # attention over no key is not defined: an absent modality lends its first row, and its answer is not used
        first = torch.arange(valid.shape[1], device=valid.device) == 0
        ignored = ~valid & ~(first & ~here)
        answer, weights = self.attention[modality](
            text.unsqueeze(1), rows, rows, key_padding_mask=ignored, average_attn_weights=False
        )
        return answer.squeeze(1) * here, weights.squeeze(2) * here.unsqueeze(-1)
