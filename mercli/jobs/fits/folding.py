"""Cross-validations, named or drawn: each fold's splits laid over the data, out-of-fold answers put together again."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mercli.contracts import Folds
from mercli.corpora import splits
from mercli.errors import ConfigError
from mercli.jobs.fits.dataset import CorpusData, Data
from mercli.registry import near
from mercli.types import Segment

DEV = 0.125
"""The share of a fold's training groups that choose the epoch where the fold names no dev part."""


def folded(data: Data, name: str, seed: int) -> Iterator[Data]:
    """Yield the data once per fold, its segments in that fold's train, dev and test parts.

    ``name``: folds that the corpora have, or ``speaker:5``, drawn by ``seed`` (``dialogue``, ``clip`` likewise). Raises
    ``ConfigError`` where a corpus has no such folds, or corpora have different numbers of them.
    """
    own = {corpus.name: _folds(corpus, name, seed) for corpus in data.corpora.values()}
    counts = {len(folds.folds) for folds in own.values()}
    if len(counts) > 1:
        told = ", ".join(f"{corpus} {len(folds.folds)}" for corpus, folds in own.items())
        raise ConfigError(f"the corpora have different numbers of folds '{name}': {told}", "mer train --corpora ONE")
    for number in range(counts.pop()):
        corpora = {corpus: _split(data.corpora[corpus], folds, number, seed) for corpus, folds in own.items()}
        yield replace(data, corpora=corpora)


def _folds(corpus: CorpusData, name: str, seed: int) -> Folds:
    known: Mapping[str, object] = corpus.card.get("folds") or {}
    group, _, count = name.partition(":")
    if group in splits.GROUPS and count.isdecimal():
        return _drawn(corpus, group, int(count), seed)
    if name not in known:
        raise ConfigError(f"corpus '{corpus.name}' has no folds '{name}'{near(name, known)}", "--folds speaker:5")
    return Folds(**known[name])  # type: ignore[arg-type]  # the card holds what prepare wrote


def _drawn(corpus: CorpusData, group: str, count: int, seed: int) -> Folds:
    """Return folds of about as many segments each: the largest groups first, each to the fold that has the fewest."""
    sizes = Counter(splits.group_of(segment, group) for segment in corpus.segments)
    if len(sizes) < 2:
        raise ConfigError(
            f"--folds '{group}:{count}': corpus '{corpus.name}' has one {group}",
            "--folds clip:5" if group != "clip" else "mer train, without --folds",
        )
    if not 2 <= count <= len(sizes):
        raise ConfigError(
            f"--folds '{group}:{count}': corpus '{corpus.name}' can have 2 to {len(sizes)} of them",
            f"--folds {group}:{min(5, len(sizes))}",
        )
    order = sorted(sizes)
    random.Random(seed).shuffle(order)  # noqa: S311 - a fold is not a secret
    tested: list[list[str]] = [[] for _ in range(count)]
    held = [0] * count
    for one in sorted(order, key=lambda one: -sizes[one]):
        fewest = held.index(min(held))
        tested[fewest].append(one)
        held[fewest] += sizes[one]
    folds = tuple({"test": tuple(sorted(groups))} for groups in tested)
    return Folds(group, folds)  # type: ignore[arg-type]  # one of GROUPS


def _split(corpus: CorpusData, folds: Folds, number: int, seed: int) -> CorpusData:
    fold = folds.folds[number]
    table = {group: split for split, groups in fold.items() for group in groups}
    placed = [replace(s, split=table.get(_group(s, folds), "train")) for s in corpus.segments]
    if "dev" not in table.values():
        rule = splits.SplitRule(folds.group, (1 - DEV, DEV, 0.0))
        drawn = splits.assign((s for s in placed if s.split == "train"), rule, seed)
        placed = [replace(s, split=drawn[_group(s, folds)]) if s.split == "train" else s for s in placed]
    return replace(corpus, segments=placed)


def _group(segment: Segment, folds: Folds) -> str:
    return splits.group_of(segment, folds.group)


def tested(data: Data, name: str) -> list[int]:
    """Return the rows of a corpus that a fold tests."""
    return data.corpora[name].rows("test")


def together(
    data: Data, name: str, rows: Sequence[Sequence[int]], log_p: Sequence[NDArray[np.float64]]
) -> tuple[Data, NDArray[np.float64]]:
    """Return a corpus with the segments that some fold tested, and their out-of-fold log-probabilities (N, K)."""
    order = [row for fold in rows for row in fold]
    chosen = data.corpora[name].only(order)
    return replace(data, corpora={**data.corpora, name: chosen}), np.concatenate(list(log_p))
