"""What a report is made of: tables, pictures and sentences, whoever shows them (a terminal, files, a page)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

INTERVAL = "95 % interval"
"""The name of every column that holds intervals."""


class Interval(NamedTuple):
    """The 95 % interval of the figure in the column before it; two columns in a CSV, one to a reader."""

    low: float
    high: float


@dataclass(frozen=True)
class Table:
    """Rows under columns; ``stem`` names its CSV.

    Cells hold figures as they are (float, int, str, bool, ``Interval``); ``None`` is what is undefined. The first
    ``keys`` columns say what a row is of; a table that is not ``shown`` on a terminal is for its file.
    """

    stem: str
    title: str
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Any]]
    keys: int = 1
    shown: bool = True


@dataclass(frozen=True)
class Picture:
    """A drawing; ``stem`` names its files, ``alt`` says in a sentence what is to be seen for whoever cannot see it."""

    stem: str
    title: str
    alt: str
    png: bytes
    svg: bytes


@dataclass(frozen=True)
class Section:
    """One kind of report on one run (or on two): ``document`` holds the same numbers as JSON.

    ``notes``: what a reader must know to read the numbers; ``texts``: further files by name.
    """

    kind: str
    title: str
    document: Any
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    texts: Mapping[str, str] = field(default_factory=dict)
