"""``mer report``: what a run's predictions say, as pictures, tables and files."""

from __future__ import annotations

import csv
import io
import json
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from mercli import rundir
from mercli.errors import DataError
from mercli.results import metrics, plots


@dataclass(frozen=True)
class Report:
    """The numbers of a report and the files that hold them."""

    numbers: list[dict[str, Any]]
    files: list[Path]


def confusion(runs: Path, name: str | None, output: Path | None, by: str) -> Report:
    """Write a confusion matrix per corpus, per fold, or summed, as PNG, SVG, CSV and JSON.

    Counts are summed over the seeds of a group; title and JSON say over how many.
    Raises ``DataError`` where the run has stored no predictions with targets.
    """
    run = rundir.find(runs, name)
    groups: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
    seeds: dict[str, set[str]] = defaultdict(set)
    names: tuple[str, ...] = ()
    for row in predictions(run):
        names = names or tuple(row["scores"])
        groups[_group(row, by)].append((row["target"], row["label"]))
        seeds[_group(row, by)].add(str(row.get("fold")).rpartition("/")[2])
    if not groups:
        raise DataError(f"run '{run.name}' has no predictions with targets", "mer train --help")
    folder = output or run / "report"
    numbers, files = [], []
    for group, pairs in sorted(groups.items()):
        counts = _count(pairs, names)
        count = len(seeds[group])
        title = f"{run.name}: {group}" + (f", summed over {count} seeds" if count > 1 else "")
        numbers.append(
            {"run": run.name, "group": group, "seeds": count, "names": names, "counts": counts.tolist(), "title": title}
        )
        stem = f"confusion-{group.replace('/', '-')}"
        contents = {
            **plots.confusion(counts, names, title),
            "csv": _csv(counts, names).encode(),
            "json": (json.dumps(numbers[-1], indent=1) + "\n").encode(),
        }
        for ending, content in contents.items():
            path = folder / f"{stem}.{ending}"
            with rundir.atomic(path) as part:
                part.write_bytes(content)
            files.append(path)
    return Report(numbers, files)


def predictions(run: Path) -> Iterator[dict[str, Any]]:
    """Stream a run's predictions that have targets; raises ``DataError`` where it has stored none."""
    path = run / "predictions.jsonl"
    if not path.is_file():
        raise DataError(
            f"run '{run.name}' has stored no predictions (it is in progress, or was stopped)", f"tail {run / 'log.txt'}"
        )
    return (row for row in rundir.read_lines(path) if row.get("target") is not None)


def _group(row: dict[str, Any], by: str) -> str:
    fold = str(row.get("fold") or "all")
    return {"all": "all", "corpus": fold.split("/")[0], "fold": fold}[by]


def _count(pairs: list[tuple[str, str | None]], names: tuple[str, ...]) -> Any:
    index = {name: i for i, name in enumerate(names)}
    targets = np.asarray([index[target] for target, _ in pairs], np.int64)
    predicted = np.asarray([-1 if label is None else index[label] for _, label in pairs], np.int64)
    return metrics.confusion(targets, predicted, len(names))


def _csv(counts: Any, names: tuple[str, ...]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["target", *names])
    for name, row in zip(names, counts.tolist(), strict=True):
        writer.writerow([name, *row])
    return buffer.getvalue()
