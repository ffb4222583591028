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
    Distilled,
    Engine,
    Jobs,
    Json,
    Modalities,
    Offline,
    Plugin,
    Preset,
    Quiet,
    Runs,
    Scheme,
    Set,
    Tuned,
    Verbose,
    number,
    say,
)
from mercli.cli.scores import cells, columns, few, kind_of, legend, show_parts

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
EndToEnd = Annotated[
    bool | None,
    typer.Option("--end-to-end", help="Train encoders along with the head, on streams; works under torchrun."),
]
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
    scheme: Scheme = None,
    seeds: Seeds = None,
    folds: Annotated[
        str | None, typer.Option("--folds", metavar="NAME", help="Cross-validate: session ..., speaker:5 (official).")
    ] = None,
    require: Require = None,
    distill: Distilled = None,
    drop: Annotated[
        list[str] | None,
        typer.Option("--drop", metavar="M=HOW", help="Score too with zeros, noise, addnoise or absent; repeatable."),
    ] = None,
    engine: Engine = None,
    jobs: Jobs = None,
    device: Device = None,
    offline: Offline = False,
    precision: Precision = None,
    end_to_end: EndToEnd = None,
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
    from mercli.jobs import end_to_end as end_to_end_job
    from mercli.jobs import train as job
    from mercli.jobs.features import tuned
    from mercli.jobs.fits import resuming

    flags = {
        **tuned.flags(encoder),
        "corpora": corpora,
        "head.name": head,
        "modalities": modalities,
        "classes": classes,
        "scheme": scheme,
        "seeds": seeds,
        "folds": folds,
        "drop": drop,
        "require": require,
        "distill.teacher": distill,
        "allow_leak": allow_leak,
        "engine.name": engine,
        "engine.options.jobs": number(jobs),
        "device": device,
        "precision": precision,
        "end_to_end.on": end_to_end,
        "tensorboard": tensorboard,
        "data": data,
        "runs": runs,
    }
    config, run = resuming.resolve(configs.TrainConfig, flags, preset, set_ or (), resume)
    trained = (end_to_end_job if config.end_to_end.on else job).train(config, run)
    if trained is None:  # another of several processes answers
        return
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
        rows += [
            [name, f"fold {fold['fold']}", *cells(fold[name], bool(score["seen_by"]))]
            for name, score in trained.scores.items()
            if name in fold
        ]
    show_table(["corpus", "split", *columns(kind_of(trained.scores.values()))], rows)
    show_parts(trained.scores)
    few(trained.scores)
    legend([score["seen_by"] for score in trained.scores.values()])
    if untested := [name for name in trained.coverage if name not in trained.scores]:
        say(f"no test split, hence no score: {', '.join(untested)} (--folds clip:5 answers every segment out of fold)")
    for name, counts in trained.coverage.items():
        if counts["dropped_labels"] or counts["without_features"]:
            say(f"{name}: dropped labels {counts['dropped_labels']}, {counts['without_features']} without features")
    say(f"bundle: {trained.run / 'bundle'}")
