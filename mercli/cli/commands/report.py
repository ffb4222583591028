"""``mer report KIND``: what a run means."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import Command, Json, Quiet, Runs, Verbose, say

Run = Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run by name or path; the newest if none.")]
Output = Annotated[str | None, typer.Option("--output", "-o", metavar="DIR", help="Where to (RUN/report).")]


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(help="Show what a run means, as pictures, tables and files.", no_args_is_help=True)
    group.command("confusion", cls=Command)(confusion)
    group.command("classes", cls=Command)(classes)
    group.command("loco", cls=Command)(loco)
    group.command("compare", cls=Command)(compare)
    group.command("curves", cls=Command)(curves)
    group.command("calibration", cls=Command)(calibration)
    app.add_typer(group, name="report")


def confusion(
    run: Run = None,
    by: Annotated[str, typer.Option("--by", metavar="corpus|fold|all", help="One matrix per what.")] = "corpus",
    output: Output = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write confusion matrices as PNG, SVG, CSV and JSON, and show them."""
    from mercli.jobs import report as job

    if by not in ("corpus", "fold", "all"):
        raise typer.BadParameter("expected corpus, fold or all", param_hint="--by")
    made = job.confusion(Path(runs or "runs"), run, Path(output) if output else None, by)
    if json:
        show_json({"matrices": made.numbers, "files": made.files})
        return
    for matrix in made.numbers:
        rows = [[name, *counts] for name, counts in zip(matrix["names"], matrix["counts"], strict=True)]
        show_table(["target", *matrix["names"]], rows, f"{matrix['title']} (rows: targets)")
        if matrix["seeds"] > 1:
            say(f"{matrix['group']}: counts summed over {matrix['seeds']} seeds")
    for path in made.files:
        say(str(path))


def classes(
    run: Run = None,
    output: Output = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write precision, recall, F1 and support of each class, with intervals, and show them.

    Example: mer report classes loco-late
    """
    from mercli.jobs import reports as job

    made = job.classes(_folder(runs), run, _path(output))
    if json:
        show_json({"corpora": made.numbers, "files": made.files})
        return
    columns = ["class", "precision", "95 % interval", "recall", "95 % interval", "F1", "95 % interval", "support"]
    figures = ("precision", "recall", "f1")
    rows = [
        [
            group["group"],
            row["class"],
            *(c for f in figures for c in (_3(row[f]), _range(row[f"{f}_interval"]))),
            row["support"],
        ]
        for group in made.numbers
        for row in group["classes"]
    ]
    show_table(["corpus", *columns], rows, made.numbers[0]["run"])
    _said(made.files)


def loco(
    run: Run = None,
    output: Output = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write the held-out scores, and who learns from whom where the run has a matrix, and show them.

    Example: mer report loco loco-late
    """
    from mercli.jobs import reports as job

    made = job.loco(_folder(runs), run, _path(output))
    (found,) = made.numbers
    if json:
        show_json({**found, "files": made.files})
        return
    columns = ["head", "held out", "split", "n", "UAR", "95 % interval", "seeds sd", "accuracy", "weighted F1"]
    figures = ("uar_spread", "accuracy", "weighted_f1", "corrected_weighted_f1")
    rows = []
    for row in found["held_out"]:
        uar = _3(row["uar"]) + ("†" if row["seen_by"] else "")
        first = [row["head"], row["corpus"], row["split"], row["n"], uar, _range(_bounds(row))]
        rows.append([*first, *(_3(row[key]) for key in figures), row["classes"], _3(row["others_test_uar"])])
    show_table([*columns, "wF1 own prior", "classes", "others' test UAR"], rows, found["run"])
    if any(row["seen_by"] for row in found["held_out"]):
        say("† an encoder was trained on this corpus")
    if found["matrix"]:
        cells = [
            [c["head"], c["trained_on"], c["tested_on"], c["n"], _3(c["uar"]), _range(_bounds(c))]
            for c in found["matrix"]
        ]
        show_table(
            ["head", "trained on", "tested on", "n", "UAR", "95 % interval"], cells, "train on one, test on each"
        )
    _said(made.files)


def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run by name or path.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The run that it is compared with.")],
    output: Annotated[str | None, typer.Option("--output", "-o", metavar="DIR", help="Where to (A/report).")] = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write what two runs differ by in each corpus and class, and which answers changed, and show it.

    Example: mer report compare loco-late loco-mult
    """
    from mercli.jobs import versus as job

    made = job.compare(_folder(runs), a, b, _path(output))
    (found,) = made.numbers
    if json:
        show_json({**found, "files": made.files})
        return
    title = f"A: {found['a']}, B: {found['b']} (paired permutation by cluster)"
    rows = [
        [row["corpus"], *(_3(row[key]) for key in job.FIGURES), row["segments"], row["changed"]]
        for row in found["corpora"]
    ]
    columns = [
        "corpus",
        "UAR A",
        "UAR B",
        "difference",
        "p",
        "p (Holm)",
        "could be seen",
        "segments",
        "changed answers",
    ]
    show_table(columns, rows, title)
    cells = [
        [row["corpus"], one["class"], _3(one["a"]), _3(one["b"]), _3(one["difference"]), one["answers"]]
        for row in found["corpora"]
        for one in row["classes"]
    ]
    show_table(["corpus", "class", "recall A", "recall B", "difference", "answers"], cells, "per class")
    _said(made.files)


def curves(
    run: Run = None,
    output: Output = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write loss and dev figures of each epoch, a line per seed, and show each one's best epoch.

    Example: mer report curves train-late
    """
    from mercli.jobs import learning as job

    made = job.curves(_folder(runs), run, _path(output))
    if json:
        show_json({"groups": made.numbers, "files": made.files})
        return
    figures = ("loss", "dev_loss", "dev_uar", "dev_accuracy", "dev_weighted_f1")
    rows = [
        [group["group"], fit["fit"], fit["epochs"], fit["best_epoch"], *(_3(fit["best"][key]) for key in figures)]
        for group in made.numbers
        for fit in group["fits"]
    ]
    columns = ["group", "fit", "epochs", "best", "loss", "dev loss", "dev UAR", "dev accuracy", "dev weighted F1"]
    show_table(columns, rows, f"{made.numbers[0]['run']}: figures of the best epoch")
    _said(made.files)


def calibration(
    run: Run = None,
    output: Output = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Write how far probabilities can be trusted (reliability, ECE, Brier, risk against coverage), and show it.

    Example: mer report calibration loco-late
    """
    from mercli.jobs import reports as job

    made = job.calibration(_folder(runs), run, _path(output))
    if json:
        show_json({"corpora": made.numbers, "files": made.files})
        return
    figures = ("accuracy", "confidence", "ece", "brier", "aurc")
    rows = [[g["group"], g["answers"], *(_3(g[key]) for key in figures)] for g in made.numbers]
    show_table(["corpus", "answers", "accuracy", "confidence", "ECE", "Brier", "AURC"], rows, made.numbers[0]["run"])
    _said(made.files)


def _bounds(row: dict[str, Any]) -> list[float] | None:
    return None if row["low"] is None else [row["low"], row["high"]]


def _folder(runs: str | None) -> Path:
    return Path(runs or "runs")


def _path(output: str | None) -> Path | None:
    return Path(output) if output else None


def _3(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _range(interval: Sequence[float] | None) -> str:
    return f"{interval[0]:.3f}-{interval[1]:.3f}" if interval else ""


def _said(files: Sequence[Any]) -> None:
    for path in files:
        say(str(path))
