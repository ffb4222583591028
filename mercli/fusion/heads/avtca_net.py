"""The network of the ``avtca`` head (AVT-CA, arXiv 2407.18552; after Chumachenko et al. 2022, arXiv 2201.11095)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from mercli.contracts import Batch, HeadOutput
from mercli.fusion.batch import pooled
from mercli.fusion.heads.avtca_joins import Exchange, FrameWeights, SharedAttention
from mercli.fusion.losses import cross_entropy
from mercli.fusion.masked import batch_norm

ABSENT = {"audio": 156, "face": 15}  # rows of zeros that stand for an absent modality: the system's fixed lengths
SHRINK = 3  # rows that a block of the audio stream takes away: 2 by convolution, 1 by pooling


class ConvBlock(nn.Module):
    """A convolution over three rows and its normalisation."""

    def __init__(self, inside: int, outside: int, padding: int) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inside, outside, 3, padding=padding)
        self.norm = nn.BatchNorm1d(outside)

    def forward(self, rows: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        """Return (B, T', C') of rows (B, T, C); zeros where the result is not ``real`` (B, T')."""
        convolved = self.conv(rows.transpose(1, 2)).transpose(1, 2)
        return torch.relu(batch_norm(self.norm, convolved, real))


class AudioStage(nn.Module):
    """Two blocks that take three rows away each, so that no row of the result has seen the padding."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvBlock(a, b, 0) for a, b in pairwise(widths))

    def forward(self, rows: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (B, T - 6, C) and which of its rows are real, from rows (B, T, D) that are ``real`` (B, T)."""
        for block in self.blocks:
            real = real[:, 2:]  # the real rows are the first ones: as many fewer remain
            rows, real = F.max_pool1d(block(rows, real).transpose(1, 2), 2, 1).transpose(1, 2), real[:, 1:]
        return rows, real


class FaceStage(nn.Module):
    """Two blocks that keep the number of frames; what is not real is zeros before every convolution."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(ConvBlock(a, b, 1) for a, b in pairwise(widths))

    def forward(self, rows: torch.Tensor, real: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (B, T, C) and ``real`` (B, T), from rows (B, T, D)."""
        rows = rows.masked_fill(~real.unsqueeze(-1), 0)
        for block in self.blocks:
            rows = block(rows, real)
        return rows, real


class AvtcaNet(nn.Module):
    """Two stages of convolutions per stream, joined between them, after them, or both.

    A sound shorter than 13 rows is lengthened with zeros to what the convolutions need; an absent modality is as many
    zeros as the system's clips have rows. Face frames that are not valid are passed over.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: int,
        fusion: str,
        heads: int,
        audio: Sequence[int],
        face: Sequence[int],
        compat: bool,
    ) -> None:
        super().__init__()
        self.modalities: tuple[str, ...] = ("audio", "face")
        self.audio = nn.ModuleList([AudioStage((dims["audio"], *audio[:2])), AudioStage(audio[1:])])
        self.face = nn.ModuleList([FaceStage((dims["face"], *face[:2])), FaceStage(face[1:])])
        self.between: Exchange | FrameWeights | None = None
        self.after: Exchange | SharedAttention | None = None
        if fusion == "it":
            self.between = Exchange(audio[1], face[1], heads, residual=True)
            self.after = SharedAttention(audio[3], heads)
        elif fusion == "lt":
            self.after = Exchange(audio[3], face[3], heads, residual=False)
        else:
            self.between = FrameWeights(audio[1], face[1], heads, summed=compat)
        self.classifier = nn.Linear(audio[3] + face[3], classes)

    def forward(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K); extras: ``audio_from_face`` (B, H, Ta, Tv), ``face_from_audio`` (B, H, Tv, Ta)."""
        audio, audio_real = sound_rows(batch.values["audio"], batch.valid["audio"])
        face, face_real = face_rows(batch.values["face"], batch.valid["face"])
        maps: dict[str, torch.Tensor] = {}
        for number, join in enumerate((self.between, self.after)):
            audio, audio_real = self.audio[number](audio, audio_real)
            face, face_real = self.face[number](face, face_real)
            if join is not None:
                audio, face, found = join(audio, face, audio_real, face_real)
                maps |= found
        joined = torch.cat([pooled(audio, audio_real), pooled(face, face_real)], 1)
        return HeadOutput(self.classifier(joined), maps)

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy of the targets."""
        return cross_entropy(output.logits, batch)


def sound_rows(values: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows (B, T', D) and which are real: all up to the last valid one, those between that are not are zeros."""
    count = (valid * torch.arange(1, valid.shape[1] + 1, device=valid.device)).amax(1)
    count = torch.where(count > 0, count.clamp(min=4 * SHRINK + 1), ABSENT["audio"])
    values, valid = _lengthened(values, valid, int(count.max()))
    real = torch.arange(valid.shape[1], device=valid.device) < count.unsqueeze(1)
    return values.masked_fill(~valid.unsqueeze(-1), 0), real


def face_rows(values: torch.Tensor, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return rows (B, T', D) and which are real: the valid ones, or as many zeros as a clip has frames."""
    absent = ~valid.any(1, keepdim=True)
    values, valid = _lengthened(values, valid, ABSENT["face"] if bool(absent.any()) else 0)
    zeros = torch.arange(valid.shape[1], device=valid.device) < ABSENT["face"]
    return values.masked_fill(~valid.unsqueeze(-1), 0), valid | (absent & zeros)


def _lengthened(values: torch.Tensor, valid: torch.Tensor, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    # a graph cannot ask for the longest: it lengthens whatever comes, and what is not real changes nothing
    more = max(ABSENT.values()) if torch.onnx.is_in_onnx_export() else max(length - valid.shape[1], 0)
    return F.pad(values, (0, 0, 0, more)), F.pad(valid, (0, more))
