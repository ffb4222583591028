"""``mer report errors`` of values: the answers that are farthest off, and by how much dimensions are."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mercli.jobs.reports.stored import Answers, unfinished
from mercli.results import apart
from mercli.results.section import Picture, Section, Table


def section(run: Path, stored: Answers, media: tuple[Mapping[str, str], tuple[str, ...]], most: int) -> Section:
    """Return the ``most`` distant answers with their clips and transcripts, and each dimension's distances.

    An answer is the mean over the seeds of its corpus (and head). ``media``: the medium of each clip, and notes.
    """
    paths, notes = media
    rows: list[dict[str, Any]] = []
    for group, here in stored.by_corpus().items():
        segments, of_row = np.unique(stored.segments[here], return_inverse=True)
        count = np.bincount(of_row)
        for place, name in enumerate(stored.names):
            answer, target = (
                np.bincount(of_row, table[here, place]) / count for table in (stored.scores, stored.wanted)
            )
            rows += [
                _row(stored, group, name, int(segment), float(t), float(a), paths)
                for segment, t, a in zip(segments, target, answer, strict=True)
            ]
    rows.sort(key=lambda row: (-row["distance"], row["group"], row["id"], row["dimension"]))
    dimensions = [_dimension(name, [row for row in rows if row["dimension"] == name]) for name in stored.names]
    title = f"{run.name}: answers beside their targets"
    picture = Picture("errors", title, apart.said(title, dimensions), **apart.picture(rows, stored.names, title))
    document = {"run": run.name, "mistakes": rows[:most], "dimensions": dimensions}
    keys = ("dimension", "target", "answer", "distance", "id", "clip", "text", "start", "end", "group")
    columns = ("#", *keys[:6], "transcript", "start", "end", "corpus")
    cells = [(number, *(row[key] for key in keys)) for number, row in enumerate(rows[:most], start=1)]
    whole = Table("errors-dimensions", "dimensions", tuple(dimensions[0]), [tuple(row.values()) for row in dimensions])
    tables = (Table("errors", "the answers that are farthest off", columns, cells), whole)
    return Section("errors", "Mistakes", document, tables, (picture,), (*unfinished(run), *notes))


def _row(
    stored: Answers, group: str, dimension: str, segment: int, target: float, answer: float, paths: Mapping[str, str]
) -> dict[str, Any]:
    clip, start, end, text = stored.told[segment]
    return {
        "group": group,
        "id": stored.ids[segment],
        "dimension": dimension,
        "target": round(target, 6),
        "answer": round(answer, 6),
        "distance": round(abs(answer - target), 6),
        "clip": paths.get(clip, clip),
        "start": start,
        "end": end,
        "text": text,
    }


def _dimension(name: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Return how far answers are off in a dimension, and to which side: above 0 they are too high."""
    off = np.asarray([row["answer"] - row["target"] for row in rows])
    return {
        "dimension": name,
        "segments": len(rows),
        "mean distance": float(np.abs(off).mean()),
        "median distance": float(np.median(np.abs(off))),
        "mean difference": float(off.mean()),
    }
