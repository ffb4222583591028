"""``mer train``: a fusion head on stored features."""

from __future__ import annotations

from typing import Annotated, Any

import typer

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

Head = Annotated[str | None, typer.Option("--head", metavar="NAME", help="Fusion head (late); `mer list heads`.")]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="How many seeds (1).")]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("train", cls=Command)(train)


def train(
    corpora: Corpora = None,
    head: Head = None,
    preset: Preset = None,
    modalities: Modalities = None,
    classes: Classes = None,
    seeds: Seeds = None,
    folds: Annotated[
        str | None, typer.Option("--folds", metavar="NAME", help="Cross-validate: session, speaker ... (official).")
    ] = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="M=HOW", help="Score too with zeros, noise, addnoise or absent; repeatable."),
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
    """Train a fusion head on stored features; leaves a run with a bundle for `mer predict`.

    Example: mer train --corpora meld --head concat --seeds 5
    """
    from mercli import config as configs
    from mercli.jobs import train as job

    flags = {
        "corpora": corpora,
        "head.name": head,
        "modalities": modalities,
        "classes": classes,
        "seeds": seeds,
        "folds": folds,
        "drop": drop,
        "allow_leak": allow_leak,
        "device": device,
        "data": data,
        "runs": runs,
    }
    trained = job.train(configs.resolve(configs.TrainConfig, flags, preset=preset, sets=set_ or ()))
    if json:
        show_json(trained)
        return
    split = "out of fold" if trained.folds else "test"
    rows = []
    for name, score in trained.scores.items():
        rows.append([name, split, *cells(score, bool(score["seen_by"]))])
        for condition, found in score.get("dropped", {}).items():
            rows.append([name, f"{split}, {condition}", *cells(found, bool(score["seen_by"]))])
    for fold in trained.folds:
        rows += [[name, f"fold {fold['fold']}", *cells(fold[name], False)] for name in trained.scores if name in fold]
    show_table(["corpus", "split", *COLUMNS], rows)
    legend([score["seen_by"] for score in trained.scores.values()])
    for name, counts in trained.coverage.items():
        if counts["dropped_labels"] or counts["without_features"]:
            say(f"{name}: dropped labels {counts['dropped_labels']}, {counts['without_features']} without features")
    say(f"bundle: {trained.run / 'bundle'}")


COLUMNS = ("n", "UAR", "95 % interval", "seeds sd", "accuracy", "weighted F1")


def cells(score: dict[str, Any], seen: bool) -> list[str]:
    """Return a score's cells; a dagger marks data that an encoder has seen."""
    interval = score["uar_interval"]
    spread = score["uar_spread"]
    return [
        str(score["n"]),
        f"{score['uar']:.3f}" + ("†" if seen else ""),
        f"{interval[0]:.3f}-{interval[1]:.3f}" if interval else "",
        f"{spread:.3f}" if spread is not None else "",
        f"{score['accuracy']:.3f}",
        f"{score['weighted_f1']:.3f}",
    ]


def legend(seen: list[list[str]]) -> None:
    """Say what the dagger means, where one stands."""
    if any(seen):
        say("† an encoder was trained on this data: no figure of transfer, and left out of means")
