"""``mer report compare``: two runs' answers to the same segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mercli.errors import DataError
from mercli.jobs.fits import comparing
from mercli.jobs.reports.stored import predictions, unfinished
from mercli.results import differences
from mercli.results.section import Picture, Section, Table
from mercli.types import Prediction

FIGURES = {
    "uar": "UAR A",
    "other_uar": "UAR B",
    "difference": "difference",
    "p": "p",
    "p_holm": "p (Holm)",
    "smallest_difference": "could be seen",
    "segments": "segments",
    "changed": "changed answers",
}


def compare(run: Path, other: Path) -> Section:
    """Return what two runs (their first heads) differ by in each corpus and class, and which answers changed.

    Both are looked at where both answer: the same segment and seed. Raises ``DataError`` for runs without predictions,
    of different label schemes, or that share no answer.
    """
    schemes = [_scheme(each) for each in (run, other)]
    if schemes[0] != schemes[1]:
        told = [
            f"run '{each.name}' answers {_told(scheme)}" for each, scheme in zip((run, other), schemes, strict=True)
        ]
        raise DataError(f"{' and '.join(told)}: not comparable", "mer report compare A B, with runs of one scheme")
    comparing.refuse_others(f"run '{run.name}'", comparing.told(run), other)
    mine, theirs = _answers(run), _answers(other)
    rows = comparing.between(mine, theirs, run.name, other.name)
    if not rows:
        raise DataError(
            f"runs '{run.name}' and '{other.name}' have no segment and seed in common", f"ls '{run.parent}'"
        )
    changes: list[dict[str, str]] = []
    for row in rows:
        a, b = mine[row["corpus"]], theirs[row["corpus"]]
        keys = sorted(a.labels.keys() & b.labels.keys())
        labels = [[each.labels[key] for key in keys] for each in (a, b)]
        row["classes"] = differences.recalls([a.targets[identity] for identity, _ in keys], *labels)
        row["changed"] = sum(left != right for left, right in zip(*labels, strict=True))
        changes += _changed(row["corpus"], keys, a, b)
    title = f"A: {run.name}, B: {other.name}"
    picture = Picture(
        "compare", title, differences.said(title, rows), **differences.picture(rows, run.name, other.name)
    )
    document = {"a": run.name, "b": other.name, "corpora": rows, "changed": changes}
    notes = (
        *unfinished(run),
        *unfinished(other),
        *comparing.untold(run, other),
        "p: paired permutation that swaps whole speakers",
    )
    return Section("compare", "Two runs compared", document, _tables(rows, changes), (picture,), notes)


def _scheme(run: Path) -> tuple[str, ...]:
    """Return the scheme that a run's answers are in: its name and classes."""
    first = next(predictions(run))
    return (first["scheme"], *first["scores"])


def _told(scheme: tuple[str, ...]) -> str:
    return f"'{scheme[0]}' ({', '.join(scheme[1:])})"


def _answers(run: Path) -> dict[str, comparing.Answers]:
    return comparing.by_corpus(Prediction(**{**row, "scores": {}, "text": None}) for row in predictions(run))


def _changed(
    corpus: str, keys: list[tuple[str, str]], one: comparing.Answers, other: comparing.Answers
) -> list[dict[str, str]]:
    """Return the answers that the two give differently, by segment and seed."""
    return [
        {
            "corpus": corpus,
            "id": identity,
            "seed": seed.removeprefix("seed"),
            "target": one.targets[identity],
            "a": one.labels[identity, seed],
            "b": other.labels[identity, seed],
        }
        for identity, seed in keys
        if one.labels[identity, seed] != other.labels[identity, seed]
    ]


def _tables(rows: list[dict[str, Any]], changes: list[dict[str, str]]) -> tuple[Table, ...]:
    """Return the corpora's figures, those of each class, and every answer that changed (for its file)."""
    corpora = [(row["corpus"], *(row[key] for key in FIGURES)) for row in rows]
    classes = [(row["corpus"], *(one[k] for k in differences.COLUMNS)) for row in rows for one in row["classes"]]
    changed = [tuple(change.values()) for change in changes]
    named = ("corpus", "class", "recall A", "recall B", "difference", "answers")
    return (
        Table("compare", "A against B", ("corpus", *FIGURES.values()), corpora),
        Table("compare-classes", "recall per class", named, classes, keys=2),
        Table(
            "compare-changed",
            "answers that changed",
            ("corpus", "id", "seed", "target", "A", "B"),
            changed,
            keys=3,
            shown=False,
        ),
    )
