"""The network of ``embedded-text``: a table of hashed n-grams, and members that read words in their order.

Each gives scores that all corpora share, a correction per corpus, and how far a text speaks for each corpus's register
(a sitcom, a forum, a chat), by which the corrections are mixed.
"""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from mercli.features.embedded.members import Members, pooled
from mercli.features.embedded.registers import corrected
from mercli.features.embedded.stored import rounded
from mercli.features.embedded.word_net import WordMember, spelled
from mercli.features.hashing import Orders, bag, keys_of, normalise, tokens

BUCKETS = 2**17
ORDERS = Orders(words=(1, 2), chars=(2, 4), edges=True)
CLASSES = 7
READERS = 2
"""Members that read words in their order; they differ in nothing but the seed."""
CORPORA = ("meld", "goemotions", "emorynlp", "dailydialog", "emocontext")
EXPERTS = len(CORPORA) * CLASSES
EMBEDDING = EXPERTS + len(CORPORA)
RESIDUAL = 0.6  # a correction learns at 0.36 of the shared scores' pace: it has a fifth of the sentences
SPEECH = ("meld", "emorynlp")
"""Corpora of what is said aloud, both by the actors of one sitcom; the others were written."""


class Reading(NamedTuple):
    """What a text's network sees: buckets of its n-grams, each once (N,), how often each occurs (N,), its words."""

    ids: NDArray[np.int64]
    counts: NDArray[np.float32]
    words: tuple[str, ...]


def reading(text: str) -> Reading:
    """Return n-grams and words of a text."""
    words = tuple(tokens(normalise(text)))
    return Reading(*bag(keys_of(words, ORDERS), BUCKETS), words)


def bagged(readings: Sequence[Reading]) -> dict[str, Tensor]:
    """Return what ``BagMember`` takes: ``ids`` (N,), ``counts`` (N,) and where each text's begin, ``offsets`` (B,)."""
    sizes = np.cumsum([0, *(len(one.ids) for one in readings)])
    ids = np.concatenate([np.zeros(0, np.int64), *(one.ids for one in readings)])
    counts = np.concatenate([np.zeros(0, np.float32), *(one.counts for one in readings)])
    return {
        "ids": torch.from_numpy(ids),
        "counts": torch.from_numpy(counts),
        "offsets": torch.from_numpy(sizes[:-1].astype(np.int64)),
    }


def stacked(readings: Sequence[Reading]) -> dict[str, Tensor]:
    """Return what ``TextNet`` takes: n-grams (``bagged``) and words (``spelled``) of texts."""
    return {**bagged(readings), **spelled([one.words for one in readings])}


