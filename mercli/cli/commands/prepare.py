"""``mer prepare``: a raw corpus becomes a manifest."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Data, Json, Offline, Plugin, Quiet, Set, Verbose, say
from mercli.errors import DataError, PartialError

SHOWN = 12
"""Labels without a canonical class that are named; the others are counted, and all stand in ``--json``."""


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("prepare", cls=Command)(prepare)


def prepare(
    corpus: Annotated[str, typer.Option("--corpus", metavar="NAME", help="Reader: one of `mer list corpora`.")],
    root: Annotated[
        str, typer.Option("--root", metavar="DIR", help="Where the raw corpus lies; for csv also the file itself.")
    ],
    name: Annotated[str | None, typer.Option("--name", help="Call the prepared corpus so.")] = None,
    split: Annotated[
        str | None,
        typer.Option("--split", metavar="RULE", help="Draw splits (speaker:0.8/0.1/0.1) or take a fold (session:5)."),
    ] = None,
    seed: Annotated[int | None, typer.Option("--seed", help="Seed of --split, and of made corpora (0).")] = None,
    hash_: Annotated[bool | None, typer.Option("--hash", help="Keep each medium's sha256.")] = None,
    probe: Annotated[
        bool | None, typer.Option("--probe/--no-probe", help="Open every medium: its length, and whether it decodes.")
    ] = None,
    check: Annotated[
        bool | None,
        typer.Option("--check", help="Compare with the release's known counts; exit code 4 if they differ."),
    ] = None,
    transcribe: Annotated[
        bool | None,
        typer.Option("--transcribe", help="Find or hear the words of segments without (--set transcriber.name=NAME)."),
    ] = None,
    streams: Annotated[
        bool | None, typer.Option("--streams", help="Keep sound (FLAC) and face crops, decoded once for all encoders.")
    ] = None,
    dry_run: Annotated[bool | None, typer.Option("--dry-run", help="Read and count; write nothing.")] = None,
    set_: Set = None,
    data: Data = None,
    json: Json = False,
    offline: Offline = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Turn a raw corpus, as it was downloaded, into a manifest.

    Example: mer prepare --corpus csv --root DIR --set label=emotion --split speaker:0.8/0.1/0.1
    """
    from mercli import config as configs
    from mercli.jobs import prepare as job

    flags = {
        "corpus.name": corpus,
        "root": root,
        "name": name,
        "split": split,
        "seed": seed,
        "hash": hash_,
        "probe": probe,
        "check": check,
        "transcribe": transcribe,
        "streams": streams,
        "dry_run": dry_run,
        "data": data,
    }
    summary = job.prepare(configs.resolve(configs.PrepareConfig, flags, sets=set_ or ()))
    row = summary.row()
    if json:
        show_json(row)
    else:
        _table(row)
        _notes(row)
    if row.get("streams"):
        say(f"streams of {row['streams']['clips']} clips are kept, {row['streams']['failed']} could not be read")
    if row.get("check"):
        _judge(row)
    if row.get("streams", {}).get("failed"):
        _judge_streams(**row["streams"])
    if summary.folder and row["clips_unusable"] < row["clips"]:
        place = ["--data", data] if data else []
        say(f"next: {shlex.join(['mer', 'extract', '--corpora', summary.corpus, *place])}")


def _table(row: dict[str, Any]) -> None:
    splits = list(row["segments"])
    labels = sorted({label for counts in row["segments"].values() for label in counts})
    cells = [[label, *(row["segments"][split].get(label, 0) for split in splits)] for label in labels]
    cells.append(["all", *(sum(row["segments"][split].values()) for split in splits)])
    cells.append(["hours", *(f"{row['hours'][split]:.2f}" if row["hours"][split] else "-" for split in splits)])
    cells.append(["speakers", *(row["speakers"][split] or "-" for split in splits)])
    show_table(["label", *splits], cells, row["corpus"])
    check = row.get("check")
    if check and check["expected"]:
        cells = [
            [
                one["part"],
                one["label"],
                one["expected"],
                one["found"],
                "" if one["expected"] in (None, one["found"]) else "differs",
            ]
            for one in check["expected"]
        ]
        show_table(["part", "label", "expected", "found", ""], cells, "check")


def _notes(row: dict[str, Any]) -> None:
    if row["layout"]:
        say(f"layout: {row['layout']}")
    for reason, count in row["why_without_media"].items() if "check" not in row else ():
        say(f"{count} clips have no media here: {reason}")
    if row["clips_unusable"]:
        say(f"{row['clips_unusable']} clips cannot be used at all: neither media nor words that tell an emotion")
    if row["excluded"]:
        say(f"{row['excluded']} units were left out; excluded.jsonl says why")
    dropped = row["dropped_labels"]
    if dropped:
        which = ", ".join(f"{label} {count}" for label, count in list(dropped.items())[:SHOWN])
        which += f" and {len(dropped) - SHOWN} more labels" if len(dropped) > SHOWN else ""
        say(f"{sum(dropped.values())} segments have a label without a canonical class under this policy: {which}")


def _judge_streams(clips: int, failed: int) -> None:
    """Raise ``PartialError`` where some clips could not be read, ``DataError`` where none could."""
    fault = PartialError if clips else DataError
    raise fault(f"{failed} of {clips + failed} clips could not be read; the warnings above say why")


def _judge(row: dict[str, Any]) -> None:
    """Say what ``--check`` found; raises ``DataError`` where something differs that should not."""
    check = row["check"]
    if check["expected"] is None:
        say("check: nothing is known of how many segments this corpus should have")
    for warning in check["warnings"]:
        say(f"check: {warning}")
    if check["faults"]:
        written = "; its manifest is written all the same" if row["manifest"] else ""
        raise DataError(f"'{row['corpus']}' is not as released: {'; '.join(check['faults'])}{written}")
    if check["expected"]:
        say("check: as released")
