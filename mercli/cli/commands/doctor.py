"""``mer doctor``: what works here, and what to do about what does not."""

from __future__ import annotations

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Json, Plugin


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("doctor", cls=Command)(doctor)


def doctor(json: Json = False, plugin: Plugin = None) -> None:
    """Check packages, devices, models, plugins and presets; say what would help."""
    from mercli.jobs import doctor as job

    rows = job.doctor()
    if json:
        show_json(rows)
    else:
        show_table(
            ["check", "state", "detail", "help"], [[r["check"], r["state"], r["detail"], r["help"]] for r in rows]
        )
    if any(row["state"] == "broken" for row in rows):
        raise typer.Exit(5)
