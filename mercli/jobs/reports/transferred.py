"""``mer report loco`` of labels that many may hold, and of values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from mercli.labels import FIGURES, WORDS
from mercli.results import intervals, scored
from mercli.results.section import INTERVAL, Interval, Picture, Section, Table


def section(run: Path, found: Mapping[str, Any]) -> Section:
    """Return the held-out scores of a run from its ``scores.json``, and who learns from whom where that was measured.

    The document has ``held_out`` rows, ``matrix`` cells and ``failures``, with the scores as they are stored.
    """
    rows = [{**row["held_out"], "name": _name(row, found["rows"]), "row": row} for row in found["rows"]]
    main = scored.main_of(rows[0])
    kind = rows[0]["kind"]
    title = f"{run.name}: held out"
    names = FIGURES[kind][:3]
    tables = [Table("loco", "held out", _columns(kind, ("head", "held out", "split", "n")), list(_held(rows)), keys=2)]
    if found["matrix"]:
        cells = [(c["head"], c["trained_on"], _marked(c, "tested_on"), c["split"], *_cells(c)) for c in found["matrix"]]
        heading = _columns(kind, ("head", "trained on", "tested on", "split", "n"))
        tables.append(Table("loco-matrix", "train on one, test on each", heading, cells, keys=3))
    drawn = intervals.picture(rows, (main,), title)
    picture = Picture("loco", title, intervals.said(title, rows, main), **drawn)
    document = {"run": run.name, "figures": names} | {key: found[key] for key in ("means", "matrix", "failures")}
    document["held_out"] = found["rows"]
    return Section("loco", "Leave one corpus out", document, tuple(tables), (picture,), tuple(_notes(found)))


def _columns(kind: str, first: tuple[str, ...]) -> tuple[str, ...]:
    main, *others = (WORDS[name] for name in FIGURES[kind][:3])
    beside = (f"others' test {main}",) if first[1] == "held out" else ()
    return (*first, main, INTERVAL, "seeds sd", *others, *beside)


def _held(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[Any, ...]]:
    for score in rows:
        row = score["row"]
        home = row["others_test"]
        beside = home and _beside(home, scored.main_of(score))
        yield (row["head"], _marked(row, "corpus"), row["split"], *_cells(score), beside)


def _beside(home: Mapping[str, Any], main: str) -> float | str | None:
    """Return the figure on the other corpora's test splits, with the dagger where an encoder has seen one of them."""
    value: float | None = home[main]
    return value if value is None or not set(home["corpora"]) & set(home["seen_by"]) else f"{value:.3f}†"


def _cells(score: Mapping[str, Any]) -> tuple[Any, ...]:
    main, *others = FIGURES[score["kind"]][:3]
    bounds = score[f"{main}_interval"]
    shown = Interval(*bounds) if bounds else None
    return (score["n"], score[main], shown, score[f"{main}_spread"], *(score[name] for name in others))


def _marked(row: Mapping[str, Any], key: str) -> str:
    return f"{row[key]}†" if row["seen_by"] else str(row[key])


def _name(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Return how a row is called in the picture: its corpus, with the head where there are several."""
    many = len({each["head"] for each in rows}) > 1
    return _marked(row, "corpus") + (f" ({row['head']})" if many else "")


def _notes(found: Mapping[str, Any]) -> Iterator[str]:
    homes = [(row, row["others_test"]) for row in found["rows"] if row["others_test"]]
    if any(one["seen_by"] for one in (*found["rows"], *found["matrix"], *(home for _, home in homes))):
        yield "† an encoder was trained on this data: no mean holds it"
    for row, home in homes:
        if seen := sorted(set(home["seen_by"]) - set(home["corpora"])):
            main = WORDS[scored.main_of(home)]
            yield f"{row['head']} without {row['corpus']}: others' test {main} leaves out {', '.join(seen)}†"
    for failure in found["failures"]:
        yield f"{failure['fit']} could not be fitted: {failure['error']}"
