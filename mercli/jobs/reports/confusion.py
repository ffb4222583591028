"""``mer report confusion``: which classes are taken for which."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.errors import ConfigError
from mercli.jobs.reports.stored import answers, unfinished
from mercli.results import confused
from mercli.results.section import Picture, Section, Table

GROUPS = ("corpus", "fold", "seed", "all")


@dataclass(frozen=True, eq=False)
class _Counted:
    """Counts (K, K + 1) of a group, row = target, last column = abstentions, and how many seeds they sum."""

    counts: NDArray[np.int64]
    seeds: int


def confusion(run: Path, *, by: str = "corpus", normalise: bool = False) -> Section:
    """Return a matrix per corpus, fold or seed, or one of all: counts, and shares of each row.

    Heads are apart always; counts are summed over what ``by`` does not keep apart, and title and document say over how
    many seeds. ``normalise`` shows shares first. Raises ``DataError`` where the run has no predictions with targets.
    """
    if by not in GROUPS:
        raise ConfigError(f"--by '{by}' is unknown, expected {', '.join(GROUPS)}", "mer report confusion --by corpus")
    names, groups = _counted(run, by)
    matrices, tables, pictures, notes = [], [], [], [*unfinished(run)]
    for group, found in groups.items():
        matrix = _matrix(run, group, found, names)
        matrices.append(matrix)
        tables += _tables(matrix, names, normalise)
        if len(names) <= confused.LARGEST:
            drawn = confused.picture(found.counts[:, :-1], names, matrix["title"])
            pictures.append(Picture(_stem(group), matrix["title"], confused.said(matrix["title"], matrix), **drawn))
        if matrix["seeds"] > 1:
            notes.append(f"{group}: counts summed over {matrix['seeds']} seeds")
        if matrix["abstained"]:
            notes.append(f"{group}: {matrix['abstained']} abstentions are in no column")
    if len(names) > confused.LARGEST:
        notes.append(f"{len(names)} classes: the most frequent confusions are listed, and the matrix is in its file")
    document = {"run": run.name, "by": by, "matrices": matrices}
    return Section("confusion", "Confusion", document, tuple(tables), tuple(pictures), tuple(notes))


def _counted(run: Path, by: str) -> tuple[tuple[str, ...], dict[str, _Counted]]:
    stored = answers(run)
    classes = len(stored.names)
    groups = {}
    for name, rows in stored.split([_group(*fold, by) for fold in stored.folds]).items():
        own = stored.group(rows)
        column = np.where(own.predicted < 0, classes, own.predicted)
        cells = np.bincount(own.targets * (classes + 1) + column, minlength=classes * (classes + 1))
        groups[name] = _Counted(cells.reshape(classes, classes + 1), len(own.seeds))
    return stored.names, groups


def _group(corpus: str, seed: str, head: str, fold: str, by: str) -> str:
    kept = {"all": ("all", head), "corpus": (corpus, head), "seed": (corpus, seed, head), "fold": (fold,)}
    return "/".join(filter(None, kept[by]))


def _matrix(run: Path, group: str, found: _Counted, names: Sequence[str]) -> dict[str, Any]:
    counts, seeds = found.counts[:, :-1], found.seeds
    title = f"{run.name}: {group}" + (f", summed over {seeds} seeds" if seeds > 1 else "")
    return {
        "group": group,
        "seeds": seeds,
        "title": title,
        "names": list(names),
        "counts": counts.tolist(),
        "shares": confused.shares(counts).round(6).tolist(),
        "abstained": int(found.counts[:, -1].sum()),
        "pairs": confused.pairs(counts, names),
    }


def _stem(group: str) -> str:
    return f"confusion-{group}"


def _tables(matrix: dict[str, Any], names: Sequence[str], normalise: bool) -> list[Table]:
    """Return counts, shares and the most frequent pairs of a group; what is shown depends on how many classes."""
    small = len(names) <= confused.LARGEST
    stem, seeds = _stem(matrix["group"]), matrix["seeds"]
    title = matrix["group"] + (f", {seeds} seeds" if seeds > 1 else "")
    made = [
        Table(f"{stem}{end}", f"{title}: {what} (rows: targets)", ("target", *names), rows, shown=small and shown)
        for end, what, rows, shown in (
            ("", "answers", _rows(names, matrix["counts"]), not normalise),
            ("-shares", "shares of a row", _rows(names, matrix["shares"]), normalise),
        )
    ]
    columns = ("target", "answer", "count", "share of target")
    pairs = [tuple(pair.values()) for pair in matrix["pairs"]]
    listed = Table(f"{stem}-pairs", f"{title}: most frequent confusions", columns, pairs, keys=2, shown=not small)
    return [*made, listed]


def _rows(names: Sequence[str], cells: Sequence[Sequence[Any]]) -> list[tuple[Any, ...]]:
    return [(name, *row) for name, row in zip(names, cells, strict=True)]
