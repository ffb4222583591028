"""Comparing predictions of the same segments: one head with another, or one run with another."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mercli.errors import DataError
from mercli.jobs.reports.stored import parts_of
from mercli.results import metrics, significance
from mercli.rundir import read_lines
from mercli.types import Prediction


@dataclass
class Answers:
    """The labels that one model gave in one corpus, by (segment, seed), with the segments' targets and clusters."""

    labels: dict[tuple[str, str], str] = field(default_factory=dict)
    targets: dict[str, str] = field(default_factory=dict)
    clusters: dict[str, str] = field(default_factory=dict)


def heads(made: Sequence[Prediction], names: Sequence[str]) -> list[dict[str, Any]]:
    """Return the first head against each other one in every corpus; p-values corrected for all of these (Holm)."""
    answers = {name: by_corpus(made, name) for name in names}
    pairs = [(names[0], other, corpus) for other in names[1:] for corpus in answers[names[0]]]
    rows = [{"one": one, "other": o, "corpus": c, **_compare(answers[one][c], answers[o][c])} for one, o, c in pairs]
    return _corrected(rows)


def with_run(made: Sequence[Prediction], run: Path, name: str) -> list[dict[str, Any]]:
    """Return this run's first head against another run's in every corpus that both hold out.

    Raises ``DataError`` where the two have no segment in common.
    """
    mine = by_corpus(made)
    theirs = by_corpus(Prediction(**row) for row in read_lines(run / "predictions.jsonl"))
    rows = between(mine, theirs, "this run", name)
    if not rows:
        raise DataError(f"run '{name}' has predicted no segment that this one has", f"ls {run}")
    return rows


def between(mine: Mapping[str, Answers], theirs: Mapping[str, Answers], one: str, other: str) -> list[dict[str, Any]]:
    """Return one's answers against the other's in every corpus where both answer; none where there is no such."""
    return _corrected(
        [
            {"one": one, "other": other, "corpus": corpus, **_compare(answers, theirs[corpus])}
            for corpus, answers in mine.items()
            if corpus in theirs and answers.labels.keys() & theirs[corpus].labels.keys()
        ]
    )


def by_corpus(made: Iterable[Prediction], head: str | None = None) -> dict[str, Answers]:
    """Return the answers of one head (``None``: of the run's first) by held-out corpus; folds are taken together."""
    found: dict[str, Answers] = {}
    for prediction in made:
        corpus, seed, own = parts_of(prediction.fold)
        head = head or own or None
        if (own and own != head) or prediction.label is None or prediction.target is None:
            continue
        answers = found.setdefault(corpus, Answers())
        answers.labels[prediction.id, seed] = prediction.label
        answers.targets[prediction.id] = str(prediction.target)
        answers.clusters[prediction.id] = prediction.cluster or prediction.clip
    return found


def _compare(one: Answers, other: Answers) -> dict[str, Any]:
    """Return both UARs where both have answers, their difference, its p-value, and what difference could be seen."""
    common = sorted(one.labels.keys() & other.labels.keys())
    names = sorted({*one.targets.values(), *one.labels.values(), *other.labels.values()})
    code = {name: index for index, name in enumerate(names)}

    targets = np.asarray([code[one.targets[identity]] for identity, _ in common])
    mine, theirs = (np.asarray([code[answers.labels[key]] for key in common]) for answers in (one, other))
    clusters = [one.clusters[identity] for identity, _ in common]
    given = (metrics.uar_of, targets, mine, theirs, clusters, len(names))
    difference, p_value = significance.paired_permutation(*given)
    least = significance.smallest_difference(*given)
    return {
        "uar": metrics.uar(targets, mine, len(names)),
        "other_uar": metrics.uar(targets, theirs, len(names)),
        "difference": difference,
        "p": None if np.isnan(p_value) else p_value,
        "smallest_difference": None if np.isnan(least) else least,
        "segments": len({identity for identity, _ in common}),
        "clusters": len(set(clusters)),
    }


def _corrected(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    adjusted = significance.holm([float("nan") if row["p"] is None else row["p"] for row in rows])
    return [{**row, "p_holm": None if np.isnan(p) else p} for row, p in zip(rows, adjusted, strict=True)]
