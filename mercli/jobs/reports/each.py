"""``mer report classes`` of labels that many may hold, and of values: how each label or dimension fares."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mercli.jobs.reports.stored import answers, unfinished
from mercli.labels import WORDS
from mercli.results import intervals, labelled, rated
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table

FIGURES = {"many-of": labelled.FIGURES, "values": rated.FIGURES}
TITLES = {"many-of": "Per label", "values": "Per dimension"}


def section(run: Path) -> Section:
    """Return every figure of each label or dimension in each corpus, means over seeds.

    Raises ``DataError`` where the run has stored no predictions with targets.
    """
    stored = answers(run)
    corpora: list[dict[str, Any]] = []
    tables, pictures = [], []
    for group, here in stored.by_corpus().items():
        own = stored.group(here)
        title = own.title(f"{run.name}: {group}")
        given = (stored.wanted[here], stored.scores[here], own.clusters, stored.seeds[here])
        rows = intervals.each(intervals.Answered(stored.kind, *given), stored.names)
        if stored.kind == "many-of":
            _, first = np.unique(own.segments, return_index=True)
            there = (stored.wanted[here][first] > 0).sum(0)
            rows = [{**row, "support": int(count)} for row, count in zip(rows, there, strict=True)]
        corpora.append({"group": group, "seeds": len(own.seeds), "title": title, "classes": rows})
        tables.append(_table(f"classes-{group}", own.title(group), rows, stored.kind))
        drawn = intervals.picture(rows, intervals.DRAWN[stored.kind], title)
        told = intervals.said(title, rows, FIGURES[stored.kind][0])
        pictures.append(Picture(f"classes-{group}", title, told, **drawn))
    document = {"run": run.name, "corpora": corpora}
    return Section("classes", TITLES[stored.kind], document, tuple(tables), tuple(pictures), unfinished(run))


def _table(stem: str, title: str, rows: list[dict[str, Any]], kind: str) -> Table:
    names = FIGURES[kind]
    heading = [column for name in names for column in (WORDS[name], INTERVAL)]
    beside = ["support"] if kind == "many-of" else []
    cells = [
        (
            row["name"],
            *(cell for name in names for cell in (row[name], _bounds(row[f"{name}_interval"]))),
            *(row[name] for name in beside),
        )
        for row in rows
    ]
    return Table(stem, title, ("label" if beside else "dimension", *heading, *beside), cells)


def _bounds(interval: list[float] | None) -> Interval | None:
    return Interval(*interval) if interval else None
