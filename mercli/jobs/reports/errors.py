"""``mer report errors``: the most confident mistakes, and which classes they are between."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.corpora.manifest import Manifest
from mercli.errors import DataError
from mercli.jobs.reports import distances, origin
from mercli.jobs.reports.stored import Answers, answers, unfinished
from mercli.results import mistaken
from mercli.results.section import Picture, Section, Table


@dataclass(frozen=True, eq=False)
class _Mistakes:
    """Wrong answers to segments, M of them, the most confident first; a column each, of numbers as they are stored.

    ``groups`` are places in the sorted corpora (and heads), ``seeds`` how many gave the answer, ``confidence`` the mean
    over all seeds of the group, 0 for those that answer otherwise.
    """

    groups: NDArray[np.int64]
    segments: NDArray[np.int64]
    targets: NDArray[np.int64]
    given: NDArray[np.int64]
    seeds: NDArray[np.int64]
    confidence: NDArray[np.float64]


def errors(run: Path, *, data: Path | None = None, most: int = 20) -> Section:
    """Return the ``most`` confident mistakes with their clips and transcripts, and how many there are of each pair.

    A mistake's confidence is the mean over all seeds of the probability that its answer got, 0 for seeds that answer
    otherwise: what several seeds agree on comes first. Labels that many may hold are judged each by itself, and values
    by how far they are off. Raises ``DataError`` where the run has no predictions.
    """
    stored = answers(run)
    if stored.kind == "values":
        return distances.section(run, stored, _paths(run, data), most)
    count = len(stored.targets) * (1 if stored.kind == "one-of" else len(stored.names))
    groups = {name: stored.group(rows) for name, rows in stored.by_corpus().items()}
    of_seeds = [len(group.seeds) for group in groups.values()]
    other = "confusion" if stored.kind == "one-of" else "classes"
    stored = stored if stored.kind == "one-of" else stored.misjudged()
    mistakes = _collected(stored, np.asarray(of_seeds))
    if not len(mistakes.groups):
        raise DataError(f"run '{run.name}' makes no mistake in {count} answers", f"mer report {other} '{run}'")
    pairs = _pairs(stored, mistakes)
    paths, notes = _paths(run, data)
    rows = [
        _row(stored, mistakes, place, list(groups), of_seeds, paths) for place in range(most)[: len(mistakes.groups)]
    ]
    title = f"{run.name}: the most frequent mistakes"
    wrong = int(mistakes.seeds.sum())
    told = mistaken.said(title, pairs, wrong, count)
    picture = Picture("errors", title, told, **mistaken.picture(pairs, title))
    notes = (*unfinished(run), *notes, f"{wrong} of {count} answers are wrong")
    document = {"run": run.name, "answers": count, "wrong": wrong, "mistakes": rows, "pairs": pairs}
    return Section("errors", "Mistakes", document, _tables(rows, pairs), (picture,), notes)


def _collected(stored: Answers, of_seeds: NDArray[np.int64]) -> _Mistakes:
    """Return the mistakes; ``of_seeds`` (G,) is how many seeds each group has. Equal confidence: by name."""
    group = np.empty(len(stored.targets), np.int64)
    for number, own in enumerate(stored.by_corpus().values()):
        group[own] = number
    wrong = np.flatnonzero((stored.predicted >= 0) & (stored.predicted != stored.targets))
    told = (group[wrong], stored.segments[wrong], stored.targets[wrong], stored.predicted[wrong])
    shape = (len(of_seeds), len(stored.ids), len(stored.names), len(stored.names))
    keys, of_key, seeds = np.unique(np.ravel_multi_index(told, shape), return_inverse=True, return_counts=True)
    groups, segments, targets, given = np.unravel_index(keys, shape)
    confidence = np.bincount(of_key, stored.scores[wrong, stored.predicted[wrong]]) / of_seeds[groups]
    ids, names = _ranks(stored.ids), _ranks(stored.names)
    order = np.lexsort((names[given], names[targets], ids[segments], groups, -confidence))
    counts = (groups[order], segments[order], targets[order], given[order], seeds[order])
    return _Mistakes(*counts, confidence[order])


def _ranks(names: Sequence[str]) -> NDArray[np.int64]:
    """Return the place that each name has among all, sorted."""
    ranks = np.empty(len(names), np.int64)
    ranks[sorted(range(len(names)), key=names.__getitem__)] = np.arange(len(names))
    return ranks


def _pairs(stored: Answers, mistakes: _Mistakes) -> list[dict[str, Any]]:
    """Return each pair of classes that is confused, the most frequent first, with its most confident example."""
    classes, ids = len(stored.names), len(stored.ids)
    keys, first, of_key = np.unique(mistakes.targets * classes + mistakes.given, return_index=True, return_inverse=True)
    given = np.bincount(of_key, mistakes.seeds)
    segments = np.bincount(np.unique(of_key * ids + mistakes.segments) // ids)
    rows = [
        {
            "target": stored.names[key // classes],
            "answer": stored.names[key % classes],
            "answers": int(given[place]),
            "segments": int(segments[place]),
            "example": stored.ids[mistakes.segments[first[place]]],
        }
        for place, key in enumerate(keys)
    ]
    return sorted(rows, key=lambda row: (-row["answers"], row["target"], row["answer"]))


def _paths(run: Path, data: Path | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the medium of each clip, and a note where the prepared corpora are not there."""
    try:
        held = origin.manifests(run, data)
    except DataError as fault:
        if data is not None:
            raise
        return {}, (f"{fault.message}: clips are told by their ids",)
    return {identity: path for one in held.values() for identity, path in _media(one)}, ()


def _media(held: Manifest) -> Iterator[tuple[str, str]]:
    for clip in held.clips():
        medium = clip.video or clip.audio or clip.image
        if medium:
            yield clip.id, str(held.root / medium)


def _row(
    stored: Answers, mistakes: _Mistakes, place: int, groups: list[str], of_seeds: list[int], paths: Mapping[str, str]
) -> dict[str, Any]:
    segment, group = mistakes.segments[place], mistakes.groups[place]
    clip, start, end, text = stored.told[segment]
    return {
        "group": groups[group],
        "id": stored.ids[segment],
        "target": stored.names[mistakes.targets[place]],
        "answer": stored.names[mistakes.given[place]],
        "confidence": round(float(mistakes.confidence[place]), 6),
        "seeds": int(mistakes.seeds[place]),
        "of_seeds": of_seeds[group],
        "clip": paths.get(clip, clip),
        "start": start,
        "end": end,
        "text": text,
    }


def _tables(rows: list[dict[str, Any]], pairs: list[dict[str, Any]]) -> tuple[Table, ...]:
    cells = [
        (
            number,
            *(row[key] for key in ("target", "answer", "confidence")),
            f"{row['seeds']}/{row['of_seeds']}",
            *(row[key] for key in ("id", "clip", "text", "start", "end", "group")),
        )
        for number, row in enumerate(rows, start=1)
    ]
    columns = ("#", "target", "answer", "confidence", "seeds", "id", "clip", "transcript", "start", "end", "corpus")
    return (
        Table("errors", "the most confident mistakes", columns, cells),
        Table("errors-pairs", "pairs of classes", tuple(pairs[0]), [tuple(pair.values()) for pair in pairs], keys=2),
    )
