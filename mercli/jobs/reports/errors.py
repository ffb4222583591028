"""``mer report errors``: the most confident mistakes, and which classes they are between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from mercli.corpora.manifest import Manifest
from mercli.errors import DataError
from mercli.jobs.reports import reopening
from mercli.jobs.reports.stored import group_of, named, parts_of, predictions, unfinished
from mercli.results import mistaken
from mercli.results.section import Picture, Section, Table


class _Key(NamedTuple):
    group: str
    id: str
    target: str
    answer: str


@dataclass
class _Mistake:
    """One wrong answer to one segment: by how many seeds it was given, and the sum of their confidence."""

    clip: str
    start: float
    end: float | None
    text: str | None
    seeds: int = 0
    confidence: float = 0.0


def errors(run: Path, *, data: Path | None = None, most: int = 20) -> Section:
    """Return the ``most`` confident mistakes with their clips and transcripts, and how many there are of each pair.

    A mistake's confidence is the mean over all seeds of the probability that its answer got, 0 for seeds that answer
    otherwise: what several seeds agree on comes first. Raises ``DataError`` where the run has no predictions.
    """
    mistakes, seeds, answers = _collected(run)
    if not mistakes:
        raise DataError(f"run '{run.name}' makes no mistake in {answers} answers", f"mer report confusion {run}")
    for key, mistake in mistakes.items():
        mistake.confidence /= seeds[key.group]
    pairs = _pairs(mistakes)
    kept = sorted(mistakes.items(), key=lambda item: (-item[1].confidence, item[0]))[:most]
    paths, notes = _paths(run, data)
    rows = [_row(key, mistake, seeds[key.group], paths) for key, mistake in kept]
    title = f"{run.name}: the most frequent mistakes"
    wrong = sum(mistake.seeds for mistake in mistakes.values())
    told = mistaken.said(title, pairs, wrong, answers)
    picture = Picture("errors", title, told, **mistaken.picture(pairs, title))
    notes = (*unfinished(run), *notes, f"{wrong} of {answers} answers are wrong")
    document = {"run": run.name, "answers": answers, "wrong": wrong, "mistakes": rows, "pairs": pairs}
    return Section("errors", "Mistakes", document, _tables(rows, pairs), (picture,), notes)


def _collected(run: Path) -> tuple[dict[_Key, _Mistake], dict[str, int], int]:
    """Return the mistakes, the number of seeds of each group, and how many answers there are."""
    names: tuple[str, ...] = ()
    mistakes: dict[_Key, _Mistake] = {}
    seeds: dict[str, set[str]] = defaultdict(set)
    answers = 0
    for row in predictions(run):
        names = named(run, row, names)
        group, label = group_of(row), row["label"]
        answers += 1
        seeds[group].add(parts_of(row.get("fold"))[1])
        if label is not None and label != row["target"]:
            key = _Key(group, row["id"], row["target"], label)
            own = mistakes.setdefault(key, _Mistake(row["clip"], row["start"], row.get("end"), row.get("text")))
            own.seeds += 1
            own.confidence += row["scores"][label]
    return mistakes, {group: len(found) for group, found in seeds.items()}, answers


def _pairs(mistakes: Mapping[_Key, _Mistake]) -> list[dict[str, Any]]:
    """Return each pair of classes that is confused, the most frequent first, with its most confident example."""
    found: dict[tuple[str, str], list[tuple[float, int, str]]] = defaultdict(list)
    for key, mistake in mistakes.items():
        found[key.target, key.answer].append((mistake.confidence, mistake.seeds, key.id))
    rows = [
        {
            "target": target,
            "answer": answer,
            "answers": sum(seeds for _, seeds, _ in own),
            "segments": len({identity for _, _, identity in own}),
            "example": min(own, key=lambda one: (-one[0], one[2]))[2],
        }
        for (target, answer), own in found.items()
    ]
    return sorted(rows, key=lambda row: (-row["answers"], row["target"], row["answer"]))


def _paths(run: Path, data: Path | None) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the medium of each clip, and a note where the prepared corpora are not there."""
    try:
        held = reopening.manifests(run, data)
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


def _row(key: _Key, mistake: _Mistake, seeds: int, paths: Mapping[str, str]) -> dict[str, Any]:
    return {
        **key._asdict(),
        "confidence": round(mistake.confidence, 6),
        "seeds": mistake.seeds,
        "of_seeds": seeds,
        "clip": paths.get(mistake.clip, mistake.clip),
        "start": mistake.start,
        "end": mistake.end,
        "text": mistake.text,
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
