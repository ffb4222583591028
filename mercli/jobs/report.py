"""``mer report KIND``: what runs mean, as a section and as the files that hold it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mercli import rundir
from mercli.errors import ConfigError
from mercli.jobs import reports
from mercli.jobs.reports import origin
from mercli.results.section import INTERVAL, Interval, Section, Table

FORMATS = ("png", "svg", "csv", "json", "txt")


@dataclass(frozen=True)
class Report:
    """A section and the files that hold it."""

    section: Section
    files: list[Path]


def report(
    kind: str,
    runs: Path,
    names: Sequence[str | None] = (None,),
    output: Path | None = None,
    formats: Sequence[str] = FORMATS,
    **options: Any,
) -> Report:
    """Write one kind of report on runs found by name or path (``None``: the newest), into ``RUN/report`` unless told.

    ``options`` are those of the kind. Raises ``ConfigError`` for a format that is unknown, ``DataError`` where a run is
    not there or has not what the kind needs.
    """
    check(formats)
    found = [rundir.find(runs, name, apart=origin.TUNED) for name in names]
    section = reports.kind(kind)(*found, **options)
    return Report(section, list(write(section, output or found[0] / "report", formats)))


def check(formats: Sequence[str]) -> None:
    """Raise ``ConfigError`` for a format that is unknown."""
    unknown = [each for each in formats if each not in FORMATS]
    if unknown:
        raise ConfigError(f"format '{unknown[0]}' is unknown, expected {', '.join(FORMATS)}", "--format png,csv")


def write(section: Section, folder: Path, formats: Sequence[str] = FORMATS) -> Iterator[Path]:
    """Write a section's pictures, tables, texts and document (``KIND.json``), each file at once; yield the paths."""
    for name, content in _contents(section):
        if Path(name).suffix[1:] in formats:
            path = folder / name.replace("/", "-")
            with rundir.atomic(path) as part:
                part.write_bytes(content)
            yield path


def _contents(section: Section) -> Iterator[tuple[str, bytes]]:
    for picture in section.pictures:
        yield f"{picture.stem}.png", picture.png
        yield f"{picture.stem}.svg", picture.svg
    for table in section.tables:
        yield f"{table.stem}.csv", _csv(table).encode()
    for name, text in section.texts.items():
        yield name, text.encode()
    document = json.dumps(rundir.plain(section.document), indent=1, ensure_ascii=False, allow_nan=False)
    yield f"{section.kind}.json", (document + "\n").encode("utf-8", "backslashreplace")


def _csv(table: Table) -> str:
    """Return a table as CSV, its intervals in two columns; what is undefined stays empty."""
    heading: list[str] = []
    for before, column in zip(("", *table.columns), table.columns, strict=False):
        heading += [f"{before} low", f"{before} high"] if column == INTERVAL else [column]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(heading)
    for row in table.rows:
        writer.writerow([part for name, cell in zip(table.columns, row, strict=True) for part in _parts(name, cell)])
    return text.getvalue()


def _parts(column: str, cell: Any) -> tuple[Any, ...]:
    if column == INTERVAL:
        return tuple(cell) if isinstance(cell, Interval) else ("", "")
    return (cell,)
