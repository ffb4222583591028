"""``mer finetune``: an encoder's weights are trained on corpora."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mercli.cli.listing import show_json, show_table
from mercli.cli.options import (
    AllowLeak,
    Classes,
    Command,
    Data,
    Device,
    Distilled,
    Json,
    Offline,
    Quiet,
    Runs,
    Set,
    Verbose,
    out,
    say,
)
from mercli.cli.scores import few

Modality = Annotated[
    str | None, typer.Argument(metavar="audio|face|text|bundle", help="What it reads; bundle: pool the shipped three.")
]
Corpora = Annotated[
    list[str] | None, typer.Option("--corpora", metavar="NAME...", help="Prepared corpora to learn from.")
]


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("finetune", cls=Command)(finetune)


def finetune(
    modality: Modality = None,
    corpora: Corpora = None,
    encoder: Annotated[
        str | None,
        typer.Option("--encoder", metavar="ID|DIR|NAME", help="A hub model, a folder, or a name as resnet18."),
    ] = None,
    preset: Annotated[
        str | None, typer.Option("--preset", metavar="FAMILY|FILE.yaml", help="Recipe: a family of presets, or a file.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option("--exclude", metavar="NAME...", help="Corpora that it must not learn from.")
    ] = None,
    classes: Classes = None,
    reset_classifier: Annotated[
        bool | None, typer.Option("--reset-classifier", help="Give a checkpoint of other labels a new classifier.")
    ] = None,
    distill: Distilled = None,
    precision: Annotated[
        str | None, typer.Option("--precision", metavar="auto|fp32|bf16|fp16", help="Arithmetic (auto).")
    ] = None,
    device: Device = None,
    offline: Offline = False,
    strict: Annotated[bool | None, typer.Option("--strict", help="Stop at the first segment that fails.")] = None,
    allow_leak: AllowLeak = None,
    resume: Annotated[
        str | None, typer.Option("--resume", metavar="RUN", help="Go on from the newest checkpoint there.")
    ] = None,
    set_: Set = None,
    data: Data = None,
    runs: Runs = None,
    data_root: Annotated[
        str | None,
        typer.Option("--data-root", metavar="DIR", help="Train what ships inside again, from the raw corpora there."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="With --data-root: where to.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Tune an encoder on prepared corpora; leaves a folder for `mer extract --encoder`. Works under torchrun.

    Example: mer finetune text --corpora meld --encoder roberta-base
    """
    flags = {
        "corpora": corpora, "encoder": encoder, "exclude": exclude, "classes": classes,
        "reset_classifier": reset_classifier, "precision": precision, "device": device, "strict": strict,
        "allow_leak": allow_leak, "distill.teacher": distill, "data": data, "runs": runs,
    }  # fmt: skip
    if data_root is not None:
        _nothing_of(flags, "does not go with --data-root, which trains what ships inside from raw corpora")
        _embedded(modality, Path(data_root), preset, output, resume, set_, json)
        return
    if output is not None:
        raise typer.BadParameter("goes with --data-root; a tuned encoder lies in its run", param_hint="--output")
    from mercli import config as configs
    from mercli.config_tune import FinetuneConfig
    from mercli.jobs import finetune as job

    flags["modality"] = modality
    if resume is None:
        own = None if preset is None else _preset(preset, modality)
        made = job.finetune(configs.resolve(FinetuneConfig, flags, preset=own, sets=set_ or ()))
    else:
        _nothing_of({**flags, "preset": preset, "set": set_, "runs": None}, "a run goes on as it was started")
        made = job.resumed(resume, Path(runs or "runs"))
    if made.main:
        _show(made, json)


def _show(made: Any, json: bool) -> None:
    if json:
        show_json(made)
        return
    from mercli.jobs.tuned.card import marks
    from mercli.jobs.tuned.leaks import LEGEND

    rows, figures = [], made.card["figures"]
    for name, row in figures.items():
        for figure in ("uar", "accuracy", "weighted_f1"):
            low, high = row[figure]["interval"] or (None, None)
            shown = "" if low is None else f"{low:.3f}-{high:.3f}"
            rows.append([f"{name}{marks(row)}", figure, f"{row[figure]['value']:.3f}", shown, str(row["segments"])])
    show_table(["data", "figure", "value", "95 % interval", "segments"], rows)
    if not rows:
        say("no segment of a test split could be scored, hence no figure")
    few(figures)
    if any(row["seen_by"] for row in figures.values()):
        say("† the weights that it began with, or its teacher, had seen this data: no figure of transfer")
    if any(row["leaks"] for row in figures.values()):
        say(LEGEND)
    say(f"use it: mer extract --corpora NAME --encoder {made.encoder}")


def _preset(preset: str, modality: str | None) -> str:
    if Path(preset).suffix in (".yaml", ".yml"):
        return preset
    if modality is None:
        raise typer.BadParameter(f"audio, face or text must be told: '{preset}' may have each", param_hint="MODALITY")
    return f"{preset}-{modality}"


def _nothing_of(given: dict[str, Any], why: str) -> None:
    """Refuse what is given beside an option that leaves nothing else to say."""
    for name, value in given.items():
        if value is not None:
            option = f"--{name.removesuffix('.teacher').replace('_', '-')}"
            hint = "MODALITY" if name == "modality" else option
            raise typer.BadParameter(why, param_hint=hint)


def _embedded(
    modality: str | None, root: Path, preset: str | None, output: str | None, resume: str | None,
    set_: list[str] | None, json: bool,
) -> None:  # fmt: skip
    from mercli import config_sets, presets
    from mercli.jobs.tuned import refit

    if modality is None:
        raise typer.BadParameter("expected audio, face, text or bundle", param_hint="MODALITY")
    folder = Path(resume or output or f"runs/finetune-{modality}")
    if modality == "bundle":
        for option, given in (("--preset", preset), ("--set", set_), ("--resume", resume)):
            if given:
                raise typer.BadParameter("a bundle is pooled, not trained: it has no recipe", param_hint=option)
        _pooled(root, folder, json)
        return
    recipe = presets.load(_preset(preset or "embedded", modality), "finetune")
    recipe = recipe.get("refit", {}) if "encoder" in recipe else recipe
    options = recipe | dict(map(config_sets.override, set_ or ()))
    weights = refit.refit(refit.RefitConfig(modality, root, folder, options, resume is not None))
    if json:
        show_json({"weights": weights, "card": weights.with_suffix(".json")})
    else:
        out(str(weights))


def _pooled(parts: Path, folder: Path, json: bool) -> None:
    from mercli.jobs.answers.assembly import assemble

    bundle = assemble(parts, folder)
    if json:
        show_json({"bundle": bundle})
    else:
        out(str(bundle))
