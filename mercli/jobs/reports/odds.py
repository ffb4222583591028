"""``mer report calibration`` of labels that many may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mercli.jobs.reports.stored import answers, unfinished
from mercli.results import odds
from mercli.results.section import Picture, Section, Table

FIGURES = {
    "answers": "answers",
    "share": "share",
    "probability": "probability",
    "ece": "ECE",
    "brier": "Brier",
    "ece_even": "ECE, even odds",
    "brier_even": "Brier, even odds",
}
EVEN = (
    "even odds: presence and absence weigh alike, as in training (unless loss.adjust_prior is false); as they occur, "
    "rare labels then get higher probabilities than their share"
)


def section(run: Path) -> Section:
    """Return how far each label's probabilities can be trusted in each corpus, all seeds together.

    Raises ``DataError`` where the run has stored no predictions with targets.
    """
    stored = answers(run)
    corpora: list[dict[str, Any]] = []
    tables, pictures = [], []
    for group, here in stored.by_corpus().items():
        own = stored.group(here)
        title = own.title(f"{run.name}: {group}")
        rows = odds.summary(stored.scores[here], stored.wanted[here] > 0, stored.names)
        corpora.append({"group": group, "seeds": len(own.seeds), "title": title, "labels": rows})
        cells = [(row["label"], *(row[key] for key in FIGURES)) for row in rows]
        stem = f"calibration-{group}"
        tables.append(Table(stem, own.title(group), ("label", *FIGURES.values()), cells))
        pictures.append(Picture(stem, title, odds.said(title, rows), **odds.picture(rows, title)))
    document = {"run": run.name, "corpora": corpora}
    return Section("calibration", "Calibration", document, tuple(tables), tuple(pictures), (*unfinished(run), EVEN))
