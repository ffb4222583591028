"""The answers that a run has stored: streamed, or read once into columns and taken apart by corpus."""

from __future__ import annotations

import re
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli import rundir
from mercli.errors import DataError
from mercli.labels import THRESHOLD
from mercli.types import SchemeKind

Ints = NDArray[np.int64]
Told = tuple[str, float, float | None, str | None]


@dataclass(frozen=True, eq=False)
class Group:
    """Answers that are counted together, e.g. those in one corpus by one head, of all seeds.

    ``targets`` and ``predicted`` (-1: abstained) are class indices (N,), ``clusters`` and ``segments`` numbers (N,),
    ``seeds`` their names; ``rows`` are those of the run's answers.
    """

    targets: Ints
    predicted: Ints
    clusters: Ints
    segments: Ints
    seeds: frozenset[str]
    rows: NDArray[Any]

    def support(self, classes: int) -> list[int]:
        """Return how many segments (not answers: each seed gives one) are of each class."""
        each = np.unique(self.segments * classes + self.targets)
        found: list[int] = np.bincount(each % classes, minlength=classes).tolist()
        return found

    def arrays(self) -> tuple[Ints, Ints, Ints]:
        """Return targets, predicted and clusters (N,)."""
        return self.targets, self.predicted, self.clusters

    def title(self, name: str) -> str:
        """Return a name with how many seeds are counted under it."""
        return name + (f", {len(self.seeds)} seeds" if len(self.seeds) > 1 else "")


class _Coded:
    """Values as they first come, each once, and a column of their numbers."""

    def __init__(self) -> None:
        self.numbers: dict[Any, int] = {}
        self.column = array("q")

    def add(self, value: Any) -> bool:
        """Add a row; tell whether its value is new."""
        known = len(self.numbers)
        number = self.numbers.setdefault(value, known)
        self.column.append(number)
        return number == known


@dataclass(frozen=True, eq=False)
class Answers:
    """A run's N answers with targets, as columns: there may be millions.

    ``targets`` and ``predicted`` (-1: abstained) are class indices (N,), ``scores`` (N, K) probabilities. Where the
    scheme's ``kind`` is not one-of they are -1, and ``wanted`` (N, K) is what is there, or its value. ``segments``,
    ``clusters`` and ``parts`` (N,) are places in ``ids`` (each with its clip, start, end and text in ``told``), in the
    clusters as they first come, and in ``folds``: corpus, seed and head, with the fold as it is stored.
    """

    names: tuple[str, ...]
    targets: Ints
    predicted: Ints
    scores: NDArray[np.float64]
    segments: Ints
    clusters: Ints
    parts: Ints
    ids: list[str]
    told: list[Told]
    folds: list[tuple[str, str, str, str]]
    kind: SchemeKind
    wanted: NDArray[np.float64]

    @cached_property
    def clips(self) -> Ints:
        """The number of each answer's clip (N,)."""
        numbers: dict[str, int] = {}
        of_segment = [numbers.setdefault(clip, len(numbers)) for clip, *_ in self.told]
        return np.asarray(of_segment, np.int64)[self.segments]

    @cached_property
    def seeds(self) -> Ints:
        """The number of each answer's seed (N,)."""
        numbers: Ints = np.unique([seed for _, seed, _, _ in self.folds], return_inverse=True)[1]
        return numbers[self.parts]

    def group(self, rows: NDArray[Any], clusters: Ints | None = None) -> Group:
        """Return the answers of these rows as one group; ``clusters`` (N,) in the place of their own."""
        own = self.clusters if clusters is None else clusters
        seeds = frozenset(self.folds[part][1] for part in np.unique(self.parts[rows]))
        return Group(self.targets[rows], self.predicted[rows], own[rows], self.segments[rows], seeds, rows)

    def split(self, names: list[str]) -> dict[str, NDArray[np.bool_]]:
        """Return the rows (N,) under each name, which are given for each of ``folds``; sorted by name."""
        of_part = np.asarray(names)
        return {name: (of_part == name)[self.parts] for name in sorted(set(names))}

    def by_corpus(self) -> dict[str, NDArray[np.bool_]]:
        """Return the rows (N,) of each corpus, or of each corpus and head where a run has several heads."""
        return self.split([f"{corpus}/{head}" if head else corpus for corpus, _, head, _ in self.folds])

    def misjudged(self) -> Answers:
        """Return the wrong decisions on labels that many may hold as answers in classes: ``no fear`` for ``fear``."""
        given = self.scores >= THRESHOLD
        rows, labels = np.nonzero(given != (self.wanted > 0))
        names = (*self.names, *(f"no {name}" for name in self.names))
        said = given[rows, labels]
        predicted, targets = (labels + len(self.names) * absent for absent in (~said, said))
        scores = np.zeros((len(rows), len(names)))
        sure = self.scores[rows, labels]
        scores[np.arange(len(rows)), predicted] = np.where(said, sure, 1 - sure)
        columns = (self.segments[rows], self.clusters[rows], self.parts[rows])
        return replace(
            self, names=names, targets=targets, predicted=predicted, scores=scores, segments=columns[0],
            clusters=columns[1], parts=columns[2], kind="one-of", wanted=self.wanted[rows],
        )  # fmt: skip


