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


@dataclass(frozen=True, eq=False)
class Side:
    """One model that is compared: its name, its answers by corpus, and what its encoders have seen by corpus."""

    name: str
    answers: Mapping[str, Answers]
    seen: Mapping[str, Sequence[str]] = field(default_factory=dict)


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
) -> list[tuple[Side, Side]]:
    """Return the two heads of each pair; ``rows``: those of the run's scores, which tell what encoders have seen."""
    sides = {name: Side(name, by_corpus(made, name), _seen(name, rows)) for pair in pairs for name in pair}
    return [(sides[one], sides[other]) for one, other in pairs]


def with_run(made: Sequence[Prediction], rows: Sequence[Mapping[str, Any]], run: Path, name: str) -> tuple[Side, Side]:
    """Return this run's first head and another run's.

    Raises ``DataError`` where the two have no segment in common.
    """
    theirs = by_corpus(Prediction(**row) for row in read_lines(run / "predictions.jsonl"))
    held = stored_rows(run)
    pair = (
        Side("this run", by_corpus(made), _seen(_first(rows), rows)),
        Side(name, theirs, _seen(_first(held), held)),
    )
    if not _shared(*pair):
        raise DataError(f"run '{name}' has predicted no segment that this one has", f"ls {run}")
    return pair


def stored_rows(run: Path) -> list[dict[str, Any]]:
    """Return the rows of a run of ``mer loco``, none of another or of one that has not ended."""
    path = run / "scores.json"
    found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    rows: list[dict[str, Any]] = found.get("rows", [])
    return rows


def _first(rows: Sequence[Mapping[str, Any]]) -> str | None:
    return rows[0]["head"] if rows else None


def _seen(head: str | None, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return by corpus what encoders of a head have seen."""
    return {row["corpus"]: row["seen_by"] for row in rows if row["head"] == head}


def between(mine: Mapping[str, Answers], theirs: Mapping[str, Answers], one: str, other: str) -> list[dict[str, Any]]:
    """Return one's answers against the other's in every corpus where both answer; none where there is no such."""
    return tested([(Side(one, mine), Side(other, theirs))])


def _shared(one: Side, other: Side) -> dict[str, list[tuple[str, str]]]:
    """Return the (segment, seed) that both answer, sorted, of each corpus with such."""
    both = [corpus for corpus in one.answers if corpus in other.answers]
    keys = {name: sorted(one.answers[name].labels.keys() & other.answers[name].labels.keys()) for name in both}
    return {name: common for name, common in keys.items() if common}


def tested(pairs: Sequence[tuple[Side, Side]]) -> list[dict[str, Any]]:
    """Return a row for each pair in every corpus where both answer, corrected for how many have a p-value (Holm)."""
    found = [(one, other, corpus, keys) for one, other in pairs for corpus, keys in _shared(one, other).items()]
    # where there is one cluster nothing is tested
    tests = sum(len({one.answers[corpus].clusters[own] for own, _ in keys}) > 1 for one, _, corpus, keys in found)
    rows = [
        {
            "one": one.name,
            "other": other.name,
            "corpus": corpus,
            **_compare(one.answers[corpus], other.answers[corpus], keys, tests),
            "seen_by": sorted({*one.seen.get(corpus, ()), *other.seen.get(corpus, ())}),
        }
        for one, other, corpus, keys in found
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


def _compare(one: Answers, other: Answers, common: Sequence[tuple[str, str]], tests: int) -> dict[str, Any]:
    """Return both UARs over the ``common`` (segment, seed), their difference, its p-value, and which could be seen.

    The last is that of one of so many ``tests``.
    """
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
