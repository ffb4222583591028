"""Tables for people on a terminal, plain aligned columns in a pipe, JSON for programs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from typing import Any, Literal

from mercli.cli.options import out


def show_json(value: Any) -> None:
    """Print one JSON document on stdout."""
    from mercli.rundir import plain

    out(escaped(json.dumps(plain(value), ensure_ascii=False, indent=2, allow_nan=False)))


def escaped(document: str) -> str:
    """Return a JSON text that is UTF-8: bytes of names that are not are spelled as JSON's own escapes."""
    return document.encode("utf-8", "backslashreplace").decode("utf-8")


def show_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[Any]],
    title: str | None = None,
    right: Sequence[int] = (),
    whole: Sequence[int] = (),
) -> None:
    """Print a table on stdout: tab-separated in a pipe, rich on a terminal.

    There the columns ``right`` are set as figures, and those of ``whole``, which one copies, are not folded.
    """
    cells = [["" if cell is None else str(cell) for cell in row] for row in rows]
    if not sys.stdout.isatty():
        out("\t".join(columns))
        for row in cells:
            out("\t".join(cell.replace("\t", " ").replace("\n", " ") for cell in row))
        return
    from rich import box
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(
        title=escape(title) if title else None,
        box=box.SIMPLE_HEAD,
        title_justify="left",
        pad_edge=False,
        padding=(0, 1, 0, 0),
    )
    for place, column in enumerate(columns):
        justify: Literal["left", "right"] = "right" if place in right else "left"
        table.add_column(escape(column), overflow="fold", justify=justify, no_wrap=place in whole)
    for row in cells:
        table.add_row(*map(escape, row))
    Console().print(table)
