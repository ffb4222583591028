"""``mer report KIND``: what a run means."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Json, Quiet, Runs, Verbose, say


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(help="Show what a run means, as pictures, tables and files.", no_args_is_help=True)
    group.command("confusion", cls=Command)(confusion)
    app.add_typer(group, name="report")


def confusion(
    run: Annotated[
        str | None, typer.Argument(metavar="[RUN]", help="A run by name or path; the newest if none.")
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="corpus|fold|all", help="One matrix per what.")] = "corpus",
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="DIR", help="Where to (RUN/report).")] = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write confusion matrices as PNG, SVG, CSV and JSON, and show them."""
    from mercli.jobs import report as job

    if by not in ("corpus", "fold", "all"):
        raise typer.BadParameter("expected corpus, fold or all", param_hint="--by")
    made = job.confusion(Path(runs or "runs"), run, Path(output) if output else None, by)
    if json:
        show_json({"matrices": made.numbers, "files": made.files})
        return
    for matrix in made.numbers:
        rows = [[name, *counts] for name, counts in zip(matrix["names"], matrix["counts"], strict=True)]
        show_table(["target", *matrix["names"]], rows, f"{matrix['title']} (rows: targets)")
        if matrix["seeds"] > 1:
            say(f"{matrix['group']}: counts summed over {matrix['seeds']} seeds")
    for path in made.files:
        say(str(path))
