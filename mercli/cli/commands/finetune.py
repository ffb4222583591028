"""``mer finetune``: an encoder's weights are trained on corpora."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mercli.cli.listing import show_json
from mercli.cli.options import Command, Json, Quiet, Set, Verbose, out


def register(app: typer.Typer) -> None:
    """Add the command to the application."""
    app.command("finetune", cls=Command)(finetune)


def finetune(
    modality: Annotated[
        str, typer.Argument(metavar="audio|face|text|bundle", help="Which encoder to train; bundle: pool the three.")
    ],
    data_root: Annotated[
        str,
        typer.Option(
            "--data-root",
            metavar="DIR",
            help="Where the corpora lie; for bundle, where the three trained encoders lie.",
        ),
    ],
    preset: Annotated[
        str | None,
        typer.Option("--preset", metavar="FAMILY|FILE.yaml", help="Recipe family, or a preset file (embedded)."),
    ] = None,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="DIR", help="Where to (runs/finetune-MODALITY).")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the newest checkpoint there.")] = False,
    set_: Set = None,
    json: Json = False,
    quiet: Quiet = False,
    verbose: Verbose = 0,
) -> None:
    """Train an encoder that ships in the package again from its corpora; leaves weights and their card.

    Example: mer finetune face --preset embedded --data-root CORPORA
    """
    from mercli import config as configs
    from mercli.jobs import finetune as job

    folder = Path(output or f"runs/finetune-{modality}")
    if modality == "bundle":
        for option, given in (("--preset", preset), ("--set", set_), ("--resume", resume)):
            if given:
                raise typer.BadParameter("a bundle is pooled, not trained: it has no recipe", param_hint=option)
        _bundle(Path(data_root), folder, json)
        return
    options = _recipe(preset or "embedded", modality) | dict(map(configs.override, set_ or ()))
    weights = job.finetune(job.FinetuneConfig(modality, Path(data_root), folder, options, resume))
    if json:
        show_json({"weights": weights, "card": weights.with_suffix(".json")})
    else:
        out(str(weights))


def _recipe(preset: str, modality: str) -> dict[str, Any]:
    from mercli import presets

    own = Path(preset).suffix in (".yaml", ".yml")
    return presets.load(preset if own else f"{preset}-{modality}", "finetune")


def _bundle(parts: Path, folder: Path, json: bool) -> None:
    from mercli.jobs.assembly import assemble

    bundle = assemble(parts, folder)
    if json:
        show_json({"bundle": bundle})
    else:
        out(str(bundle))
