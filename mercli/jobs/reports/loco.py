"""``mer report loco``: what a run scores on corpora it never saw, and who learns from whom."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mercli.errors import DataError
from mercli.jobs.reports import transferred
from mercli.jobs.reports.stored import kind_of
from mercli.results import encoders, held_out
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table

SCORE = ("n", "uar", "low", "high", "uar_spread", "accuracy", "weighted_f1", "corrected_weighted_f1", "classes")
COMMON = "common: the mean over the corpora that no row of encoders has seen; only it compares rows"
AFTER = {
    "uar_spread": "seeds sd",
    "accuracy": "accuracy",
    "weighted_f1": "weighted F1",
    "corrected_weighted_f1": "wF1 est. prior",
    "classes": "classes",
    "others_test_uar": "others' test UAR",
}


def loco(run: Path) -> Section:
    """Return the held-out scores of a run of ``mer loco``, who learns from whom where ``--matrix`` measured it, and the
    encoder x left-out table of a run with rows of encoders.

    The document has ``held_out`` rows, ``matrix`` cells, ``encoders`` tables and ``failures``. Raises ``DataError``
    where the run left no corpus out.
    """
    found = _scores(run)
    if kind_of(run) != "one-of":
        return transferred.section(run, found)
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
    for table in found["encoders"]:
        named = f"{run.name}: encoders and held-out corpora ({table['head']})"
        tables.append(encoder_table(table))
        drawn = held_out.encoders(table, named)
        pictures.append(Picture(f"loco-encoders-{table['head']}", named, encoders.said(named, table), **drawn))
    document = {"run": run.name, **{key: found[key] for key in ("means", "encoders", "failures")}}
    document |= {"held_out": rows, "matrix": matrix}
    return Section("loco", "Leave one corpus out", document, tuple(tables), tuple(pictures), tuple(_notes(rows, found)))


def _notes(rows: list[dict[str, Any]], found: dict[str, Any]) -> Iterator[str]:
    if any(row["seen_by"] or row["others_seen"] for row in rows) or any(cell["seen_by"] for cell in found["matrix"]):
        yield "† an encoder was trained on this data: no mean holds it"
    if found["encoders"]:
        yield COMMON
    for failure in found["failures"]:
        yield f"{failure['fit']} could not be fitted: {failure['error']}"


def _scores(run: Path) -> dict[str, Any]:
    path = run / "scores.json"
    if not path.is_file():
        raise DataError(
            f"run '{run.name}' has stored no scores (it is in progress, or was stopped)", f"mer loco --resume '{run}'"
        )
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as fault:
        raise DataError(f"'{path}' is not JSON: {fault}", f"ls '{run}'") from fault
    if not isinstance(found, dict) or "rows" not in found:
        raise DataError(
            f"run '{run.name}' left no corpus out; its figures are per class", f"mer report classes '{run}'"
        )
    return {"encoders": [], "failures": [], **found}


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
        "others_seen": sorted((row["others_test"] or {}).get("seen_by", ())),
        "seen_by": row["seen_by"],
    }


def _transfer(cell: dict[str, Any]) -> dict[str, Any]:
    low, high = cell["uar_interval"] or (None, None)
    keys = ("head", "trained_on", "tested_on", "split", "n", "uar", "seen_by")
    return {**{key: cell[key] for key in keys}, "low": low, "high": high}


def _interval(row: dict[str, Any]) -> Interval | None:
    return None if row["low"] is None else Interval(row["low"], row["high"])


def _table(rows: list[dict[str, Any]]) -> Table:
    columns = ("head", "held out", "split", "n", "UAR", INTERVAL, *AFTER.values(), "seen by", "others seen")
    cells = [
        (
            row["head"],
            row["corpus"] + ("†" if row["seen_by"] else ""),
            row["split"],
            row["n"],
            row["uar"],
            _interval(row),
            *(row[key] for key in AFTER),
            *(" ".join(row[key]) or None for key in ("seen_by", "others_seen")),
        )
        for row in rows
    ]
    return Table("loco", "held out", columns, cells, keys=2)


def _cells(stem: str, title: str, cells: list[dict[str, Any]]) -> Table:
    columns = ("head", "trained on", "tested on", "split", "n", "UAR", INTERVAL)
    rows = [
        (
            c["head"],
            c["trained_on"],
            c["tested_on"] + ("†" if c["seen_by"] else ""),
            *(c[key] for key in ("split", "n", "uar")),
            _interval(c),
        )
        for c in cells
    ]
    return Table(stem, title, columns, rows, keys=3)


def encoder_table(table: dict[str, Any]) -> Table:
    """Return the encoder x left-out table of a head, the mean of each held-out corpus below (that of rows unseen)."""
    corpora = table["corpora"]
    rows = [
        (
            row["encoder"],
            *(_marked(row["cells"].get(corpus)) for corpus in corpora),
            *(row[key] for key in ("mean", "common_mean", "others_test")),
        )
        for row in table["rows"]
    ]
    rows.append(("average", *(table["average"][corpus] for corpus in corpora), None, None, None))
    columns = ("encoders", *corpora, "mean", "common", "others' test UAR")
    return Table(f"loco-encoders-{table['head']}", f"encoders and held-out corpora: {table['head']}", columns, rows)


def _marked(cell: dict[str, Any] | None) -> str | None:
    """Return a UAR with its interval in a cell, and the dagger of what an encoder has seen."""
    if cell is None:
        return None
    interval = "" if cell["low"] is None else f" ({cell['low']:.3f}-{cell['high']:.3f})"
    return f"{cell['uar']:.3f}{'†' if cell['seen_by'] else ''}{interval}"
