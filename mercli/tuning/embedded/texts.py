"""What each network of ``embedded-text`` learns from: n-grams, or words in their order, of the same sentences."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mercli.features.embedded.text_net import BUCKETS, CORPORA, BagMember, Reading, bagged, reader, stacked
from mercli.features.embedded.word_net import spelled
from mercli.tuning.embedded.data import CLASSES, Batch, Task, log_prior
from mercli.tuning.embedded.evaluate import recalls
from mercli.tuning.embedded.recipes import TextRecipe
from mercli.tuning.embedded.text_data import Sentence

LONGEST = 48
"""Words of a sentence that training reads; hardly one has more."""

Stack = Callable[[Sequence[Reading]], dict[str, Tensor]]


def inverse_frequency(found: Sequence[Reading]) -> Tensor:
    """Return the idf (BUCKETS,) of texts' n-grams, ``log((1 + N) / (1 + n)) + 1``; 0 for what one text alone has."""
    known = np.zeros(BUCKETS, np.int64)
    for one in found:
        known[one.ids] += 1
    values = np.log((1 + len(found)) / (1 + known)) + 1
    return torch.from_numpy(np.where(known > 1, values, 0.0).astype(np.float32))


@torch.inference_mode()
def text_logits(network: nn.Module, found: Sequence[Reading], stack: Stack = stacked, batch: int = 512) -> Tensor:
    """Return uniform-prior logits (N, 7) of texts, given to the network as ``stack`` does."""
    parts = [network(**stack(found[i : i + batch]))[0] for i in range(0, len(found), batch)]
    return torch.cat([torch.zeros(0, len(CLASSES)), *parts])


@dataclass
class SentenceTask:
    """Training sentences; figures on ``dev``, parts by name. What is ``found`` in a sentence is found once."""

    recipe: TextRecipe
    train: Sequence[Sentence]
    dev: Mapping[str, Sequence[Sentence]]
    found: Mapping[str, Reading]
    trained_on: Sequence[dict[str, Any]] = tuple({"corpus": corpus, "split": "train"} for corpus in CORPORA)
    labels: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.labels = torch.tensor([sentence.label for sentence in self.train])
        self.corpus = torch.tensor([CORPORA.index(sentence.corpus) for sentence in self.train])
        self.priors = torch.stack([log_prior(self.labels[self.corpus == number]) for number in range(len(CORPORA))])
        self.added = self.priors
        sizes = torch.bincount(self.corpus, minlength=len(CORPORA)).clamp_min(1)
        self.rarity = (len(self.train) / len(CORPORA) / sizes).sqrt()

    def stack(self, found: Sequence[Reading]) -> dict[str, Tensor]:
        """Return what the network takes for texts."""
        return stacked(found)

    def batch(self, indices: Tensor, progress: float, generator: Generator) -> Batch:
        """Return sentences, classes weighted by corpus, the prior added for each, and the loss that tells registers."""
        corpus = self.corpus[indices]
        inputs = self.stack([self.found[self.train[index].id] for index in indices.tolist()])
        weight = torch.where(corpus == CORPORA.index("meld"), self.recipe.meld, 1.0)
        targets = F.one_hot(self.labels[indices], len(CLASSES)) * weight[:, None]
        return Batch(inputs, targets, self.added[corpus], side=partial(self._register_loss, corpus))

    def _register_loss(self, corpus: Tensor, embedding: Tensor) -> Tensor:
        told = embedding[:, -len(CORPORA) :]
        loss = F.nll_loss(told, corpus.to(told.device), self.rarity.to(told.device), reduction="sum")
        return self.recipe.register * loss / len(corpus)

    def settled(self) -> Task | None:
        """Return no further training."""
        return None

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return, per part, UAR with a uniform prior and accuracy with the prior of the corpus's training part."""
        figures = {}
        for name, part in self.dev.items():
            logits = text_logits(network, [self.found[sentence.id] for sentence in part], self.stack)
            labels = torch.tensor([sentence.label for sentence in part])
            adjusted = logits + self.priors[CORPORA.index(part[0].corpus)]
            figures[f"{name}_uar"] = recalls(logits, labels)[1]
            figures[f"{name}_accuracy"] = recalls(adjusted, labels)[0]
        return figures


@dataclass
class BagTask(SentenceTask):
    """The member that counts n-grams."""

    def stack(self, found: Sequence[Reading]) -> dict[str, Tensor]:
        """Return the n-grams of texts."""
        return bagged(found)

    def network(self) -> nn.Module:
        """Return an untrained ``BagMember`` that knows how rare each n-gram is."""
        network = BagMember(self.recipe.dropout)
        network.idf.copy_(self._idf)
        return network

    @cached_property
    def _idf(self) -> Tensor:
        return inverse_frequency([self.found[sentence.id] for sentence in self.train])


@dataclass
class WordTask(SentenceTask):
    """A member that reads words in their order."""

    def __post_init__(self) -> None:
        super().__post_init__()
        # a class that a corpus lacks counts as one of seven alike would, so that its absence is learned
        alike = -torch.tensor(float(len(CLASSES))).log()
        self.added = torch.where(self.priors > -12, self.priors, alike).log_softmax(1)

    def stack(self, found: Sequence[Reading]) -> dict[str, Tensor]:
        """Return the first words of texts: of a batch, the longest decides what all take."""
        return spelled([one.words[:LONGEST] for one in found])

    def network(self) -> nn.Module:
        """Return an untrained ``WordMember``."""
        return reader()


@dataclass
class TextTask(SentenceTask):
    """The training of all members, one after another."""

    def member(self, number: int) -> Task:
        """Return the training of the member with this number: n-grams, or words with a seed of its own."""
        if number == 0:
            return BagTask(self.recipe, self.train, self.dev, self.found)
        recipe = replace(self.recipe.reading(), seed=self.recipe.seed + number)
        return WordTask(recipe, self.train, self.dev, self.found)
