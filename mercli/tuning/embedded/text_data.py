"""Sentences for ``embedded-text``: five corpora, none of whose dev or test sentences is trained on."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor, nn

from mercli.errors import DataError
from mercli.features.embedded.text_net import BUCKETS, CORPORA, TextNet, grams, stacked
from mercli.features.hashing import normalise, tokens
from mercli.labels import canonical
from mercli.tuning.embedded.data import CLASSES, Batch, log_prior
from mercli.tuning.embedded.evaluate import recalls
from mercli.tuning.embedded.recipes import TextRecipe

LONG = 5  # words from which a sentence that two parts share is a copy, not a common phrase


@dataclass(frozen=True)
class Sentence:
    """One labelled text: its id ``corpus/part/row``, class index, and what it must not be parted from (a dialogue)."""

    id: str
    corpus: str
    text: str
    label: int
    group: str


@dataclass(frozen=True)
class Source:
    """Where a corpus keeps its parts, and its columns; ``rename`` says what a label of its own means."""

    folder: str
    parts: dict[str, str]
    text: str
    label: str
    group: tuple[str, ...]
    rename: dict[str, str] = field(default_factory=dict)


SOURCES = {
    "meld": Source(
        "meld", {part: f"{part}.csv" for part in ("train", "dev", "test")}, "text", "emotion", ("dialogue_id",)
    ),
    "goemotions": Source("goemotions", {p: f"{p}.tsv.gz" for p in ("train", "dev")}, "text", "ekman", ("id",)),
    "emorynlp": Source(
        "emorynlp",
        {part: f"{part}.csv" for part in ("train", "dev")},
        "text",
        "emotion",
        ("season", "episode", "scene_id"),
        {"Peaceful": "calm"},
    ),
    "dailydialog": Source(
        "dailydialog_reccon",
        {"train": "train.csv.gz", "dev": "valid.csv.gz"},
        "text",
        "emotion",
        ("dialogue_id",),
    ),
    "emocontext": Source("emocontext", {"train": "train.tsv.gz", "dev": "valid.tsv.gz"}, "turn3", "label", ("id",)),
}


@dataclass(frozen=True)
class Texts:
    """Training sentences, unseen ones by ``corpus/part``, and how many were left out, by corpus and reason."""

    train: list[Sentence]
    unseen: dict[str, list[Sentence]]
    left_out: dict[str, dict[str, int]]


def read_texts(root: Path) -> Texts:
    """Read the five corpora; raises ``DataError`` where one is missing.

    A row without one canonical class is left out; so is a training row of at least five words that occurs in a dev
    or test part: EmoryNLP and MELD transcribe the same series.
    """
    unseen: dict[str, list[Sentence]] = {}
    rows: dict[str, list[Sentence]] = {}
    left_out: dict[str, dict[str, int]] = {}
    for corpus, source in SOURCES.items():
        for part in source.parts:
            kept, unclear = _part(root, corpus, part)
            if part == "train":
                rows[corpus], left_out[corpus] = kept, {"no single class": unclear}
            else:
                unseen[f"{corpus}/{part}"] = kept
    barred = {phrase for part in unseen.values() for phrase in map(_phrase, part) if phrase}
    train = []
    for corpus, kept in rows.items():
        fresh = [sentence for sentence in kept if _phrase(sentence) not in barred]
        left_out[corpus]["verbatim in a dev or test part"] = len(kept) - len(fresh)
        train += fresh
    return Texts(train, unseen, left_out)


def _part(root: Path, corpus: str, part: str) -> tuple[list[Sentence], int]:
    source = SOURCES[corpus]
    path = root / source.folder / source.parts[part]
    kept, unclear = [], 0
    for number, row in enumerate(_table(path)):
        try:
            text, name = row[source.text], row[source.label]
            group = "_".join(row[column] for column in source.group)
        except KeyError as fault:
            raise DataError(f"'{path}' has no column {fault}; it has {', '.join(row)}") from fault
        label = canonical(source.rename.get(name, name))
        if label is None:
            unclear += 1
            continue
        place = f"{corpus}/{part}"
        kept.append(Sentence(f"{place}/{number}", corpus, text, CLASSES.index(label), f"{place}/{group}"))
    return kept, unclear


def _table(path: Path) -> Iterator[dict[str, str]]:
    if not path.is_file():
        raise DataError(f"'{path}' does not exist; a table of sentences with a header was expected")
    with _opened(path) as file:
        if ".tsv" in path.name:
            yield from csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        else:
            yield from csv.DictReader(file)


def _opened(path: Path) -> IO[str]:
    if path.suffix == ".gz":
        return gzip.open(path, "rt", encoding="utf-8", newline="")
    return path.open(encoding="utf-8", newline="")


def _phrase(sentence: Sentence) -> str:
    words = [token for token in tokens(normalise(sentence.text)) if token[0].isalnum()]
    return " ".join(words) if len(words) >= LONG else ""


def fold_of(sentence: Sentence, folds: int) -> int:
    """Return the fold of a training sentence: a dialogue is never divided, and nothing is drawn."""
    return zlib.crc32(sentence.group.encode()) % folds


Grams = tuple[np.ndarray[Any, np.dtype[np.int64]], np.ndarray[Any, np.dtype[np.float32]]]


def inverse_frequency(found: Sequence[Grams]) -> Tensor:
    """Return the idf (BUCKETS,) of texts' n-grams, ``log((1 + N) / (1 + n)) + 1``; 0 for what one text alone has."""
    known = np.zeros(BUCKETS, np.int64)
    for ids, _ in found:
        known[ids] += 1
    values = np.log((1 + len(found)) / (1 + known)) + 1
    return torch.from_numpy(np.where(known > 1, values, 0.0).astype(np.float32))


