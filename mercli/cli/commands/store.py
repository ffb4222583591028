"""``mer store``: the feature store."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Data, Json, Quiet, Verbose, say
from mercli.errors import ConfigError, DataError

Names = Annotated[
    list[str] | None, typer.Option("--corpora", metavar="A [B ...]", help="Prepared corpora; all if none is named.")
]
COLUMNS = ("corpus", "modality", "encoder", "key", "segments", "missing", "rows", "dim", "MB")


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(help="Look at the feature store, check it, take features away.", no_args_is_help=True)
    group.command("ls", cls=Command)(ls)
    group.command("verify", cls=Command)(verify)
    group.command("rm", cls=Command)(rm)
    app.add_typer(group, name="store")


def ls(corpora: Names = None, data: Data = None, json: Json = False, verbose: Verbose = 0) -> None:
    """List which features are stored, of which corpus, by which encoder.

    Example: mer store ls --corpora meld
    """
    from mercli.jobs import store as job

    place = Path(data or "data")
    shelves = job.shelves(place, corpora or ())
    if json:
        show_json([{**asdict(shelf), "spec": job.spec_of(place, shelf)} for shelf in shelves])
        return
    show_table(COLUMNS, [list(asdict(shelf).values())[: len(COLUMNS)] for shelf in shelves], whole=(2, 3))


def verify(
    corpora: Names = None, data: Data = None, json: Json = False, quiet: Quiet = False, verbose: Verbose = 0
) -> None:
    """Read every stored number: files cut short, offsets that do not fit, NaN; exit code 4 where one is found."""
    from mercli.jobs import store as job

    shelves = job.shelves(Path(data or "data"), corpora or (), verify=True)
    faults = [fault for shelf in shelves for fault in shelf.faults]
    if json:
        show_json(shelves)
    for fault in faults:
        say(fault)
    if faults:
        place = f" --data {shlex.quote(data)}" if data else ""
        raise DataError(f"{len(faults)} files of the store are damaged", f"mer store rm --damaged{place}")
    say(f"{sum(shelf.segments for shelf in shelves)} features in {len(shelves)} places can be read, and are numbers")


def rm(
    corpora: Names = None,
    encoder: Annotated[
        str | None, typer.Option("--encoder", metavar="NAME[-KEY]", help="Features of this encoder, or made this way.")
    ] = None,
    damaged: Annotated[bool, typer.Option("--damaged", help="Only files that are not whole.")] = False,
    data: Data = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Remove an encoder's features, or damaged files; `mer extract` makes them again.

    Example: mer store rm --corpora meld --encoder embedded-audio
    """
    from mercli.jobs import store as job

    if not damaged and encoder is None:
        raise ConfigError("nothing was named to remove, expected --encoder NAME or --damaged", "mer store ls")
    removed = job.remove(Path(data or "data"), corpora or (), encoder, damaged=damaged)
    if json:
        show_json([str(path) for path in removed])
        return
    for path in removed:
        say(f"removed {path}")
    if not removed:
        say("nothing to remove")
