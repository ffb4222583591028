"""The members of ``embedded-text`` that read words in their order, each word made of hashed pieces.

A word is the mean of vectors of itself and its character n-grams (Bojanowski et al. 2017), so words that were never
read still say something; convolutions over few words find phrases (Kim 2014).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mercli.features.embedded.registers import corrected
from mercli.features.hashing import Orders, keys_of

BUCKETS = 14_000
PIECES = 24
"""Pieces of a word that are read: itself, then its n-grams."""
_ORDERS = Orders(words=(1, 1), chars=(3, 4))
_SIZE, _CHANNELS, _WIDTHS = 64, 96, (1, 3, 5)
_HIDDEN = 0.2
"""Share of words that training hides."""
_NONE = -1


@lru_cache(maxsize=2**16)
def pieces(word: str) -> NDArray[np.int64]:
    """Return the buckets of a word's pieces (24,), -1 where there are fewer; of the empty word there are none."""
    found = (keys_of([word] if word else [], _ORDERS) % np.uint64(BUCKETS)).astype(np.int64)[:PIECES]
    return np.pad(found, (0, PIECES - len(found)), constant_values=_NONE)


def spelled(texts: Sequence[Sequence[str]]) -> dict[str, Tensor]:
    """Return what ``WordMember`` takes for texts' words.

    ``pieces`` (U, 24) of each distinct word, ``words`` (B, L): which of these stands where, ``lengths`` (B,).
    """
    place: dict[str, int] = {"": 0}  # of what stands behind a text's end, and of a text without words
    rows = [[place.setdefault(word, len(place)) for word in text] for text in texts]
    longest = max([1, *map(len, rows)])
    return {
        "pieces": torch.from_numpy(np.stack([pieces(word) for word in place])),
        "words": torch.tensor([row + [0] * (longest - len(row)) for row in rows], dtype=torch.long).reshape(
            -1, longest
        ),
        "lengths": torch.tensor([len(row) for row in rows], dtype=torch.long),
    }


class WordMember(nn.Module):
    """Convolutions over words as vectors, their attention-weighted mean and their maximum."""

    def __init__(self, classes: int, corpora: int) -> None:
        super().__init__()
        self.table = nn.Embedding(BUCKETS, _SIZE)
        nn.init.normal_(self.table.weight, 0, 0.1)
        self.looks = nn.ModuleList(nn.Conv1d(_SIZE, _CHANNELS, width, padding=width // 2) for width in _WIDTHS)
        states = _CHANNELS * len(_WIDTHS)
        self.attend = nn.Linear(states, 1)
        self.dropout = nn.Dropout(0.5)
        self.scores = [classes, corpora * classes, corpora]
        self.classify = nn.Linear(2 * states, sum(self.scores))

    def forward(
        self, pieces: Tensor, words: Tensor, lengths: Tensor, expected: Tensor | float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Return logits (B, 7) and an embedding (B, 40) of ``spelled`` texts; in training whole words are hidden.

        ``expected`` (C,) adds to registers' log-odds.
        """
        vectors = self.dropout(self._vectors(pieces)[words])
        if self.training:
            vectors = vectors * (torch.rand(words.shape, device=words.device) >= _HIDDEN)[..., None]
        real = torch.arange(words.shape[1], device=words.device)[None] < lengths[:, None]
        maps = (vectors * real[..., None]).transpose(1, 2)
        states = torch.cat([F.relu(look(maps)) for look in self.looks], 1).transpose(1, 2)
        weights = self.attend(states).squeeze(2).masked_fill(~real, -1e4).softmax(1)
        mean = (weights[..., None] * states).sum(1)
        most = (states * real[..., None]).amax(1)  # none is below 0
        shared, experts, register = self.classify(self.dropout(torch.cat((mean, most), 1))).split(self.scores, 1)
        logits, told = corrected(shared, experts, register + expected)
        return logits, torch.cat((experts, told), 1)

    def _vectors(self, pieces: Tensor) -> Tensor:
        """Return the mean of each word's pieces (U, 64)."""
        known = (pieces != _NONE)[..., None]
        return (self.table(pieces.clamp_min(0)) * known).sum(1) / known.sum(1).clamp_min(1)