class BagMember(nn.Module):
    """A bag of n-grams, sublinear counts times ``idf``, of unit length, through one linear table."""

    def __init__(self, dropout: float = 0.0) -> None:
        super().__init__()
        self.table = nn.EmbeddingBag(BUCKETS, CLASSES + EMBEDDING, mode="sum", sparse=True)
        nn.init.zeros_(self.table.weight)
        self.bias = nn.Parameter(torch.zeros(CLASSES + EMBEDDING))
        self.register_buffer("idf", torch.zeros(BUCKETS))
        self.idf: Tensor
        self.dropout = dropout

    def forward(
        self,
        ids: Tensor,
        counts: Tensor,
        offsets: Tensor,
        expected: Tensor | float = 0.0,
        trust: Tensor | float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Return uniform-prior logits (B, 7) and an embedding (B, 40).

        The embedding holds each corpus's correction (5 x 7), multiplied by ``trust``, and the log-probability of each
        register (5), to whose log-odds ``expected`` (5,) is added.
        """
        weights = F.dropout(self._weights(ids, counts, offsets), self.dropout, self.training)
        return self._mixed(self.table(ids, offsets, per_sample_weights=weights) + self.bias, expected, trust)

    def _mixed(self, sums: Tensor, expected: Tensor | float, trust: Tensor | float) -> tuple[Tensor, Tensor]:
        shared, experts, register = sums.split([CLASSES, EXPERTS, len(CORPORA)], 1)
        experts = experts * (RESIDUAL * trust)
        logits, told = corrected(shared, experts, register + expected)
        return logits, torch.cat((experts, told), 1)

    def as_graph(self) -> BagGraph:
        """Return the same function in operations that ONNX has."""
        return BagGraph(self).eval().requires_grad_(False)

    def _weights(self, ids: Tensor, counts: Tensor, offsets: Tensor) -> Tensor:
        weights = (1 + counts.log()) * self.idf[ids]
        ends = torch.cat((offsets[1:], offsets.new_tensor([len(ids)])))
        place = torch.repeat_interleave(torch.arange(len(offsets), device=ids.device), ends - offsets)
        lengths = weights.new_zeros(len(offsets)).index_add_(0, place, weights.square()).sqrt()
        return weights / lengths.clamp_min(1e-6)[place]


class BagGraph(BagMember):
    """``BagMember`` in operations that ONNX has, its table in int8 as a weights file holds it."""

    def __init__(self, network: BagMember) -> None:
        super().__init__()
        state = network.state_dict()
        self.load_state_dict(state)
        rows, scale = rounded(state["table.weight"])
        self.register_buffer("rows", rows)
        self.register_buffer("scale", scale.float())
        self.rows: Tensor
        self.scale: Tensor

    def forward(
        self,
        ids: Tensor,
        counts: Tensor,
        offsets: Tensor,
        expected: Tensor | float = 0.0,
        trust: Tensor | float = 1.0,
    ) -> tuple[Tensor, Tensor]:
        """Return what ``BagMember`` does; a text's sums are a product with which n-grams (N,) are its own (B, N)."""
        place = torch.arange(ids.shape[0])
        began = place[None] >= offsets[:, None]
        after = torch.cat((began[1:], torch.zeros_like(began[:1])))
        own = (began & ~after).float()
        weights = (1 + counts.log()) * self.idf[ids]
        lengths = (own @ weights.square()[:, None]).sqrt().clamp_min(1e-6)
        rows = self.rows[ids].float() * self.scale[ids][:, None]
        return self._mixed(own @ (rows * weights[:, None]) / lengths + self.bias, expected, trust)


def reader() -> WordMember:
    """Return an untrained member that reads words in their order."""
    return WordMember(CLASSES, len(CORPORA))


class TextNet(Members):
    """A ``BagMember`` and ``WordMember``s, and three settings that are made when these are trained.

    ``sharpness`` multiplies the mean of their logits; ``trust`` the corrections by n-grams, as few words tell registers
    too weakly; ``spoken`` is added to the log-odds of registers of speech, as a clip's text is what was said and most
    of what members learn from was written.
    """

    sharpness: Tensor
    trust: Tensor
    expected: Tensor

    def __init__(self, dropout: float = 0.0, sharpness: float = 1.0, trust: float = 1.0, spoken: float = 0.0) -> None:
        super().__init__([BagMember(dropout), *(reader() for _ in range(READERS))])
        self.register_buffer("sharpness", torch.tensor(float(sharpness)))
        self.register_buffer("trust", torch.tensor(float(trust)))
        self.register_buffer("expected", torch.tensor([float(spoken) * (corpus in SPEECH) for corpus in CORPORA]))

    def forward(
        self, ids: Tensor, counts: Tensor, offsets: Tensor, pieces: Tensor, words: Tensor, lengths: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Return uniform-prior logits (B, 7) and an embedding (B, 120) of ``stacked`` texts.

        The embedding holds, for each member, each corpus's correction (5 x 7) and the log-probability of each register.
        """
        bag, *readers = self.members
        answers = [bag(ids, counts, offsets, self.expected, self.trust)]
        answers += [reader(pieces, words, lengths, self.expected) for reader in readers]
        logits, embedding = pooled(answers)
        return logits * self.sharpness, embedding

    def as_graph(self) -> TextNet:
        """Return the same function in operations that ONNX has."""
        twin, bag = deepcopy(self), self.members[0]
        assert isinstance(bag, BagMember)
        twin.members[0] = bag.as_graph()
        return twin.cpu().eval().requires_grad_(False)
