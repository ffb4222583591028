"""``mer report loco``: what a run scores on corpora it never saw, and who learns from whom."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from mercli.errors import DataError
from mercli.results import held_out
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table

SCORE = ("n", "uar", "low", "high", "uar_spread", "accuracy", "weighted_f1", "corrected_weighted_f1", "classes")
AFTER = {
    "uar_spread": "seeds sd",
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "corrected_weighted_f1": "wF1 own prior",
    "classes": "classes",
    "others_test_uar": "others' test UAR",
}


def loco(run: Path) -> Section:
    """Return the held-out scores of a run of ``mer loco``, and who learns from whom where ``--matrix`` measured it.

    The document has ``held_out`` rows and ``matrix`` cells. Raises ``DataError`` where the run left no corpus out.
    """
    found = _scores(run)
    rows = [_held_out(row) for row in found["rows"]]
    title = f"{run.name}: held out"
    tables = [_table(rows)]
    pictures = [Picture("loco", title, held_out.said(title, rows), **held_out.scores(rows, title))]
    matrix = [_transfer(cell) for cell in found["matrix"]]
    for head in dict.fromkeys(cell["head"] for cell in matrix):
        cells = [cell for cell in matrix if cell["head"] == head]
        named = f"{run.name}: train on one, test on each ({head})"
        tables.append(_cells(f"loco-matrix-{head}", f"train on one, test on each: {head}", cells))
        drawn = held_out.matrix(cells, named)
        pictures.append(Picture(f"loco-matrix-{head}", named, held_out.transferred(named, cells), **drawn))
    document = {"run": run.name, "means": found["means"], "held_out": rows, "matrix": matrix}
    notes = ("† an encoder was trained on this corpus",) if any(row["seen_by"] for row in rows) else ()
    return Section("loco", "Leave one corpus out", document, tuple(tables), tuple(pictures), notes)


def _scores(run: Path) -> dict[str, Any]:
    path = run / "scores.json"
    if not path.is_file():
        raise DataError(f"run '{run.name}' has stored no scores (it is in progress, or was stopped)", f"ls {run}")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise DataError(f"'{path}' is not JSON: {fault}", f"ls {run}") from fault
    if not isinstance(found, dict) or "rows" not in found:
        raise DataError(f"run '{run.name}' left no corpus out; its figures are per class", f"mer report classes {run}")
    return found


def _held_out(row: dict[str, Any]) -> dict[str, Any]:
    """Return a row of ``scores.json`` as the report has it; ``classes`` are those that the corpus has."""
    held = row["held_out"]
    own = {key: held[key] for key in SCORE if key in held}
    low, high = held["uar_interval"] or (None, None)
    return {
        "head": row["head"],
        "corpus": row["corpus"],
        "split": row["split"],
        **own,
        "low": low,
        "high": high,
        "uar_seeds": held["uar_seeds"],
        "classes": sum(count > 0 for count in held["support"].values()),
        "others_test_uar": row["others_test"] and row["others_test"]["uar"],
        "seen_by": row["seen_by"],
    }


def _transfer(cell: dict[str, Any]) -> dict[str, Any]:
    low, high = cell["uar_interval"] or (None, None)
    keys = ("head", "trained_on", "tested_on", "split", "n", "uar")
    return {**{key: cell[key] for key in keys}, "low": low, "high": high}


def _interval(row: dict[str, Any]) -> Interval | None:
    return None if row["low"] is None else Interval(row["low"], row["high"])


def _table(rows: list[dict[str, Any]]) -> Table:
    columns = ("head", "held out", "split", "n", "UAR", INTERVAL, *AFTER.values(), "seen by")
    cells = [
        (
            row["head"],
            row["corpus"] + ("†" if row["seen_by"] else ""),
            row["split"],
            row["n"],
            row["uar"],
            _interval(row),
            *(row[key] for key in AFTER),
            " ".join(row["seen_by"]) or None,
        )
        for row in rows
    ]
    return Table("loco", "held out", columns, cells, keys=2)


def _cells(stem: str, title: str, cells: list[dict[str, Any]]) -> Table:
    columns = ("head", "trained on", "tested on", "split", "n", "UAR", INTERVAL)
    rows = [(*(c[k] for k in ("head", "trained_on", "tested_on", "split", "n", "uar")), _interval(c)) for c in cells]
    return Table(stem, title, columns, rows, keys=3)
