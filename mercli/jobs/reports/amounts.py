"""``mer report distribution`` of labels that many may hold, and of values."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mercli.corpora.manifest import Manifest
from mercli.jobs.fits import labelling
from mercli.results import amounts
from mercli.results.section import Picture, Section, Table
from mercli.types import LabelScheme


def section(run: Path, held: Sequence[Manifest], scheme: LabelScheme) -> Section:
    """Return how many segments of each part have each label, or how each dimension is spread, and what is left out."""
    parts: list[tuple[str, str, Any]] = []
    dropped: list[dict[str, Any]] = []
    for one in held:
        found: dict[str, list[tuple[float, ...]]] = {}
        gone: Counter[str] = Counter()
        for segment in one.segments():
            target = labelling.target_in(segment, one, scheme)
            if isinstance(target, tuple):
                found.setdefault(segment.split or "all", []).append(target)
            else:
                gone[str(target)] += 1
        splits = sorted(found, key=lambda split: (("train", "dev", "test", split).index(split), split))
        parts += [(one.name, split, np.asarray(found[split])) for split in splits]
        dropped += [{"corpus": one.name, "why": why, "segments": count} for why, count in sorted(gone.items())]
    title = f"{run.name}: {scheme.name} per corpus and split"
    table, picture, rows = _labels(title, parts, scheme) if scheme.kind == "many-of" else _values(title, parts, scheme)
    tables = [table]
    if dropped:
        cells = [tuple(row.values()) for row in dropped]
        tables.append(Table("distribution-left-out", "no target", ("corpus", "why", "segments"), cells, keys=2))
    document = {"run": run.name, "names": list(scheme.names), "parts": rows, "left_out": dropped}
    return Section("distribution", "Labels", document, tuple(tables), (picture,))


Told = tuple[Table, Picture, list[dict[str, Any]]]


def _labels(title: str, parts: Sequence[tuple[str, str, Any]], scheme: LabelScheme) -> Told:
    rows = [amounts.labels(corpus, split, targets, scheme.names) for corpus, split, targets in parts]
    drawn = amounts.picture_of_labels(rows, title)
    columns = ("corpus", "split", "n", *scheme.names, "without", "labels a segment")
    cells = [(r["corpus"], r["split"], r["n"], *r["counts"].values(), r["without"], r["labels"]) for r in rows]
    table = Table("distribution", "segments that have each label", columns, cells, keys=2)
    return table, Picture("distribution", title, amounts.said_of_labels(title, rows), **drawn), rows


def _values(title: str, parts: Sequence[tuple[str, str, Any]], scheme: LabelScheme) -> Told:
    rows = [row for corpus, split, targets in parts for row in amounts.values(corpus, split, targets, scheme.names)]
    drawn = amounts.picture_of_values(rows, title)
    table = Table("distribution", "values", tuple(rows[0]), [tuple(row.values()) for row in rows], keys=3)
    return table, Picture("distribution", title, amounts.said_of_values(title, rows), **drawn), rows
