"""``mer loco``: leave one corpus out."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated, Any

import typer

from mercli.cli.commands.train import Head, Precision, Require, Resume, Seeds, TensorBoard
from mercli.cli.listing import show_json
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
    Scheme,
    Set,
    Tuned,
    Verbose,
    number,
    say,
)
from mercli.cli.scores import cells, columns, few, figure, kind_of, legend
from mercli.cli.sections import show_wide
from mercli.labels import FIGURES, WORDS
from mercli.results.section import Table

Heads = Annotated[
    list[str] | None, typer.Option("--heads", metavar="A [B ...]", help="Several heads; the first is compared.")
]
Encoders = Annotated[
    list[str] | None,
    typer.Option(
        "--encoders", metavar="A [B ...]", help="Rows of a table: extract presets or tuned encoders, joined by +."
    ),
]
Score = Annotated[
    str | None, typer.Option("--score", metavar="test|all", help="Score the held-out test split, or all of it.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("loco", cls=Command)(loco)


def loco(
    corpora: Corpora = None,
    head: Head = None,
    heads: Heads = None,
    preset: Preset = None,
    encoder: Tuned = None,
    encoders: Encoders = None,
    modalities: Modalities = None,
    classes: Classes = None,
    scheme: Scheme = None,
    seeds: Seeds = None,
    require: Require = None,
    score: Score = None,
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
    from mercli.jobs.fits import resuming, systems

    for name, one, several in (("encoder", encoder, encoders), ("head", head, heads)):
        if one and several:
            raise typer.BadParameter(f"give --{name}, or name it among --{name}s", param_hint=f"--{name}")
    flags = {
        **tuned.flags(encoder),
        **systems.flags(encoders),
        "corpora": corpora,
        "head.name": head,
        "heads": heads,
        "modalities": modalities,
        "classes": classes,
        "scheme": scheme,
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
    else:
        _tables(result)
    job.judge(result)


def _tables(result: Any) -> None:
    from mercli.jobs.reports.loco import encoder_table

    tables = [_folds(result), *map(encoder_table, result.encoders)]
    tables += [_comparisons(result.comparisons)] if result.comparisons else []
    tables += [_matrix(result.matrix)] if result.matrix else []
    for table in tables:
        show_wide(table, named=len(tables) > 1)
    _notes(result)


def _folds(result: Any) -> Table:
    rows = []
    kind = kind_of(fold["held_out"] for fold in result.rows)
    main, classes = FIGURES[kind][0], kind == "one-of"
    for fold in result.rows:
        held, home = fold["held_out"], fold["others_test"]
        rows.append(
            [
                *([fold["head"]] if len(result.means) > 1 else []),
                fold["corpus"],
                fold["split"],
                *cells(held, bool(fold["seen_by"])),
                *((figure(held["corrected_weighted_f1"]), _occurring(held)) if classes else ()),
                figure(home[main]) + _dagger(set(home["corpora"]) & set(home["seen_by"])) if home else "",
            ]
        )
    first = ["head"] if len(result.means) > 1 else []
    beside = ("wF1 est. prior", "classes") if classes else ()
    heading = [*first, "held out", "split", *columns(kind), *beside, f"others' test {WORDS[main]}"]
    return Table("loco", "held out", tuple(heading), rows, len(first) + 1)


def _occurring(score: dict[str, Any]) -> str:
    """Return how many classes a corpus has."""
    return str(sum(count > 0 for count in score["support"].values()))


def _dagger(seen: Collection[str]) -> str:
    return "†" if seen else ""


def _comparisons(comparisons: list[dict[str, Any]]) -> Table:
    keys = ("uar", "other_uar", "difference", "p", "p_holm", "smallest_difference")
    rows = [
        [row["one"], row["other"], row["corpus"] + _dagger(row["seen_by"]), *(figure(row[key]) for key in keys)]
        for row in comparisons
    ]
    heading = ("one", "other", "held out", "UAR", "other UAR", "difference", "p", "p (Holm)", "could be seen")
    return Table("loco-comparisons", "paired permutation by cluster", heading, rows, 3)


def _matrix(cells_: list[dict[str, Any]]) -> Table:
    rows = [[c["head"], c["trained_on"], c["tested_on"], *cells(c, bool(c["seen_by"]))[:3]] for c in cells_]
    heading = ("head", "trained on", "tested on", *columns(kind_of(cells_))[:3])
    return Table("loco-matrix", "train on one, test on each", heading, rows, 3)


def _notes(result: Any) -> None:
    few({fold["corpus"]: fold["held_out"] for fold in result.rows})
    homes = [fold["others_test"]["seen_by"] for fold in result.rows if fold["others_test"]]
    legend([*(fold["seen_by"] for fold in result.rows), *homes, *(cell["seen_by"] for cell in result.matrix)])
    for fold in result.rows if len(result.means) == 1 else ():
        for name, count in fold["same_texts_left_out"].items():
            say(f"{fold['corpus']}: {count} segments of {name} with the same words were left out of training")
    main = WORDS[FIGURES[kind_of(fold["held_out"] for fold in result.rows)][0]]
    for fold in result.rows:
        home = fold["others_test"]
        if home and (seen := sorted(set(home["seen_by"]) - set(home["corpora"]))):
            say(f"{fold['head']} without {fold['corpus']}: others' test {main} leaves out {', '.join(seen)}†")
    for name, probe in result.identifiability.items():
        if probe["uar"] is not None:
            say(f"{name} features tell the corpus with UAR {probe['uar']:.2f} (chance {probe['chance']:.2f})")
    for head, mean in result.means.items():
        if mean is not None:
            say(f"mean {main} over corpora that no encoder has seen, {head}: {mean:.3f}")
    for table in result.encoders:
        common = ", ".join(table["common"]) or "none, so no mean compares these rows"
        say(f"common: the mean over corpora that no row has seen ({common})")
        break
    say(f"run: {result.run}")