def parts_of(fold: str | None) -> tuple[str, str, str]:
    """Return corpus, seed and head of ``CORPUS/seedN[/HEAD|/foldK]``; no head is ``""``, no fold is ``all``."""
    corpus, seed, last = [*(fold or "all").split("/"), "", ""][:3]
    return corpus, seed, "" if re.fullmatch(r"fold\d+", last) else last


def predictions(run: Path) -> Iterator[dict[str, Any]]:
    """Stream a run's answers that have targets; raises ``DataError`` where there is none."""
    path = run / "predictions.jsonl"
    if not path.is_file():
        raise DataError(
            f"run '{run.name}' has stored no predictions (it is in progress, or was stopped)",
            f"tail '{run / 'log.txt'}'",
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


def answers(run: Path) -> Answers:
    """Return a run's answers, read once for all kinds of report that ask one after another.

    Raises ``DataError`` where the run has stored no predictions with targets, or with targets it gives no score.
    """
    path = run / "predictions.jsonl"
    state = path.stat() if path.is_file() else None
    return _read(run, state and (state.st_ino, state.st_size, state.st_mtime_ns))


def grouped(run: Path) -> tuple[tuple[str, ...], dict[str, Group]]:
    """Return the class names and the answers per corpus, or per corpus and head where there are several heads."""
    found = answers(run)
    return found.names, {name: found.group(rows) for name, rows in found.by_corpus().items()}


def kind_of(run: Path) -> SchemeKind:
    """Return the kind of label scheme that a run's answers are in; one-of where it has stored none yet."""
    path = run / "predictions.jsonl"
    first: dict[str, Any] = next(rundir.read_lines(path), {}) if path.is_file() else {}
    return first.get("kind", "one-of")  # type: ignore[no-any-return]  # as Prediction has it


@lru_cache(maxsize=1)
def _read(run: Path, _state: tuple[int, ...] | None) -> Answers:
    names: tuple[str, ...] = ()
    index: dict[str, int] = {}
    segments, clusters, folds = _Coded(), _Coded(), _Coded()
    targets, predicted, scores, wanted = array("q"), array("q"), array("d"), array("d")
    told: list[Told] = []
    texts: dict[str | None, str | None] = {}
    kind = kind_of(run)
    for row in predictions(run):
        if not names:
            names = tuple(row["scores"])
            index = {name: number for number, name in enumerate(names)}
        if kind == "one-of" and row["target"] not in names:
            raise DataError(f"run '{run.name}' has a target '{row['target']}' that is none of {', '.join(names)}")
        targets.append(index[row["target"]] if kind == "one-of" else -1)
        predicted.append(index[row["label"]] if kind == "one-of" and row["label"] is not None else -1)
        wanted.extend(map(row["target"].__getitem__, names) if kind != "one-of" else ())
        scores.extend(map(row["scores"].__getitem__, names))
        if segments.add(row["id"]):
            text = row.get("text")
            told.append((row["clip"], row["start"], row.get("end"), texts.setdefault(text, text)))
        corpus = (row.get("fold") or "all").partition("/")[0]
        clusters.add((corpus, row.get("cluster") or row["clip"]))
        folds.add(row.get("fold"))
    columns = (targets, predicted, segments.column, clusters.column, folds.column)
    made = [np.frombuffer(column, np.int64) for column in columns]
    table = np.frombuffer(scores).reshape(-1, len(names))
    parts = [(*parts_of(fold), fold or "all") for fold in folds.numbers]
    asked = np.asarray(wanted, np.float64).reshape(-1, len(names))
    segments_, clusters_, folds_ = made[2:]
    ids = list(segments.numbers)
    return Answers(names, made[0], made[1], table, segments_, clusters_, folds_, ids, told, parts, kind, asked)
