"""``mer report groups``: whom a model serves better and whom worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mercli.errors import DataError
from mercli.jobs.reports import origin
from mercli.jobs.reports.stored import Answers, Group, answers, unfinished
from mercli.labels import WORDS
from mercli.results import grouped, intervals
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table

KINDS = ("corpus", "sex", "language", "duration", "speaker")
EDGES = (1, 2, 4, 8, 16)
"""Seconds between the bins of duration."""
LONG = 40
"""Groups of a kind up to which all are shown on a terminal."""
OVER: Mapping[str, tuple[str, ...]] = {
    "one-of": ("UAR is over the classes that a group has: see 'classes'",),
    "many-of": ("weighted accuracy and F1 are over the labels that a group has",),
    "values": (),
}
Known = Mapping[str, tuple[str | None, str | None, str | None, float | None]]


def groups(run: Path, *, data: Path | None = None, least: int = 20) -> Section:
    """Return UAR and accuracy (of labels: weighted accuracy and F1, of values: CCC and Pearson's r) by corpus, sex,
    language, duration and speaker, with clustered intervals.

    Groups with fewer than ``least`` segments, or that are one cluster, are told and not ranked. Figures of labels and
    values are means over seeds, those of classes count the answers of all seeds together; clusters are speakers, within
    a speaker clips. Raises ``DataError`` where the run has no predictions with targets.
    """
    known, notes = _known(run, data)
    stored, found = _collected(run, known)
    names = grouped.FIGURES[stored.kind]
    heads = list(dict.fromkeys(head for head, _, _ in found))
    rows = [_row(key, group, stored, least) for key, group in found.items()]
    rows.sort(key=lambda row: (heads.index(row["head"]), KINDS.index(row["kind"]), *_order(row, names[0])))
    pictures = []
    for head in heads:
        kinds = {kind: _ranked(rows, head, kind) for kind in KINDS}
        kinds = {kind: own for kind, own in kinds.items() if own}
        title = run.name + (f": {head}" if head else "")
        if kinds:
            stem = f"groups-{head}" if head else "groups"
            drawn = grouped.picture(kinds, title, names)
            pictures.append(Picture(stem, f"{title}: groups", grouped.said(title, kinds, names[0]), **drawn))
    told = [*notes, *_small(rows, least), *unfinished(run), *OVER[stored.kind]]
    document = {"run": run.name, "least": least, "groups": rows}
    return Section("groups", "Groups", document, tuple(_tables(rows, names)), tuple(pictures), tuple(told))


def _known(run: Path, data: Path | None) -> tuple[dict[str, Known], list[str]]:
    """Return speaker, sex, language and duration of each segment by corpus, as far as the manifests are there."""
    try:
        held = origin.manifests(run, data)
    except DataError as fault:
        if data is not None:
            raise
        return {}, [f"{fault.message}: groups are those that the predictions tell alone"]
    known: dict[str, Known] = {}
    for name, one in held.items():
        lengths = {clip.id: clip.duration for clip in one.clips()}
        known[name] = {
            s.id: (
                s.speaker,
                s.sex,
                s.language,
                None if (end := s.end or lengths.get(s.clip_id)) is None else end - s.start,
            )
            for s in one.segments()
        }
    return known, []


def _collected(run: Path, known: Mapping[str, Known]) -> tuple[Answers, dict[tuple[str, str, str], Group]]:
    """Return all answers, and those of each head, kind and group."""
    stored = answers(run)
    numbers: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    columns = {kind: np.full(len(stored.targets), -1) for kind in KINDS}
    for corpus, here in stored.split([corpus for corpus, *_ in stored.folds]).items():
        segments, of_row = np.unique(stored.segments[here], return_inverse=True)
        told = [_memberships(stored, segment, corpus, known.get(corpus, {})) for segment in segments]
        for kind, own in numbers.items():
            names = [each.get(kind) for each in told]
            codes = [-1 if name is None else own.setdefault(name, len(own)) for name in names]
            columns[kind][here] = np.asarray(codes)[of_row]
    found = {}
    for head, here in stored.split([head for _, _, head, _ in stored.folds]).items():
        for kind, column in columns.items():
            names = list(numbers[kind])
            # a speaker is one cluster: within it clips are what is drawn
            clusters = stored.clips if kind == "speaker" else stored.clusters
            for rows in _apart(np.flatnonzero(here & (column >= 0)), column):
                found[head, kind, names[column[rows[0]]]] = stored.group(rows, clusters)
    return stored, found


def _apart(rows: NDArray[np.int64], column: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return the rows of each number of a column (N,), each in order."""
    rows = rows[np.argsort(column[rows], kind="stable")]
    return [own for own in np.split(rows, np.flatnonzero(np.diff(column[rows])) + 1) if len(own)]


def _memberships(stored: Answers, segment: int, corpus: str, known: Known) -> dict[str, str]:
    """Return which group of each kind a segment is in."""
    _, start, end, _ = stored.told[segment]
    told = None if end is None else end - start
    speaker, sex, language, duration = known.get(stored.ids[segment], (None, None, None, told))
    found = {
        "corpus": corpus,
        "sex": sex,
        "language": language,
        "duration": None if duration is None else _bin(duration),
        "speaker": f"{corpus}/{speaker}" if speaker else None,
    }
    return {kind: name for kind, name in found.items() if name}


def _bin(seconds: float) -> str:
    above = [edge for edge in EDGES if seconds >= edge]
    if not above:
        return f"under {EDGES[0]} s"
    return f"{EDGES[-1]} s and more" if len(above) == len(EDGES) else f"{above[-1]} to {EDGES[len(above)]} s"


def _row(key: tuple[str, str, str], group: Group, stored: Answers, least: int) -> dict[str, Any]:
    names = grouped.FIGURES[stored.kind]
    if stored.kind == "one-of":
        found = grouped.measured(*group.arrays(), len(stored.names))
    else:
        own = (stored.wanted[group.rows], stored.scores[group.rows], group.clusters, stored.seeds[group.rows])
        found = intervals.mean(intervals.Answered(stored.kind, *own), names)
    segments = len(np.unique(group.segments))
    ranked = segments >= least and found["clusters"] > 1 and found[names[0]] is not None
    return {"head": key[0], "kind": key[1], "name": key[2], "segments": segments, **found, "ranked": ranked}


def _order(row: Mapping[str, Any], main: str) -> tuple[bool, float, str]:
    """Return the order among groups of a kind: the best first, then those that are too small by their names."""
    return not row["ranked"], -row[main] if row["ranked"] else 0.0, row["name"]


def _ranked(rows: list[dict[str, Any]], head: str, kind: str) -> list[dict[str, Any]]:
    return [row for row in rows if row["ranked"] and (row["head"], row["kind"]) == (head, kind)]


def _small(rows: list[dict[str, Any]], least: int) -> Iterator[str]:
    for kind in KINDS:
        of_kind = {row["name"]: row for row in rows if row["kind"] == kind}
        small = [row for row in of_kind.values() if not row["ranked"]]
        if small:
            few = ", ".join(f"{row['name']} ({row['segments']})" for row in small[:5]) + (", ..." if small[5:] else "")
            why = f"fewer than {least} segments or one cluster"
            yield f"{kind}: {len(small)} of {len(of_kind)} groups have {why} and are not ranked: {few}"


def _tables(rows: list[dict[str, Any]], names: tuple[str, ...]) -> Iterator[Table]:
    """Yield a table per kind of the groups that are ranked, and one of those that are too small."""
    many = len({row["head"] for row in rows}) > 1
    first = ("head",) if many else ()
    beside = tuple(key for key in ("segments", "clusters", "classes") if all(key in row for row in rows))
    columns = (*(column for name in names for column in (WORDS[name], INTERVAL)), *beside)
    for kind in KINDS:
        cells = [
            (*(row[key] for key in (*first, "name")), *_figures(row, names), *(row[key] for key in beside))
            for row in rows
            if row["kind"] == kind and row["ranked"]
        ]
        if cells:
            heading = (*first, kind, *columns)
            yield Table(f"groups-{kind}", f"by {kind}", heading, cells, keys=1 + many, shown=len(cells) <= LONG)
    keys = (*first, "kind", "name", "segments", "clusters")
    small = [tuple(row[key] for key in keys) for row in rows if not row["ranked"]]
    if small:
        heading = (*first, "kind", "group", "segments", "clusters")
        yield Table("groups-not-ranked", "groups that are too small", heading, small, keys=2 + many, shown=False)


def _figures(row: Mapping[str, Any], names: tuple[str, ...]) -> Iterator[Any]:
    for name in names:
        yield row[name]
        yield Interval(*row[f"{name}_interval"]) if row[f"{name}_interval"] else None
