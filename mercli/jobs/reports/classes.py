"""``mer report classes``: how each class fares."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from mercli.jobs.reports import each
from mercli.jobs.reports.stored import Group, grouped, kind_of, unfinished
from mercli.results import classes as by_class
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table


def classes(run: Path) -> Section:
    """Return precision, recall, F1 and support of each class in each corpus, and scikit-learn's table of the same.

    The answers of all seeds are counted together, as the intervals of ``mer loco`` are. Raises ``DataError`` where the
    run has stored no predictions with targets. Labels that many may hold, and dimensions, have figures of their own.
    """
    if kind_of(run) != "one-of":
        return each.section(run)
    names, groups = grouped(run)
    corpora: list[dict[str, Any]] = []
    tables, pictures, texts = [], [], []
    for group, own in groups.items():
        support = own.support(len(names))
        found = by_class.per_class(*own.arrays(), names)
        rows = [{**row, "support": n} for row, n in zip(found, support, strict=True)]
        title = own.title(f"{run.name}: {group}")
        corpora.append({"group": group, "seeds": len(own.seeds), "title": title, "classes": rows})
        stem = f"classes-{group}"
        tables.append(_table(stem, own.title(group), rows))
        pictures.append(Picture(stem, title, by_class.said(title, rows), **by_class.picture(rows, title)))
        texts.append(f"{title}\n\n{_sklearn(own, names)}")
    return Section(
        "classes",
        "Per class",
        {"run": run.name, "corpora": corpora},
        tuple(tables),
        tuple(pictures),
        unfinished(run),
        {"classification_report.txt": "\n".join(texts)},
    )


def _table(stem: str, title: str, rows: list[dict[str, Any]]) -> Table:
    columns = ("class", "precision", INTERVAL, "recall", INTERVAL, "F1", INTERVAL, "support")
    return Table(stem, title, columns, [(row["class"], *_figures(row), row["support"]) for row in rows])


def _figures(row: dict[str, Any]) -> list[Any]:
    intervals = {name: row[f"{name}_interval"] for name in by_class.FIGURES}
    return [cell for name, own in intervals.items() for cell in (row[name], Interval(*own) if own else None)]


def _sklearn(group: Group, names: tuple[str, ...]) -> str:
    """Return scikit-learn's classification report; undefined figures are ``nan``, its supports count every seed."""
    from sklearn.metrics import classification_report

    targets, predicted, _ = group.arrays()
    text: str = classification_report(
        targets, predicted, labels=range(len(names)), target_names=names, digits=3, zero_division=math.nan
    )
    return text
