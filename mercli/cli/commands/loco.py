"""``mer loco``: leave one corpus out."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from mercli.cli.commands.train import COLUMNS, Head, Precision, Require, Resume, Seeds, TensorBoard, cells, legend
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


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("loco", cls=Command)(loco)


def loco(
    corpora: Corpora = None,
    head: Head = None,
    heads: Annotated[
        list[str] | None, typer.Option("--heads", metavar="A [B ...]", help="Several heads; the first is compared.")
    ] = None,
    preset: Preset = None,
    encoder: Tuned = None,
    modalities: Modalities = None,
    classes: Classes = None,
    seeds: Seeds = None,
    require: Require = None,
    score: Annotated[
        str | None, typer.Option("--score", metavar="test|all", help="Score the held-out test split, or all of it.")
    ] = None,
    matrix: Annotated[bool | None, typer.Option("--matrix", help="Also train on each corpus alone.")] = None,
    compare: Annotated[str | None, typer.Option("--compare", metavar="RUN", help="Test against another run.")] = None,
    final: Annotated[bool | None, typer.Option("--final", help="Also leave a bundle trained on all.")] = None,
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
    """Train on all corpora but one, score the one left out, for each in turn.

    Example: mer loco --corpora mosei meld iemocap afew --seeds 5
    """
    from mercli import config as configs
    from mercli.jobs import loco as job
    from mercli.jobs.features import tuned
    from mercli.jobs.fits import resuming

    flags = {
        **tuned.flags(encoder),
        "corpora": corpora,
        "head.name": head,
        "heads": heads,
        "modalities": modalities,
        "classes": classes,
        "seeds": seeds,
        "require": require,
        "score": score,
        "matrix": matrix,
        "compare": compare,
        "final": final,
        "engine.name": engine,
        "engine.options.jobs": number(jobs),
        "device": device,
        "precision": precision,
        "tensorboard": tensorboard,
        "allow_leak": allow_leak,
        "data": data,
        "runs": runs,
    }
    config, run = resuming.resolve(configs.LocoConfig, flags, preset, set_ or (), resume)
    result = job.loco(config, run)
    if json:
        show_json(result)
        return
    _folds(result)
    _comparisons(result.comparisons)
    _matrix(result.matrix)
    _notes(result)


def _folds(result: Any) -> None:
    rows = []
    for fold in result.rows:
        held, home = fold["held_out"], fold["others_test"]
        rows.append(
            [
                *([fold["head"]] if len(result.means) > 1 else []),
                fold["corpus"],
                fold["split"],
                *cells(held, bool(fold["seen_by"])),
                f"{held['corrected_weighted_f1']:.3f}",
                str(sum(count > 0 for count in held["support"].values())),
                f"{home['uar']:.3f}" if home else "",
            ]
        )
    first = ["head"] if len(result.means) > 1 else []
    show_table([*first, "held out", "split", *COLUMNS, "wF1 own prior", "classes", "others' test UAR"], rows)
    legend([fold["seen_by"] for fold in result.rows])


def _comparisons(comparisons: list[dict[str, Any]]) -> None:
    if not comparisons:
        return
    keys = ("uar", "other_uar", "difference", "p", "p_holm", "smallest_difference")
    rows = [
        [row["one"], row["other"], row["corpus"], *("" if row[k] is None else f"{row[k]:.3f}" for k in keys)]
        for row in comparisons
    ]
    heading = ["one", "other", "held out", "UAR", "other UAR", "difference", "p", "p (Holm)", "could be seen"]
    show_table(heading, rows, "paired permutation by cluster")


def _matrix(cells_: list[dict[str, Any]]) -> None:
    if not cells_:
        return
    rows = [[c["head"], c["trained_on"], c["tested_on"], *cells(c, bool(c["seen_by"]))[:3]] for c in cells_]
    show_table(["head", "trained on", "tested on", *COLUMNS[:3]], rows, "train on one, test on each")


def _notes(result: Any) -> None:
    for fold in result.rows if len(result.means) == 1 else ():
        for name, count in fold["same_texts_left_out"].items():
            say(f"{fold['corpus']}: {count} segments of {name} with the same words were left out of training")
    for modality, probe in result.identifiability.items():
        say(f"{modality} features tell the corpus with UAR {probe['uar']:.2f} (chance {probe['chance']:.2f})")
    for head, mean in result.means.items():
        if mean is not None:
            say(f"mean UAR over corpora that no encoder has seen, {head}: {mean:.3f}")
    say(f"run: {result.run}")
