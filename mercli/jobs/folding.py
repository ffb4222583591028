"""Named cross-validations: each fold's splits laid over the data, and out-of-fold answers put together again."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from mercli.contracts import Folds
from mercli.corpora import splits
from mercli.errors import ConfigError
from mercli.jobs.dataset import CorpusData, Data
from mercli.registry import near
from mercli.types import Segment

DEV = 0.125
"""The share of a fold's training groups that choose the epoch where the fold names no dev part."""


def folded(data: Data, name: str, seed: int) -> Iterator[Data]:
    """Yield the data once per fold, its segments in that fold's train, dev and test parts.

    Raises ``ConfigError`` where a corpus has no folds of this name, or corpora have different numbers of them.
    """
    own = {corpus.name: _folds(corpus, name) for corpus in data.corpora.values()}
    counts = {len(folds.folds) for folds in own.values()}
    if len(counts) > 1:
        told = ", ".join(f"{corpus} {len(folds.folds)}" for corpus, folds in own.items())
        raise ConfigError(f"the corpora have different numbers of folds '{name}': {told}", "mer train --corpora ONE")
    for number in range(counts.pop()):
        corpora = {corpus: _split(data.corpora[corpus], folds, number, seed) for corpus, folds in own.items()}
        yield replace(data, corpora=corpora)


def _folds(corpus: CorpusData, name: str) -> Folds:
    known: Mapping[str, object] = corpus.card.get("folds") or {}
    if name not in known:
        raise ConfigError(f"corpus '{corpus.name}' has no folds '{name}'{near(name, known)}", "--folds official")
    return Folds(**known[name])  # type: ignore[arg-type]  # the card holds what prepare wrote


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
