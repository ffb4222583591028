"""``mer report KIND``: what a run means. Every kind is the same command but for its own options."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer

from mercli.cli.listing import show_json
from mercli.cli.options import Command, Json, Plugin, Quiet, Runs, Set, Verbose, out, say
from mercli.cli.sections import show

Own = tuple[Any, Any]
"""An option of one kind: its annotation and its default."""

RUN: dict[str, Own] = {
    "run": (Annotated[str | None, typer.Argument(metavar="RUN", help="By name or path; the newest if none.")], None)
}
TWO: dict[str, Own] = {
    "run": (Annotated[str, typer.Argument(metavar="A", help="A run by name or path.")], ...),
    "other": (Annotated[str, typer.Argument(metavar="B", help="The run that it is compared with.")], ...),
}
SHARED: dict[str, Own] = {
    "output": (
        Annotated[str | None, typer.Option("--output", "-o", metavar="DIR", help="Where to (RUN/report).")],
        None,
    ),
    "formats": (
        Annotated[str | None, typer.Option("--format", metavar="png,svg,csv,json,txt", help="Which files (all).")],
        None,
    ),
    "runs": (Runs, None),
    "json": (Json, False),
    "quiet": (Quiet, False),
    "verbose": (Verbose, 0),
}
BY: Own = (Annotated[str, typer.Option("--by", metavar="corpus|fold|seed|all", help="One matrix per what.")], "corpus")
DATA: Own = (
    Annotated[Path | None, typer.Option("--data", metavar="DIR", help="Where the run's corpora lie (as it was told).")],
    None,
)
LEAST: Own = (
    Annotated[int, typer.Option("--least", min=1, help="Segments that a group must have to be ranked.")],
    20,
)
MOST: Own = (Annotated[int, typer.Option("--most", min=1, help="How many mistakes.")], 20)
METHOD: Own = (Annotated[str, typer.Option("--method", metavar="pca|umap", help="How points are laid out.")], "pca")
COLOUR: Own = (
    Annotated[str, typer.Option("--colour", metavar="emotion|corpus|speaker", help="What points are coloured by.")],
    "emotion",
)
SHOWN: Own = (Annotated[int, typer.Option("--most", min=3, help="How many segments.")], 2000)
SEGMENT: Own = (
    Annotated[str | None, typer.Option("--segment", metavar="ID", help="Of this one alone; else means per class.")],
    None,
)
EACH: Own = (Annotated[int, typer.Option("--most", min=1, help="How many segments of each bundle.")], 200)
VALUE: Own = (Annotated[str, typer.Option("--value", metavar="uar|likelihood", help="What is shared out.")], "uar")
NORMALISE: Own = (Annotated[bool, typer.Option("--normalise", help="Show shares of each row, not counts.")], False)


def register(app: typer.Typer) -> None:
    """Add the group to the application."""
    group = typer.Typer(help="Show what a run means, as pictures, tables and files.", no_args_is_help=True)
    for kind, summary, own in KINDS:
        group.command(kind, cls=Command, help=summary)(_command(kind, own))
    group.command("timeline", cls=Command)(timeline)
    group.command("page", cls=Command)(page)
    app.add_typer(group, name="report")


KINDS: tuple[tuple[str, str, dict[str, Own]], ...] = (
    ("confusion", "Which classes are taken for which, per corpus, fold or seed.", {"by": BY, "normalise": NORMALISE}),
    ("classes", "Precision, recall, F1 and support of each class, with intervals.", {}),
    ("loco", "Scores on held-out corpora, and who learns from whom where the run has a matrix.", {}),
    ("compare", "What two runs differ by in each corpus and class, and which answers changed.", {}),
    (
        "modalities",
        "Scores of every subset of modalities, each one's exact Shapley share, and what is missing.",
        {"data": DATA, "value": VALUE},
    ),
    (
        "groups",
        "UAR and accuracy by corpus, sex, language, duration and speaker, with clustered intervals.",
        {"data": DATA, "least": LEAST},
    ),
    (
        "errors",
        "The most confident mistakes with their clips and transcripts, and which classes they are between.",
        {"data": DATA, "most": MOST},
    ),
    (
        "projection",
        "Features before fusion and the head's last vectors after it, on a plane.",
        {"data": DATA, "method": METHOD, "colour": COLOUR, "most": SHOWN},
    ),
    (
        "gates",
        "What a head attends to and how far its gates are open, per class or for one segment.",
        {"data": DATA, "segment": SEGMENT, "most": EACH},
    ),
    ("distribution", "Labels per corpus and split.", {"data": DATA}),
    ("curves", "Loss and dev figures of each epoch, and each fit's best.", {}),
    ("cost", "Time and memory of each stage of the run.", {}),
    ("calibration", "How far probabilities can be trusted: reliability, ECE, Brier, risk against coverage.", {}),
)


def _command(kind: str, own: dict[str, Own]) -> Callable[..., None]:
    """Return a kind's command: its runs, its own options, and those of all."""
    named = TWO if kind == "compare" else RUN

    def command(**given: Any) -> None:
        from mercli.jobs.report import FORMATS, report

        output, formats = given["output"], given["formats"]
        made = report(
            kind,
            Path(given["runs"] or "runs"),
            [given[name] for name in named],
            Path(output) if output else None,
            formats.split(",") if formats else FORMATS,
            **{name: given[name] for name in own},
        )
        show(made, given["json"])

    every = {**named, **own, **SHARED}
    where = inspect.Parameter.KEYWORD_ONLY
    command.__signature__ = inspect.Signature(  # type: ignore[attr-defined]  # what typer reads options from
        [
            inspect.Parameter(name, where, default=inspect.Parameter.empty if default is ... else default, annotation=a)
            for name, (a, default) in every.items()
        ]
    )
    command.__annotations__ = {name: annotation for name, (annotation, _) in every.items()}
    return command


