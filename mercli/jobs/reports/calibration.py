"""``mer report calibration``: how far probabilities can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mercli.jobs.reports import odds
from mercli.jobs.reports.stored import answers, kind_of, unfinished
from mercli.results import calibrated
from mercli.results.section import Picture, Section, Table

FIGURES = {"accuracy": "accuracy", "confidence": "confidence", "ece": "ECE", "brier": "Brier", "aurc": "AURC"}


def calibration(run: Path) -> Section:
    """Return reliability bins, ECE, Brier score and the risk-coverage curve of each corpus, all seeds together.

    Labels that many may hold are looked at one by one. Raises ``DataError`` where the run has stored no predictions
    with targets.
    """
    if kind_of(run) != "one-of":
        return odds.section(run)
    stored = answers(run)
    corpora: list[dict[str, Any]] = []
    tables, pictures = [], []
    for group, rows in stored.by_corpus().items():
        own = stored.group(rows)
        found = calibrated.summary(stored.scores[rows], own.targets)
        title = own.title(f"{run.name}: {group}")
        corpora.append({"group": group, "seeds": len(own.seeds), "title": title, **found})
        tables += _tables(group, own.title(group), found)
        drawn = calibrated.picture(found, title)
        pictures.append(Picture(f"calibration-{group}", title, calibrated.said(title, found), **drawn))
    cells = [(each["group"], each["answers"], *(each[key] for key in FIGURES)) for each in corpora]
    whole = Table("calibration", "all answers", ("corpus", "answers", *FIGURES.values()), cells)
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