@torch.inference_mode()
def text_logits(network: nn.Module, found: Sequence[Grams], batch: int = 512) -> Tensor:
    """Return uniform-prior logits (N, 7) of texts' n-grams."""
    parts = [network(**stacked(found[i : i + batch]))[0] for i in range(0, len(found), batch)]
    return torch.cat([torch.zeros(0, len(CLASSES)), *parts])


@dataclass
class TextTask:
    """Training sentences; figures on ``dev``, parts by name. The n-grams of a sentence are found once."""

    recipe: TextRecipe
    train: Sequence[Sentence]
    dev: Mapping[str, Sequence[Sentence]]
    found: Mapping[str, Grams]
    trained_on: Sequence[dict[str, Any]] = tuple({"corpus": corpus, "split": "train"} for corpus in CORPORA)
    labels: Tensor = field(init=False)

    def __post_init__(self) -> None:
        self.labels = torch.tensor([sentence.label for sentence in self.train])
        self.corpus = torch.tensor([CORPORA.index(sentence.corpus) for sentence in self.train])
        self.priors = torch.stack([log_prior(self.labels[self.corpus == number]) for number in range(len(CORPORA))])
        self.idf = inverse_frequency([self.found[sentence.id] for sentence in self.train])
        sizes = torch.bincount(self.corpus, minlength=len(CORPORA)).clamp_min(1)
        self.rarity = (len(self.train) / len(CORPORA) / sizes).sqrt()

    def network(self) -> nn.Module:
        """Return an untrained ``TextNet`` that knows how rare each n-gram is."""
        network = TextNet(self.recipe.dropout)
        network.idf.copy_(self.idf)
        return network

    def batch(self, indices: Tensor, progress: float, generator: Generator) -> Batch:
        """Return n-grams, classes weighted by corpus, each corpus's own prior, and the loss that tells registers."""
        corpus = self.corpus[indices]
        inputs = stacked([self.found[self.train[index].id] for index in indices.tolist()])
        weight = torch.where(corpus == CORPORA.index("meld"), self.recipe.meld, 1.0)
        targets = F.one_hot(self.labels[indices], len(CLASSES)) * weight[:, None]
        return Batch(inputs, targets, self.priors[corpus], side=partial(self._register_loss, corpus))

    def _register_loss(self, corpus: Tensor, embedding: Tensor) -> Tensor:
        told = embedding[:, -len(CORPORA) :]
        loss = F.nll_loss(told, corpus.to(told.device), self.rarity.to(told.device), reduction="sum")
        return self.recipe.register * loss / len(corpus)

    def evaluate(self, network: nn.Module) -> dict[str, float]:
        """Return, per part, UAR with a uniform prior and accuracy with the prior of the corpus's training part."""
        figures = {}
        for name, part in self.dev.items():
            logits = text_logits(network, [self.found[sentence.id] for sentence in part])
            labels = torch.tensor([sentence.label for sentence in part])
            adjusted = logits + self.priors[CORPORA.index(part[0].corpus)]
            figures[f"{name}_uar"] = recalls(logits, labels)[1]
            figures[f"{name}_accuracy"] = recalls(adjusted, labels)[0]
        return figures


def found_in(sentences: Sequence[Sentence]) -> dict[str, Grams]:
    """Return the n-grams of sentences by id."""
    return {sentence.id: grams(sentence.text) for sentence in sentences}


def count_by_corpus(sentences: Sequence[Sentence]) -> dict[str, int]:
    """Return how many sentences each corpus gives."""
    return dict(Counter(sentence.corpus for sentence in sentences))
