"""``mer report classes``, ``loco`` and ``calibration``: what a run's answers are worth beyond one figure."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from mercli import rundir
from mercli.errors import DataError
from mercli.jobs.answers import Group, grouped, saved, written
from mercli.jobs.report import Report
from mercli.results import calibrated, held_out
from mercli.results import classes as by_class


def classes(runs: Path, name: str | None, output: Path | None) -> Report:
    """Write precision, recall, F1 and support of each class in each corpus, and scikit-learn's table of the same.

    The answers of all seeds are counted together, as the intervals of ``mer loco`` are. Raises ``DataError`` where the
    run has stored no predictions with targets.
    """
    run = rundir.find(runs, name)
    names, groups = grouped(run)
    folder = output or run / "report"
    numbers: list[dict[str, Any]] = []
    files: list[Path] = []
    texts = []
    for group, own in groups.items():
        given = (np.asarray(own.targets), np.asarray(own.predicted), own.clusters, names)
        support = own.support(len(names))
        rows = [{**row, "support": n} for row, n in zip(by_class.per_class(*given), support, strict=True)]
        title = _title(run, group, own)
        numbers.append({"run": run.name, "group": group, "seeds": len(own.seeds), "title": title, "classes": rows})
        pictures = by_class.picture(rows, title)
        files += written(folder, f"classes-{group}", numbers[-1], pictures, _class_rows(rows))
        texts.append(f"{title}\n\n{_sklearn(own, names)}")
    files.append(saved(folder / "classification_report.txt", "\n".join(texts).encode()))
    return Report(numbers, files)


def _class_rows(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the lines of the CSV, the header first; what is undefined stays empty."""
    heading = ["class"]
    for figure in by_class.FIGURES:
        heading += [figure, f"{figure}_low", f"{figure}_high"]
    lines = [
        [
            row["class"],
            *(v for f in by_class.FIGURES for v in (row[f], *(row[f"{f}_interval"] or ("", "")))),
            row["support"],
        ]
        for row in rows
    ]
    return [[*heading, "support"], *lines]


def _sklearn(group: Group, names: tuple[str, ...]) -> str:
    """Return scikit-learn's classification report; undefined figures are ``nan``, its supports count every seed."""
    from sklearn.metrics import classification_report

    text: str = classification_report(
        group.targets, group.predicted, labels=range(len(names)), target_names=names, digits=3, zero_division=math.nan
    )
    return text


def calibration(runs: Path, name: str | None, output: Path | None) -> Report:
    """Write reliability bins, ECE, Brier score and the risk-coverage curve of each corpus, all seeds together.

    The CSV holds the bins, ``risk-coverage-*.csv`` the curve. Raises ``DataError`` where the run has stored no
    predictions with targets.
    """
    run = rundir.find(runs, name)
    _, groups = grouped(run)
    folder = output or run / "report"
    numbers: list[dict[str, Any]] = []
    files: list[Path] = []
    for group, own in groups.items():
        found = calibrated.summary(np.asarray(own.scores, float), np.asarray(own.targets))
        title = _title(run, group, own)
        numbers.append({"run": run.name, "group": group, "seeds": len(own.seeds), "title": title, **found})
        bins = [list(found["bins"][0]), *([_cell(value) for value in row.values()] for row in found["bins"])]
        files += written(folder, f"calibration-{group}", numbers[-1], calibrated.picture(found, title), bins)
        curve = [["coverage", "risk"], *(list(point.values()) for point in found["risk_coverage"])]
        files += written(folder, f"risk-coverage-{group}", found["risk_coverage"], {}, curve)
    return Report(numbers, files)


def _title(run: Path, group: str, own: Group) -> str:
    return f"{run.name}: {group}" + (f", {len(own.seeds)} seeds" if len(own.seeds) > 1 else "")


SCORE = ("n", "uar", "low", "high", "uar_spread", "accuracy", "weighted_f1", "corrected_weighted_f1", "classes")


def loco(runs: Path, name: str | None, output: Path | None) -> Report:
    """Write the held-out scores of a run of ``mer loco``, and who learns from whom where ``--matrix`` measured it.

    Returns a document of ``held_out`` rows and ``matrix`` cells. Raises ``DataError`` where the run left no corpus out.
    """
    run = rundir.find(runs, name)
    found = _scores(run)
    rows = [_held_out(row) for row in found["rows"]]
    folder = output or run / "report"
    title = f"{run.name}: held out"
    document: dict[str, Any] = {"run": run.name, "means": found["means"], "held_out": rows, "matrix": []}
    heading = ("head", "corpus", "split", *SCORE, "others_test_uar", "seen_by")
    lines = [[_cell(row[key]) for key in heading] for row in rows]
    files = written(folder, "loco", document["held_out"], held_out.scores(rows, title), [heading, *lines])
    for head in dict.fromkeys(cell["head"] for cell in found["matrix"]):
        cells = [_transfer(cell) for cell in found["matrix"] if cell["head"] == head]
        document["matrix"] += cells
        picture = held_out.matrix(cells, f"{run.name}\ntrain on one, test on each: {head}")
        lines = [list(cells[0]), *([_cell(value) for value in cell.values()] for cell in cells)]
        files += written(folder, f"loco-matrix-{head}", cells, picture, lines)
    return Report([document], files)


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
    """Return a row of ``scores.json`` as the report writes it; ``classes`` are those that the corpus has."""
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


def _cell(value: Any) -> Any:
    return " ".join(value) if isinstance(value, list) else "" if value is None else value
