"""The report page: sections of one or more runs as one HTML file that is read anywhere and fetches nothing."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from mercli.results.html import environment
from mercli.results.section import Picture, Section, Table

FOLDED = 24
"""Rows beyond which a table is folded away until it is asked for."""
HALF = 560
"""Points of width up to which a drawing can be read at half the page's width."""
MOST = 400
"""Rows beyond which a page shows the beginning of a table and names its CSV."""


@dataclass(frozen=True)
class Part:
    """One run on a page: what it is, its main figures, its sections, and what is left out and why.

    ``facts`` and ``left_out`` are pairs of a name and a sentence; ``notes`` are read below the main figures.
    """

    name: str
    title: str
    facts: Sequence[tuple[str, str]]
    main: Table | None
    notes: Sequence[str]
    sections: Sequence[Section]
    left_out: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Block:
    """What shares a stem and is read together."""

    tables: tuple[Table, ...]
    pictures: tuple[Picture, ...]

    @property
    def wide(self) -> bool:
        """Whether it needs a row of its own; narrow drawings stand two in a row."""
        return bool(self.tables) or any(width(picture) > HALF for picture in self.pictures)


def width(picture: Picture) -> float:
    """Return how wide a picture is drawn, in points."""
    found = re.search(rb'<svg[^>]*\bwidth="([\d.]+)pt"', picture.svg)
    return float(found[1]) if found else 0.0


def render(parts: Sequence[Part]) -> str:
    """Return the page; the same parts give the same text."""
    title = parts[0].title if len(parts) == 1 else f"{len(parts)} runs beside one another"
    eyebrow = f"mer report · {parts[0].name}" if len(parts) == 1 else "mer report"
    values: dict[str, Any] = {"title": title, "eyebrow": eyebrow, "blocks": blocks, "FOLDED": FOLDED, "MOST": MOST}
    return environment().get_template("report.html.j2").render(values, parts=parts) + "\n"


def blocks(section: Section) -> Iterator[Block]:
    """Yield a section's shown tables and pictures, those of one stem together, in the order of their first."""
    tables = [table for table in section.tables if table.shown]
    stems = [*(picture.stem for picture in section.pictures), *(table.stem for table in tables)]
    for stem in dict.fromkeys(stems):
        yield Block(
            tuple(table for table in tables if table.stem == stem),
            tuple(picture for picture in section.pictures if picture.stem == stem),
        )
