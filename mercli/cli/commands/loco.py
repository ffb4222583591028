"""``mer loco``: leave one corpus out."""

from __future__ import annotations

from typing import Annotated

import typer

from mercli.cli.commands.train import COLUMNS, Head, Seeds, cells, legend
from mercli.cli.listing import show_json, show_table
from mercli.cli.options import (
    AllowLeak,
    Classes,
    Command,
    Corpora,
    Data,
    Device,
    Json,
    Modalities,
    Plugin,
    Preset,
    Quiet,
    Runs,
    Set,
    Verbose,
    say,
)


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("loco", cls=Command)(loco)


def loco(
    corpora: Corpora = None,
    head: Head = None,
    preset: Preset = None,
    modalities: Modalities = None,
    classes: Classes = None,
    seeds: Seeds = None,
    score: Annotated[
        str | None, typer.Option("--score", metavar="test|all", help="Score the held-out test split, or all of it.")
    ] = None,
    device: Device = None,
    allow_leak: AllowLeak = None,
    set_: Set = None,
    data: Data = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """Train on all corpora but one, score the one left out, for each in turn.

    Example: mer loco --corpora mosei meld iemocap afew --seeds 5
    """
    from mercli import config as configs
    from mercli.jobs import loco as job

    flags = {
        "corpora": corpora,
        "head.name": head,
        "modalities": modalities,
        "classes": classes,
        "seeds": seeds,
        "allow_leak": allow_leak,
        "score": score,
        "device": device,
        "data": data,
        "runs": runs,
    }
    result = job.loco(configs.resolve(configs.LocoConfig, flags, preset=preset, sets=set_ or ()))
    if json:
        show_json(result)
        return
    rows = []
    for fold in result.rows:
        home = fold["others_test"]
        rows.append(
            [
                fold["corpus"],
                fold["split"],
                *cells(fold["held_out"], bool(fold["seen_by"])),
                str(sum(count > 0 for count in fold["held_out"]["support"].values())),
                f"{home['uar']:.3f}" if home else "",
            ]
        )
    show_table(["held out", "split", *COLUMNS, "classes", "others' test UAR"], rows)
    legend([fold["seen_by"] for fold in result.rows])
    for fold in result.rows:
        for name, count in fold["same_texts_left_out"].items():
            say(f"{fold['corpus']}: {count} segments of {name} with the same words were left out of training")
    if result.mean_uar is not None:
        say(f"mean UAR over corpora that no encoder has seen: {result.mean_uar:.3f}")
    say(f"run: {result.run}")
