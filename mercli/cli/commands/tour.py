"""``mer tour``: the whole way in two minutes, command by command."""

from __future__ import annotations

import io
import shlex
import sys
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated

import typer

from mercli.cli.listing import show_json
from mercli.cli.options import Command, Json, Quiet, Verbose, out, say

if TYPE_CHECKING:
    from mercli.jobs.tour import Step, Walked

WIDE = 80


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("tour", cls=Command)(tour)


def tour(
    context: typer.Context,
    to: Annotated[str, typer.Option("--to", metavar="DIR", help="Where everything is made.")] = "mer-tour",
    again: Annotated[bool, typer.Option("--again", help="Run every step again, not only what is left.")] = False,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Walk the whole way in two minutes: made corpora, features, training, LOCO, a report, an answer; offline.

    Each command is shown as it is typed, and is what runs. A second call goes on where one was stopped.

    Example: mer tour --to /tmp/mer-tour
    """
    from mercli.jobs import tour as job

    manner = (["-q"] if quiet else []) + ["-v"] * verbose

    def run(words: Sequence[str]) -> None:
        with redirect_stdout(io.StringIO()) if json else nullcontext():
            code = _typed(context, words, manner)
        if code:
            say(f"go on with: {shlex.join(['mer', 'tour', '--to', to])}")
            raise typer.Exit(code)

    walked = []
    for done in job.tour(Path(to), lambda step: _announce(step, len(job.STOPS), json), run, again):
        walked.append(done)
        _conclude(done)
    if json:
        show_json({"folder": to, "steps": [done.row() for done in walked]})
    _tell(f"{sum(done.seconds for done in walked):.0f} s in all. What next, with data of your own:", "\n")
    wide = max(len(command) for command, _ in job.NEXT)
    for command, what in job.NEXT:
        say(f"  {command:{wide}}  # {what}")


def _typed(context: typer.Context, words: Sequence[str], manner: Sequence[str]) -> int:
    """Run a command line as its console script does, told in provenance as it is shown; return its exit code."""
    given, sys.argv = sys.argv, ["mer", *words]
    try:
        return context.find_root().command.main([*words, *manner], "mer", standalone_mode=False) or 0
    finally:
        sys.argv = given


def _announce(step: Step, count: int, json: bool) -> None:
    _tell(f"{step.number}/{count} {step.what}", "\n")
    (say if json else out)(f"$ {step.command}")


def _conclude(done: Walked) -> None:
    _tell(f"Look at: {done.step.look}")
    _tell(f"{done.seconds:.1f} s" + (", done before (--again runs it anew)" if done.before else ""))


def _tell(text: str, before: str = "") -> None:
    """Say a sentence within 80 columns, after what stands on stdout where both go to one place."""
    sys.stdout.flush()
    say(before + fill(text, WIDE, break_on_hyphens=False, break_long_words=False))
