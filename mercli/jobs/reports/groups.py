"""``mer report groups``: whom a model serves better and whom worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mercli.errors import DataError
from mercli.jobs.reports import reopening
from mercli.jobs.reports.stored import Group, cluster, named, parts_of, predictions, unfinished
from mercli.results import grouped
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table

KINDS = ("corpus", "sex", "language", "duration", "speaker")
EDGES = (1, 2, 4, 8, 16)
"""Seconds between the bins of duration."""
LONG = 40
"""Groups of a kind up to which all are shown on a terminal."""
Known = Mapping[str, tuple[str | None, str | None, str | None, float | None]]


def groups(run: Path, *, data: Path | None = None, least: int = 20) -> Section:
    """Return UAR and accuracy by corpus, sex, language, duration and speaker, with clustered intervals.

    Groups with fewer than ``least`` segments, or that are one cluster, are told and not ranked. Answers of all seeds
    are counted together; clusters are speakers, within a speaker clips. Raises ``DataError`` where the run has no
    predictions with targets.
    """
    known, notes = _known(run, data)
    names, found = _collected(run, known)
    heads = list(dict.fromkeys(head for head, _, _ in found))
    rows = [_row(key, group, len(names), least) for key, group in found.items()]
    rows.sort(key=lambda row: (heads.index(row["head"]), KINDS.index(row["kind"]), *_order(row)))
    pictures = []
    for head in heads:
        kinds = {kind: _ranked(rows, head, kind) for kind in KINDS}
        kinds = {kind: own for kind, own in kinds.items() if own}
        title = run.name + (f": {head}" if head else "")
        if kinds:
            stem = f"groups-{head}" if head else "groups"
            drawn = grouped.picture(kinds, title)
            pictures.append(Picture(stem, f"{title}: groups", grouped.said(title, kinds), **drawn))
    told = [*notes, *_small(rows, least), *unfinished(run), "UAR is over the classes that a group has: see 'classes'"]
    document = {"run": run.name, "least": least, "groups": rows}
    return Section("groups", "Groups", document, tuple(_tables(rows)), tuple(pictures), tuple(told))


def _known(run: Path, data: Path | None) -> tuple[dict[str, Known], list[str]]:
    """Return speaker, sex, language and duration of each segment by corpus, as far as the manifests are there."""
    try:
        held = reopening.manifests(run, data)
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


def _collected(run: Path, known: Mapping[str, Known]) -> tuple[tuple[str, ...], dict[tuple[str, str, str], Group]]:
    """Return the classes and the answers of each head, kind and group."""
    names: tuple[str, ...] = ()
    index: dict[str, int] = {}
    found: dict[tuple[str, str, str], Group] = {}
    for row in predictions(run):
        names = named(run, row, names)
        index = index or {name: number for number, name in enumerate(names)}
        corpus, _, head = parts_of(row.get("fold"))
        for kind, name in _memberships(row, corpus, known.get(corpus, {})):
            # a speaker is one cluster: within it clips are what is drawn
            own = row["clip"] if kind == "speaker" else f"{corpus}/{cluster(row)}"
            found.setdefault((head, kind, name), Group()).count(row, index, own)
    return names, found


def _memberships(row: Mapping[str, Any], corpus: str, known: Known) -> Iterator[tuple[str, str]]:
    told = row["end"] - row["start"] if row.get("end") is not None else None
    speaker, sex, language, duration = known.get(row["id"], (None, None, None, told))
    yield "corpus", corpus
    if sex:
        yield "sex", sex
    if language:
        yield "language", language
    if duration is not None:
        yield "duration", _bin(duration)
    if speaker:
        yield "speaker", f"{corpus}/{speaker}"


def _bin(seconds: float) -> str:
    above = [edge for edge in EDGES if seconds >= edge]
    if not above:
        return f"under {EDGES[0]} s"
    return f"{EDGES[-1]} s and more" if len(above) == len(EDGES) else f"{above[-1]} to {EDGES[len(above)]} s"


def _row(key: tuple[str, str, str], group: Group, classes: int, least: int) -> dict[str, Any]:
    found = grouped.measured(*group.arrays(), classes)
    segments = sum(group.support(classes))
    ranked = segments >= least and found["clusters"] > 1
    return {"head": key[0], "kind": key[1], "name": key[2], "segments": segments, **found, "ranked": ranked}


def _order(row: Mapping[str, Any]) -> tuple[bool, float, str]:
    """Return the order among groups of a kind: the best first, then those that are too small by their names."""
    return not row["ranked"], -row["uar"] if row["ranked"] else 0.0, row["name"]


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


def _tables(rows: list[dict[str, Any]]) -> Iterator[Table]:
    """Yield a table per kind of the groups that are ranked, and one of those that are too small."""
    many = len({row["head"] for row in rows}) > 1
    first = ("head",) if many else ()
    columns = ("UAR", INTERVAL, "accuracy", INTERVAL, "segments", "clusters", "classes")
    for kind in KINDS:
        cells = [
            (*(row[key] for key in (*first, "name")), *_figures(row), row["segments"], row["clusters"], row["classes"])
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


def _figures(row: Mapping[str, Any]) -> Iterator[Any]:
    for name in ("uar", "accuracy"):
        yield row[name]
        yield Interval(*row[f"{name}_interval"]) if row[f"{name}_interval"] else None
