"""The application: commands are found here, and only here errors become exit codes (through ``options.Command``)."""

from __future__ import annotations

import importlib
import sys
import traceback
from typing import Annotated

import typer

from mercli.cli.options import complain, out

COMMANDS = (
    "predict",
    "prepare",
    "extract",
    "train",
    "loco",
    "report",
    "finetune",
    "audit",
    "store",
    "bundle",
    "models",
    "list",
    "presets",
    "doctor",
    "tour",
)

app = typer.Typer(
    name="mer",
    help="Multimodal emotion recognition: clips in, emotions out, and how far the numbers travel.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from mercli import __version__

        out(f"mer {__version__}")
        raise typer.Exit


@app.callback()
def _app(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


for _name in COMMANDS:
    importlib.import_module(f"mercli.cli.commands.{_name}").register(app)


def main() -> None:
    """Run ``mer``; a bug shows its traceback and asks for a report, exit code 1."""
    try:
        app()
    except Exception:  # the last boundary: whatever arrives here is a bug of ours
        traceback.print_exc()
        complain("mer: this is a bug; please report it with the lines above and the output of `mer doctor`")
        sys.exit(1)
