"""``mer presets show | copy | check``: presets are documents to copy and change."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mercli.cli.listing import show_json
from mercli.cli.options import Command, Json, out
from mercli.errors import ConfigError

Name = Annotated[str, typer.Argument(metavar="COMMAND/NAME", help="A preset of `mer list presets`, or a file.")]


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(help="Show, copy and check presets.", no_args_is_help=True)
    group.command("show", cls=Command)(show)
    group.command("copy", cls=Command)(copy)
    group.command("check", cls=Command)(check)
    app.add_typer(group, name="presets")


def show(name: Name, json: Json = False) -> None:
    """Print a preset as it is, or with --json its keys with every base: merged in."""
    from mercli import presets

    if json:
        show_json(presets.load(name))
    else:
        out(presets.path_of(name).read_text(encoding="utf-8").rstrip("\n"))


def copy(
    name: Name,
    target: Annotated[str | None, typer.Argument(metavar="FILE", help="Where to; NAME.yaml here by default.")] = None,
) -> None:
    """Copy a preset to a file of yours; an existing file stays."""
    from mercli import presets, rundir

    source = presets.path_of(name)
    path = Path(target or source.name)
    if path.exists():
        raise ConfigError(f"'{path}' exists, expected a new file name", f"mer presets copy {name} my-{source.name}")
    rundir.write_text(path, source.read_text(encoding="utf-8"))
    out(str(path))


def check(
    name: Name,
    command: Annotated[str | None, typer.Option("--command", help="Check against this command's keys.")] = None,
    json: Json = False,
) -> None:
    """Check every key and value of a preset against its command."""
    from mercli.jobs import checking

    checked: dict[str, Any] = checking.preset(name, command)
    if json:
        show_json(checked)
    else:
        out(f"{name}: valid for mer {checked['command']}")
