"""The answers that a run has stored: streamed, or counted by corpus."""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import rundir
from mercli.errors import DataError


@dataclass
class Group:
    """The answers in one corpus (by one head), all seeds together; numbers are packed, since there may be millions.

    ``targets`` and ``predicted`` (-1: abstained) are class indices (N,), ``clusters`` numbers of speakers (N,),
    ``scores`` N * K probabilities in a row, ``segments`` hashes of the ids of each class.
    """

    targets: array[int] = field(default_factory=lambda: array("i"))
    predicted: array[int] = field(default_factory=lambda: array("i"))
    clusters: array[int] = field(default_factory=lambda: array("i"))
    scores: array[float] = field(default_factory=lambda: array("d"))
    segments: dict[int, set[int]] = field(default_factory=lambda: defaultdict(set))
    seeds: set[str] = field(default_factory=set)
    _numbers: dict[str, int] = field(default_factory=dict)

    def count(self, row: dict[str, Any], index: dict[str, int], of: str) -> None:
        """Count a line of ``predictions.jsonl`` without its scores, as one of the cluster ``of``."""
        target = index[row["target"]]
        self.targets.append(target)
        self.predicted.append(-1 if row["label"] is None else index[row["label"]])
        self.clusters.append(self._numbers.setdefault(of, len(self._numbers)))
        self.segments[target].add(hash(row["id"]))
        self.seeds.add(parts_of(row.get("fold"))[1])

    def add(self, row: dict[str, Any], index: dict[str, int]) -> None:
        """Count a line of ``predictions.jsonl`` with its scores."""
        self.count(row, index, cluster(row))
        self.scores.extend(row["scores"][name] for name in index)

    def support(self, classes: int) -> list[int]:
        """Return how many segments (not answers: each seed gives one) are of each class."""
        return [len(self.segments.get(number, ())) for number in range(classes)]

    def arrays(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Return targets, predicted and clusters (N,)."""
        one, other, third = (np.asarray(each, np.int64) for each in (self.targets, self.predicted, self.clusters))
        return one, other, third

    def title(self, name: str) -> str:
        """Return a name with how many seeds are counted under it."""
        return name + (f", {len(self.seeds)} seeds" if len(self.seeds) > 1 else "")


def parts_of(fold: str | None) -> tuple[str, str, str]:
    """Return corpus, seed and head of ``CORPUS/seedN[/HEAD|/foldK]``; no head is ``""``, no fold is ``all``."""
    corpus, seed, last = [*(fold or "all").split("/"), "", ""][:3]
    return corpus, seed, "" if re.fullmatch(r"fold\d+", last) else last


def group_of(row: dict[str, Any]) -> str:
    """Return the corpus of an answer, with its head where the run has several."""
    corpus, _, head = parts_of(row.get("fold"))
    return f"{corpus}/{head}" if head else corpus


def cluster(row: dict[str, Any]) -> str:
    """Return what an answer is not independent of."""
    return str(row.get("cluster") or row["clip"])


def predictions(run: Path) -> Iterator[dict[str, Any]]:
    """Stream a run's answers that have targets; raises ``DataError`` where there is none."""
    path = run / "predictions.jsonl"
    if not path.is_file():
        raise DataError(
            f"run '{run.name}' has stored no predictions (it is in progress, or was stopped)", f"tail {run / 'log.txt'}"
        )
    found = False
    for row in rundir.read_lines(path):
        if row.get("target") is not None:
            found = True
            yield row
    if not found:
        raise DataError(f"run '{run.name}' has no predictions with targets", "mer train --help")


def unfinished(run: Path) -> tuple[str, ...]:
    """Return a note where a run has not ended, so that nobody takes what it has stored so far for the whole."""
    if (run / "scores.json").is_file():
        return ()
    return (f"'{run.name}' has not ended (it is in progress, or was stopped): this is what it has stored so far",)


def named(run: Path, row: dict[str, Any], names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the classes of a run: those given, else this row's.

    Raises ``DataError`` where the row's target or scores are of other classes.
    """
    names = names or tuple(row["scores"])
    if row["target"] not in names:
        raise DataError(f"run '{run.name}' has a target '{row['target']}' that is none of {', '.join(names)}")
    return names


def grouped(run: Path) -> tuple[tuple[str, ...], dict[str, Group]]:
    """Return the class names and the answers per corpus, or per corpus and head where there are several heads.

    Raises ``DataError`` where the run has stored no predictions with targets, or with targets it gives no score.
    """
    names: tuple[str, ...] = ()
    groups: dict[str, Group] = defaultdict(Group)
    for row in predictions(run):
        names = named(run, row, names)
        groups[group_of(row)].add(row, {name: number for number, name in enumerate(names)})
    return names, dict(sorted(groups.items()))
