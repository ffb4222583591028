"""``mer models list | pull | verify``: the models that presets need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Json, Plugin, Quiet, Verbose, complain, say
from mercli.errors import DataError, PartialError

if TYPE_CHECKING:
    from mercli.jobs.models import Model

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="[PRESET|MODEL ...]", help="Presets, hub names, whisper:NAME; every preset by default."),
]
Wanted = Annotated[list[str], typer.Argument(metavar="PRESET|MODEL[@REVISION] ...", help="Presets, or hub names.")]


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(help="Models that presets need: list, fetch, check them.", no_args_is_help=True)
    group.command("list", cls=Command)(list_)
    group.command("pull", cls=Command)(pull)
    group.command("verify", cls=Command)(verify)
    app.add_typer(group, name="models")


def list_(names: Names = None, json: Json = False, verbose: Verbose = 0, plugin: Plugin = None) -> None:
    """List the models that presets need: revision, licence, size, and whether they are here; asks no network.

    Example: mer models list smil
    """
    from mercli.jobs import models as job

    rows = job.models(names or [])
    if json:
        show_json(rows)
        return
    show_table(("model", "for", "revision", "licence", "MB", "where"), [_cells(row) for row in rows], right=(4,))


def _cells(row: Model) -> list[str | None]:
    pinned = {"hub": row.revision or "unpinned", "whisper": "by checksum", "shipped": "by key"}.get(row.kind, "")
    megabytes = None if row.size is None else f"{row.size / 1e6:.{1 if row.size < 1e7 else 0}f}"
    state = f"{row.state}, optional" if row.optional and row.state == "absent" else row.state
    here = "ships inside" if row.kind == "shipped" else row.where
    where = here if row.state == "present" else ": ".join(filter(None, (state, row.note)))
    return [row.name, ", ".join(row.used_by), pinned, row.licence, megabytes, where]


def pull(
    names: Wanted,
    to: Annotated[
        str | None,
        typer.Option("--to", metavar="DIR", help="Not the user's cache but DIR, for a machine without network."),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Fetch the models of presets, or models by name, into the Hugging Face cache; print what to pin them to.

    On a machine without network: XDG_CACHE_HOME=DIR mer extract --offline ...

    Example: mer models pull smil --to /shared/models
    """
    from mercli.jobs import models as job

    rows = []
    for row in job.pull(names, Path(to) if to else None):
        rows.append(row)
        if row.error:
            complain(f"mer: {row.error}")
            if row.hint:
                complain(f"  try: {row.hint}")
    if json:
        show_json(rows)
    elif any(not row.error for row in rows):
        cells = [[row.name, row.commit, " ".join(row.sha256), row.where] for row in rows if not row.error]
        show_table(("model", "revision", "sha256", "where"), cells)
    failed = [row for row in rows if row.error]
    if failed and len(failed) == len(rows):
        raise DataError(f"none of {len(rows)} models could be fetched")
    if failed:
        raise PartialError(f"{len(failed)} of {len(rows)} models could not be fetched")
    if to:
        say(f"copy '{to}' to the other machine, and run there: XDG_CACHE_HOME={to} mer extract --offline ...")


def verify(
    names: Names = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Read every file of the models that are here and compare it with its hash; exit code 4 where one is broken."""
    from mercli.jobs import models as job

    rows = job.verify(names or [])
    if json:
        show_json(rows)
    faults = [fault for row in rows for fault in row.faults]
    for fault in faults:
        complain(f"mer: {fault}")
    if faults:
        raise DataError(f"{len(faults)} faults in the models that are here", "rm the files and run mer models pull")
    unrecorded = sum(row.unrecorded for row in rows)
    say(f"{sum(row.files for row in rows)} files of {len(rows)} models are whole" + _beside(unrecorded))


def _beside(unrecorded: int) -> str:
    return f"; of {unrecorded} others nothing tells what they should be" if unrecorded else ""
