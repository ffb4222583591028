"""Sentences for ``embedded-text``: five corpora, none of whose dev or test sentences is trained on."""

from __future__ import annotations

import csv
import gzip
import zlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import IO

from mercli.errors import DataError
from mercli.features.embedded.text_net import Reading, reading
from mercli.features.hashing import normalise, tokens
from mercli.labels import canonical
from mercli.tuning.embedded.data import CLASSES

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
    train = unread(chain(*rows.values()), chain(*unseen.values()))
    fresh = count_by_corpus(train)
    for corpus, kept in rows.items():
        left_out[corpus]["verbatim in a dev or test part"] = len(kept) - fresh.get(corpus, 0)
    return Texts(train, unseen, left_out)


def unread(sentences: Iterable[Sentence], read: Iterable[Sentence]) -> list[Sentence]:
    """Return the sentences of which no copy, of at least five words, is among those that are ``read``."""
    known = {phrase for phrase in map(_phrase, read) if phrase}
    return [sentence for sentence in sentences if _phrase(sentence) not in known]


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


def readings(sentences: Sequence[Sentence]) -> dict[str, Reading]:
    """Return n-grams and words of sentences by id."""
    return {sentence.id: reading(sentence.text) for sentence in sentences}


def count_by_corpus(sentences: Sequence[Sentence]) -> dict[str, int]:
    """Return how many sentences each corpus gives."""
    return dict(Counter(sentence.corpus for sentence in sentences))
