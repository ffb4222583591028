"""The network of the ``foalnet`` head (Foal-Net, arXiv 2408.09438)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from mercli.contracts import Batch, HeadOutput
from mercli.fusion import gathering
from mercli.fusion.batch import pooled
from mercli.fusion.gathering import Stream, processes
from mercli.fusion.heads.foalnet_losses import alignment_loss, hard_negatives, similarity
from mercli.fusion.losses import cross_entropy

MASKED = -10_000.0  # what a masked key scores: finite, so that a stream without any key stays finite


class Projection(nn.Module):
    """A linear map with a residual feed-forward on top, normalised; no biases."""

    def __init__(self, dim: int, width: int, dropout: float = 0.5) -> None:
        super().__init__()
        self.linear1 = nn.Linear(dim, width, bias=False)
        self.linear2 = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(self, vectors: torch.Tensor) -> torch.Tensor:
        """Return (B, width) from (B, dim)."""
        mapped = self.linear1(vectors)
        return self.norm(mapped + self.dropout(self.linear2(F.gelu(mapped))))


class CrossLayer(nn.Module):
    """Cross-attention and normalisation, without a feed-forward.

    The queries are added to the answer where they are as wide as it. A width that the heads do not divide is rounded up
    inside.
    """

    def __init__(self, query: int, kv: int, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.residual = query == width
        inside = math.ceil(width / heads) * heads
        self.query = nn.Linear(query, inside)
        self.key = nn.Linear(kv, inside)
        self.value = nn.Linear(kv, inside)
        self.out = nn.Linear(inside, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width)

    def forward(
        self, rows: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, real: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (B, Nq, width) and the weights (B, H, Nq, Nk); ``real`` (B, Nk) tells which keys count."""
        query, key, value = self._split(self.query(rows)), self._split(self.key(keys)), self._split(self.value(values))
        scores = query @ key.transpose(-1, -2) / math.sqrt(query.shape[-1])
        if real is not None:
            scores = scores.masked_fill(~real[:, None, None], MASKED)
        weights = scores.softmax(-1)
        answer = self.dropout(self.out((weights @ value).transpose(1, 2).flatten(2)))
        return self.norm(answer + rows if self.residual else answer), weights

    def _split(self, rows: torch.Tensor) -> torch.Tensor:
        return rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class Stack(nn.Module):
    """Layers of cross-attention to the same stream; what comes out is the mean over the real queries."""

    def __init__(self, layers: int, query: int, kv: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(CrossLayer(query, kv, query, heads, dropout) for _ in range(layers))

    def forward(self, rows: Stream, others: Stream) -> tuple[torch.Tensor, list[torch.Tensor]]:
        """Return (B, D), zeros where no row is real, and each layer's weights."""
        values, maps = rows[0], []
        for layer in self.layers:
            values, weights = layer(values, others[0], others[0], others[1])
            maps.append(weights)
        return pooled(values, rows[1]), maps


class FoalNet(nn.Module):
    """Both stacks' means side by side; an absent stream is zeros there.

    The auxiliary losses look at items that have both modalities. The temperature is a divisor that is learned, and no
    smaller than 0.01 (as CLIP bounds its own), because the similarity over nothing is infinite.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        classes: int,
        *,
        layers: int,
        heads: int,
        projection: int,
        dropout: float,
        alignment: float,
        matching: float,
        compat: bool,
    ) -> None:
        super().__init__()
        audio, face = dims["audio"], dims["face"]
        self.modalities: tuple[str, ...] = ("audio", "face")
        self.weights = (alignment, matching)
        self.compat = compat
        self.audio_projection = Projection(audio, projection)
        self.face_projection = Projection(face, projection)
        self.audio_from_face = Stack(layers, audio, face, heads, dropout)
        self.face_from_audio = Stack(layers, face, audio, heads, dropout)
        self.audio_matches = nn.Linear(audio, 2)
        self.face_matches = nn.Linear(face, 2)
        self.classifier = nn.Linear(audio + face, classes)
        self.dropout = nn.Dropout(dropout)
        self.temperature = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def forward(self, batch: Batch) -> HeadOutput:
        """Return logits (B, K).

        Extras: the pooled streams ``audio`` (B, Da) and ``face`` (B, Dv), and each layer's attention
        ``audio_from_face.0`` (B, H, Ta, Tv), ``face_from_audio.0`` (B, H, Tv, Ta) and so on.
        """
        audio, face = self._streams(batch)
        heard, audio_maps = self.audio_from_face(audio, face)
        seen, face_maps = self.face_from_audio(face, audio)
        maps = {f"audio_from_face.{n}": weights for n, weights in enumerate(audio_maps)}
        maps |= {f"face_from_audio.{n}": weights for n, weights in enumerate(face_maps)}
        logits = self.classifier(self.dropout(torch.cat([heard, seen], 1)))
        return HeadOutput(logits, {"audio": heard, "face": seen, **maps})

    def loss(self, output: HeadOutput, batch: Batch) -> torch.Tensor:
        """Return the cross-entropy plus the weighted alignment and matching losses."""
        total = cross_entropy(output.logits, batch)
        for weight, part in zip(self.weights, self.auxiliary(output, batch), strict=True):
            total = total + weight * part
        return total

    def auxiliary(self, output: HeadOutput, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the alignment and the matching loss of the items with both modalities; 0 where there is none.

        Of a batch that lies on several processes, all items are aligned, and partners are drawn among all.
        """
        if batch.targets is None:
            raise ValueError("a loss needs targets")
        own = self._streams(batch)
        audio, face, labels, first = _gathered(*own, batch.targets) if processes() > 1 else (*own, batch.targets, 0)
        (both,) = torch.where(audio[1].any(1) & face[1].any(1))
        if not len(both):
            return output.logits.new_zeros(()), output.logits.new_zeros(())
        audio, face, labels = _of(audio, both), _of(face, both), labels[both]
        likeness = similarity(
            self.audio_projection(pooled(*audio)),
            self.face_projection(pooled(*face)),
            self.temperature.clamp(min=0.01),
        )
        partners = gathering.drawn(torch.stack(hard_negatives(likeness.detach(), labels, false=self.compat)))
        mine = (both >= first) & (both < first + len(batch.targets))
        rows = both[mine] - first
        heard, seen = output.extras["audio"][rows], output.extras["face"][rows]
        to_face = _Told(heard, _of(own[0], rows), face, partners[0], mine)
        to_audio = _Told(seen, _of(own[1], rows), audio, partners[1], mine)
        parts = [
            to_face.loss(self.audio_matches, self.audio_from_face),
            to_audio.loss(self.face_matches, self.face_from_audio),
        ]
        return alignment_loss(likeness, labels, average=not self.compat), torch.stack(parts).mean()

    def _streams(self, batch: Batch) -> tuple[Stream, Stream]:
        """Return both streams with zeros for what is not valid; frames of the face are dropped out."""
        audio, face = (
            (batch.values[m].masked_fill(~batch.valid[m].unsqueeze(-1), 0), batch.valid[m]) for m in self.modalities
        )
        return audio, (self.dropout(face[0]), face[1])


def _of(stream: Stream, rows: torch.Tensor) -> Stream:
    return stream[0][rows], stream[1][rows]


def _gathered(audio: Stream, face: Stream, labels: torch.Tensor) -> tuple[Stream, Stream, torch.Tensor, int]:
    """Return the streams and labels of all processes' items, and where this process's begin."""
    count, heard, seen = gathering.longest((len(labels), audio[0].shape[1], face[0].shape[1]), labels.device)
    every = gathering.plain(F.pad(labels, (0, count - len(labels)), value=-1))
    return gathering.stream(audio, count, heard), gathering.stream(face, count, seen), every, gathering.rank() * count


@dataclass(frozen=True, eq=False)
class _Told:
    """What telling partners apart needs: the pooled ``own`` streams of items and their ``rows``, and the ``others``
    (N) among which each of N items of all processes drew its ``partner``, -1 for none; ``mine`` are this process's.
    """

    own: torch.Tensor
    rows: Stream
    others: Stream
    partner: torch.Tensor
    mine: torch.Tensor

    def loss(self, head: nn.Module, stack: Stack) -> torch.Tensor:
        """Return the cross-entropy of telling own partners (1) from drawn ones (0), over the items that drew one."""
        total = int((self.partner >= 0).sum())
        if not total:
            return self.own.new_zeros(())
        partner = self.partner[self.mine]
        drew = partner >= 0
        another, _ = stack(_of(self.rows, drew), _of(self.others, partner[drew]))
        logits = head(torch.cat([self.own[drew], another]))
        truth = torch.arange(len(logits), device=logits.device) < len(another)
        # the mean over processes of what each gives is the mean over the items of all
        return F.cross_entropy(logits, truth.long(), reduction="sum") * (processes() / (2 * total))
