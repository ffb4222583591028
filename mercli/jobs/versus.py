"""``mer report compare``: two runs' answers to the same segments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mercli import rundir
from mercli.errors import DataError
from mercli.jobs import comparing
from mercli.jobs.answers import written
from mercli.jobs.report import Report, predictions
from mercli.results import differences
from mercli.types import Prediction

FIGURES = ("uar", "other_uar", "difference", "p", "p_holm", "smallest_difference")


def compare(runs: Path, one: str, other: str, output: Path | None) -> Report:
    """Write what two runs (their first heads) differ by in each corpus and class, and which answers changed.

    Both are looked at where both answer: the same segment and seed. Lies in the first run's report, unless told.
    Raises ``DataError`` for runs without predictions, of different label schemes, or that share no answer.
    """
    first, second = rundir.find(runs, one), rundir.find(runs, other)
    (mine, scheme), (theirs, other_scheme) = _answers(first), _answers(second)
    if scheme != other_scheme:
        schemes = f"{_scheme(scheme)}, run '{second.name}' {_scheme(other_scheme)}"
        raise DataError(f"run '{first.name}' answers {schemes}: not comparable", "mer train --help")
    rows = comparing.between(mine, theirs, first.name, second.name)
    if not rows:
        raise DataError(f"runs '{first.name}' and '{second.name}' have no segment and seed in common", f"ls {runs}")
    changes: list[dict[str, str]] = []
    for row in rows:
        a, b = mine[row["corpus"]], theirs[row["corpus"]]
        keys = sorted(a.labels.keys() & b.labels.keys())
        labels = [[each.labels[key] for key in keys] for each in (a, b)]
        row["classes"] = differences.recalls([a.targets[identity] for identity, _ in keys], *labels)
        row["changed"] = sum(left != right for left, right in zip(*labels, strict=True))
        changes += _changed(row["corpus"], keys, a, b)
    folder = output or first / "report"
    picture = differences.picture(rows, first.name, second.name)
    document = {"a": first.name, "b": second.name, "corpora": rows, "changed": changes}
    files = written(folder, "compare", document, picture, _lines(rows))
    heading = ("corpus", "id", "seed", "target", "a", "b")
    cells = [heading, *([change[key] for key in heading] for change in changes)]
    return Report([document], [*files, *written(folder, "compare-changed", changes, {}, cells)])


def _answers(run: Path) -> tuple[dict[str, comparing.Answers], tuple[str, ...]]:
    """Return a run's answers by corpus and the scheme that they are in: its name and classes."""
    scheme: tuple[str, ...] = ()
    made = []
    for row in predictions(run):
        scheme = scheme or (row["scheme"], *row["scores"])
        made.append(Prediction(**{**row, "scores": {}, "text": None}))
    if not made:
        raise DataError(f"run '{run.name}' has no predictions with targets", "mer train --help")
    return comparing.by_corpus(made), scheme


def _scheme(scheme: tuple[str, ...]) -> str:
    return f"'{scheme[0]}' ({', '.join(scheme[1:])})"


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


def _lines(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Return the lines of the CSV: per corpus its UAR's line, then a line per class."""
    lines: list[list[Any]] = [
        ["corpus", "class", "a", "b", "difference", "p", "p_holm", "smallest_difference", "answers"]
    ]
    for row in rows:
        figures = ["" if row[key] is None else row[key] for key in FIGURES]
        answers = sum(each["answers"] for each in row["classes"])
        lines.append([row["corpus"], "(UAR)", *figures, answers])
        for each in row["classes"]:
            lines.append(
                [row["corpus"], each["class"], each["a"], each["b"], each["difference"], "", "", "", each["answers"]]
            )
    return lines
