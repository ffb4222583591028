"""The answers that a run has stored, by corpus, and how a report's files are written."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mercli import rundir
from mercli.errors import DataError
from mercli.jobs.report import predictions


@dataclass
class Group:
    """The answers in one corpus (by one head), all seeds together: (N,) per list, scores (N, K)."""

    targets: list[int] = field(default_factory=list)
    predicted: list[int] = field(default_factory=list)
    clusters: list[str] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    segments: dict[str, int] = field(default_factory=dict)
    seeds: set[str] = field(default_factory=set)

    def support(self, classes: int) -> list[int]:
        """Return how many segments (not answers: each seed gives one) are of each class."""
        counts: list[int] = np.bincount(list(self.segments.values()), minlength=classes).tolist()
        return counts


def parts_of(fold: str | None) -> tuple[str, str, str]:
    """Return corpus, seed and head of ``CORPUS/seedN[/HEAD|/foldK]``; no head is ``""``, no fold is ``all``."""
    corpus, seed, last = [*(fold or "all").split("/"), "", ""][:3]
    return corpus, seed, "" if re.fullmatch(r"fold\d+", last) else last


def grouped(run: Path) -> tuple[tuple[str, ...], dict[str, Group]]:
    """Return the class names and the answers per corpus, or per corpus and head where there are several heads.

    Raises ``DataError`` where the run has stored no predictions with targets, or with targets it gives no score.
    """
    names: tuple[str, ...] = ()
    groups: dict[str, Group] = defaultdict(Group)
    for row in predictions(run):
        names = names or tuple(row["scores"])
        index = {name: i for i, name in enumerate(names)}
        if row["target"] not in index:
            raise DataError(f"run '{run.name}' has a target '{row['target']}' that is none of {', '.join(names)}")
        corpus, seed, head = parts_of(row.get("fold"))
        own = groups[f"{corpus}/{head}" if head else corpus]
        own.targets.append(index[row["target"]])
        own.predicted.append(-1 if row["label"] is None else index[row["label"]])
        own.clusters.append(row.get("cluster") or row["clip"])
        own.scores.append([row["scores"][name] for name in names])
        own.segments[row["id"]] = index[row["target"]]
        own.seeds.add(seed)
    if not groups:
        raise DataError(f"run '{run.name}' has no predictions with targets", "mer train --help")
    return names, dict(sorted(groups.items()))


def written(folder: Path, stem: str, numbers: Any, pictures: Mapping[str, bytes], rows: Iterable[Any]) -> list[Path]:
    """Write ``STEM.png``, ``.svg``, ``.csv`` (rows, their header first) and ``.json``, each at once; return the paths.

    A ``/`` in the stem (corpus and head) becomes ``-``.
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    document = json.dumps(rundir.plain(numbers), indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    contents = {**pictures, "csv": text.getvalue().encode(), "json": document.encode()}
    return [saved(folder / f"{stem.replace('/', '-')}.{ending}", content) for ending, content in contents.items()]


def saved(path: Path, content: bytes) -> Path:
    """Write a file at once and return its path."""
    with rundir.atomic(path) as part:
        part.write_bytes(content)
    return path
