"""``mer report curves``: how the fits of a run learned."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

from mercli import rundir
from mercli.errors import DataError
from mercli.jobs.answers import written
from mercli.jobs.report import Report
from mercli.results import curves as drawn

FIGURES = ("loss", "dev_loss", "dev_uar", "dev_accuracy", "dev_weighted_f1", "dev_macro_f1", "lr")


def curves(runs: Path, name: str | None, output: Path | None) -> Report:
    """Write loss and dev figures of each epoch, a line per seed (and fold), a picture per held-out corpus and head.

    Raises ``DataError`` where the run has stored no epochs.
    """
    run = rundir.find(runs, name)
    folder = output or run / "report"
    numbers, files = [], []
    for group, fits in _fits(run).items():
        title = f"{run.name}: {group}" if group else run.name
        rows = []
        for fit, epochs in fits.items():
            best = drawn.best_epoch(epochs)
            shown = {key: best.get(key) for key in FIGURES}
            rows.append({"fit": fit, "epochs": len(epochs), "best_epoch": best["number"], "best": shown})
        heading = ("fit", "epoch", *FIGURES, "kept")
        lines: list[Any] = [heading]
        for row, epochs in zip(rows, fits.values(), strict=True):
            for epoch in epochs:
                figures = ["" if epoch.get(key) is None else epoch[key] for key in FIGURES]
                kept = int(epoch["number"] == row["best_epoch"])
                lines.append([row["fit"], epoch["number"], *figures, kept])
        numbers.append({"run": run.name, "group": group, "title": title, "fits": rows})
        stem = f"curves-{group.replace(' ', '-')}" if group else "curves"
        document = {**numbers[-1], "epochs": fits}
        files += written(folder, stem, document, drawn.picture(fits, title), lines)
    return Report(numbers, files)


def _fits(run: Path) -> dict[str, dict[str, list[dict[str, Any]]]]:
    """Return the epochs of each fit, by what was held out (and head, where there are several), then seed and fold."""
    path = run / "metrics.jsonl"
    if not path.is_file():
        raise DataError(f"run '{run.name}' has stored no epochs (it is in progress, or was stopped)", f"ls {run}")
    rows = list(rundir.read_lines(path))
    if not rows:
        raise DataError(f"run '{run.name}' has no epochs", "mer train --help")
    many = len({row.get("head") for row in rows}) > 1
    groups: dict[str, dict[str, list[dict[str, Any]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        without = f"without {row['held_out']}" if "held_out" in row else ""
        group = f"{without}/{row['head']}" if many else without
        fit = f"seed {row['seed']}" + (f", fold {row['fold']}" if "fold" in row else "")
        groups[group][fit].append(row)
    return {group: dict(fits) for group, fits in groups.items()}
