"""``mer predict``: clips in, emotions out."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mercli.cli.options import Command, Device, Json, Offline, Plugin, Preset, Quiet, Set, Verbose, say
from mercli.errors import DataError, PartialError

if TYPE_CHECKING:
    from mercli.config import PredictConfig
    from mercli.jobs.clips.items import Item
    from mercli.types import Prediction

NOTICE = "Not for judging people at work or school, nor for clinical or legal decisions; see docs/model-card.md."

Clips = Annotated[
    list[str] | None, typer.Argument(metavar="CLIPS...", help="Files or folders; - reads paths from stdin.")
]
List = Annotated[str | None, typer.Option("--list", metavar="FILE.jsonl", help="Items, one JSON object a line.")]
Null = Annotated[bool, typer.Option("-0", "--null", help="Paths on stdin are NUL-separated.")]
Model = Annotated[
    list[str] | None, typer.Option("--model", metavar="BUNDLE", help="Bundle folder; repeat to compare (embedded).")
]
Text = Annotated[str | None, typer.Option("--text", help="What is said, in place of any transcript.")]
Transcriber = Annotated[
    str | None, typer.Option("--transcriber", metavar="NAME", help="`mer list transcribers` (auto).")
]
Windows = Annotated[
    str | None, typer.Option("--windows", metavar="SIZE/STEP", help="A timeline: windows in seconds, e.g. 4/2.")
]
BySpeech = Annotated[bool | None, typer.Option("--by-speech", help="A timeline: one segment per stretch of speech.")]
Face = Annotated[str | None, typer.Option("--face", metavar="speaker|largest|all|whole", help="Whose face (speaker).")]
Prior = Annotated[
    str | None, typer.Option("--prior", metavar="uniform|train|corpus NAME|FILE", help="Class prior (uniform).")
]
Explain = Annotated[bool | None, typer.Option("--explain", help="Each modality's exact Shapley share.")]
Alone = Annotated[bool | None, typer.Option("--alone", help="What each modality says with the others masked.")]
Abstain = Annotated[float | None, typer.Option("--abstain", metavar="P", help="Give no label below this probability.")]
Format = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="NAME",
        help="table, json, jsonl, csv; srt, vtt, eaf, textgrid, html (of one clip), parquet.",
    ),
]
Output = Annotated[
    str | None,
    typer.Option("--output", "-o", metavar="FILE|DIR", help="Write here, not to stdout; DIR: file per clip."),
]
Annotate = Annotated[
    str | None, typer.Option("--annotate", metavar="FILE.mp4", help="Also write the clip with its face and answers.")
]
Jobs = Annotated[int | None, typer.Option("--jobs", min=1, help="Worker processes (1).")]
Strict = Annotated[bool | None, typer.Option("--strict", help="Stop at the first item that fails.")]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("predict", cls=Command, epilog=NOTICE)(predict)


def predict(
    clips: Clips = None,
    list_: List = None,
    null: Null = False,
    model: Model = None,
    preset: Preset = None,
    text: Text = None,
    transcriber: Transcriber = None,
    windows: Windows = None,
    by_speech: BySpeech = None,
    face: Face = None,
    prior: Prior = None,
    explain: Explain = None,
    alone: Alone = None,
    abstain: Abstain = None,
    format_: Format = None,
    output: Output = None,
    annotate: Annotate = None,
    device: Device = None,
    offline: Offline = False,
    jobs: Jobs = None,
    strict: Strict = None,
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
    from mercli.jobs.answers import exporting

    if bool(clips) == bool(list_):
        raise typer.BadParameter("give clips, a folder, - for paths on stdin, or --list FILE", param_hint="CLIPS")
    kind = rendering.choose(format_, json, output)
    items = _one_or_folder(_items(clips or [], list_, null), kind, output, annotate)
    flags = {
        "model": model, "text": text, "transcriber.name": transcriber, "windows": windows, "by_speech": by_speech,
        "face": face, "prior": prior, "explain": explain, "alone": alone or (kind in exporting.ALONE) or None,
        "abstain": abstain, "device": device, "jobs": jobs, "strict": strict,
    }  # fmt: skip
    config = configs.resolve(configs.PredictConfig, flags, preset=preset, sets=set_ or ())
    _run(config, items, kind, output, annotate)


def _items(clips: list[str], list_: str | None, null: bool) -> Iterable[Item]:
    from mercli.jobs.clips import items

    if list_:
        return items.of_list(Path(list_))
    return items.of_stdin(sys.stdin.buffer, null) if clips == ["-"] else items.of_paths(clips)


def _one_or_folder(items: Iterable[Item], kind: str, output: str | None, annotate: str | None) -> Iterable[Item]:
    """Return the items; a file that holds one clip is asked for one, and a table of bytes is never printed."""
    from mercli.cli import rendering
    from mercli.jobs.answers import exporting

    if kind == exporting.TABLE and output is None:
        raise typer.BadParameter(f"{kind} is no text, give -o FILE.{kind}", param_hint="--output")
    one_document = kind in exporting.DOCUMENTS and not rendering.is_folder(output)
    if not one_document and not annotate:
        return items
    first = list(islice(items, 2))
    if len(first) == 2 and annotate:
        raise typer.BadParameter("a film shows one clip", param_hint="--annotate")
    if len(first) == 2:
        raise typer.BadParameter(f"a file of {kind} holds one clip, give -o FOLDER/ for several", param_hint="--output")
    return first


def _run(config: PredictConfig, items: Iterable[Item], kind: str, output: str | None, annotate: str | None) -> None:
    from mercli.cli import rendering
    from mercli.jobs import predict as job
    from mercli.jobs.answers import annotating, exporting

    failed = good = 0
    last = ""
    if annotate or kind in exporting.DOCUMENTS:
        job.check_classes(config, "--annotate" if annotate else f"--format {kind}")
    every: Iterable[Iterable[Prediction]] = job.predict(config, items)
    if annotate:
        every = (annotating.annotated(config, item, Path(annotate)) for item in items)
    every_in_folder = kind in exporting.DOCUMENTS and rendering.is_folder(output)
    if every_in_folder and output:
        every = exporting.into_folder(every, kind, Path(output))
    with rendering.writer(kind, output, job.class_names(config)) as write:
        for predictions in every:
            errors, any_good = [], False
            for prediction in predictions:
                write(prediction)
                errors += [prediction.error] if prediction.error else []
                any_good = any_good or not prediction.error
            # a window without face, sound and words does not make its clip a failure
            failed, good = failed + (not any_good), good + any_good
            last = errors[-1] if errors else last
            if not any_good and config.strict:
                raise DataError(f"stopped at the first item that failed: {last}")
    for written in filter(None, (output, annotate if good else None)):
        say(written)
    _conclude(failed, good, last, "what is said above" if every_in_folder else "the output")


def _conclude(failed: int, good: int, last: str, where: str) -> None:
    if good + failed == 0:
        raise DataError("there was nothing to predict: no path or line was given", "mer predict --help")
    if failed and not good:
        raise DataError(last if failed == 1 else f"all {failed} items failed; the last: {last}")
    if failed:
        raise PartialError(f"{failed} of {failed + good} items failed; {where} says which and why")
