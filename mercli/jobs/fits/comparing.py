"""Comparing predictions of the same segments: heads, encoders or runs, whose labels must be read alike."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mercli import rundir
from mercli.errors import DataError
from mercli.jobs.fits.dataset import Data
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


def labels(data: Data) -> dict[str, Any]:
    """Return what answers are in: the scheme with its classes, and by which policy each corpus is read."""
    policies = {name: str(corpus.card.get("policy", data.scheme.name)) for name, corpus in data.corpora.items()}
    return {"scheme": [data.scheme.name, *data.scheme.names], "policies": policies}


def note(run: Path, data: Data) -> None:
    """Write the labels of a run into its provenance, where ``refuse_others`` finds them."""
    rundir.note(run, labels=labels(data))


def told(run: Path) -> dict[str, Any]:
    """Return the labels of a run as it noted them; nothing of one that noted none."""
    found: dict[str, Any] = rundir.noted(run).get("labels", {})
    return found


def untold(*runs: Path) -> list[str]:
    """Return a sentence for each run that does not say how its labels were read."""
    return [f"'{run.name}' does not say by which policy its labels were read" for run in runs if not told(run)]


def refuse_others(name: str, mine: Mapping[str, Any], run: Path) -> None:
    """Raise ``DataError`` where another run's answers are in other classes, or a corpus of both is read otherwise."""
    theirs = told(run)
    hint = "mer report compare A B, with runs of one scheme and one policy"
    if mine and theirs and mine["scheme"] != theirs["scheme"]:
        one, other = (f"'{scheme[0]}' ({', '.join(scheme[1:])})" for scheme in (mine["scheme"], theirs["scheme"]))
        raise DataError(f"{name} answers {one} and run '{run.name}' answers {other}: not comparable", hint)
    for corpus, policy in mine.get("policies", {}).items():
        other = theirs.get("policies", {}).get(corpus, policy)
        if other != policy:
            read = f"{name} reads the labels of '{corpus}' by '{policy}' and run '{run.name}' by '{other}'"
            raise DataError(f"{read}: not comparable", hint)


def within(
    made: Sequence[Prediction], pairs: Sequence[tuple[str, str]], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the two heads of each pair against each other in every corpus; p-values corrected for all (Holm).

    ``rows``: those of the run's scores, which tell what encoders have seen.
    """
    answers = {name: by_corpus(made, name) for pair in pairs for name in pair}
    sides = [(one, other, answers[one], answers[other]) for one, other in pairs]
    return _against(sides, {(row["head"], row["corpus"]): row["seen_by"] for row in rows})


def with_run(
    made: Sequence[Prediction], rows: Sequence[Mapping[str, Any]], run: Path, name: str
) -> list[dict[str, Any]]:
    """Return this run's first head against another run's in every corpus that both hold out.

    Raises ``DataError`` where the two have no segment in common.
    """
    theirs = by_corpus(Prediction(**row) for row in read_lines(run / "predictions.jsonl"))
    seen = {**_seen("this run", rows), **_seen(name, stored_rows(run))}
    found = _against([("this run", name, by_corpus(made), theirs)], seen)
    if not found:
        raise DataError(f"run '{name}' has predicted no segment that this one has", f"ls {run}")
    return found


def stored_rows(run: Path) -> list[dict[str, Any]]:
    """Return the rows of a run of ``mer loco``, none of another or of one that has not ended."""
    path = run / "scores.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows: list[dict[str, Any]] = found.get("rows", [])
    return rows


def _seen(name: str, rows: Sequence[Mapping[str, Any]]) -> dict[tuple[str, str], list[str]]:
    """Return by corpus what encoders of a run's first head have seen."""
    return {(name, row["corpus"]): row["seen_by"] for row in rows if row["head"] == rows[0]["head"]}


def between(mine: Mapping[str, Answers], theirs: Mapping[str, Answers], one: str, other: str) -> list[dict[str, Any]]:
    """Return one's answers against the other's in every corpus where both answer; none where there is no such."""
    return _against([(one, other, mine, theirs)], {})


def _against(
    sides: Sequence[tuple[str, str, Mapping[str, Answers], Mapping[str, Answers]]],
    seen: Mapping[tuple[str, str], Sequence[str]],
) -> list[dict[str, Any]]:
    """Return a row for every corpus where both sides answer, corrected for how many rows there are."""
    found = [
        ({"one": one, "other": other, "corpus": corpus}, answers, theirs[corpus])
        for one, other, mine, theirs in sides
        for corpus, answers in mine.items()
        if corpus in theirs and answers.labels.keys() & theirs[corpus].labels.keys()
    ]
    rows = [
        {
            **where,
            **_compare(mine, theirs, len(found)),
            "seen_by": sorted({m for name in ("one", "other") for m in seen.get((where[name], where["corpus"]), ())}),
        }
        for where, mine, theirs in found
    ]
    adjusted = significance.holm([float("nan") if row["p"] is None else row["p"] for row in rows])
    return [{**row, "p_holm": None if np.isnan(p) else p} for row, p in zip(rows, adjusted, strict=True)]


def by_corpus(made: Iterable[Prediction], head: str | None = None) -> dict[str, Answers]:
    """Return the answers of one head (``None``: of the run's first) by held-out corpus; folds are taken together."""
    found: dict[str, Answers] = {}
    for prediction in made:
        corpus, seed, own = parts_of(prediction.fold)
        head = head or own or None
        if (own and own != head) or prediction.label is None or not isinstance(prediction.target, str):
            continue
        answers = found.setdefault(corpus, Answers())
        answers.labels[prediction.id, seed] = prediction.label
        answers.targets[prediction.id] = str(prediction.target)
        answers.clusters[prediction.id] = prediction.cluster or prediction.clip
    return found


def _compare(one: Answers, other: Answers, tests: int) -> dict[str, Any]:
    """Return both UARs where both have answers, their difference, its p-value, and what difference could be seen.

    The last is that of one of so many ``tests``.
    """
    common = sorted(one.labels.keys() & other.labels.keys())
    names = sorted({*one.targets.values(), *one.labels.values(), *other.labels.values()})
    code = {name: index for index, name in enumerate(names)}

    targets = np.asarray([code[one.targets[identity]] for identity, _ in common])
    mine, theirs = (np.asarray([code[answers.labels[key]] for key in common]) for answers in (one, other))
    clusters = [one.clusters[identity] for identity, _ in common]
    given = (metrics.uar_of, targets, mine, theirs, clusters, len(names))
    difference, p_value = significance.paired_permutation(*given)
    least = significance.smallest_difference(*given, tests=tests)
    return {
        "uar": metrics.uar(targets, mine, len(names)),
        "other_uar": metrics.uar(targets, theirs, len(names)),
        "difference": difference,
        "p": None if np.isnan(p_value) else p_value,
        "smallest_difference": None if np.isnan(least) else least,
        "segments": len({identity for identity, _ in common}),
        "clusters": len(set(clusters)),
    }
