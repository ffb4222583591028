"""``mer audit``: what splits and corpora share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Data, Json, Quiet, Verbose, say
from mercli.errors import DataError

if TYPE_CHECKING:
    from mercli.corpora.audit import Finding


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("audit", cls=Command)(audit)


def audit(
    corpora: Annotated[
        list[str] | None, typer.Option("--corpora", metavar="A [B ...]", help="Prepared corpora; all if none is named.")
    ] = None,
    hash_: Annotated[
        bool, typer.Option("--hash/--no-hash", help="Read media of equal size and compare their content.")
    ] = True,
    data: Data = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Find what train, dev and test share, and what corpora share; exit code 4 on a leak.

    Example: mer audit --corpora meld emorynlp
    """
    from mercli.jobs import audit as job

    found = job.audit(Path(data or "data"), corpora or (), hashing=hash_)
    if json:
        show_json({"findings": found.findings, "notes": found.notes})
    else:
        show_table(
            ["class", "what", "between", "and", "shared", "of", "for example"],
            [[f.kind, f.what, f.left, f.right, f.count, f.of, _short(f.examples)] for f in found.findings],
        )
        for name, notes in found.notes.items():
            for note in notes:
                say(f"{name}: {note}")
    if found.leaks:
        kinds = ", ".join(sorted({f"{f.what} ({f.left}, {f.right})" for f in found.leaks}))
        raise DataError(f"parts that should be apart share data: {kinds}", _hint(found.leaks[0], data))
    say("no leak found")


def _hint(leak: Finding, data: str | None) -> str:
    """Return what helps: other splits, the pairs of equal media in full, or one of two corpora alone."""
    left, other = (side.partition("/")[0] for side in (leak.left, leak.right))
    place = f" --data {data}" if data else ""
    if left != other:
        return f"mer train --corpora {left}{place} (without {other}, or without the media they share)"
    if leak.what == "media":
        return f"mer audit --corpora {left}{place} --json (names every pair: take one of each out of the corpus)"
    return f"mer prepare --name {left}{place} --split {leak.what}:0.8/0.1/0.1 ..."


def _short(examples: tuple[str, ...]) -> str:
    text = "; ".join(examples)
    return text if len(text) <= 60 else text[:59] + "\u2026"
