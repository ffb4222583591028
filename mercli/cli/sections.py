"""A report's section for people (tables that fit their terminal), for pipes (tab-separated), for programs (JSON)."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from textwrap import fill
from typing import TYPE_CHECKING, Any

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import say

if TYPE_CHECKING:
    from mercli.jobs.report import Report
    from mercli.results.section import Table

GAP = 2


def show(made: Report, json: bool) -> None:
    """Print a report's tables, and say its notes and files; with ``json`` print its document and files instead."""
    if json:
        show_json({**made.section.document, "files": made.files})
        return
    shown = [table for table in made.section.tables if table.shown]
    for table in shown:
        show_wide(table, named=len(shown) > 1)
    for note in made.section.notes:
        say(note)
    for path in made.files:
        say(str(path))


def show_wide(table: Table, *, named: bool = False) -> None:
    """Print a table; where it is wider than a terminal, in strips that each begin with the keys.

    ``named``: in a pipe, which has no titles, a first column tells which of several tables it is, as their files do.
    """
    terminal = sys.stdout.isatty()
    cells = [[_cell(cell, 2 if terminal else 3) for cell in row] for row in table.rows]
    if not terminal:
        name = [table.stem] if named else []
        show_table(["table", *table.columns] if named else table.columns, [[*name, *row] for row in cells])
        return
    figures = {at for row in table.rows for at, cell in enumerate(row) if isinstance(cell, (int, float, tuple))}
    widths = [
        max(map(len, [*name.split(), *(row[at] for row in cells)]), default=1) for at, name in enumerate(table.columns)
    ]
    for number, strip in enumerate(_strips(widths, table.keys, shutil.get_terminal_size().columns)):
        chosen = [[row[at] for at in strip] for row in cells]
        right = [place for place, at in enumerate(strip) if at in figures]
        headings = [fill(table.columns[at], widths[at]) for at in strip]
        show_table(headings, chosen, None if number else table.title, right)


def _cell(cell: Any, decimals: int) -> str:
    """Return a cell as a reader sees it: three decimals, an interval with ``decimals``, nothing for undefined."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, tuple):
        return "-".join(f"{bound:.{decimals}f}" for bound in cell)
    return f"{cell:.3f}" if isinstance(cell, float) else str(cell)


def _strips(widths: Sequence[int], keys: int, wide: int) -> Iterator[list[int]]:
    """Yield which columns stand beside each other where a terminal is so wide; each strip begins with the keys."""
    strip = list(range(keys))
    for at in range(keys, len(widths)):
        if len(strip) > keys and sum(widths[each] + GAP for each in (*strip, at)) > wide:
            yield strip
            strip = list(range(keys))
        strip.append(at)
    yield strip
