"""How the two streams of the ``avtca`` head meet: cross-attention, its maps as weights, a shared self-attention.

Each join takes audio (B, Ta, Da), face (B, Tv, Dv) and which rows are real, and returns both streams and named maps.
"""

from __future__ import annotations

import torch
from torch import nn

Joined = tuple[torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]


class AttentionMap(nn.Module):
    """Scaled dot-product weights of several heads; neither projection has a bias."""

    def __init__(self, kv: int, query: int, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(query, width, bias=False)
        self.k = nn.Linear(kv, width, bias=False)

    def map(self, x_kv: torch.Tensor, x_q: torch.Tensor, real: torch.Tensor | None = None) -> torch.Tensor:
        """Return the weights (B, H, Nq, Nk); keys that are not ``real`` (B, Nk) get none."""
        query, key = self.split(self.q(x_q)), self.split(self.k(x_kv))
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if real is not None:
            scores = scores.masked_fill(~real[:, None, None], float("-inf"))
        return scores.softmax(-1)

    def split(self, rows: torch.Tensor) -> torch.Tensor:
        """Return rows (B, N, D) as heads (B, H, N, D / H)."""
        return rows.unflatten(-1, (self.heads, -1)).transpose(1, 2)


class CrossAttention(AttentionMap):
    """Attention of one stream's queries to the other's keys and values."""

    def __init__(self, kv: int, query: int, width: int, heads: int) -> None:
        super().__init__(kv, query, width, heads)
        self.v = nn.Linear(kv, width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(
        self, x_kv: torch.Tensor, x_q: torch.Tensor, real: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (B, Nq, D) and the map (B, H, Nq, Nk)."""
        weights = self.map(x_kv, x_q, real)
        return self.proj((weights @ self.split(self.v(x_kv))).transpose(1, 2).flatten(2)), weights


class Block(nn.Module):
    """Cross-attention of normalised streams *without* a residual around it, then a feed-forward with one."""

    def __init__(self, kv: int, query: int, width: int, heads: int) -> None:
        super().__init__()
        self.norm_q = nn.LayerNorm(query)
        self.norm_kv = nn.LayerNorm(kv)
        self.attention = CrossAttention(kv, query, width, heads)
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(
        self, x_kv: torch.Tensor, x_q: torch.Tensor, real: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return (B, Nq, D) and the map (B, H, Nq, Nk)."""
        attended, weights = self.attention(self.norm_kv(x_kv), self.norm_q(x_q), real)
        return attended + self.mlp(self.norm(attended)), weights


class Exchange(nn.Module):
    """Each stream attends to the other as it was; with ``residual`` the answer is added to it."""

    def __init__(self, audio: int, face: int, heads: int, *, residual: bool) -> None:
        super().__init__()
        self.residual = residual
        self.to_audio = Block(face, audio, audio, heads)
        self.to_face = Block(audio, face, face, heads)

    def forward(
        self, audio: torch.Tensor, face: torch.Tensor, audio_real: torch.Tensor, face_real: torch.Tensor
    ) -> Joined:
        """Return both streams and the maps ``audio_from_face``, ``face_from_audio``."""
        heard, audio_map = self.to_audio(face, audio, face_real)
        seen, face_map = self.to_face(audio, face, audio_real)
        maps = {"audio_from_face": audio_map, "face_from_audio": face_map}
        return (audio + heard, face + seen, maps) if self.residual else (heard, seen, maps)


class FrameWeights(nn.Module):
    """Each frame is weighed by how much the other stream attends to it.

    A frame's weight is its mean over heads and queries, times the number of frames, so that weights average 1;
    ``summed`` is their sum over the queries instead, which grows with the length of the other stream.
    """

    def __init__(self, audio: int, face: int, heads: int, *, summed: bool) -> None:
        super().__init__()
        self.summed = summed
        self.to_audio = AttentionMap(face, audio, audio, heads)
        self.to_face = AttentionMap(audio, face, face, heads)

    def forward(
        self, audio: torch.Tensor, face: torch.Tensor, audio_real: torch.Tensor, face_real: torch.Tensor
    ) -> Joined:
        """Return both streams, weighed, and the maps ``audio_from_face``, ``face_from_audio``."""
        audio_map = self.to_audio.map(face, audio, face_real)
        face_map = self.to_face.map(audio, face, audio_real)
        face = face * self._weights(audio_map, audio_real, face_real)
        audio = audio * self._weights(face_map, face_real, audio_real)
        return audio, face, {"audio_from_face": audio_map, "face_from_audio": face_map}

    def _weights(self, weights: torch.Tensor, queries: torch.Tensor, keys: torch.Tensor) -> torch.Tensor:
        """Return the weights (B, Nk, 1) of the keys' rows from a map (B, H, Nq, Nk)."""
        total = (weights.mean(1) * queries.unsqueeze(-1)).sum(1)
        if not self.summed:
            total = total * (keys.sum(1, keepdim=True) / queries.sum(1, keepdim=True))
        return total.unsqueeze(-1)


class SharedAttention(nn.Module):
    """Each stream attends to itself, both by the same weights; neither residual nor norm."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, heads, batch_first=True)

    def forward(
        self, audio: torch.Tensor, face: torch.Tensor, audio_real: torch.Tensor, face_real: torch.Tensor
    ) -> Joined:
        """Return both streams and no map."""
        return self._itself(audio, audio_real), self._itself(face, face_real), {}

    def _itself(self, rows: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
        return self.attention(rows, rows, rows, key_padding_mask=~real, need_weights=False)[0]
