"""``mer finetune``: an encoder's weights are trained on corpora."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

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
    preset: Annotated[str, typer.Option("--preset", metavar="FAMILY", help="Recipe family (embedded).")] = "embedded",
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
    from mercli import presets
    from mercli.jobs import finetune as job

    folder = Path(output or f"runs/finetune-{modality}")
    if modality == "bundle":
        from mercli.jobs.assembly import assemble

        out(str(assemble(Path(data_root), folder)))
        return
    options = presets.load(f"{preset}-{modality}", "finetune") | dict(map(configs.override, set_ or ()))
    weights = job.finetune(job.FinetuneConfig(modality, Path(data_root), folder, options, resume))
    if json:
        show_json({"weights": weights, "card": weights.with_suffix(".json")})
    else:
        out(str(weights))