def timeline(
    clip: Annotated[str, typer.Argument(metavar="CLIP", help="A media file.")],
    predictions: Annotated[
        Path | None,
        typer.Option("--predictions", metavar="FILE.jsonl", help="Its answers, made by `mer predict --format jsonl`."),
    ] = None,
    model: Annotated[str | None, typer.Option("--model", metavar="BUNDLE", help="Bundle folder (embedded).")] = None,
    run: Annotated[str | None, typer.Option("--run", metavar="RUN", help="The bundle of a run, by name.")] = None,
    windows: Annotated[str, typer.Option("--windows", metavar="SIZE/STEP", help="Windows in seconds.")] = "2/1",
    output: Annotated[str, typer.Option("--output", "-o", metavar="DIR", help="Where to.")] = "report",
    formats: Annotated[
        str | None, typer.Option("--format", metavar="png,svg,csv,json", help="Which files (all).")
    ] = None,
    runs: Runs = None,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
    plugin: Plugin = None,
) -> None:
    """One clip over time: probabilities, each modality alone, words and face.

    Example: mer report timeline clip.mp4 --windows 4/1
    """
    from mercli import config as configs
    from mercli import rundir
    from mercli.jobs.report import FORMATS, Report, check, write
    from mercli.jobs.reports.timeline import timeline as kind

    if model and run:
        raise typer.BadParameter("give --model or --run", param_hint="--run")
    chosen = formats.split(",") if formats else FORMATS
    check(chosen)
    bundle = str(rundir.find(Path(runs or "runs"), run) / "bundle") if run else model
    flags = {"model": [bundle] if bundle else None, "windows": windows, "alone": True}
    config = configs.resolve(configs.PredictConfig, flags, sets=set_ or ())
    section = kind(Path(clip), config, predictions)
    show(Report(section, list(write(section, Path(output), chosen))), json)


def page(
    run: Annotated[
        list[str] | None, typer.Argument(metavar="[RUN...]", help="By name or path; the newest if none.")
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FILE.html", help="Where to (RUN/report/page.html).")
    ] = None,
    runs: Runs = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Every kind that applies, as one HTML page that fetches nothing; several runs are compared with the first.

    Example: mer report page loco-late loco-concat -o report.html
    """
    from mercli.jobs import page as job

    made = job.page(Path(runs or "runs"), run or (), Path(output) if output else None)
    if json:
        show_json(made)
        return
    for part in made.parts:
        for kind, why in part["left_out"].items():
            say(f"{part['run']}: without {kind}: {why}")
    out(str(made.file))
