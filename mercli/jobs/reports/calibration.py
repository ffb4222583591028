"""``mer report calibration``: how far probabilities can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from mercli.jobs.reports.stored import grouped, unfinished
from mercli.results import calibrated
from mercli.results.section import Picture, Section, Table

FIGURES = {"accuracy": "accuracy", "confidence": "confidence", "ece": "ECE", "brier": "Brier", "aurc": "AURC"}


def calibration(run: Path) -> Section:
    """Return reliability bins, ECE, Brier score and the risk-coverage curve of each corpus, all seeds together.

    Raises ``DataError`` where the run has stored no predictions with targets.
    """
    names, groups = grouped(run)
    corpora: list[dict[str, Any]] = []
    tables, pictures = [], []
    for group, own in groups.items():
        scores = np.asarray(own.scores, np.float64).reshape(-1, len(names))
        found = calibrated.summary(scores, own.arrays()[0])
        title = own.title(f"{run.name}: {group}")
        corpora.append({"group": group, "seeds": len(own.seeds), "title": title, **found})
        tables += _tables(group, own.title(group), found)
        drawn = calibrated.picture(found, title)
        pictures.append(Picture(f"calibration-{group}", title, calibrated.said(title, found), **drawn))
    rows = [(each["group"], each["answers"], *(each[key] for key in FIGURES)) for each in corpora]
    whole = Table("calibration", "all answers", ("corpus", "answers", *FIGURES.values()), rows)
    document = {"run": run.name, "corpora": corpora}
    return Section("calibration", "Calibration", document, (whole, *tables), tuple(pictures), unfinished(run))


def _tables(group: str, title: str, found: dict[str, Any]) -> list[Table]:
    """Return the bins of confidence and the curve of risk against coverage, both for their files."""
    bins = [tuple(row.values()) for row in found["bins"]]
    curve = [tuple(point.values()) for point in found["risk_coverage"]]
    return [
        Table(f"calibration-{group}", f"{title}: bins of confidence", tuple(found["bins"][0]), bins, 2, shown=False),
        Table(f"risk-coverage-{group}", f"{title}: risk and coverage", ("coverage", "risk"), curve, shown=False),
    ]
