"""``mer predict``: clips in, emotions out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercli.cli.options import Command, Device, Json, Plugin, Preset, Quiet, Set, Verbose, say
from mercli.errors import DataError, PartialError

if TYPE_CHECKING:
    from mercli.jobs.items import Item

NOTICE = "Not for judging people at work or school, nor for clinical or legal decisions; see docs/model-card.md."


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("predict", cls=Command, epilog=NOTICE)(predict)


def predict(
    clips: Annotated[
        list[str] | None, typer.Argument(metavar="CLIPS...", help="Files or folders; - reads paths from stdin.")
    ] = None,
    list_: Annotated[
        str | None, typer.Option("--list", metavar="FILE.jsonl", help="Items, one JSON object a line.")
    ] = None,
    null: Annotated[bool, typer.Option("-0", "--null", help="Paths on stdin are NUL-separated.")] = False,
    model: Annotated[
        list[str] | None, typer.Option("--model", metavar="BUNDLE", help="Bundle folder; repeat to compare (embedded).")
    ] = None,
    preset: Preset = None,
    text: Annotated[str | None, typer.Option("--text", help="What is said, in place of any transcript.")] = None,
    transcriber: Annotated[
        str | None, typer.Option("--transcriber", metavar="NAME", help="`mer list transcribers` (auto).")
    ] = None,
    windows: Annotated[
        str | None, typer.Option("--windows", metavar="SIZE/STEP", help="A timeline: windows in seconds, e.g. 4/2.")
    ] = None,
    by_speech: Annotated[
        bool | None, typer.Option("--by-speech", help="A timeline: one segment per stretch of speech.")
    ] = None,
    face: Annotated[
        str | None, typer.Option("--face", metavar="speaker|largest|all|whole", help="Whose face (speaker).")
    ] = None,
    prior: Annotated[
        str | None, typer.Option("--prior", metavar="uniform|train|corpus NAME|FILE", help="Class prior (uniform).")
    ] = None,
    explain: Annotated[bool | None, typer.Option("--explain", help="Each modality's exact Shapley share.")] = None,
    abstain: Annotated[
        float | None, typer.Option("--abstain", metavar="P", help="Give no label below this probability.")
    ] = None,
    format_: Annotated[
        str | None, typer.Option("--format", metavar="table|json|jsonl|csv", help="How to print (table).")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE", help="Write here, not to stdout.")
    ] = None,
    device: Device = None,
    jobs: Annotated[int | None, typer.Option("--jobs", min=1, help="Worker processes (1).")] = None,
    strict: Annotated[bool | None, typer.Option("--strict", help="Stop at the first item that fails.")] = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Recognise emotions in clips, with the probability of each class.

    Example: mer predict clip.mp4 --explain
    """
    from mercli import config as configs
    from mercli.cli import rendering
    from mercli.jobs import items as found
    from mercli.jobs import predict as job

    flags = {
        "model": model, "text": text, "transcriber.name": transcriber, "windows": windows, "by_speech": by_speech,
        "face": face, "prior": prior, "explain": explain, "abstain": abstain, "device": device, "jobs": jobs,
        "strict": strict,
    }  # fmt: skip
    config = configs.resolve(configs.PredictConfig, flags, preset=preset, sets=set_ or ())
    if bool(clips) == bool(list_):
        raise typer.BadParameter("give clips, a folder, - for paths on stdin, or --list FILE", param_hint="CLIPS")
    items: Iterable[Item] = (
        found.of_list(Path(list_))
        if list_
        else found.of_stdin(sys.stdin.buffer, null)
        if clips == ["-"]
        else found.of_paths(clips or ())
    )
    failed = good = 0
    last = ""
    with rendering.writer(rendering.choose(format_, json, output), output) as write:
        for predictions in job.predict(config, items):
            bad = ""
            for prediction in predictions:
                write(prediction)
                bad = bad or (prediction.error or "")
            failed, good, last = failed + bool(bad), good + (not bad), bad or last
            if bad and config.strict:
                raise DataError(f"stopped at the first item that failed: {bad}")
    if output:
        say(output)
    _conclude(failed, good, last)


def _conclude(failed: int, good: int, last: str) -> None:
    if good + failed == 0:
        raise DataError("there was nothing to predict: no path or line was given", "mer predict --help")
    if failed and not good:
        raise DataError(last if failed == 1 else f"all {failed} items failed; the last: {last}", "mer doctor")
    if failed:
        raise PartialError(f"{failed} of {failed + good} items failed; the output says which and why")
