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
    Engine,
    Jobs,
    Json,
    Modalities,
    Offline,
    Plugin,
    Preset,
    Quiet,
    Runs,
    Set,
    Tuned,
    Verbose,
    number,
    say,
)

Head = Annotated[str | None, typer.Option("--head", metavar="NAME", help="Fusion head (late); `mer list heads`.")]
Require = Annotated[
    str | None,
    typer.Option("--require", metavar="any|all", help="Use segments with any modality (any), or with all of them."),
]
Seeds = Annotated[int | None, typer.Option("--seeds", min=1, help="How many seeds (1).")]

Precision = Annotated[
    str | None,
    typer.Option("--precision", metavar="auto|fp32|bf16|fp16", help="Arithmetic of training (fp32); auto tries it."),
]
TensorBoard = Annotated[bool | None, typer.Option("--tensorboard", help="Also write curves for TensorBoard.")]
Resume = Annotated[str | None, typer.Option("--resume", metavar="RUN", help="Go on with a run that was stopped.")]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("train", cls=Command)(train)


def train(
    corpora: Corpora = None,
    head: Head = None,
    preset: Preset = None,
    encoder: Tuned = None,
    modalities: Modalities = None,
    classes: Classes = None,
    seeds: Seeds = None,
    folds: Annotated[
        str | None, typer.Option("--folds", metavar="NAME", help="Cross-validate: session ..., speaker:5 (official).")
    ] = None,
    require: Require = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="M=HOW", help="Score too with zeros, noise, addnoise or absent; repeatable."),
    ] = None,
    engine: Engine = None,
    jobs: Jobs = None,
    device: Device = None,
    offline: Offline = False,
    precision: Precision = None,
    tensorboard: TensorBoard = None,
    resume: Resume = None,
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
    from mercli.jobs.features import tuned
    from mercli.jobs.fits import resuming

    flags = {
        **tuned.flags(encoder),
        "corpora": corpora,
        "head.name": head,
        "modalities": modalities,
        "classes": classes,
        "seeds": seeds,
        "folds": folds,
        "drop": drop,
        "require": require,
        "allow_leak": allow_leak,
        "engine.name": engine,
        "engine.options.jobs": number(jobs),
        "device": device,
        "precision": precision,
        "tensorboard": tensorboard,
        "data": data,
        "runs": runs,
    }
    config, run = resuming.resolve(configs.TrainConfig, flags, preset, set_ or (), resume)
    trained = job.train(config, run)
    if json:
        show_json(trained)
    else:
        _show(trained)


def _show(trained: Any) -> None:
    """Print a table of the scores on stdout, and on stderr what was left out and where the bundle lies."""
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
