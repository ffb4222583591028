"""``mer report distribution``: which labels a run's corpora have, per split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mercli.errors import DataError
from mercli.jobs.fits import labelling
from mercli.jobs.reports import amounts, origin
from mercli.jobs.reports.stored import answers, kind_of
from mercli.labels import narrowed
from mercli.results import spread
from mercli.results.section import Picture, Section, Table

WIDE = 14
"""Classes up to which each has a column; more have a row."""


def distribution(run: Path, *, data: Path | None = None) -> Section:
    """Return how many segments of each class the splits of a run's corpora have, and which labels are left out.

    Where the prepared corpora are not there any more, the targets of the run's predictions are counted instead, if they
    are classes; ``DataError`` else.
    """
    if kind_of(run) != "one-of":
        config = origin.settings(run, data)
        held = list(origin.manifests(run, data).values())
        return amounts.section(run, held, labelling.common_scheme(held, config.scheme))
    notes: tuple[str, ...] = ()
    try:
        names, rows, dropped = _prepared(run, data)
    except DataError as fault:
        if data is not None:
            raise
        names, rows = _answered(run)
        dropped = []
        notes = (f"{fault.message}: counted are the targets of the run's predictions, each once",)
    title = f"{run.name}: labels per corpus and split"
    picture = Picture("distribution", title, spread.said(title, rows), **spread.picture(rows, title))
    left = [tuple(each.values()) for each in dropped]
    tables = [_table(rows, names)]
    if left:
        tables.append(
            Table("distribution-left-out", "labels of no class", ("corpus", "label", "segments"), left, keys=2)
        )
    document = {"run": run.name, "classes": list(names), "parts": rows, "left_out": dropped}
    return Section("distribution", "Labels", document, tuple(tables), (picture,), notes)


def _prepared(run: Path, data: Path | None) -> tuple[tuple[str, ...], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the classes, the counts per corpus and split, and the labels that are of none, from the manifests."""
    config = origin.settings(run, data)
    held = list(origin.manifests(run, data).values())
    scheme = labelling.common_scheme(held, config.scheme)
    scheme = narrowed(scheme, config.classes) if config.classes else scheme
    rows, dropped = [], []
    for one in held:
        parts: dict[str, Counter[str]] = {}
        gone: Counter[str] = Counter()
        for segment in one.segments():
            label = labelling.label_in(segment, one, scheme)
            if label is None:
                gone[str(segment.labels.get(labelling.source(one, scheme)))] += 1
            else:
                parts.setdefault(segment.split or "all", Counter())[label] += 1
        rows += [_row(one.name, split, parts[split], scheme.names) for split in sorted(parts, key=_place)]
        dropped += [{"corpus": one.name, "label": label, "segments": n} for label, n in sorted(gone.items())]
    return scheme.names, rows, dropped


def _place(split: str) -> tuple[int, str]:
    order = ("train", "dev", "test")
    return (order.index(split) if split in order else len(order), split)


def _row(corpus: str, split: str, counts: Counter[str], names: tuple[str, ...]) -> dict[str, Any]:
    return {"corpus": corpus, "split": split, "n": counts.total(), "counts": {name: counts[name] for name in names}}


def _answered(run: Path) -> tuple[tuple[str, ...], list[dict[str, Any]]]:
    """Return the classes and the counts of the targets, each segment once."""
    stored = answers(run)
    parts = {name: stored.group(rows) for name, rows in stored.split([corpus for corpus, *_ in stored.folds]).items()}
    support = {
        name: dict(zip(stored.names, own.support(len(stored.names)), strict=True)) for name, own in parts.items()
    }
    return stored.names, [_row(name, "predicted", Counter(counts), stored.names) for name, counts in support.items()]


def _table(rows: list[dict[str, Any]], names: tuple[str, ...]) -> Table:
    if len(names) <= WIDE:
        cells = [(row["corpus"], row["split"], row["n"], *row["counts"].values()) for row in rows]
        return Table("distribution", "segments per class", ("corpus", "split", "n", *names), cells, keys=2)
    long = list(_long(rows))
    return Table("distribution", "segments per class", ("corpus", "split", "class", "n"), long, keys=3)


def _long(rows: list[dict[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for row in rows:
        yield from ((row["corpus"], row["split"], name, count) for name, count in row["counts"].items() if count)
